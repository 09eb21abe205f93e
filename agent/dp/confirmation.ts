// Waits for what dp answers to the commands of one workload: POLICY_REALIZED, or an ERROR.
import { type CommandName, commandOfNumber } from '@podwall/dp/protocol/commands.ts';
import { ERROR_CODE, NO_MAC, type Report } from '@podwall/dp/protocol/reports.ts';

/** `epoch` is absent where there was no policy to remove. */
export type Answer = { readonly epoch?: number } | { readonly error: string };

/** dp carries out commands in order, so an error of these belongs to the workload that is waited for. */
const WORKLOAD_COMMANDS: readonly (CommandName | undefined)[] = ['ctrl_add_mac', 'ctrl_cfg_mac', 'ctrl_cfg_policy'];

export class Confirmation {
  readonly mac: string;
  readonly #rules: number;
  readonly #answer = Promise.withResolvers<Answer>();
  readonly #timeout: NodeJS.Timeout;

  /** `rules`: how many the policy has that is to be confirmed. */
  constructor(mac: string, rules: number, timeoutMs: number) {
    this.mac = mac;
    this.#rules = rules;
    this.#timeout = setTimeout(() => this.end(`dp did not confirm the policy within ${timeoutMs} ms`), timeoutMs);
  }

  get answer(): Promise<Answer> {
    return this.#answer.promise;
  }

  /** Whether the report was what is waited for. */
  takes(report: Report): boolean {
    if (report.kind === 'policyRealized') {
      const { mac, rules, epoch } = report.realized;
      return mac === this.mac && rules === this.#rules && this.#end({ epoch });
    }
    if (report.kind !== 'error' || !WORKLOAD_COMMANDS.includes(commandOfNumber(report.command))) return false;
    if (report.mac !== this.mac && report.mac !== NO_MAC) return false;
    return this.#end(report.code === ERROR_CODE.policyUnknown && this.#rules === 0 ? {} : { error: report.text });
  }

  end(error: string): void {
    this.#end({ error });
  }

  #end(answer: Answer): true {
    clearTimeout(this.#timeout);
    this.#answer.resolve(answer);
    return true;
  }
}
