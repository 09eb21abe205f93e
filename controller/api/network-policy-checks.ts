// What the schema of a NetworkPolicy can't say: what the API server refuses is refused of a file too.
import { contains, mappedIpv4, parseCidr } from '../addresses/range.ts';
import { isPortName } from './formats.ts';
import { allRules, type NetworkPolicyPeer, type NetworkPolicyPort, type NetworkPolicySpec } from './network-policy.ts';
import { checkSelector, type Fault } from './selector-checks.ts';

const MAX_PORT = 65_535;

export function checkNetworkPolicy(spec: NetworkPolicySpec): Fault[] {
  return [
    ...checkSelector('spec.podSelector', spec.podSelector),
    ...allRules(spec).flatMap(({ name, direction, peers, ports }) => {
      const list = direction === 'egress' ? 'to' : 'from';
      return [
        ...ports.flatMap((port, index) => checkPort(`spec.${name}.ports[${index}]`, port)),
        ...peers.flatMap((peer, index) => checkPeer(`spec.${name}.${list}[${index}]`, peer)),
      ];
    }),
  ];
}

function checkPort(path: string, { port, endPort }: NetworkPolicyPort): Fault[] {
  if (typeof port === 'number') {
    return [
      ...checkNumber(`${path}.port`, port),
      ...(endPort === undefined ? [] : checkNumber(`${path}.endPort`, endPort)),
      ...(endPort !== undefined && endPort < port
        ? [{ path: `${path}.endPort`, message: `${endPort} is below port ${port}: put the lower one into port` }]
        : []),
    ];
  }
  const isName = port === undefined || isPortName(port);
  return [
    ...(isName ? [] : [{ path: `${path}.port`, message: `${JSON.stringify(port)} is no port: ${PORT_WORDS}` }]),
    ...(endPort === undefined ? [] : [{ path: `${path}.endPort`, message: 'needs a number as port beside it' }]),
  ];
}

const PORT_WORDS = 'use a number, as in 8080 (without quotes), or a container port’s name, as in http';

const checkNumber = (path: string, port: number): Fault[] =>
  port >= 1 && port <= MAX_PORT ? [] : [{ path, message: `${port} is no port: use 1 to ${MAX_PORT}` }];

function checkPeer(path: string, { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): Fault[] {
  const hasSelector = podSelector !== undefined || namespaceSelector !== undefined;
  if (!hasSelector && !ipBlock) {
    const message = 'names no peer: use podSelector, namespaceSelector or ipBlock ({} as podSelector is every pod)';
    return [{ path, message }];
  }
  return [
    ...(hasSelector && ipBlock
      ? [{ path, message: 'has ipBlock beside a selector: use an entry of its own for each' }]
      : []),
    ...checkSelector(`${path}.podSelector`, podSelector),
    ...checkSelector(`${path}.namespaceSelector`, namespaceSelector),
    ...(ipBlock ? checkBlock(`${path}.ipBlock`, ipBlock) : []),
  ];
}

function checkBlock(path: string, { cidr, except = [] }: NonNullable<NetworkPolicyPeer['ipBlock']>): Fault[] {
  const network = parseCidr(cidr);
  const ipv4 = mappedIpv4(cidr.split('/')[0] ?? '');
  if (ipv4) return [{ path: `${path}.cidr`, message: `"${cidr}" is IPv4 in the clothes of IPv6: use ${ipv4}` }];
  return except.flatMap((text, index) => {
    const excluded = parseCidr(text);
    if (!network || !excluded || (contains(network, excluded) && excluded.prefix > network.prefix)) return [];
    return [{ path: `${path}.except[${index}]`, message: `"${text}" is no part of ${cidr}: use networks inside it` }];
  });
}
