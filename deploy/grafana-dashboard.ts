// What the Grafana dashboard asks Prometheus for, as far as a test has to know. Pure.
import { fieldsOf } from '../controller/api/fields.ts';

/** Every query of every panel, also of those in collapsed rows. */
export function expressionsOf(dashboard: unknown): string[] {
  const { panels } = fieldsOf(dashboard);
  return (Array.isArray(panels) ? panels : []).flatMap((panel) => {
    const { targets } = fieldsOf(panel);
    const own = (Array.isArray(targets) ? targets : []).map((target) => fieldsOf(target).expr);
    return [...own.filter((expression) => typeof expression === 'string'), ...expressionsOf(panel)];
  });
}

export type Asked = { readonly name: string; readonly labels: Readonly<Record<string, string>> };

/** The series that a query names, with the labels that it asks to be equal; those that Prometheus itself adds are left out. */
export function seriesIn(expression: string): Asked[] {
  const named = expression.matchAll(/\b((?:podwall|process|nodejs)_\w+)(?:\{([^}]*)\})?/g);
  return [...named].map(([, name = '', labels = '']) => ({
    name,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value]),
    ),
  }));
}
