// A histogram of prom-client's whose counts are kept elsewhere.
import Histogram from 'prom-client/lib/histogram.js';
import type Registry from 'prom-client/lib/registry.js';
import type { Counted } from './definition.ts';

export class ReadHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  counted: Counted = { counts: [], sum: 0 };

  constructor(name: string, help: string, bounds: readonly number[], registry: Registry) {
    super({ name, help, buckets: [...bounds], registers: [registry] });
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
  }

  /** What prom-client's registry asks of a metric, in place of its get() where there is one; its declarations lack it. */
  async getForPromString(): Promise<object> {
    let count = 0;
    const buckets = [...this.#bounds, '+Inf'].map((le, i) => {
      count += this.counted.counts[i] ?? 0;
      return { metricName: `${this.#name}_bucket`, labels: { le }, value: count };
    });
    const sum = { metricName: `${this.#name}_sum`, labels: {}, value: this.counted.sum };
    const total = { metricName: `${this.#name}_count`, labels: {}, value: count };
    return { name: this.#name, help: this.#help, type: 'histogram', values: [...buckets, sum, total] };
  }
}
