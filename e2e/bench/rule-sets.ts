// Rule sets to measure with, as an agent would send them. Pure: the same size gives the same rules.
import type { PolicyRule } from '@podwall/dp/protocol/commands.ts';
import { ACTION, PROTOCOL } from '@podwall/dp/protocol/values.ts';

export const WORKLOAD_IP = '192.168.1.100';
export const SERVER_IP = '10.20.30.40';

const FIRST_ID = 1001;
const MAX_PORT = 0xffff;
const PORTS = [80, 443, 8080, 8443, 3306, 5432, 6379, 9090, 9092, 27017, 53, 2379, 6443, 10250, 15012, 4317] as const;
const PODS = 0x0a800000; // 10.128.0.0/9
const NETWORKS = 0xac100000; // 172.16.0.0/12
const NETWORK_COUNT = 4096; // of 256 addresses

/** Numbers below n, the same each time for a seed (mulberry32). */
function random(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

const dotted = (ip: number): string => [24, 16, 8, 0].map((shift) => (ip >>> shift) & 0xff).join('.');

type Target = { readonly from: number; readonly to: number; readonly port: number; readonly portTo: number };

function egress(id: number, { from, to, port, portTo }: Target): PolicyRule {
  const range = from === to ? {} : { dipr: dotted(to) };
  const ports = port === portTo ? { port } : { port, portr: portTo };
  const { tcp: proto } = PROTOCOL;
  return { id, sip: WORKLOAD_IP, dip: dotted(from), ...range, ...ports, proto, action: ACTION.open, ingress: false };
}

/**
 * What a cluster has: groups of pods on a port or two, one rule an address; one in ten a network on a range of ports.
 * No two overlap, so that an nftables map can hold the same. The last allows everything to the server that is measured.
 */
export function groups(count: number, seed = 1): PolicyRule[] {
  if (count === 0) return [];
  const next = random(seed);
  const taken = new Set<string>();
  const rules: PolicyRule[] = [];
  let [port, left, network] = [0, 0, 0];
  while (rules.length < count - 1) {
    if (left-- === 0) [port, left] = [PORTS[next(PORTS.length)] ?? 0, 10 + next(200)];
    const isNetwork = next(10) === 0;
    const low = 1024 + 1000 * Math.floor(network / NETWORK_COUNT);
    const from = isNetwork ? NETWORKS + (network++ % NETWORK_COUNT) * 0x100 : PODS + next(1 << 22);
    const target = isNetwork ? { from, to: from + 0xff, port: low, portTo: low + 999 } : one(from, port);
    const key = JSON.stringify(target);
    if (!taken.has(key)) rules.push(egress(FIRST_ID + rules.length, target));
    taken.add(key);
  }
  const server = SERVER_IP.split('.').reduce((ip, byte) => ip * 0x100 + Number(byte), 0);
  return [...rules, egress(FIRST_ID + rules.length, { from: server, to: server, port: 0, portTo: MAX_PORT })];
}

const one = (ip: number, port: number): Target => ({ from: ip, to: ip, port, portTo: port });

/** Adversarial: ranges inside ranges, each with ports of its own, in no order of priority. */
export function nested(count: number): PolicyRule[] {
  const rules = Array.from({ length: count }, (_, i) => {
    const port = (i * 6) % 65_000;
    const target = { from: PODS + i * 3, to: PODS + 6 * count - i * 3, port, portTo: port + 3 };
    return egress(FIRST_ID + ((i * 7919) % count), target);
  });
  return rules.toSorted((a, b) => a.id - b.id);
}

/** Adversarial: ranges of any width across each other, for the workload's address or for any, in both directions. */
export function overlapping(count: number, seed = 2): PolicyRule[] {
  const next = random(seed);
  return Array.from({ length: count }, (_, i) => {
    const from = PODS + next(1 << 22);
    const port = next(MAX_PORT);
    const portTo = next(4) === 0 ? Math.min(MAX_PORT, port + next(5000)) : port;
    const rule = egress(FIRST_ID + i, { from, to: from + next(1 << (4 + next(16))), port, portTo });
    const action = next(2) === 0 ? ACTION.open : ACTION.deny;
    const local = next(2) === 0 ? { sip: WORKLOAD_IP } : { sip: '0.0.0.0', sipr: '255.255.255.255' };
    return { ...rule, ...local, action };
  });
}

export const RULE_SETS = { benign: groups, nested, overlapping } as const;
export type RuleSetName = keyof typeof RULE_SETS;
