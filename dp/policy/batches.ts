// Puts the batches of policies together: START, any number between, END.
import type { PolicyConfig, PolicyRule } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { BATCH_FLAG } from '../protocol/values.ts';
import type { PolicyChange } from './policy.ts';

/** More rules than this are refused before they are compiled. */
export const MAX_RULES = 65_536;
/** Policies begun and not ended: more than this are given up, the oldest first. */
const MAX_OPEN = 1024;

type Open = { readonly header: string; readonly rules: PolicyRule[] };

export class Batches {
  readonly #open = new Map<string, Open>();

  /** The whole change where this batch ends one. Throws CommandError where the batch has no place. */
  add({ flag, rules: given, ...header }: PolicyConfig): PolicyChange | undefined {
    const rules = given ?? [];
    const macs = header.mac.join();
    const said = JSON.stringify(header);
    const isStart = (flag & BATCH_FLAG.start) !== 0;
    const begun = isStart ? { header: said, rules: [] } : this.#open.get(macs);
    if (!begun) throw fail(ERROR_CODE.batchOrder, `${macs}: a batch without START, and none before it began a policy`);
    this.#open.delete(macs);
    if (begun.header !== said)
      throw fail(ERROR_CODE.batchOrder, `${macs}: the header changed between batches, from ${begun.header} to ${said}`);
    if (begun.rules.length + rules.length > MAX_RULES)
      throw fail(ERROR_CODE.policyTooLarge, `${macs}: more than ${MAX_RULES} rules`);
    begun.rules.push(...rules);
    if (flag & BATCH_FLAG.end) return { ...header, rules: begun.rules };
    this.#open.set(macs, begun);
    this.#forgetOldest();
    return undefined;
  }

  #forgetOldest(): void {
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest);
  }
}

const fail = (code: (typeof ERROR_CODE)['batchOrder' | 'policyTooLarge'], message: string): CommandError =>
  new CommandError('ctrl_cfg_policy', code, `ctrl_cfg_policy: ${message}`);
