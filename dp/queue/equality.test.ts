// What a queue decides against what the kernel programs decide, packet by packet: verdicts, hits, drops and threats.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness, type PolicyText, type Verdict } from '../bpf/harness.ts';
import { EXTENSION, icmp, ip, sctp, TCP_FLAG, tcp, udp } from '../bpf/packets.ts';
import { firstPayload } from '../bpf/payloads.ts';
import { dense, mixed, NAMES, named, random, realistic } from '../bpf/rule-sets.ts';
import { rule } from '../bpf/rules.ts';
import { packetsOf } from '../bpf/trial-packets.ts';
import { trials } from '../bpf/trials.ts';
import { APPLICATION } from '../protocol/applications.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { Both } from './both.ts';

const PEER = '10.1.0.9';
const PEER6 = 'fd01::9';
const harness = new Harness();
after(() => harness[Symbol.dispose]());

const WEB = [
  rule({ id: 1001, ports: 'tcp/443' }),
  rule({ id: 1002, ports: 'udp/53' }),
  rule({ id: 1003, direction: 'ingress', ports: 'tcp/80-90' }),
];
const { syn, ack, fin, rst } = TCP_FLAG;

/** An ICMP error (unreachable) from a router, quoting a datagram that the workload sent. */
function errorAbout(both: Both, peer: string, port: number, clientPort: number, to?: string): Verdict {
  const ends = both.ends(peer, 'out');
  const sent = ip(ends, PROTOCOL.udp, udp({ sourcePort: clientPort, destinationPort: port })).subarray(14);
  const isV6 = peer.includes(':');
  const router = isV6 ? 'fd02::1' : '10.9.9.9';
  const back = { ...both.ends(router, 'in'), ...(to ? { destination: to } : {}) };
  return both.receive(ip(back, isV6 ? PROTOCOL.icmpv6 : PROTOCOL.icmp, icmp(isV6 ? 1 : 3, isV6 ? 4 : 1, 0, sent)));
}

function sendFrom(both: Both, peer: string, port: number, clientPort: number): Verdict {
  return both.send(ip(both.ends(peer, 'out'), PROTOCOL.udp, udp({ sourcePort: clientPort, destinationPort: port })));
}

const echo = (both: Both, peer: string, type: number, goes: 'out' | 'in', id = 77): Verdict => {
  const frame = ip(
    both.ends(peer, goes),
    peer.includes(':') ? PROTOCOL.icmpv6 : PROTOCOL.icmp,
    icmp(type, 0, id << 16),
  );
  return goes === 'out' ? both.send(frame) : both.receive(frame);
};

/** Parts of a datagram to a port: the first has the ports, the others follow. */
function fragments(both: Both, peer: string, port: number, id: number, order: readonly number[]): Verdict[] {
  const parts = [udp({ sourcePort: 5000, destinationPort: port }, Buffer.alloc(24)), Buffer.alloc(32), Buffer.alloc(8)];
  return order.map((part) =>
    both.send(
      ip(both.ends(peer, 'out'), PROTOCOL.udp, parts[part] ?? Buffer.alloc(0), {
        fragment: { id, offset: part * 32, isLast: part === 2 },
      }),
    ),
  );
}

const raw = (both: Both, peer: string, protocol: number, payload: Uint8Array, options = {}): Verdict =>
  both.send(ip(both.ends(peer, 'out'), protocol, payload, options));

/** `+` passes, `-` is dropped. */
type Case = readonly [says: string, policy: PolicyText | undefined, act: (both: Both) => Verdict[], expected: string];

const cases: readonly Case[] = [
  [
    'an allowed connection with its replies',
    { rules: WEB },
    (b) => {
      const c = b.connectionTo(PEER, 443);
      return [
        c.open(),
        c.accept(),
        c.segment('client', ack),
        c.say('client', 'x'),
        c.say('server', 'y'),
        c.segment('client', fin | ack),
        c.segment('server', fin | ack),
      ];
    },
    '+++++++',
  ],
  [
    'a denied connection, tried again',
    { rules: WEB },
    (b) => {
      const c = b.connectionTo(PEER, 22);
      return [c.open(), c.open(), c.open()];
    },
    '---',
  ],
  [
    'a connection from outside, to and beside the ports',
    { rules: WEB },
    (b) => [80, 85, 90, 91, 79].map((port) => b.connectionFrom(PEER, port).open()),
    '+++--',
  ],
  [
    'a reply that nobody asked for',
    { rules: WEB },
    (b) => [b.connectionTo(PEER, 22).accept(), b.receiveUdp(PEER, 53)],
    '--',
  ],
  [
    'the middle of a connection that was open before',
    { rules: WEB },
    (b) => [
      b.connectionTo(PEER, 443).say('client', 'x'),
      b.connectionTo(PEER, 22).say('client', 'x'),
      b.connectionTo(PEER, 443).say('server', 'x'),
    ],
    '+-+',
  ],
  [
    'a reset, and the same ports again',
    { rules: WEB },
    (b) => {
      const c = b.connectionTo(PEER, 443).establish();
      return [c.segment('server', rst), c.open(), c.accept()];
    },
    '+++',
  ],
  [
    'a SYN from the server’s side of an open connection',
    { rules: WEB },
    (b) => {
      const c = b.connectionTo(PEER, 443).establish();
      return [c.segment('server', syn)];
    },
    '-',
  ],
  [
    'allow, deny, allow',
    { rules: WEB },
    (b) => {
      const c = b.connectionTo(PEER, 443).establish();
      b.allowOnly();
      const denied = [c.say('client', 'a'), c.say('server', 'b')];
      b.enforce({ rules: WEB });
      return [...denied, c.say('client', 'c'), c.say('server', 'd')];
    },
    '--++',
  ],
  [
    'no policy, and one that comes later',
    undefined,
    (b) => {
      const c = b.connectionTo(PEER, 22).establish();
      const before = c.say('client', 'a');
      b.enforce({ rules: WEB });
      return [before, c.say('client', 'b')];
    },
    '+-',
  ],
  [
    'one direction policed',
    { rules: WEB, dir: 1 },
    (b) => [b.connectionTo(PEER, 22).open(), b.connectionFrom(PEER, 22).open()],
    '+-',
  ],
  [
    'LEARN and VIOLATE',
    {
      rules: [
        rule({ id: 1, ports: 'tcp/1', action: ACTION.learn }),
        rule({ id: 2, ports: 'tcp/2', action: ACTION.violate }),
        rule({ id: 3, ports: 'tcp/3', action: ACTION.deny }),
      ],
      defact: 4,
    },
    (b) => [1, 2, 3, 4].map((port) => b.connectionTo(PEER, port).open()),
    '++-+',
  ],
  [
    'datagrams, one-sided and answered',
    { rules: WEB },
    (b) => [
      sendFrom(b, PEER, 53, 5001),
      sendFrom(b, PEER, 53, 5001),
      sendFrom(b, PEER, 54, 5001),
      b.receive(ip(b.ends(PEER, 'in'), PROTOCOL.udp, udp({ sourcePort: 53, destinationPort: 5001 }))),
    ],
    '++-+',
  ],
  [
    'echoes',
    { rules: [rule({ ports: 'icmp' }), rule({ id: 2, ports: 'icmpv6', family: 6 })] },
    (b) => [
      echo(b, PEER, 8, 'out'),
      echo(b, PEER, 0, 'in'),
      echo(b, PEER, 8, 'in'),
      echo(b, PEER6, 128, 'out'),
      echo(b, PEER6, 129, 'in'),
      echo(b, PEER6, 129, 'in', 78),
    ],
    '++-++-',
  ],
  [
    'ICMP errors about an allowed, a denied and no connection',
    { rules: WEB },
    (b) => [
      sendFrom(b, PEER, 53, 5002),
      errorAbout(b, PEER, 53, 5002),
      sendFrom(b, PEER, 99, 5002),
      errorAbout(b, PEER, 99, 5002),
      errorAbout(b, PEER, 53, 5003),
      errorAbout(b, PEER, 53, 5002, '10.0.0.77'),
    ],
    '++----',
  ],
  [
    'ICMPv6 errors',
    { rules: [rule({ ports: 'udp/53', family: 6 })] },
    (b) => [sendFrom(b, PEER6, 53, 5002), errorAbout(b, PEER6, 53, 5002), errorAbout(b, PEER6, 53, 5003)],
    '++-',
  ],
  [
    'an error about a connection that is denied since',
    { rules: WEB },
    (b) => {
      const sent = sendFrom(b, PEER, 53, 5002);
      b.allowOnly();
      return [sent, errorAbout(b, PEER, 53, 5002)];
    },
    '+-',
  ],
  [
    'fragments',
    { rules: WEB },
    (b) => [
      ...fragments(b, PEER, 53, 1, [0, 1, 2]),
      ...fragments(b, PEER, 54, 2, [0, 1, 2]),
      ...fragments(b, PEER, 53, 3, [1, 0, 2]),
    ],
    '+++----++',
  ],
  [
    'fragments of IPv6',
    { rules: [rule({ ports: 'udp/53', family: 6 })] },
    (b) => [
      ...fragments(b, PEER6, 53, 1, [0, 1, 2]),
      ...fragments(b, PEER6, 54, 2, [0, 1]),
      ...fragments(b, PEER6, 53, 3, [2]),
    ],
    '+++---',
  ],
  [
    'headers that are cut short',
    { rules: [rule({ ports: 'any' })] },
    (b) => [
      raw(b, PEER, PROTOCOL.tcp, Buffer.alloc(7)),
      raw(b, PEER, PROTOCOL.udp, Buffer.alloc(7)),
      raw(b, PEER, PROTOCOL.icmp, Buffer.alloc(3)),
      raw(b, PEER, PROTOCOL.sctp, Buffer.alloc(11)),
      raw(b, PEER, PROTOCOL.tcp, tcp({ sourcePort: 1, destinationPort: 2, flags: syn }).fill(0x40, 12, 13)),
    ],
    '-----',
  ],
  [
    'options and extension headers',
    { rules: [...WEB, rule({ id: 9, ports: 'udp/53', family: 6 })] },
    (b) => [
      raw(b, PEER, PROTOCOL.udp, udp({ sourcePort: 5, destinationPort: 53 }), { options: new Uint8Array(40) }),
      raw(b, PEER6, PROTOCOL.udp, udp({ sourcePort: 5, destinationPort: 53 }), {
        extensions: Array(6).fill(EXTENSION.destination),
      }),
      raw(b, PEER6, PROTOCOL.udp, udp({ sourcePort: 5, destinationPort: 53 }), {
        extensions: Array(7).fill(EXTENSION.destination),
      }),
    ],
    '++-',
  ],
  [
    'SCTP and a protocol without ports',
    { rules: [rule({ ports: 'sctp/5' }), rule({ id: 2, ports: '47' })] },
    (b) => [
      raw(b, PEER, PROTOCOL.sctp, sctp({ sourcePort: 9, destinationPort: 5 })),
      raw(b, PEER, PROTOCOL.sctp, sctp({ sourcePort: 9, destinationPort: 6 })),
      raw(b, PEER, 47, Buffer.alloc(8)),
      raw(b, PEER, 50, Buffer.alloc(8)),
    ],
    '+-+-',
  ],
  [
    'an application that is allowed, and others',
    { rules: [rule({ ports: 'tcp/80', apps: { HTTP: ACTION.open } })] },
    (b) => {
      const [http, ssh, none] = [1, 2, 3].map(() => b.connectionTo(PEER, 80).establish());
      return [
        http?.say('client', firstPayload('HTTP')),
        ssh?.say('client', firstPayload('SSH')),
        none?.say('client', 'nonsense'),
        none?.say('server', 'nonsense'),
      ].map((v) => v ?? 'drop');
    },
    '+-+-',
  ],
  [
    'an application that is denied, and its ports again',
    { rules: [rule({ id: 1, ports: 'tcp/80', apps: { HTTP: ACTION.deny } }), rule({ id: 2, ports: 'tcp/80' })] },
    (b) => {
      const c = b.connectionTo(PEER, 80).establish();
      return [
        c.say('client', firstPayload('HTTP')),
        c.say('client', 'more'),
        c.open(),
        c.say('client', firstPayload('SSH')),
      ];
    },
    '--++',
  ],
  [
    'an application that the server tells',
    { rules: [rule({ ports: 'tcp/3306', apps: { MySQL: ACTION.open } })] },
    (b) => {
      const c = b.connectionTo(PEER, 3306).establish();
      return [c.say('server', firstPayload('MySQL', 'server')), c.say('client', 'x')];
    },
    '++',
  ],
  [
    'an application that was told of a port',
    { rules: [rule({ direction: 'ingress', ports: 'tcp/90', apps: { Redis: ACTION.open } })] },
    (b) => {
      b.configure({ apps: [{ ip_proto: 6, port: 90, app: APPLICATION.Redis }] });
      const c = b.connectionFrom(PEER, 90).establish();
      return [c.say('client', 'nonsense'), c.say('server', 'nonsense')];
    },
    '++',
  ],
  [
    'the middle of a connection under rules with applications',
    {
      rules: [
        rule({ ports: 'tcp/80', apps: { HTTP: ACTION.open } }),
        rule({ id: 2, ports: 'tcp/22', apps: { SSH: ACTION.deny } }),
      ],
      defact: 1,
    },
    (b) => [b.connectionTo(PEER, 80).say('client', 'x'), b.connectionTo(PEER, 22).say('client', 'x')],
    '+-',
  ],
  [
    'a name that its address loses',
    { rules: [rule({ peer: 'fqdn:queue.test', ports: 'tcp/443' })] },
    (b) => {
      harness.setName('queue.test', [PEER]);
      const c = b.connectionTo(PEER, 443).establish();
      harness.setName('queue.test', []);
      return [c.say('client', 'x'), b.connectionTo(PEER, 443).open()];
    },
    '+-',
  ],
  [
    'tap',
    { rules: WEB },
    (b) => {
      b.configure({ tap: true });
      return [
        b.connectionTo(PEER, 22).open(),
        raw(b, PEER, PROTOCOL.tcp, Buffer.alloc(7)),
        errorAbout(b, PEER, 53, 5003),
      ];
    },
    '+++',
  ],
];

describe('a queue and the kernel programs agree on', () => {
  for (const [says, policy, act, expected] of cases)
    it(says, () => {
      const both = Both.of(harness);
      harness.events();
      if (policy) both.enforce(policy);
      const verdicts = act(both).map((verdict) => (verdict === 'pass' ? '+' : '-'));
      assert.equal(verdicts.join(''), expected);
      both.assertSameCounts();
    });
  for (const [name, rules] of Object.entries({ realistic, mixed, named, dense }))
    it(`connections near the edges of ${name} rules`, () => {
      const seed = 1 + Math.floor(Math.random() * 1e9);
      const r = random(seed);
      const both = Both.of(harness);
      for (const { name: fqdn, addresses } of NAMES) harness.setName(fqdn, [...addresses]);
      const set = rules(60, r);
      both.enforce({ rules: set, defact: 2 });
      for (const trial of trials(set, 700, r)) {
        const clientPort = both.nextClientPort();
        for (const { side, body } of packetsOf(trial, clientPort)) {
          const isOut = (side === 'client') === (trial.direction === 'egress');
          const ends = {
            ...both.ends(trial.peer, isOut ? 'out' : 'in'),
            [isOut ? 'source' : 'destination']: trial.local,
          };
          const { vlans: _, ...carries } = trial.carries ?? {};
          const frame = ip(ends, trial.protocol, body, carries);
          if ((isOut ? both.send(frame) : both.receive(frame)) === 'drop') break;
        }
      }
      assert.ok(both.packets > 700, `seed ${seed}`);
    });
});
