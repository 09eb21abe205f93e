// A second opinion for tests: what manifests say of a connection, read off them by the letter, and nothing compiled.
import { BlockList, isIPv4 } from 'node:net';

export type Labels = Readonly<Record<string, string>>;
export type Selector = {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
};
export type PodFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ip: string;
  readonly node: string;
  readonly ports: readonly { readonly name: string; readonly containerPort: number; readonly protocol: string }[];
  readonly isOnHostNetwork: boolean;
  readonly hasEnded: boolean;
};
export type PolicyPeer = {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
};
export type PolicyPort = { readonly protocol?: string; readonly port?: number | string; readonly endPort?: number };
type PolicyRule = {
  readonly ports?: readonly PolicyPort[];
  readonly from?: readonly PolicyPeer[];
  readonly to?: readonly PolicyPeer[];
};
export type PolicySpec = {
  readonly podSelector?: Selector;
  readonly policyTypes?: readonly string[];
  readonly ingress?: readonly PolicyRule[];
  readonly egress?: readonly PolicyRule[];
};
export type RulePeer = {
  readonly any?: true;
  readonly ip?: string;
  readonly ipRange?: string;
  readonly cidr?: string;
  readonly except?: readonly string[];
  readonly node?: string;
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
};
export type Rule = {
  readonly name: string;
  readonly action: 'Allow' | 'Deny';
  readonly ports?: readonly string[];
  readonly from?: readonly RulePeer[];
  readonly to?: readonly RulePeer[];
};
export type RuleSpec = {
  readonly selector: Selector;
  readonly namespaceSelector?: Selector;
  readonly priority: number;
  readonly mode: string;
  readonly defaultAction: 'Allow' | 'Deny';
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
};
export type Facts = {
  readonly namespaces: Readonly<Record<string, Labels>>;
  readonly pods: readonly PodFacts[];
  readonly nodes: Readonly<Record<string, string>>;
  readonly policies: readonly { readonly namespace: string; readonly name: string; readonly spec: PolicySpec }[];
  readonly rules: readonly { readonly namespace: string; readonly name: string; readonly spec: RuleSpec }[];
  /** Without a namespace. */
  readonly clusterRules: readonly { readonly name: string; readonly spec: RuleSpec }[];
};
export type Asked = {
  readonly from: PodFacts;
  readonly to: PodFacts;
  readonly protocol: string;
  readonly port: number;
};
type Direction = 'egress' | 'ingress';
type Context = { readonly facts: Facts; readonly asked: Asked; readonly direction: Direction };

/** Whether a side lets the connection pass. */
export function passesByTheLetter(facts: Facts, asked: Asked, direction: Direction): boolean {
  const context = { facts, asked, direction };
  const pod = direction === 'egress' ? asked.from : asked.to;
  const other = direction === 'egress' ? asked.to : asked.from;
  if (pod === other || pod.isOnHostNetwork) return true;
  if (direction === 'ingress' && facts.nodes[pod.node] === other.ip) return true;

  const mine = [...inOrder(facts.clusterRules), ...inOrder(facts.rules)].filter(
    ({ spec, ...rest }) =>
      selects(spec.selector, pod.labels) &&
      ('namespace' in rest
        ? rest.namespace === pod.namespace
        : selects(spec.namespaceSelector ?? {}, labelsOf(facts, pod))),
  );
  for (const { spec, ...rest } of mine)
    for (const rule of spec[direction] ?? [])
      if (ruleMatches(rule, 'namespace' in rest ? String(rest.namespace) : undefined, context))
        return rule.action === 'Allow' || spec.mode !== 'Protect';

  const isolating = facts.policies.filter(
    ({ namespace, spec }) =>
      namespace === pod.namespace && selects(spec.podSelector ?? {}, pod.labels) && isolates(spec, direction),
  );
  if (isolating.length > 0)
    return isolating.some(({ namespace, spec }) =>
      (spec[direction] ?? []).some((rule) => policyRuleMatches(rule, namespace, context)),
    );

  const first = mine.find(({ spec }) => spec[direction] || (!spec.egress && !spec.ingress));
  return first?.spec.mode !== 'Protect' || first.spec.defaultAction === 'Allow';
}

const inOrder = <T extends { readonly name: string; readonly spec: RuleSpec }>(all: readonly T[]): T[] =>
  [...all].sort((a, b) => a.spec.priority - b.spec.priority || (a.name < b.name ? -1 : 1));

function isolates({ policyTypes = [], egress = [] }: PolicySpec, direction: Direction): boolean {
  if (policyTypes.length > 0) return policyTypes.includes(direction === 'egress' ? 'Egress' : 'Ingress');
  return direction === 'ingress' || egress.length > 0;
}

function policyRuleMatches(
  { ports = [], from = [], to = [] }: PolicyRule,
  namespace: string,
  context: Context,
): boolean {
  const peers = context.direction === 'egress' ? to : from;
  const isPeer = peers.length === 0 || peers.some((peer) => policyPeerMatches(peer, namespace, context));
  const isPort =
    ports.length === 0 ||
    ports.some(({ protocol = 'TCP', port, endPort }) => {
      const { asked } = context;
      if (protocol !== asked.protocol) return false;
      if (port === undefined) return true;
      if (typeof port === 'string') return hasNamedPort(asked, port, protocol);
      return asked.port >= port && asked.port <= (endPort ?? port);
    });
  return isPeer && isPort;
}

function policyPeerMatches(peer: PolicyPeer, namespace: string, context: Context): boolean {
  if (peer.ipBlock) return isInNetwork(otherOf(context).ip, peer.ipBlock.cidr, peer.ipBlock.except);
  return isSelectedPod(peer, namespace, context);
}

function ruleMatches({ ports = [], from, to }: Rule, namespace: string | undefined, context: Context): boolean {
  const peers = (context.direction === 'egress' ? to : from) ?? [];
  const isPeer = peers.length === 0 || peers.some((peer) => rulePeerMatches(peer, namespace, context));
  return isPeer && (ports.length === 0 || ports.some((port) => rulePortMatches(port, context.asked)));
}

function rulePeerMatches(peer: RulePeer, namespace: string | undefined, context: Context): boolean {
  const { ip } = otherOf(context);
  if (peer.any) return true;
  if (peer.ip) return ip === peer.ip;
  if (peer.cidr) return isInNetwork(ip, peer.cidr, peer.except);
  if (peer.node)
    return Object.entries(context.facts.nodes).some(
      ([name, own]) => own === ip && [name, '*'].includes(peer.node ?? ''),
    );
  if (peer.ipRange) return isInRange(ip, peer.ipRange);
  return isSelectedPod(peer, namespace, context);
}

function rulePortMatches(text: string, asked: Asked): boolean {
  if (text === 'any') return true;
  const [protocol = '', range = ''] = text.split('/');
  if (range === '')
    return ['TCP', 'UDP', 'SCTP'].some((name) => name === asked.protocol && hasNamedPort(asked, text, name));
  const [first, last = first] = range.split('-').map(Number);
  return protocol.toUpperCase() === asked.protocol && asked.port >= Number(first) && asked.port <= Number(last);
}

const otherOf = ({ asked, direction }: Context): PodFacts => (direction === 'egress' ? asked.to : asked.from);

const hasNamedPort = ({ to, port }: Asked, name: string, protocol: string): boolean =>
  !to.isOnHostNetwork &&
  to.ports.some((known) => known.name === name && known.protocol === protocol && known.containerPort === port);

/** `namespace` undefined: of a cluster rule, whose podSelector alone is for every namespace. */
function isSelectedPod(
  { podSelector, namespaceSelector }: PolicyPeer,
  namespace: string | undefined,
  context: Context,
): boolean {
  const pod = otherOf(context);
  if (pod.isOnHostNetwork || !selects(podSelector ?? {}, pod.labels)) return false;
  if (namespaceSelector) return selects(namespaceSelector, labelsOf(context.facts, pod));
  return namespace === undefined || namespace === pod.namespace;
}

const labelsOf = ({ namespaces }: Facts, { namespace }: PodFacts): Labels => ({
  ...namespaces[namespace],
  'kubernetes.io/metadata.name': namespace,
});

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  const hasAll = Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
  return (
    hasAll &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const isListed = value !== undefined && values.includes(value);
      return operator === 'In' ? isListed : !isListed;
    })
  );
}

function isInNetwork(ip: string, cidr: string, except: readonly string[] = []): boolean {
  const isIn = (network: string): boolean => {
    const [address = '', prefix] = network.split('/');
    return isListed(ip, address, (list, family) => list.addSubnet(address, Number(prefix), family));
  };
  return isIn(cidr) && !except.some(isIn);
}

function isInRange(ip: string, range: string): boolean {
  const [first = '', last = ''] = range.split('-');
  return isListed(ip, first, (list, family) => list.addRange(first, last, family));
}

/** `sample`: an address of the family that the list is of. */
function isListed(ip: string, sample: string, add: (list: BlockList, family: 'ipv4' | 'ipv6') => void): boolean {
  if (isIPv4(ip) !== isIPv4(sample)) return false;
  const family = isIPv4(ip) ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  add(list, family);
  return list.check(ip, family);
}
