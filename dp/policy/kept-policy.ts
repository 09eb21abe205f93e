// A policy as dp keeps it: a node has many thousands of rules, and nobody asks for most of them again.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { PolicyRule } from '../protocol/commands.ts';
import { canonical } from './names.ts';
import type { Policy } from './policy.ts';

const FASTEST = { level: 1 } as const;

/** Immutable but for the form that its rules are kept in. */
export class KeptPolicy {
  readonly defaultAction: Policy['defaultAction'];
  readonly directions: Policy['directions'];
  /** How many rules it has. */
  readonly size: number;
  /** The domain names of its rules, in their canonical form. */
  readonly names: ReadonlySet<string>;
  #rules: readonly PolicyRule[] | Uint8Array;

  constructor({ defaultAction, directions, rules }: Policy) {
    this.defaultAction = defaultAction;
    this.directions = directions;
    this.size = rules.length;
    this.names = new Set(rules.flatMap(({ fqdn }) => (fqdn === undefined ? [] : canonical(fqdn))));
    this.#rules = rules;
  }

  /** From now on some 11 bytes a rule; asked for, they are made anew. */
  pack(): void {
    if (!(this.#rules instanceof Uint8Array)) this.#rules = deflateRawSync(JSON.stringify(this.#rules), FASTEST);
  }

  /** Its rules; always the same objects until it is packed. */
  unpacked(): Policy {
    const { defaultAction, directions } = this;
    return { defaultAction, directions, rules: this.#unpackedRules() };
  }

  #unpackedRules(): readonly PolicyRule[] {
    if (!(this.#rules instanceof Uint8Array)) return this.#rules;
    const rules: PolicyRule[] = JSON.parse(inflateRawSync(this.#rules).toString()); // what pack() was given
    return rules;
  }
}
