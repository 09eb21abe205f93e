// One connection on which the kernel and the plain loop disagreed, and all that led to it; also as text. Pure.
import { describe, type Trial } from '../bpf/trial.ts';
import type { Step } from './situation.ts';

export type Case = {
  /** Commands, in their order, before the connection opens. */
  readonly before: readonly Step[];
  /** Commands while it is open, before its next packet; with none, it is its opening that is judged. */
  readonly meanwhile: readonly Step[];
  readonly trial: Trial;
};

/** `said`: by whom what was said. */
export function textOfCase({ before, meanwhile, trial }: Case, said: string): string {
  const commands = (steps: readonly Step[]) => steps.map(({ name, body }) => `    ${JSON.stringify({ [name]: body })}`);
  return [
    `  ${said}`,
    '  after these commands (without the workload’s MAC):',
    ...commands(before),
    `  the connection: ${describe(trial)}`,
    ...(meanwhile.length > 0 ? ['  and its next packet, after these:', ...commands(meanwhile)] : []),
  ].join('\n');
}
