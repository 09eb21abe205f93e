// Any small cluster with rules of all kinds that meet its pods, for fast-check: as facts and as the manifests of these. Pure.
import fc from 'fast-check';
import type {
  Facts,
  PodFacts,
  PolicyPeer,
  PolicyPort,
  PolicySpec,
  Rule,
  RulePeer,
  RuleSpec,
  Selector,
} from './naive.ts';

const NAMESPACES = ['x', 'y', 'z'] as const;
const NODES = { n1: '192.168.0.1', n2: '192.168.0.2' } as const;
const MAX_PODS = 6;

/** Few keys and values, so that selectors and labels meet. */
const key = fc.constantFrom('a', 'b');
const value = fc.constantFrom('0', '1');
const labels = fc.dictionary(key, value, { maxKeys: 2 });
const selector: fc.Arbitrary<Selector> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: labels.map((matchLabels) => ({ matchLabels })) },
  {
    weight: 2,
    arbitrary: fc
      .oneof(
        fc.record({
          key,
          operator: fc.constantFrom('In', 'NotIn'),
          values: fc.array(value, { minLength: 1, maxLength: 2 }),
        }),
        fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
      )
      .map((expression) => ({ matchExpressions: [expression] })),
  },
);
const namespaceSelector = fc.oneof(
  selector,
  fc.constantFrom(...NAMESPACES).map((name) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })),
);
const podPeer = fc
  .record({ podSelector: selector, namespaceSelector }, { requiredKeys: [] })
  .filter((peer) => Object.keys(peer).length > 0);

/** Pods are 10.0.0.1 to 10.0.0.6. */
const block = fc.constantFrom(
  { cidr: '10.0.0.0/24' },
  { cidr: '10.0.0.0/30' },
  { cidr: '10.0.0.4/31' },
  { cidr: '0.0.0.0/0', except: ['10.0.0.2/31'] },
  { cidr: '10.0.0.0/29', except: ['10.0.0.1/32', '10.0.0.4/30'] },
  { cidr: '192.168.0.0/16' },
  { cidr: '::/0' },
);
const address = fc.integer({ min: 1, max: MAX_PODS }).map((n) => `10.0.0.${n}`);
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
const port = fc.integer({ min: 80, max: 83 });
const portName = fc.constantFrom('web', 'alt');

const policyPeer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  { weight: 3, arbitrary: podPeer },
  { weight: 1, arbitrary: block.map((ipBlock) => ({ ipBlock })) },
);
const policyPort: fc.Arbitrary<PolicyPort> = fc.oneof(
  fc.constant({}),
  fc.record({ protocol }),
  fc.record({ protocol, port }),
  fc.record({ port: portName }),
  fc.record({ protocol, port: portName }),
  fc.record({ protocol, port, endPort: fc.constantFrom(83, 90) }),
);
const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 2 });
const ALL_OPTIONAL: { requiredKeys: [] } = { requiredKeys: [] };

const policySpec: fc.Arbitrary<PolicySpec> = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.subarray(['Ingress', 'Egress']),
    ingress: few(fc.record({ ports: few(policyPort), from: few(policyPeer) }, ALL_OPTIONAL)),
    egress: few(fc.record({ ports: few(policyPort), to: few(policyPeer) }, ALL_OPTIONAL)),
  },
  ALL_OPTIONAL,
);

const rulePeer: fc.Arbitrary<RulePeer> = fc.oneof(
  { weight: 4, arbitrary: podPeer },
  { weight: 1, arbitrary: block },
  { weight: 1, arbitrary: address.map((ip) => ({ ip })) },
  { weight: 1, arbitrary: fc.constantFrom({ ipRange: '10.0.0.2-10.0.0.4' }, { any: true } as const) },
  { weight: 1, arbitrary: fc.constantFrom('n1', 'n2', '*').map((node) => ({ node })) },
);
const rulePort = fc.constantFrom('tcp/80', 'tcp/80-82', 'udp/81', 'udp/80-83', 'any', 'tcp/83');
const isOfPods = (peer: RulePeer): boolean => 'podSelector' in peer || 'namespaceSelector' in peer;

const rulesOf = (list: 'from' | 'to'): fc.Arbitrary<Rule[]> =>
  few(
    fc
      .record({
        action: fc.constantFrom('Allow' as const, 'Deny' as const),
        ports: few(rulePort),
        peers: few(rulePeer),
        hasNamedPort: fc.boolean(),
      })
      .map(({ action, ports, peers, hasNamedPort }) => {
        const mayBeNamed = list === 'from' || (peers.length > 0 && peers.every(isOfPods));
        const rule = { action, ports: hasNamedPort && mayBeNamed ? [...ports, 'web'] : ports };
        return list === 'from' ? { ...rule, from: peers } : { ...rule, to: peers };
      }),
  ).map((rules) => rules.map((rule, i) => ({ ...rule, name: `${list}-${i}` })));
const ruleFields = {
  selector,
  priority: fc.constantFrom(1, 1000),
  mode: fc.constantFrom('Protect', 'Protect', 'Protect', 'Monitor', 'Discover'),
  defaultAction: fc.constantFrom('Allow' as const, 'Deny' as const),
  ingress: rulesOf('from'),
  egress: rulesOf('to'),
};
const REQUIRED = ['selector', 'priority', 'mode', 'defaultAction'] as const;
const ruleSpec: fc.Arbitrary<RuleSpec> = fc.record(ruleFields, { requiredKeys: [...REQUIRED] });
const clusterRuleSpec: fc.Arbitrary<RuleSpec> = fc.record(
  { ...ruleFields, namespaceSelector },
  { requiredKeys: [...REQUIRED] },
);

const podFacts = (index: number): fc.Arbitrary<PodFacts> =>
  fc
    .record({
      namespace: fc.constantFrom(...NAMESPACES),
      labels,
      node: fc.constantFrom('n1', 'n2'),
      ports: fc.uniqueArray(fc.record({ name: portName, containerPort: port, protocol }), {
        maxLength: 3,
        selector: ({ name, containerPort, protocol: of }) => `${name} ${containerPort} ${of}`,
      }),
      isOnHostNetwork: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      hasEnded: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    })
    .map((pod) => ({ ...pod, name: `p${index}`, ip: addressOf(pod, index) }));

/** An ended pod's may be another's by now. */
function addressOf(
  { isOnHostNetwork, hasEnded, node }: Pick<PodFacts, 'isOnHostNetwork' | 'hasEnded' | 'node'>,
  index: number,
) {
  if (isOnHostNetwork) return node === 'n1' ? NODES.n1 : NODES.n2;
  return hasEnded ? '10.0.0.1' : `10.0.0.${index + 1}`;
}

const named = <T>(prefix: string, spec: fc.Arbitrary<T>) =>
  fc
    .array(fc.record({ namespace: fc.constantFrom(...NAMESPACES), spec }), { maxLength: 3 })
    .map((all) => all.map((one, i) => ({ ...one, name: `${prefix}${i}` })));

/** Of one address family. */
export const anyCluster: fc.Arbitrary<Facts> = fc
  .record({
    namespaces: fc.record({ x: labels, y: labels }), // z has no manifest
    pods: fc.tuple(...Array.from({ length: MAX_PODS }, (_, i) => podFacts(i))),
    policies: named('policy', policySpec),
    rules: named('rule', ruleSpec),
    clusterRules: fc
      .array(clusterRuleSpec, { maxLength: 2 })
      .map((specs) => specs.map((spec, i) => ({ spec, name: `cluster${i}` }))),
  })
  .chain((facts) => fc.constantFrom(4, 6).map((family) => inFamily(family, { ...facts, nodes: NODES })));

const IPV6_PREFIXES: Readonly<Record<string, string>> = { '10.0.0': 'fd00::', '192.168.0': 'fd01::' };

/** Of IPv6, every address is another's counterpart: 10.0.0.1 is fd00::1. */
function inFamily(family: number, facts: Facts): Facts {
  if (family === 4) return facts;
  const text = JSON.stringify(facts)
    .replaceAll(/"(0\.0\.0\.0|::)\/0"/g, (_, any) => (any === '::' ? '"0.0.0.0/0"' : '"::/0"'))
    .replaceAll(/(10\.0\.0|192\.168\.0)\.(\d+)(?:\/(\d+))?/g, (_, network, host, prefix) => {
      const address = `${IPV6_PREFIXES[network]}${Number(host).toString(16)}`;
      return prefix === undefined ? address : `${address}/${Number(prefix) + 96}`;
    });
  return JSON.parse(text);
}

const API = 'podwall.io/v1alpha1';

export function manifestsOf({ namespaces, pods, nodes, policies, rules, clusterRules }: Facts): object[] {
  return [
    ...Object.entries(namespaces).map(([name, own]) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: own },
    })),
    ...Object.entries(nodes).map(([name, ip]) => ({
      ...{ apiVersion: 'v1', kind: 'Node', metadata: { name } },
      status: { addresses: [{ type: 'InternalIP', address: ip }] },
    })),
    ...pods.map(({ namespace, name, labels: own, ip, node, ports, isOnHostNetwork, hasEnded }) => ({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels: own } },
      spec: { nodeName: node, hostNetwork: isOnHostNetwork, containers: [{ ports }] },
      status: { podIP: ip, phase: hasEnded ? 'Succeeded' : 'Running' },
    })),
    ...policies.map(({ namespace, name, spec }) => ({
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec },
    })),
    ...rules.map(({ namespace, name, spec }) => ({
      apiVersion: API,
      kind: 'NetworkRule',
      metadata: { namespace, name },
      spec,
    })),
    ...clusterRules.map(({ name, spec }) => ({
      apiVersion: API,
      kind: 'ClusterNetworkRule',
      metadata: { name },
      spec,
    })),
  ];
}
