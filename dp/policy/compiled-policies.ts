// Compiles policies, and keeps the last ones, so that a change of one costs what it changes.
import type { PolicyRule } from '../protocol/commands.ts';
import { amendClassifier } from './amendment.ts';
import { type Classifier, compileClassifier, type Rule } from './classifier.ts';
import { classifierRules } from './compile.ts';
import type { Policy } from './policy.ts';

/** Bytes that are kept, about: more than this, and the longest unused go. */
const MAX_KEPT_BYTES = 1 << 26;
/** Of a rule as the classifier has it. */
const RULE_BYTES = 600;

/** `rulesOf`: what each rule of the policy became. */
type Compiled = { readonly classifier: Classifier; readonly rulesOf: WeakMap<PolicyRule, readonly Rule[]> };

export class CompiledPolicies {
  readonly #nameId: (fqdn: string) => number;
  /** By policy, the longest unused first. */
  readonly #kept = new Map<Policy, Compiled>();
  #bytes = 0;

  /** `nameId` gives the id of a domain name, always the same. */
  constructor(nameId: (fqdn: string) => number) {
    this.#nameId = nameId;
  }

  /** The blob of a policy that came out of `before`, if out of any. Throws PolicyTooLarge. */
  compile(policy: Policy, before: Policy | undefined): Uint8Array {
    const known = before && this.#kept.get(before);
    const rulesOf = known?.rulesOf ?? new WeakMap<PolicyRule, readonly Rule[]>();
    const rules = policy.rules.flatMap((rule) => {
      const found = rulesOf.get(rule) ?? classifierRules(rule, this.#nameId);
      rulesOf.set(rule, found);
      return found;
    });
    const classifier = (known && amendClassifier(known.classifier, rules)) ?? compileClassifier(rules);
    if (before) this.#forget(before);
    this.#keep(policy, { classifier, rulesOf });
    return classifier.blob;
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
