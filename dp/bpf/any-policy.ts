// Any small policy, and any connection in the few addresses and ports that it speaks of, for fast-check. Pure.
import fc from 'fast-check';
import type { Policy } from '../policy/policy.ts';
import { APPLICATION, APPLICATION_NUMBERS } from '../protocol/applications.ts';
import type { PolicyRule } from '../protocol/commands.ts';
import { ACTION, DIRECTION, PROTOCOL } from '../protocol/values.ts';
import { hasPorts, type Trial } from './comparison.ts';
import { FIRST_PAYLOADS } from './payloads.ts';

/** The same few for policies and connections, so that they meet. */
const address = fc.integer({ min: 1, max: 6 }).map((n) => `10.1.0.${n}`);
const own = fc.constantFrom('10.0.0.5', '10.0.0.6');
const port = fc.integer({ min: 0, max: 5 });
const protocol = fc.constantFrom(PROTOCOL.tcp, PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp, 47);
const application = fc.constantFrom(...APPLICATION_NUMBERS.slice(0, 3));
const payload = fc.constantFrom(
  ...FIRST_PAYLOADS.filter(({ application: name }) => name === 'unknown' || APPLICATION[name] <= APPLICATION.MySQL),
);
const action = fc.constantFrom(...Object.values(ACTION));
const name = fc.constantFrom('a.zone.example', 'b.a.zone.example', '*.zone.example', '*.a.zone.example');

export const ADDRESSES_OF_NAMES: readonly (readonly [name: string, addresses: readonly string[]])[] = [
  ['a.zone.example', ['10.1.0.1', '10.1.0.2']],
  ['b.a.zone.example', ['10.1.0.2', '10.1.0.3']],
];
export const namesOf = (of: string): string[] =>
  ADDRESSES_OF_NAMES.filter(([, addresses]) => addresses.includes(of)).map(([known]) => known);

const range = <T>(ends: fc.Arbitrary<T>): fc.Arbitrary<[T, T]> =>
  fc.tuple(ends, ends).map(([a, b]) => (a <= b ? [a, b] : [b, a]));

const anyRule: fc.Arbitrary<Omit<PolicyRule, 'id'>> = fc
  .record({
    ingress: fc.boolean(),
    local: range(own),
    peer: range(address),
    fqdn: fc.option(name),
    proto: fc.constantFrom(PROTOCOL.any, PROTOCOL.tcp, PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp, 47),
    ports: range(port),
    action,
    apps: fc.uniqueArray(fc.record({ app: application, action, rid: fc.integer({ min: 1, max: 99 }) }), {
      maxLength: 2,
      selector: ({ app }) => app,
    }),
  })
  .map(({ local, peer, fqdn, ports, apps, ...rest }) => {
    const named = fqdn && !rest.ingress;
    const other = named ? ['0.0.0.0', '0.0.0.0'] : peer;
    const [[sip = '', sipr = ''], [dip = '', dipr = '']] = rest.ingress ? [other, local] : [local, other];
    return {
      ...rest,
      ...{ sip, sipr, dip, dipr, port: ports[0], portr: ports[1] },
      ...(named ? { fqdn } : {}),
      ...(hasPorts(rest.proto) || rest.proto === PROTOCOL.any ? { apps } : {}),
    };
  });

export const anyPolicy: fc.Arbitrary<Policy> = fc.record({
  defaultAction: action,
  directions: fc.constantFrom(...Object.values(DIRECTION)),
  rules: fc.array(anyRule, { maxLength: 8 }).map((rules) => rules.map((rule, i) => ({ ...rule, id: 100 + i }))),
});

export const anyTrial: fc.Arbitrary<Trial> = fc
  .record({
    direction: fc.constantFrom('egress' as const, 'ingress' as const),
    local: own,
    peer: address,
    protocol,
    port,
    says: fc.array(payload, { maxLength: 1 }),
  })
  .map((trial) => ({
    ...trial,
    port: hasPorts(trial.protocol) ? trial.port : 0,
    says: trial.protocol === PROTOCOL.tcp ? trial.says : [],
  }));
