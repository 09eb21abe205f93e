// Compiles policies, and keeps the last large ones, so that a change of one costs what it changes.
import { amendClassifier } from './amendment.ts';
import { type Classifier, compileClassifier, type Rule } from './classifier.ts';
import { classifierRules } from './compile.ts';
import type { Policy } from './policy.ts';

/** Bytes that are kept, about: more than this, and the longest unused go. */
const MAX_KEPT_BYTES = 1 << 26;
/** Smaller policies are compiled in some 20 ms, and what a node has many of is not worth its memory. */
const MIN_KEPT_RULES = 3000;
/** Of a rule as the classifier has it. */
const RULE_BYTES = 600;

/** `rules`: what each rule of the policy became. */
type Compiled = { readonly classifier: Classifier; readonly rules: readonly (readonly Rule[])[] };

export class CompiledPolicies {
  readonly #nameId: (fqdn: string) => number;
  readonly #minKeptRules: number;
  /** By policy, the longest unused first. */
  readonly #kept = new Map<Policy, Compiled>();
  #bytes = 0;

  /** `nameId` gives the id of a domain name, always the same. */
  constructor(nameId: (fqdn: string) => number, minKeptRules = MIN_KEPT_RULES) {
    this.#nameId = nameId;
    this.#minKeptRules = minKeptRules;
  }

  /** The blob of a policy that came out of `before`, if out of any. Throws PolicyTooLarge. */
  compile(policy: Policy, before: Policy | undefined): Uint8Array {
    const known = before && this.#kept.get(before);
    const rules = this.#rulesOf(policy, before, known?.rules ?? []);
    const all = rules.flat();
    const classifier = (known && amendClassifier(known.classifier, all)) ?? compileClassifier(all);
    if (before) this.#forget(before);
    if (policy.rules.length >= this.#minKeptRules) this.#keep(policy, { classifier, rules });
    return classifier.blob;
  }

  /** Those that were there before as they were: both policies are in order of id. */
  #rulesOf(
    policy: Policy,
    before: Policy | undefined,
    known: readonly (readonly Rule[])[],
  ): readonly (readonly Rule[])[] {
    let at = 0;
    return policy.rules.map((rule) => {
      while ((before?.rules[at]?.id ?? rule.id) < rule.id) at += 1;
      return (before?.rules[at] === rule && known[at]) || classifierRules(rule, this.#nameId);
    });
  }

  #keep(policy: Policy, compiled: Compiled): void {
    this.#kept.set(policy, compiled);
    this.#bytes += bytesOf(compiled);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_KEPT_BYTES) break;
      this.#forget(oldest);
    }
  }

  #forget(policy: Policy): void {
    const compiled = this.#kept.get(policy);
    if (!compiled) return;
    this.#kept.delete(policy);
    this.#bytes -= bytesOf(compiled);
  }
}

const bytesOf = ({ classifier: { blob, rules } }: Compiled): number => blob.length + rules.length * RULE_BYTES;
