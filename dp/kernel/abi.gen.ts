// Derived from bpf/include/abi.h by `npm run build`. Do not edit.

/** Reads and writes one struct at a byte offset. */
export type Codec<T> = {
  readonly size: number;
  readonly offsets: { readonly [Field in keyof T]: number };
  write(b: DataView, at: number, v: T): void;
  read(b: DataView, at: number): T;
};

const bytes = (b: DataView, at: number, size: number): Uint8Array => new Uint8Array(b.buffer, b.byteOffset + at, size);

export const POLICY_FORMAT = 1;
export const RECORD_SIZE = 16;
export const MAX_POLICIES = 4096;
export const MAX_ENDPOINT_ID = 16777215;
export const NETNS_CURRENT = 4294967295;
export const NETNS_UNKNOWN = 2147483648;
export const NAME_BYTES = 256;
export const NAMES_PER_ADDRESS = 15;
export const CAPTURED_BYTES = 64;
export const ACTIONS = 5;
export const REASONS = 8;
export const FIRST_PORT = 2147483648;
export const PATH_BYTES = 256;
export const INTERFACE_BYTES = 16;
export const TICK_SHIFT = 30;
export const MATCHES_MAX = 8;
export const LEARNT_SLOTS = 8;
export const LEARNT_BLOCKS = 32;
export const SWEEP_TICKS = 559;

export const action = {
  none: 0,
  open: 1,
  deny: 2,
  learn: 3,
  violate: 4,
} as const;

export const direction = {
  egress: 0,
  ingress: 1,
} as const;

export const application = {
  unknown: 0,
  http: 1,
  https: 2,
  mysql: 3,
  postgresql: 4,
  mongodb: 5,
  redis: 6,
  kafka: 7,
  zookeeper: 8,
  dns: 9,
  ssh: 10,
  telnet: 11,
} as const;

export const reason = {
  none: 0,
  policy: 1,
  spoofedMac: 2,
  invalidPacket: 3,
  unsupportedProtocol: 4,
  orphanFragment: 5,
  strayIcmpError: 6,
  spoofedAddress: 7,
} as const;

export const counter = {
  eventsLost: 0,
  hitsLost: 1,
  flowsLost: 2,
  answersLearnt: 3,
  answersCut: 4,
  answersAlien: 5,
  answersByTcp: 6,
  answersLost: 7,
  verdicts: 8,
  drops: 13,
  count: 21,
} as const;

export const seen = {
  payloadEgress: 1,
  payloadIngress: 2,
  payloads: 3,
  startEgress: 4,
  startIngress: 8,
  finEgress: 16,
  finIngress: 32,
  rst: 64,
  open: 128,
  tooLate: 256,
  noted: 512,
} as const;

export const family = {
  ipv4: 1,
  ipv6: 2,
} as const;

export const tap = {
  workload: 1,
  node: 2,
  port: 4,
} as const;

export type LearntKey = {
  readonly address: Address;
  readonly block: number;
};

export const learntKey: Codec<LearntKey> = {
  size: 24,
  offsets: { address: 0, block: 16 },
  write(b, at, v) {
    address.write(b, at + 0, v.address);
    b.setUint32(at + 16, v.block, true);
  },
  read: (b, at) => ({
    address: address.read(b, at + 0),
    block: b.getUint32(at + 16, true),
  }),
};

export type Address = {
  readonly high: bigint;
  readonly low: bigint;
};

export const address: Codec<Address> = {
  size: 16,
  offsets: { high: 0, low: 8 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.high, true);
    b.setBigUint64(at + 8, v.low, true);
  },
  read: (b, at) => ({
    high: b.getBigUint64(at + 0, true),
    low: b.getBigUint64(at + 8, true),
  }),
};

export type LearntBlock = {
  readonly slots: readonly bigint[];
};

export const learntBlock: Codec<LearntBlock> = {
  size: 64,
  offsets: { slots: 0 },
  write(b, at, v) {
    v.slots.forEach((item, i) => b.setBigUint64(at + 0 + i * 8, item, true));
  },
  read: (b, at) => ({
    slots: Array.from({ length: 8 }, (_, i) => b.getBigUint64(at + 0 + i * 8, true)),
  }),
};

export type FqdnName = {
  readonly wire: Uint8Array;
};

export const fqdnName: Codec<FqdnName> = {
  size: 256,
  offsets: { wire: 0 },
  write(b, at, v) {
    bytes(b, at + 0, 256).set(v.wire);
  },
  read: (b, at) => ({
    wire: bytes(b, at + 0, 256).slice(),
  }),
};

export type FqdnIds = {
  readonly exact: number;
  readonly below: number;
};

export const fqdnIds: Codec<FqdnIds> = {
  size: 8,
  offsets: { exact: 0, below: 4 },
  write(b, at, v) {
    b.setUint32(at + 0, v.exact, true);
    b.setUint32(at + 4, v.below, true);
  },
  read: (b, at) => ({
    exact: b.getUint32(at + 0, true),
    below: b.getUint32(at + 4, true),
  }),
};

export type HitKey = {
  readonly endpoint: number;
  readonly revision: number;
  readonly ruleId: number;
};

export const hitKey: Codec<HitKey> = {
  size: 16,
  offsets: { endpoint: 0, revision: 4, ruleId: 8 },
  write(b, at, v) {
    b.setUint32(at + 0, v.endpoint, true);
    b.setUint32(at + 4, v.revision, true);
    b.setUint32(at + 8, v.ruleId, true);
  },
  read: (b, at) => ({
    endpoint: b.getUint32(at + 0, true),
    revision: b.getUint32(at + 4, true),
    ruleId: b.getUint32(at + 8, true),
  }),
};

export type HitCount = {
  readonly hits: bigint;
  readonly lastNs: bigint;
};

export const hitCount: Codec<HitCount> = {
  size: 16,
  offsets: { hits: 0, lastNs: 8 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.hits, true);
    b.setBigUint64(at + 8, v.lastNs, true);
  },
  read: (b, at) => ({
    hits: b.getBigUint64(at + 0, true),
    lastNs: b.getBigUint64(at + 8, true),
  }),
};

export type DropKey = {
  readonly endpoint: number;
  readonly reason: number;
};

export const dropKey: Codec<DropKey> = {
  size: 8,
  offsets: { endpoint: 0, reason: 4 },
  write(b, at, v) {
    b.setUint32(at + 0, v.endpoint, true);
    b.setUint32(at + 4, v.reason, true);
  },
  read: (b, at) => ({
    endpoint: b.getUint32(at + 0, true),
    reason: b.getUint32(at + 4, true),
  }),
};

export type DropCount = {
  readonly packets: bigint;
  readonly reported: number;
  readonly unreported: number;
};

export const dropCount: Codec<DropCount> = {
  size: 16,
  offsets: { packets: 0, reported: 8, unreported: 12 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.packets, true);
    b.setUint32(at + 8, v.reported, true);
    b.setUint32(at + 12, v.unreported, true);
  },
  read: (b, at) => ({
    packets: b.getBigUint64(at + 0, true),
    reported: b.getUint32(at + 8, true),
    unreported: b.getUint32(at + 12, true),
  }),
};

export type AddressNames = {
  readonly count: number;
  readonly ids: readonly number[];
};

export const addressNames: Codec<AddressNames> = {
  size: 64,
  offsets: { count: 0, ids: 4 },
  write(b, at, v) {
    b.setUint32(at + 0, v.count, true);
    v.ids.forEach((item, i) => b.setUint32(at + 4 + i * 4, item, true));
  },
  read: (b, at) => ({
    count: b.getUint32(at + 0, true),
    ids: Array.from({ length: 15 }, (_, i) => b.getUint32(at + 4 + i * 4, true)),
  }),
};

export type EndpointKey = {
  readonly ifindex: number;
  readonly mac: Uint8Array;
};

export const endpointKey: Codec<EndpointKey> = {
  size: 12,
  offsets: { ifindex: 0, mac: 4 },
  write(b, at, v) {
    b.setUint32(at + 0, v.ifindex, true);
    bytes(b, at + 4, 6).set(v.mac);
  },
  read: (b, at) => ({
    ifindex: b.getUint32(at + 0, true),
    mac: bytes(b, at + 4, 6).slice(),
  }),
};

export type Endpoint = {
  readonly id: number;
  readonly policy: number;
  readonly epoch: number;
  readonly revision: number;
  readonly defaultAction: number;
  readonly directions: number;
  readonly tap: number;
  readonly families: number;
  readonly netns: number;
  readonly learns: number;
};

export const endpoint: Codec<Endpoint> = {
  size: 28,
  offsets: { id: 0, policy: 4, epoch: 8, revision: 12, defaultAction: 16, directions: 17, tap: 18, families: 19, netns: 20, learns: 24 },
  write(b, at, v) {
    b.setUint32(at + 0, v.id, true);
    b.setUint32(at + 4, v.policy, true);
    b.setUint32(at + 8, v.epoch, true);
    b.setUint32(at + 12, v.revision, true);
    b.setUint8(at + 16, v.defaultAction);
    b.setUint8(at + 17, v.directions);
    b.setUint8(at + 18, v.tap);
    b.setUint8(at + 19, v.families);
    b.setUint32(at + 20, v.netns, true);
    b.setUint32(at + 24, v.learns, true);
  },
  read: (b, at) => ({
    id: b.getUint32(at + 0, true),
    policy: b.getUint32(at + 4, true),
    epoch: b.getUint32(at + 8, true),
    revision: b.getUint32(at + 12, true),
    defaultAction: b.getUint8(at + 16),
    directions: b.getUint8(at + 17),
    tap: b.getUint8(at + 18),
    families: b.getUint8(at + 19),
    netns: b.getUint32(at + 20, true),
    learns: b.getUint32(at + 24, true),
  }),
};

export type EndpointAddress = {
  readonly address: Address;
  readonly endpoint: number;
};

export const endpointAddress: Codec<EndpointAddress> = {
  size: 24,
  offsets: { address: 0, endpoint: 16 },
  write(b, at, v) {
    address.write(b, at + 0, v.address);
    b.setUint32(at + 16, v.endpoint, true);
  },
  read: (b, at) => ({
    address: address.read(b, at + 0),
    endpoint: b.getUint32(at + 16, true),
  }),
};

export type FlowKey = {
  readonly local: Address;
  readonly peer: Address;
  readonly localPort: number;
  readonly peerPort: number;
  readonly protocol: number;
  readonly endpoint: number;
};

export const flowKey: Codec<FlowKey> = {
  size: 40,
  offsets: { local: 0, peer: 16, localPort: 32, peerPort: 34, protocol: 36, endpoint: 36 },
  write(b, at, v) {
    address.write(b, at + 0, v.local);
    address.write(b, at + 16, v.peer);
    b.setUint16(at + 32, v.localPort, true);
    b.setUint16(at + 34, v.peerPort, true);
    b.setUint32(at + 36, (b.getUint32(at + 36, true) & ~(0xff << 0)) | ((v.protocol & 0xff) << 0), true);
    b.setUint32(at + 36, (b.getUint32(at + 36, true) & ~(0xffffff << 8)) | ((v.endpoint & 0xffffff) << 8), true);
  },
  read: (b, at) => ({
    local: address.read(b, at + 0),
    peer: address.read(b, at + 16),
    localPort: b.getUint16(at + 32, true),
    peerPort: b.getUint16(at + 34, true),
    protocol: (b.getUint32(at + 36, true) >>> 0) & 0xff,
    endpoint: (b.getUint32(at + 36, true) >>> 8) & 0xffffff,
  }),
};

export type Flow = {
  readonly decision: bigint;
  readonly ruleId: number;
  readonly name: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly start: readonly number[];
  readonly seen: number;
  readonly direction: number;
  readonly application: number;
  readonly sides: readonly FlowSide[];
};

export const flow: Codec<Flow> = {
  size: 72,
  offsets: { decision: 0, ruleId: 8, name: 12, firstSeen: 16, lastSeen: 20, start: 24, seen: 32, direction: 36, application: 37, sides: 40 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.decision, true);
    b.setUint32(at + 8, v.ruleId, true);
    b.setUint32(at + 12, v.name, true);
    b.setUint32(at + 16, v.firstSeen, true);
    b.setUint32(at + 20, v.lastSeen, true);
    v.start.forEach((item, i) => b.setUint32(at + 24 + i * 4, item, true));
    b.setUint32(at + 32, v.seen, true);
    b.setUint8(at + 36, v.direction);
    b.setUint8(at + 37, v.application);
    v.sides.forEach((item, i) => flowSide.write(b, at + 40 + i * 16, item));
  },
  read: (b, at) => ({
    decision: b.getBigUint64(at + 0, true),
    ruleId: b.getUint32(at + 8, true),
    name: b.getUint32(at + 12, true),
    firstSeen: b.getUint32(at + 16, true),
    lastSeen: b.getUint32(at + 20, true),
    start: Array.from({ length: 2 }, (_, i) => b.getUint32(at + 24 + i * 4, true)),
    seen: b.getUint32(at + 32, true),
    direction: b.getUint8(at + 36),
    application: b.getUint8(at + 37),
    sides: Array.from({ length: 2 }, (_, i) => flowSide.read(b, at + 40 + i * 16)),
  }),
};

export type FlowSide = {
  readonly packets: bigint;
  readonly bytes: bigint;
};

export const flowSide: Codec<FlowSide> = {
  size: 16,
  offsets: { packets: 0, bytes: 8 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.packets, true);
    b.setBigUint64(at + 8, v.bytes, true);
  },
  read: (b, at) => ({
    packets: b.getBigUint64(at + 0, true),
    bytes: b.getBigUint64(at + 8, true),
  }),
};

export type Denial = {
  readonly decision: bigint;
  readonly ruleId: number;
  readonly reported: number;
  readonly unreported: number;
  readonly direction: number;
  readonly application: number;
  readonly isPast: number;
};

export const denial: Codec<Denial> = {
  size: 24,
  offsets: { decision: 0, ruleId: 8, reported: 12, unreported: 16, direction: 20, application: 21, isPast: 22 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.decision, true);
    b.setUint32(at + 8, v.ruleId, true);
    b.setUint32(at + 12, v.reported, true);
    b.setUint32(at + 16, v.unreported, true);
    b.setUint8(at + 20, v.direction);
    b.setUint8(at + 21, v.application);
    b.setUint8(at + 22, v.isPast);
  },
  read: (b, at) => ({
    decision: b.getBigUint64(at + 0, true),
    ruleId: b.getUint32(at + 8, true),
    reported: b.getUint32(at + 12, true),
    unreported: b.getUint32(at + 16, true),
    direction: b.getUint8(at + 20),
    application: b.getUint8(at + 21),
    isPast: b.getUint8(at + 22),
  }),
};

export type Listener = {
  readonly endpoint: number;
  readonly port: number;
  readonly protocol: number;
};

export const listener: Codec<Listener> = {
  size: 8,
  offsets: { endpoint: 0, port: 4, protocol: 6 },
  write(b, at, v) {
    b.setUint32(at + 0, v.endpoint, true);
    b.setUint16(at + 4, v.port, true);
    b.setUint8(at + 6, v.protocol);
  },
  read: (b, at) => ({
    endpoint: b.getUint32(at + 0, true),
    port: b.getUint16(at + 4, true),
    protocol: b.getUint8(at + 6),
  }),
};

export type FragmentKey = {
  readonly source: Address;
  readonly destination: Address;
  readonly id: number;
  readonly endpoint: number;
  readonly protocol: number;
};

export const fragmentKey: Codec<FragmentKey> = {
  size: 48,
  offsets: { source: 0, destination: 16, id: 32, endpoint: 36, protocol: 40 },
  write(b, at, v) {
    address.write(b, at + 0, v.source);
    address.write(b, at + 16, v.destination);
    b.setUint32(at + 32, v.id, true);
    b.setUint32(at + 36, v.endpoint, true);
    b.setUint32(at + 40, v.protocol, true);
  },
  read: (b, at) => ({
    source: address.read(b, at + 0),
    destination: address.read(b, at + 16),
    id: b.getUint32(at + 32, true),
    endpoint: b.getUint32(at + 36, true),
    protocol: b.getUint32(at + 40, true),
  }),
};

export type Port = {
  readonly inode: bigint;
  readonly ifindex: number;
  readonly queue: number;
  readonly isQueue: number;
  readonly namespace: Uint8Array;
  readonly interface: Uint8Array;
};

export const port: Codec<Port> = {
  size: 288,
  offsets: { inode: 0, ifindex: 8, queue: 12, isQueue: 14, namespace: 16, interface: 272 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.inode, true);
    b.setUint32(at + 8, v.ifindex, true);
    b.setUint16(at + 12, v.queue, true);
    b.setUint16(at + 14, v.isQueue, true);
    bytes(b, at + 16, 256).set(v.namespace);
    bytes(b, at + 272, 16).set(v.interface);
  },
  read: (b, at) => ({
    inode: b.getBigUint64(at + 0, true),
    ifindex: b.getUint32(at + 8, true),
    queue: b.getUint16(at + 12, true),
    isQueue: b.getUint16(at + 14, true),
    namespace: bytes(b, at + 16, 256).slice(),
    interface: bytes(b, at + 272, 16).slice(),
  }),
};

export type Table = {
  readonly record: number;
  readonly count: number;
};

export const table: Codec<Table> = {
  size: 8,
  offsets: { record: 0, count: 4 },
  write(b, at, v) {
    b.setUint32(at + 0, v.record, true);
    b.setUint32(at + 4, v.count, true);
  },
  read: (b, at) => ({
    record: b.getUint32(at + 0, true),
    count: b.getUint32(at + 4, true),
  }),
};

export type Event = {
  readonly timeNs: bigint;
  readonly key: FlowKey;
  readonly count: number;
  readonly ruleId: number;
  readonly revision: number;
  readonly ifindex: number;
  readonly packetBytes: number;
  readonly capturedBytes: number;
  readonly etherType: number;
  readonly reason: number;
  readonly action: number;
  readonly packetDirection: number;
  readonly flowDirection: number;
  readonly application: number;
  readonly passed: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly mac: Uint8Array;
  readonly captured: Uint8Array;
};

export const event: Codec<Event> = {
  size: 152,
  offsets: { timeNs: 0, key: 8, count: 48, ruleId: 52, revision: 56, ifindex: 60, packetBytes: 64, capturedBytes: 68, etherType: 72, reason: 74, action: 75, packetDirection: 76, flowDirection: 77, application: 78, passed: 79, icmpType: 80, icmpCode: 81, mac: 82, captured: 88 },
  write(b, at, v) {
    b.setBigUint64(at + 0, v.timeNs, true);
    flowKey.write(b, at + 8, v.key);
    b.setUint32(at + 48, v.count, true);
    b.setUint32(at + 52, v.ruleId, true);
    b.setUint32(at + 56, v.revision, true);
    b.setUint32(at + 60, v.ifindex, true);
    b.setUint32(at + 64, v.packetBytes, true);
    b.setUint32(at + 68, v.capturedBytes, true);
    b.setUint16(at + 72, v.etherType, false);
    b.setUint8(at + 74, v.reason);
    b.setUint8(at + 75, v.action);
    b.setUint8(at + 76, v.packetDirection);
    b.setUint8(at + 77, v.flowDirection);
    b.setUint8(at + 78, v.application);
    b.setUint8(at + 79, v.passed);
    b.setUint8(at + 80, v.icmpType);
    b.setUint8(at + 81, v.icmpCode);
    bytes(b, at + 82, 6).set(v.mac);
    bytes(b, at + 88, 64).set(v.captured);
  },
  read: (b, at) => ({
    timeNs: b.getBigUint64(at + 0, true),
    key: flowKey.read(b, at + 8),
    count: b.getUint32(at + 48, true),
    ruleId: b.getUint32(at + 52, true),
    revision: b.getUint32(at + 56, true),
    ifindex: b.getUint32(at + 60, true),
    packetBytes: b.getUint32(at + 64, true),
    capturedBytes: b.getUint32(at + 68, true),
    etherType: b.getUint16(at + 72, false),
    reason: b.getUint8(at + 74),
    action: b.getUint8(at + 75),
    packetDirection: b.getUint8(at + 76),
    flowDirection: b.getUint8(at + 77),
    application: b.getUint8(at + 78),
    passed: b.getUint8(at + 79),
    icmpType: b.getUint8(at + 80),
    icmpCode: b.getUint8(at + 81),
    mac: bytes(b, at + 82, 6).slice(),
    captured: bytes(b, at + 88, 64).slice(),
  }),
};
