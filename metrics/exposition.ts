// Metrics as Prometheus reads them, by prom-client: written anew from what is read at each scrape.
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Registry from 'prom-client/lib/registry.js';
import type { Definition, Definitions, Labels, Reading, Readings, Sample } from './definition.ts';

type AnyReading = Reading<Definition> | readonly Sample<Labels>[];

export class Exposition<Ds extends Definitions> {
  readonly #registry = new Registry();
  readonly #write = new Map<string, (reading: AnyReading) => void>();
  readonly #read: () => Readings<Ds>;

  private constructor(read: () => Readings<Ds>) {
    this.#read = read;
  }

  static async open<Ds extends Definitions>(definitions: Ds, read: () => Readings<Ds>): Promise<Exposition<Ds>> {
    const exposition = new Exposition(read);
    for (const [name, definition] of Object.entries(definitions))
      exposition.#write.set(name, await exposition.#writer(name, definition));
    return exposition;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads every metric once. */
  text(): Promise<string> {
    for (const [name, reading] of Object.entries<AnyReading>(this.#read())) this.#write.get(name)?.(reading);
    return this.#registry.metrics();
  }

  async #writer(name: string, definition: Definition): Promise<(reading: AnyReading) => void> {
    const { help } = definition;
    const registers = [this.#registry];
    if (definition.type === 'histogram') {
      const { ReadHistogram } = await import('./read-histogram.ts'); // takes memory that only who has one should spend
      const histogram = new ReadHistogram(name, help, definition.bounds, this.#registry);
      return (reading) => {
        if (typeof reading === 'object' && 'counts' in reading) histogram.counted = reading;
      };
    }
    const labelNames = Object.keys(definition.labels ?? {});
    const metric =
      definition.type === 'gauge'
        ? new Gauge({ name, help, labelNames, registers })
        : new Counter({ name, help, labelNames, registers });
    return (reading) => {
      metric.reset();
      if (typeof reading === 'number') metric.inc(reading);
      else if (!('counts' in reading)) for (const { labels, value } of reading) metric.inc(labels, value);
    };
  }
}
