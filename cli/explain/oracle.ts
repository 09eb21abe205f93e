// The cases of an independent suite of NetworkPolicies, as lines of --batch and the verdicts that are expected: for tests.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { BatchVerdict } from './batch.ts';

/** Not a part of the project: beside it, where it is developed. */
const FILE = join(import.meta.dirname, '../../../shared/oracle/networkpolicy-cases.jsonl.gz');

export const ORACLE_IS_MISSING = existsSync(FILE)
  ? false
  : `NOT TESTED against the independent suite: ${FILE} is not there (it is kept beside the project, not in it)`;

type Expected = {
  readonly From: string;
  readonly To: string;
  readonly Proto: string;
  readonly Port: number;
  readonly PortName: string;
  readonly Ingress: string;
  readonly Egress: string;
  readonly Combined: string;
};
type Case = {
  readonly Case: number;
  readonly Step: number;
  readonly Description: string;
  readonly Namespaces: object;
  readonly Pods: readonly { readonly Namespace: string; readonly Name: string }[];
  readonly Policies: readonly object[];
  readonly Verdicts: readonly Expected[];
};

export type OracleCase = { readonly title: string; readonly line: string; readonly expected: readonly Expected[] };

/** Without pods to themselves: what never leaves a pod is not policed. */
export function readOracle(): OracleCase[] {
  const lines = gunzipSync(readFileSync(FILE)).toString().trim().split('\n');
  return lines.map((text) => {
    const { Case: number, Step, Description, Namespaces, Pods, Policies, Verdicts } = JSON.parse(text) as Case;
    const expected = Verdicts.filter(({ From, To }) => From !== To);
    const pods = Pods.map((pod) => ({ ...pod, Ports: portsOf(`${pod.Namespace}/${pod.Name}`, Verdicts) }));
    const queries = expected.map(({ From, To, Proto, Port }) => ({ From, To, Proto, Port }));
    const line = JSON.stringify({ Namespaces, Pods: pods, Policies, Queries: queries });
    return { title: `case ${number}, step ${Step}: ${Description}`, line, expected };
  });
}

/** What a pod serves is told only by who asks for it. */
function portsOf(pod: string, verdicts: readonly Expected[]): object[] {
  const asked = verdicts.filter(({ To }) => To === pod);
  const ports = new Map(asked.map(({ PortName: Name, Port, Proto: Protocol }) => [Name, { Name, Port, Protocol }]));
  return [...ports.values()];
}

/** `x/a → x/b TCP/80: Ingress allowed, not blocked` for each that differs. */
export function differences(expected: readonly Expected[], actual: readonly BatchVerdict[]): string[] {
  if (actual.length !== expected.length) return [`${actual.length} verdicts, not ${expected.length}`];
  return expected.flatMap((wanted, i) =>
    (['From', 'To', 'Proto', 'Port', 'Ingress', 'Egress', 'Combined'] as const)
      .filter((field) => actual[i]?.[field] !== wanted[field])
      .map((field) => {
        const { From, To, Proto, Port } = wanted;
        return `${From} → ${To} ${Proto}/${Port}: ${field} ${actual[i]?.[field]}, not ${wanted[field]}`;
      }),
  );
}
