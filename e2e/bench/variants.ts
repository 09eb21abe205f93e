// What lies in the path that is measured: nothing, the floor, Podwall, or nftables. Each is put there and taken away.
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { mustRun } from '../lab/command.ts';
import type { Lab } from '../lab/lab.ts';
import { inside } from '../lab/namespace.ts';
import type { LabProcess } from '../lab/process.ts';
import type { Workload } from '../lab/topology.ts';
import { waitFor } from '../lab/wait.ts';
import { addMac, type DpClient, deleteMac, wholePolicy } from './dp-client.ts';
import { EMPTY, type Form, ruleset } from './nftables.ts';

/** The workload that is measured, and the addresses of the others that have the same policy. */
export type Scene = {
  readonly lab: Lab;
  readonly dp: DpClient;
  readonly workload: Workload;
  readonly others: readonly string[];
  readonly rules: readonly PolicyRule[];
};

export type Variant = {
  readonly name: string;
  /** Puts it in the path; what that answers takes it away again. */
  readonly enter: (scene: Scene) => Promise<() => Promise<void>>;
};

const READY_TIMEOUT_MS = 10_000;
const NFT_TIMEOUT_MS = 120_000;

export const NO_PROGRAM = 'no program';
export const PODWALL = 'Podwall';
export const NFTABLES = { list: 'nftables, a list', maps: 'nftables, interval maps' } as const;

export const VARIANTS: readonly Variant[] = [
  { name: NO_PROGRAM, enter: async () => async () => undefined },
  { name: 'a program that does nothing', enter: enterFloor },
  { name: PODWALL, enter: enterPodwall },
  { name: NFTABLES.list, enter: (scene) => enterNftables(scene, 'list') },
  { name: NFTABLES.maps, enter: (scene) => enterNftables(scene, 'maps') },
];

let floors = 0;

async function enterFloor({ lab, workload }: Scene): Promise<() => Promise<void>> {
  floors += 1;
  const command = [process.execPath, `${import.meta.dirname}/attach-floor.ts`, workload.hostInterface] as const;
  const floor: LabProcess = await lab.start(`floor-${floors}`, lab.node, command);
  const isAttached = async () => (await floor.log()).includes('attached') || undefined;
  await waitFor('the floor program', isAttached, { timeoutMs: READY_TIMEOUT_MS, everyMs: 10, signal: lab.signal });
  return () => floor.stop();
}

async function enterPodwall({ dp, workload, rules }: Scene): Promise<() => Promise<void>> {
  const { hostInterface, mac } = workload;
  await dp.enforce([addMac(hostInterface, mac), ...wholePolicy([mac], rules)], 1);
  return async () => {
    dp.send([deleteMac(hostInterface, mac)]);
    await dp.sync();
  };
}

async function enterNftables({ lab, workload, others, rules }: Scene, form: Form): Promise<() => Promise<void>> {
  const load = async (input: string) => {
    await mustRun(inside(lab.node, ['nft', '-f', '-']), { signal: lab.signal, timeoutMs: NFT_TIMEOUT_MS, input });
  };
  await load(ruleset(form, rules, [workload.ip, ...others]));
  return () => load(EMPTY);
}
