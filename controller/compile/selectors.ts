// Label selectors with the exact semantics of metav1.LabelSelector.
import type { LabelSelector } from '../api/network-rule.ts';

type Labels = Readonly<Record<string, string>>;

/** An absent label is not in any list of values, so NotIn matches it. */
export function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    Object.entries(matchLabels).every(([key, expected]) => value(key) === expected) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const found = value(key);
      switch (operator) {
        case 'In':
          return found !== undefined && values.includes(found);
        case 'NotIn':
          return found === undefined || !values.includes(found);
        case 'Exists':
          return found !== undefined;
        default:
          return found === undefined;
      }
    })
  );
}

/** The same text for selectors that say the same in another order. */
export function canonicalSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => JSON.stringify([key, 'In', [value]]));
  const expressions = matchExpressions.map(({ key, operator, values = [] }) =>
    JSON.stringify([key, operator, [...new Set(values)].sort()]),
  );
  return `[${[...new Set([...labels, ...expressions])].sort().join(',')}]`;
}
