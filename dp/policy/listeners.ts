// The ports of workloads of which dp was told the application, in the kernel's table.
import type { Listener } from '../kernel/abi.gen.ts';
import type { Datapath } from '../kernel/datapath.ts';
import { requireRoom } from '../limits.ts';
import type { CommandBody } from '../protocol/commands.ts';
import { CommandError } from '../protocol/errors.ts';
import { ERROR_CODE } from '../protocol/reports.ts';
import { applicationCode } from './applications.ts';

type Told = NonNullable<CommandBody<'ctrl_cfg_mac'>['apps']>;

export class Listeners {
  readonly #datapath: Datapath;

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
  }

  /**
   * All ports of these workloads, in the place of those before. Throws CommandError for a number that is no application's,
   * LimitExceeded where they do not fit.
   */
  set(endpoints: readonly number[], told: Told): void {
    const wanted = endpoints.flatMap((endpoint) =>
      told.map(({ ip_proto: protocol, port, app }): [Listener, number] => [{ endpoint, port, protocol }, codeOf(app)]),
    );
    const { listeners } = this.#datapath;
    const before = listeners.entries().map(([listener]) => listener);
    const kept = new Set(wanted.map(([listener]) => nameOf(listener)));
    const all = kept.union(new Set(before.map(nameOf)));
    requireRoom('listeners of all workloads, with those that are being replaced', all.size, listeners.room);
    for (const [listener, code] of wanted) listeners.set(listener, code);
    for (const listener of before)
      if (endpoints.includes(listener.endpoint) && !kept.has(nameOf(listener))) listeners.delete(listener);
  }

  forget(endpoint: number): void {
    for (const listener of this.#of(endpoint)) this.#datapath.listeners.delete(listener);
  }

  #of(endpoint: number): Listener[] {
    return this.#datapath.listeners
      .entries()
      .flatMap(([listener]) => (listener.endpoint === endpoint ? [listener] : []));
  }
}

const nameOf = ({ endpoint, protocol, port }: Listener): string => `${endpoint} ${protocol}/${port}`;

function codeOf(app: number): number {
  try {
    return applicationCode(app);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError('ctrl_cfg_mac', ERROR_CODE.invalidCommand, `ctrl_cfg_mac.apps: ${error.message}`);
  }
}
