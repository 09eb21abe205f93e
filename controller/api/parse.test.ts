import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseManifest } from './parse.ts';

const SHOP = 'NetworkRule shop/checkout: ';
const PORT_WORDS = "use tcp/443, tcp/8000-8100, udp/53, icmp, icmpv6, any or a container port's name";

const rule = (spec: object, metadata: object = {}) => ({
  apiVersion: 'podwall.io/v1alpha1',
  kind: 'NetworkRule',
  metadata: { name: 'checkout', namespace: 'shop', ...metadata },
  spec: { selector: {}, ...spec },
});
const egress = (entry: object) => rule({ egress: [{ name: 'a', action: 'Allow', ...entry }] });
const to = (peer: object) => egress({ to: [peer] });
const from = (peer: object) => rule({ ingress: [{ name: 'a', action: 'Allow', from: [peer] }] });
const ports = (...list: unknown[]) => egress({ ports: list });
const pod = (parts: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web-1' }, ...parts });

function messages(manifest: unknown): string[] {
  const parsed = parseManifest(structuredClone(manifest));
  return 'refusals' in parsed ? parsed.refusals.map(({ message }) => message) : [];
}

describe('a manifest is refused with what is wrong, where, and what to write instead', () => {
  const cases: [what: string, manifest: unknown, message: string][] = [
    ['a port too high', ports('tcp/99999'), `${SHOP}spec.egress[0].ports[0]: "tcp/99999" is not a port: ${PORT_WORDS}`],
    ['port 0', ports('tcp/0'), `${SHOP}spec.egress[0].ports[0]: "tcp/0" is not a port: ${PORT_WORDS}`],
    ['a protocol without a port', ports('tcp'), `${SHOP}spec.egress[0].ports[0]: "tcp" is not a port: ${PORT_WORDS}`],
    ['a port as a number', ports(443), `${SHOP}spec.egress[0].ports[0]: 443 is not of type string`],
    [
      'a range of ports from high to low',
      ports('tcp/8100-8000'),
      `${SHOP}spec.egress[0].ports[0]: "tcp/8100-8000" is reversed: use tcp/8000-8100`,
    ],
    [
      'a named port of a peer that has no names',
      egress({ ports: ['http'], to: [{ ip: '10.0.0.1' }] }),
      `${SHOP}spec.egress[0].ports[0]: "http" is a container port's name, which only peers by podSelector or namespaceSelector have: use a number, as in tcp/8080`,
    ],
    [
      'applications over ICMP',
      egress({ ports: ['icmp'], applications: ['HTTP'] }),
      `${SHOP}spec.egress[0].ports[0]: "icmp" carries no application: use tcp or udp ports, or leave out applications`,
    ],
    [
      'an application that is not known',
      egress({ applications: ['Gopher'] }),
      `${SHOP}spec.egress[0].applications[0]: "Gopher" is not one of HTTP, HTTPS, MySQL, PostgreSQL, MongoDB, Redis, Kafka, ZooKeeper, DNS, SSH, Telnet`,
    ],
    [
      'an address with three parts',
      to({ ip: '10.0.0' }),
      `${SHOP}spec.egress[0].to[0].ip: "10.0.0" is not an address: use 10.0.0.1 or 2001:db8::1`,
    ],
    [
      'a network too long',
      to({ cidr: '10.0.0.0/33' }),
      `${SHOP}spec.egress[0].to[0].cidr: "10.0.0.0/33" is not a network: use 10.0.0.0/8 or 2001:db8::/32`,
    ],
    [
      'a network without its length',
      to({ cidr: '10.0.0.0' }),
      `${SHOP}spec.egress[0].to[0].cidr: "10.0.0.0" is not a network: use 10.0.0.0/8 or 2001:db8::/32`,
    ],
    [
      'a range of two families',
      to({ ipRange: '10.0.0.1-::1' }),
      `${SHOP}spec.egress[0].to[0].ipRange: "10.0.0.1-::1" is not a range of addresses: use 10.0.0.1-10.0.0.9 or 2001:db8::1-2001:db8::9`,
    ],
    [
      'a range of addresses from high to low',
      to({ ipRange: '10.0.0.9-10.0.0.1' }),
      `${SHOP}spec.egress[0].to[0].ipRange: "10.0.0.9-10.0.0.1" is reversed: use 10.0.0.1-10.0.0.9`,
    ],
    [
      'IPv4 in the form of IPv6',
      to({ ip: '::ffff:10.0.0.1' }),
      `${SHOP}spec.egress[0].to[0].ip: "::ffff:10.0.0.1" is IPv4 in the clothes of IPv6: use 10.0.0.1`,
    ],
    [
      'a name that is none',
      to({ fqdn: 'a..b' }),
      `${SHOP}spec.egress[0].to[0].fqdn: "a..b" is not a domain name: use api.example.com or *.example.com`,
    ],
    [
      'a name that is an address',
      to({ fqdn: '10.0.0.1' }),
      `${SHOP}spec.egress[0].to[0].fqdn: "10.0.0.1" is no name: use ip`,
    ],
    [
      'a name to receive from',
      from({ fqdn: 'example.com' }),
      `${SHOP}spec.ingress[0].from[0].fqdn: is for egress only: use cidr or podSelector`,
    ],
    [
      'vhost without a name',
      to({ ip: '10.0.0.1', vhost: true }),
      `${SHOP}spec.egress[0].to[0].vhost: needs fqdn beside it`,
    ],
    [
      'except without a network',
      to({ ip: '10.0.0.1', except: ['10.0.0.1/32'] }),
      `${SHOP}spec.egress[0].to[0].except: needs cidr beside it`,
    ],
    [
      'except outside of the network',
      to({ cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '11.0.0.0/8'] }),
      `${SHOP}spec.egress[0].to[0].except[1]: "11.0.0.0/8" is outside of 10.0.0.0/8: use networks inside it`,
    ],
    [
      'two kinds of peer in one entry',
      to({ ip: '10.0.0.1', cidr: '10.0.0.0/8' }),
      `${SHOP}spec.egress[0].to[0]: has ip and cidr: use one kind of peer an entry, and several entries for several`,
    ],
    [
      'pods and an address in one entry',
      to({ podSelector: {}, ip: '10.0.0.1' }),
      `${SHOP}spec.egress[0].to[0]: has ip and podSelector and namespaceSelector: use one kind of peer an entry, and several entries for several`,
    ],
    [
      'a peer that is empty',
      to({}),
      `${SHOP}spec.egress[0].to[0]: is empty; known are ip, ipRange, cidr, except, fqdn, vhost, podSelector, namespaceSelector, node, any`,
    ],
    [
      'from in a rule for egress',
      egress({ from: [] }),
      `${SHOP}spec.egress[0]: "from" is no field of it; known are name, action, ports, applications, to`,
    ],
    [
      'an action in lower case',
      egress({ action: 'allow' }),
      `${SHOP}spec.egress[0].action: "allow" is not one of Allow, Deny`,
    ],
    ['a rule without an action', rule({ egress: [{ name: 'a' }] }), `${SHOP}spec.egress[0]: action is missing`],
    [
      'a rule name used in both directions',
      rule({ egress: [{ name: 'a', action: 'Allow' }], ingress: [{ name: 'a', action: 'Deny' }] }),
      `${SHOP}spec.ingress[0].name: "a" is already the name of spec.egress[0]`,
    ],
    [
      'a selector without values',
      rule({ selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } }),
      `${SHOP}spec.selector.matchExpressions[0]: In needs values`,
    ],
    [
      'a field that is not known',
      rule({ egres: [] }),
      `${SHOP}spec: "egres" is no field of it; known are selector, mode, priority, defaultAction, egress, ingress`,
    ],
    ['a priority below 0', rule({ priority: -1 }), `${SHOP}spec.priority: -1 must be >= 0`],
    [
      'a kind that is not known',
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } },
      'Service default/web: apiVersion "v1" with kind "Service" is not known; known are podwall.io/v1alpha1 NetworkRule, podwall.io/v1alpha1 ClusterNetworkRule, networking.k8s.io/v1 NetworkPolicy, v1 Pod, v1 Namespace, v1 Node and v1 List',
    ],
    [
      'a version that is not known',
      { ...rule({}), apiVersion: 'podwall.io/v2' },
      `${SHOP}apiVersion "podwall.io/v2" with kind "NetworkRule" is not known; known are podwall.io/v1alpha1 NetworkRule, podwall.io/v1alpha1 ClusterNetworkRule, networking.k8s.io/v1 NetworkPolicy, v1 Pod, v1 Namespace, v1 Node and v1 List`,
    ],
    ['text', 'hello', '"hello" is no resource: it needs apiVersion and kind'],
    [
      'a pod whose address is none',
      pod({ status: { podIPs: [{ ip: 'x' }] } }),
      'Pod default/web-1: status.podIPs[0].ip: "x" is not an address: use 10.0.0.1 or 2001:db8::1',
    ],
    [
      'a uid that would be a path',
      rule({}, { uid: 'a/b' }),
      `${SHOP}metadata.uid: "a/b" is not allowed: it must match ^[A-Za-z0-9._-]+$`,
    ],
    [
      'a name that would be a path and clear the terminal',
      rule({}, { name: '../\u009b2J' }),
      'metadata.name: "../\\u009b2J" is not allowed: it must match ^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    ],
  ];
  for (const [what, manifest, message] of cases) {
    it(what, () => assert.deepEqual(messages(manifest), [message]));
  }

  it('says all that is wrong at once', () => {
    assert.equal(messages(egress({ ports: ['x/1', 'y/2'], to: [{ ip: 'z' }] })).length, 3);
  });
});

describe('a manifest is taken', () => {
  const cases: [what: string, manifest: unknown][] = [
    ['with nothing but a selector', rule({})],
    ['with every form of port', ports('tcp/443', 'tcp/8000-8100', 'udp/53', 'tcp/1-65535', 'icmp', 'icmpv6', 'any')],
    ['with a named port of pods', egress({ ports: ['http'], to: [{ podSelector: {} }] })],
    ['with a named port of its own', rule({ ingress: [{ name: 'a', action: 'Allow', ports: ['http'] }] })],
    ['with pods of namespaces', to({ podSelector: {}, namespaceSelector: { matchLabels: { team: 'a' } } })],
    ['with a wildcard and its vhost', to({ fqdn: '*.Example.com.', vhost: true })],
    ['with all networks but some', to({ cidr: '::/0', except: ['fd00::/8'] })],
    ['with what the API server adds', rule({}, { uid: 'x-1', generation: 3, resourceVersion: '5', managedFields: [] })],
    [
      'as a pod with fields of no concern',
      pod({ spec: { nodeName: 'n1', containers: [{ image: 'x', ports: [{ containerPort: 80 }] }] } }),
    ],
  ];
  for (const [what, manifest] of cases) it(what, () => assert.deepEqual(messages(manifest), []));

  it('with the defaults filled in, and a uid that is always the same', () => {
    const parsed = [rule({}), rule({ priority: 1 })].map((manifest) => parseManifest(manifest));
    const [first, second] = parsed.map((one) => ('resource' in one ? one.resource : undefined));
    assert.partialDeepStrictEqual(first, { spec: { mode: 'Protect', priority: 1000, defaultAction: 'Deny' } });
    assert.equal(first?.uid, second?.uid);
    assert.match(first?.uid ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
});
