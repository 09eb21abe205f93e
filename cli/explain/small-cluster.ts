// A small cluster that tests ask about in one line: `x/b → x/a TCP/80`.
import { answerLine } from './batch.ts';

/** x and y have labels, z has none but its name; every pod serves the same, but z/a, which has no named ports. */
const NAMESPACES = { x: { ns: 'x' }, y: { ns: 'y' } };
const PORTS = [
  { Name: 'web', Port: 80, Protocol: 'TCP' },
  { Name: 'web', Port: 8080, Protocol: 'TCP' },
  { Name: 'web', Port: 80, Protocol: 'UDP' },
  { Name: 'assoc', Port: 9, Protocol: 'SCTP' },
];
const pod = (Namespace: string, Name: string, IP: string, Ports: object[] = PORTS) => ({
  ...{ Namespace, Name, IP, Labels: { pod: Name }, Ports },
});
const PODS = [
  pod('x', 'a', '10.0.0.1'),
  pod('x', 'b', '10.0.0.2'),
  pod('y', 'a', '10.0.1.1'),
  pod('y', 'b', '10.0.1.2'),
  pod('z', 'a', '10.0.2.1', []),
];

export const policy = (spec: object, namespace = 'x', name = 'p') => ({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace } },
  spec,
});
export const rule = (spec: object, namespace = 'x') => ({
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'NetworkRule', metadata: { name: 'r', namespace } },
  spec: { selector: {}, ...spec },
});
export const clusterRule = (spec: object) => ({
  ...{ apiVersion: 'podwall.io/v1alpha1', kind: 'ClusterNetworkRule', metadata: { name: 'c' } },
  spec: { selector: {}, ...spec },
});

/** `x/b → x/a tcp/80`: yes or no, by both sides. */
export type Expected = Readonly<Record<string, 'yes' | 'no' | 'no family'>>;
/** What is answered to each question, by both sides of the connection. */
export function verdicts(Policies: object[], expected: Expected): Record<string, string> {
  return Object.fromEntries(
    Object.keys(expected).map((question) => {
      const [From = '', , To = '', service = ''] = question.split(' ');
      const [Proto = '', port] = service.split('/');
      const query = { From, To, Proto, ...(port === undefined ? {} : { Port: Number(port) }) };
      const answer = answerLine(JSON.stringify({ Namespaces: NAMESPACES, Pods: PODS, Policies, Queries: [query] }));
      if ('Error' in answer) return [question, answer.Error.includes('family') ? 'no family' : answer.Error];
      return [question, answer.Verdicts[0]?.Combined === 'allowed' ? 'yes' : 'no'];
    }),
  );
}
