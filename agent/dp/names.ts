// The addresses of domain names as dp is to know them, and as it was told on this connection.
import { command } from './batches.ts';

export class NameAddresses {
  readonly #addresses = new Map<string, readonly string[]>();
  /** Whatever dp may still know: name → what was sent, undefined where that was on an earlier connection. */
  readonly #told = new Map<string, string | undefined>();

  /** All addresses of a name. */
  set(name: string, addresses: readonly string[]): void {
    this.#addresses.set(name, addresses);
  }

  /** dp may be another one. */
  forgetTold(): void {
    for (const name of this.#told.keys()) this.#told.set(name, undefined);
  }

  /** The commands that tell dp of what changed; `told` is to be called once they are sent. */
  changes(names: ReadonlySet<string>): { readonly datagrams: readonly Buffer[]; readonly told: () => void } {
    const bodies = [...names].flatMap((name) => {
      const addresses = this.#addresses.get(name);
      return addresses ? [{ fqdn_name: name, vhost: false, fqdn_ips: [...addresses] }] : [];
    });
    const changed = bodies.filter((body) => this.#told.get(body.fqdn_name) !== JSON.stringify(body));
    const unused = [...this.#told.keys()].filter((name) => !names.has(name));
    const datagrams = changed.map((body) => command('ctrl_cfg_set_fqdn', body));
    if (unused.length > 0) datagrams.push(command('ctrl_cfg_del_fqdn', { names: unused }));
    return {
      datagrams,
      told: () => {
        for (const body of changed) this.#told.set(body.fqdn_name, JSON.stringify(body));
        for (const name of unused) this.#told.delete(name);
        for (const name of this.#addresses.keys()) if (!names.has(name)) this.#addresses.delete(name);
      },
    };
  }
}
