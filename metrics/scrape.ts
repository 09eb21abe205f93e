// For tests: what a process serves, read as Prometheus reads it.
import { hostOf, type MetricsAddress } from './address.ts';

export type Series = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

export class Scraped {
  readonly series: readonly Series[];

  constructor(text: string) {
    this.series = text.split('\n').flatMap((line) => {
      const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      return name === undefined ? [] : [{ name, labels: labelsOf(labels), value: Number(value) }];
    });
  }

  /** The sum of the series of this name that have these labels; throws where there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.series.filter(
      (one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
    if (found.length === 0) throw new RangeError(`no ${name} with ${JSON.stringify(labels)} was scraped`);
    return found.reduce((sum, one) => sum + one.value, 0);
  }
}

export async function scrape(at: MetricsAddress): Promise<Scraped> {
  const response = await fetch(`http://${hostOf(at)}/metrics`);
  if (!response.ok) throw new Error(`${hostOf(at)} answered ${response.status}: ${await response.text()}`);
  return new Scraped(await response.text());
}

/** Of the values that labels have here, none holds a quote or a comma. */
function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value]));
}
