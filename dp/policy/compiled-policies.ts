// Compiles policies, and keeps what the last large ones became, so that a change of one costs what it changes.
import type { PolicyRule } from '../protocol/commands.ts';
import { amendClassifier } from './amendment.ts';
import { type Classifier, compileClassifier, type Rule } from './classifier.ts';
import { classifierRules } from './compile.ts';
import { KeptPolicy } from './kept-policy.ts';
import { changePolicy, type PolicyChange } from './policy.ts';

/** Bytes that are kept, about: more than this, and the longest unused go. */
const MAX_KEPT_BYTES = 1 << 26;
/** Smaller policies are compiled in some 20 ms, and what a node has many of is not worth its memory. */
const MIN_KEPT_RULES = 3000;
/** Of a rule as the protocol and as the classifier have it. */
const RULE_BYTES = 800;

/** `rules`: what each rule of the policy became. */
type Compiled = { readonly classifier: Classifier; readonly rules: readonly (readonly Rule[])[] };

/** `blob` is absent where the rules are those of before. */
export type Change = { readonly policy: KeptPolicy; readonly blob?: Uint8Array };

export class CompiledPolicies {
  readonly #nameId: (fqdn: string) => number;
  readonly #minKeptRules: number;
  /** By policy, the longest unused first. Those that are not here are packed. */
  readonly #kept = new Map<KeptPolicy, Compiled>();
  #bytes = 0;

  /** `nameId` gives the id of a domain name, always the same. */
  constructor(nameId: (fqdn: string) => number, minKeptRules = MIN_KEPT_RULES) {
    this.#nameId = nameId;
    this.#minKeptRules = minKeptRules;
  }

  /** What a policy becomes; undefined where there is none any more. Throws CommandError, LimitExceeded. */
  change(before: KeptPolicy | undefined, change: PolicyChange): Change | undefined {
    const current = before?.unpacked();
    const policy = changePolicy(current, change);
    if (!policy) return undefined;
    if (before && current && policy.rules === current.rules) return { policy: this.#sameRules(before, policy) };
    const known = before && this.#kept.get(before);
    const rules = this.#rulesOf(policy.rules, current?.rules ?? [], known?.rules ?? []);
    const all = rules.flat();
    const classifier = (known && amendClassifier(known.classifier, all)) ?? compileClassifier(all);
    const kept = new KeptPolicy(policy);
    this.#keep(kept, { classifier, rules });
    return { policy: kept, blob: classifier.blob };
  }

  /** Lets go of what became of all policies but these. */
  retain(inUse: ReadonlySet<KeptPolicy | undefined>): void {
    for (const policy of this.#kept.keys()) if (!inUse.has(policy)) this.#forget(policy);
  }

  #sameRules(before: KeptPolicy, policy: ReturnType<KeptPolicy['unpacked']>): KeptPolicy {
    if (policy.defaultAction === before.defaultAction && policy.directions === before.directions) return before;
    const kept = new KeptPolicy(policy);
    const compiled = this.#kept.get(before);
    if (compiled) this.#keep(kept, compiled);
    else kept.pack();
    return kept;
  }

  /** Those that were there before as they were: both are in order of id. */
  #rulesOf(
    rules: readonly PolicyRule[],
    before: readonly PolicyRule[],
    known: readonly (readonly Rule[])[],
  ): readonly (readonly Rule[])[] {
    let at = 0;
    return rules.map((rule) => {
      while ((before[at]?.id ?? rule.id) < rule.id) at += 1;
      return (before[at] === rule && known[at]) || classifierRules(rule, this.#nameId);
    });
  }

  #keep(policy: KeptPolicy, compiled: Compiled): void {
    if (policy.size < this.#minKeptRules) {
      policy.pack();
      return;
    }
    this.#kept.set(policy, compiled);
    this.#bytes += bytesOf(compiled);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_KEPT_BYTES) break;
      oldest.pack();
      this.#forget(oldest);
    }
  }

  #forget(policy: KeptPolicy): void {
    const compiled = this.#kept.get(policy);
    if (!compiled) return;
    this.#kept.delete(policy);
    this.#bytes -= bytesOf(compiled);
  }
}

const bytesOf = ({ classifier: { blob, rules } }: Compiled): number => blob.length + rules.length * RULE_BYTES;
