// What the schema of a label selector can't say, as the API server checks metav1.LabelSelector.
import type { LabelSelector } from './network-rule.ts';

/** Where in the resource, and what is wrong there, in words. */
export type Fault = { readonly path: string; readonly message: string };

export function checkSelector(path: string, selector: LabelSelector | undefined): Fault[] {
  return (selector?.matchExpressions ?? []).flatMap(({ operator, values }, index) => {
    const at = `${path}.matchExpressions[${index}]`;
    const needsValues = operator === 'In' || operator === 'NotIn';
    if (needsValues && (values ?? []).length === 0) return [{ path: at, message: `${operator} needs values` }];
    if (!needsValues && (values ?? []).length > 0) return [{ path: at, message: `${operator} takes no values` }];
    return [];
  });
}
