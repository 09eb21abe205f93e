// Sets of rules from seeds, to compare the classifier with a plain loop over. Pure.
import { APPLICATION_NAMES } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, type Action, carriesApplications, PROTOCOL } from '../protocol/values.ts';
import { rule } from './rules.ts';

/** A whole number from 0 up to and without n. */
export type Random = (n: number) => number;

/** mulberry32. */
export function random(seed: number): Random {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

export const pick = <T>(r: Random, items: readonly T[]): T => items[r(items.length)] as T; // r stays below the length
export const TEN = 0x0a000000;
const SERVICES = [80, 443, 8080, 8443, 3306, 5432, 6379, 9090, 9092, 27017, 53, 2379, 6443, 10250, 15012, 4317];
export const ACTIONS: readonly Action[] = Object.values(ACTION);
export const OWN = { 4: ['10.0.0.5', '10.0.0.6'], 6: ['fd00::5', 'fd00::6'] } as const;

/** The names that rules may name, and the addresses that have them: some have several, some names none. */
export const NAMES: readonly { readonly name: string; readonly addresses: readonly string[] }[] = Array.from(
  { length: 48 },
  (_, i) => ({
    name: `h${i}.${i % 3 === 0 ? 'deep.' : ''}z${i % 5}.test`,
    addresses: i % 8 === 0 ? [] : [`10.200.0.${i}`, `10.200.1.${i % 12}`, `fd02::${(1 + (i % 20)).toString(16)}`],
  }),
);
const PATTERNS = [0, 1, 2, 3, 4].flatMap((i) => [`*.z${i}.test`, `*.deep.z${i}.test`]).concat('*.test');

const namesByAddress = Map.groupBy(
  NAMES.flatMap(({ name, addresses }) => addresses.map((address) => ({ name, address }))),
  ({ address }) => address,
);
export const namesOf = (address: string): string[] => (namesByAddress.get(address) ?? []).map(({ name }) => name);

export const v4 = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.');
export const v6 = (a: number, b: number): string => `fd00:${a.toString(16)}::${b.toString(16)}`;
export const direction = (r: Random) => pick(r, ['egress', 'ingress'] as const);

/** Groups of pods, an address a rule, each group with one port, before a few wide rules. */
export function realistic(n: number, r: Random): PolicyRule[] {
  const groups: PolicyRule[] = [];
  while (groups.length < n - 5) {
    const members = 10 + r(60);
    const shared = { direction: direction(r), local: OWN[4][0], ports: `tcp/${pick(r, SERVICES)}` };
    const apps = r(6) === 0 ? { [pick(r, APPLICATION_NAMES)]: pick(r, ACTIONS) } : {};
    for (let i = 0; i < members && groups.length < n - 5; i++)
      groups.push(
        rule({ id: 1001 + groups.length, peer: v4(TEN + r(1 << 20)), action: pick(r, ACTIONS), ...shared, apps }),
      );
  }
  const wide = ['any', 'udp/53', 'tcp/53', 'icmp', '47'].map((ports, i) =>
    rule({ id: 1001 + groups.length + i, direction: direction(r), peer: '10.0.0.0-10.255.255.255', ports }),
  );
  return [...groups, ...wide];
}

/** Ranges of neighbouring addresses and of ports, at random. */
export function overlapping(n: number, r: Random): PolicyRule[] {
  return Array.from({ length: n }, (_, i) => {
    const from = TEN + r(1 << 22);
    const port = r(65_536);
    const to = r(4) === 0 ? Math.min(65_535, port + r(5000)) : port;
    return rule({
      id: 1001 + i,
      direction: direction(r),
      local: pick(r, ['any', OWN[4][0], `${OWN[4][0]}-${OWN[4][1]}`]),
      peer: `${v4(from)}-${v4(from + r(1 << (4 + r(16))))}`,
      ports: pick(r, [`tcp/${port}-${to}`, `udp/${port}-${to}`, 'any', 'tcp/0-65535', 'icmp']),
      action: pick(r, ACTIONS),
      apps:
        r(5) === 0 ? { [pick(r, APPLICATION_NAMES)]: pick(r, ACTIONS), [pick(r, APPLICATION_NAMES)]: ACTION.deny } : {},
    });
  }).map(withoutUselessApps);
}

/** Ranges within ranges, each with its own ports, the ids at random. */
export function nested(n: number, r: Random): PolicyRule[] {
  return Array.from({ length: n }, (_, i) => {
    const port = (i * 6) % 65_000;
    const peer = `${v4(TEN + i * 3)}-${v4(TEN + 6 * n - i * 3)}`;
    return rule({
      id: 1001 + ((i * 7919) % n),
      peer,
      ports: `tcp/${port}-${port + r(2000)}`,
      action: pick(r, ACTIONS),
    });
  });
}

export function ipv6(n: number, r: Random): PolicyRule[] {
  return Array.from({ length: n }, (_, i) => {
    const [a, b] = [r(4), r(1 << 15)];
    const some = [v6(a, b), `${v6(a, b)}-${v6(a, b + r(1 << 10))}`, `${v6(a, b)}-${v6(a + r(3), b)}`];
    const peer = pick(r, r(100) === 0 ? ['any', '::-ffff::'] : some);
    const port = pick(r, SERVICES);
    return rule({
      id: 1001 + i,
      direction: direction(r),
      local: pick(r, ['any', OWN[6][0], `${OWN[6][0]}-${OWN[6][1]}`]),
      peer,
      ports: pick(r, [`tcp/${port}-${port + r(2000)}`, `udp/${port}`, `sctp/${port}`, 'icmpv6', '47']),
      family: 6,
      action: pick(r, ACTIONS),
      apps: r(5) === 0 ? { [pick(r, APPLICATION_NAMES)]: pick(r, ACTIONS) } : {},
    });
  }).map(withoutUselessApps);
}

/** Names, patterns over them, and the addresses that they have. */
export function named(n: number, r: Random): PolicyRule[] {
  return Array.from({ length: n }, (_, i) => {
    const host = r(3) === 0 ? pick(r, PATTERNS) : pick(r, NAMES).name;
    const family = r(4) === 0 ? 6 : 4;
    const address = pick(r, pick(r, NAMES).addresses.concat('10.200.9.9'));
    return rule({
      id: 1001 + i,
      ...(r(4) === 0 ? { peer: address, direction: direction(r) } : { peer: `fqdn:${host}`, family }),
      ports: pick(r, ['tcp/443', 'tcp/1-9999', 'udp/53', 'any', `tcp/${r(1000)}`]),
      action: pick(r, ACTIONS),
      apps: r(4) === 0 ? { [pick(r, APPLICATION_NAMES)]: pick(r, ACTIONS) } : {},
    });
  }).map(withoutUselessApps);
}

/** A bit of everything. */
export function mixed(n: number, r: Random): PolicyRule[] {
  const parts = [realistic, overlapping, ipv6, named].map((generate) => generate(n, r));
  return Array.from({ length: n }, (_, i) => ({ ...(pick(r, parts)[i] as PolicyRule), id: 1001 + i })); // each has n
}

/** Every form that a rule has, over a few addresses and ports: many rules meet each connection. */
export function dense(n: number, r: Random): PolicyRule[] {
  return Array.from({ length: n }, (_, i) => {
    const family = r(3) === 0 ? 6 : 4;
    const near = (): number => 1 + r(6);
    const [a, b] = [near(), near()].sort();
    const few = (last = 0) => (family === 6 ? `fd02::${last}` : `10.200.1.${last}`);
    const [own, other] = OWN[family];
    const isNamed = r(4) === 0;
    const peer = isNamed ? `fqdn:${hostNear(r)}` : pick(r, ['any', few(a), `${few(a)}-${few(b)}`]);
    const [from, to] = [r(6), r(6)].sort();
    return rule({
      id: 1001 + i,
      direction: isNamed ? 'egress' : direction(r),
      local: pick(r, ['any', own, other, `${own}-${other}`]),
      peer,
      family,
      ports: pick(r, DENSE_PROTOCOLS).replace(
        'RANGE',
        pick(r, [`${from}`, `${from}-${to}`, '0-65535', `${from}-65535`]),
      ),
      action: pick(r, ACTIONS),
      apps: Object.fromEntries(Array.from({ length: r(3) }, () => [pick(r, DENSE_APPLICATIONS), pick(r, ACTIONS)])),
    });
  }).map(withoutUselessApps);
}

/** What is written for ports beside a protocol that has none means nothing. */
const DENSE_PROTOCOLS = [
  'tcp/RANGE',
  'tcp/RANGE',
  'udp/RANGE',
  'any/RANGE',
  'sctp/RANGE',
  'icmp/RANGE',
  'icmpv6',
  '47/RANGE',
  'any',
];
const DENSE_APPLICATIONS = ['HTTP', 'HTTPS', 'DNS'] as const;

/** A name or pattern of an address that dense rules speak of. */
function hostNear(r: Random): string {
  const near = NAMES.filter(({ addresses }) => addresses.some((address) => /^10\.200\.1\.[1-6]$/.test(address)));
  return r(3) === 0 ? pick(r, PATTERNS) : pick(r, near).name;
}

export const SETS = { realistic, overlapping, nested, ipv6, named, mixed, dense } as const;

/** Only TCP and UDP carry applications. */
function withoutUselessApps({ apps, ...bare }: PolicyRule): PolicyRule {
  return apps && (carriesApplications(bare.proto) || bare.proto === PROTOCOL.any) ? { ...bare, apps } : bare;
}

/** The same rules, spelled in all the ways that mean the same, with applications under ids of their own. */
export function respelled(rules: readonly PolicyRule[], r: Random): PolicyRule[] {
  return rules.map(({ sipr, dipr, portr, apps, fqdn, ...bare }) => ({
    ...bare,
    ...(fqdn ? { fqdn: pick(r, [fqdn, fqdn, fqdn.toUpperCase(), `${fqdn}.`]) } : {}),
    ...(sipr === bare.sip && r(2) ? {} : { sipr: sipr ?? bare.sip }),
    ...(dipr === bare.dip && r(2) ? {} : { dipr: dipr ?? bare.dip }),
    ...(portr !== bare.port ? { portr: portr ?? 0 } : pick(r, [{ portr }, { portr: 0 }, {}])),
    ...(apps ? { apps: apps.map((app, i) => ({ ...app, rid: r(2) ? app.rid : 50_000 + bare.id + i })) } : {}),
  }));
}
