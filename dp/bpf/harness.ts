// For tests: the real programs and tables in the real kernel, with packets by BPF_PROG_TEST_RUN instead of a network.
import { type Event, event as eventCodec, NETNS_UNKNOWN } from '../kernel/abi.gen.ts';
import { macBytes } from '../kernel/address.ts';
import type { ProgramName } from '../kernel/attachment.ts';
import { PinDirectory } from '../kernel/bpffs.ts';
import { Datapath } from '../kernel/datapath.ts';
import { RingBuffer } from '../kernel/libbpf.ts';
import type { Sizes } from '../kernel/program-object.ts';
import { NO_POLICY } from '../kernel/slots.ts';
import { Engine } from '../policy/commands.ts';
import type { CommandBody, PolicyConfig, PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, POLICY_COMMAND, PROTOCOL } from '../protocol/values.ts';
import { Connection } from './connection.ts';
import { type Ends, type IpOptions, ip, udp } from './packets.ts';

/** lo, whose index is the same everywhere. Nothing is attached to it: packets are handed to the programs. */
const IFINDEX = 1;
const MAX_WORKLOADS = 255;
const PEER_MAC = '02:ff:00:00:00:01';
const TC_ACT_SHOT = 2;
const WHOLE = 3; // START and END
const FIRST_CLIENT_PORT = 20_000;

export type Verdict = 'pass' | 'drop';
export type PolicyText = Partial<Omit<PolicyConfig, 'flag'>>;

export class Harness implements Disposable {
  readonly datapath: Datapath;
  readonly engine: Engine;
  readonly #stack: DisposableStack;
  readonly #ring: RingBuffer;
  #events: Event[] = [];
  #given = 0;

  /** Needs root, and the compiled kernel programs. `sizes`: of tables that are to be smaller than usual. */
  constructor(sizes: Sizes = {}) {
    using stack = new DisposableStack();
    const pins = stack.use(PinDirectory.open(`/sys/fs/bpf/podwall-test-${process.pid}`));
    stack.defer(() => pins.remove());
    this.datapath = stack.use(Datapath.open(pins, 'auto', undefined, { sizes }));
    // The engine takes these up as it does after a restart of dp: no command, and so nothing is attached.
    for (let id = 1; id <= MAX_WORKLOADS; id++)
      this.datapath.endpoints.set(
        { ifindex: IFINDEX, mac: macBytes(macOf(id)) },
        {
          id,
          policy: NO_POLICY,
          epoch: 1,
          revision: 1,
          defaultAction: ACTION.open,
          directions: DIRECTION.both,
          tap: 0,
          families: 0,
          netns: NETNS_UNKNOWN,
          learns: 0,
        },
      );
    this.engine = new Engine(this.datapath);
    this.#ring = stack.use(
      new RingBuffer(this.datapath.eventsFd(), (sample) =>
        this.#events.push(eventCodec.read(new DataView(sample.buffer, sample.byteOffset, sample.length), 0)),
      ),
    );
    this.#stack = stack.move();
  }

  /** A workload that no test has had yet. The interface's own entry is that of the first one. */
  workload(policy?: PolicyText): Workload {
    const next = this.engine.workloads.on(IFINDEX)[this.#given];
    if (!next) throw new Error(`more than ${MAX_WORKLOADS} workloads`);
    this.#given += 1;
    const workload = new Workload(this, next.state.id, next.mac);
    if (policy) workload.enforce(policy);
    return workload;
  }

  /** A new workload that these rules alone allow anything to, in both directions. */
  allowing(...rules: readonly PolicyRule[]): Workload {
    return this.workload({ rules: [...rules] });
  }

  /** What the programs have reported since the last call. */
  events(): Event[] {
    this.#ring.consume();
    const events = this.#events;
    this.#events = [];
    return events;
  }

  setName(fqdn_name: string, fqdn_ips: string[]): void {
    this.engine.carryOut({ name: 'ctrl_cfg_set_fqdn', body: { fqdn_name, fqdn_ips } });
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }
}

const macOf = (id: number): string => `02:00:00:00:00:${id.toString(16).padStart(2, '0')}`;

export class Workload {
  readonly harness: Harness;
  readonly id: number;
  readonly mac: string;
  readonly ip = '10.0.0.5';
  readonly ip6 = 'fd00::5';
  #clientPort = FIRST_CLIENT_PORT;

  constructor(harness: Harness, id: number, mac: string) {
    this.harness = harness;
    this.id = id;
    this.mac = mac;
  }

  /** By ctrl_cfg_policy, in one batch: default deny in both directions, unless told otherwise. */
  enforce(policy: PolicyText): void {
    const body: PolicyConfig = {
      cmd: POLICY_COMMAND.add,
      flag: WHOLE,
      defact: ACTION.deny,
      dir: DIRECTION.both,
      mac: [this.mac],
      rules: [],
      ...policy,
    };
    this.harness.engine.carryOut({ name: 'ctrl_cfg_policy', body });
  }

  /** The rules alone, default deny in both directions. */
  allowOnly(...rules: PolicyRule[]): void {
    this.enforce({ rules });
  }

  configure(settings: Omit<CommandBody<'ctrl_cfg_mac'>, 'macs'>): void {
    this.harness.engine.carryOut({ name: 'ctrl_cfg_mac', body: { macs: [this.mac], ...settings } });
  }

  nextClientPort(): number {
    this.#clientPort += 1;
    return this.#clientPort;
  }

  /** MACs and addresses of a packet to a peer, or from it. */
  ends(peer: string, goes: 'out' | 'in'): Ends {
    const own = peer.includes(':') ? this.ip6 : this.ip;
    return goes === 'out'
      ? { sourceMac: this.mac, destinationMac: PEER_MAC, source: own, destination: peer }
      : { sourceMac: PEER_MAC, destinationMac: this.mac, source: peer, destination: own };
  }

  /** A frame that the workload sends. */
  send(frame: Uint8Array): Verdict {
    return this.#run('from_workload', frame);
  }

  /** A frame that comes to it. */
  receive(frame: Uint8Array): Verdict {
    return this.#run('to_workload', frame);
  }

  #run(program: ProgramName, frame: Uint8Array): Verdict {
    return this.harness.datapath.run(program, frame, IFINDEX).verdict === TC_ACT_SHOT ? 'drop' : 'pass';
  }

  /** A TCP connection that the workload opens to a peer, not yet begun. */
  connectionTo(peer: string, port: number, options: IpOptions = {}): Connection {
    return new Connection(this, { peer, opens: 'workload', port, clientPort: this.nextClientPort(), options });
  }

  connectionFrom(peer: string, port: number, options: IpOptions = {}): Connection {
    return new Connection(this, { peer, opens: 'peer', port, clientPort: this.nextClientPort(), options });
  }

  /** One datagram from a new port. */
  sendUdp(peer: string, port: number, payload?: Uint8Array): Verdict {
    return this.send(
      ip(
        this.ends(peer, 'out'),
        PROTOCOL.udp,
        udp({ sourcePort: this.nextClientPort(), destinationPort: port }, payload),
      ),
    );
  }

  receiveUdp(peer: string, port: number, payload?: Uint8Array): Verdict {
    return this.receive(
      ip(
        this.ends(peer, 'in'),
        PROTOCOL.udp,
        udp({ sourcePort: this.nextClientPort(), destinationPort: port }, payload),
      ),
    );
  }

  /** Packets dropped for a reason: of `reason` in abi.h. */
  drops(why: number): bigint {
    return this.harness.datapath.drops.get({ endpoint: this.id, reason: why })?.packets ?? 0n;
  }

  events(): Event[] {
    return this.harness.events().filter(({ key }) => key.endpoint === this.id);
  }
}
