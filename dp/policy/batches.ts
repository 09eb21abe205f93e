// Puts the batches of policies together: START, any number between, END.
import type { PolicyConfig, PolicyRule } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { BATCH_FLAG } from '../protocol/values.ts';
import { MAX_RULES, type PolicyChange, requireRulesFit } from './policy.ts';

/** Policies begun and not ended: more than this are given up, the oldest first. */
const MAX_OPEN = 1024;

/** `count`: of all rules that came. Once they are too many, they are only counted, so that END can say how many. */
type Open = { readonly header: string; rules: PolicyRule[]; count: number };

export class Batches {
  readonly #open = new Map<string, Open>();

  /** The whole change where this batch ends one. Throws CommandError where the batch has no place, LimitExceeded where it ends too many rules. */
  add({ flag, rules: given, ...header }: PolicyConfig): PolicyChange | undefined {
    const rules = given ?? [];
    const macs = header.mac.join();
    const said = JSON.stringify(header);
    const isStart = (flag & BATCH_FLAG.start) !== 0;
    const begun = isStart ? { header: said, rules: [], count: 0 } : this.#open.get(macs);
    if (!begun) throw outOfOrder(`${macs}: a batch without START, and none before it began a policy`);
    this.#open.delete(macs);
    if (begun.header !== said)
      throw outOfOrder(`${macs}: the header changed between batches, from ${begun.header} to ${said}`);
    begun.count += rules.length;
    if (begun.count > MAX_RULES) begun.rules = [];
    else begun.rules.push(...rules);
    if (flag & BATCH_FLAG.end) {
      requireRulesFit(begun.count);
      return { ...header, rules: begun.rules };
    }
    this.#open.set(macs, begun);
    this.#forgetOldest();
    return undefined;
  }

  #forgetOldest(): void {
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest);
  }
}

const outOfOrder = (message: string): CommandError =>
  new CommandError('ctrl_cfg_policy', ERROR_CODE.batchOrder, `ctrl_cfg_policy: ${message}`);
