// Podwall on the cluster, by its Helm chart.
import { join } from 'node:path';
import { mustRun, run } from '../lab/command.ts';
import { waitFor } from '../lab/wait.ts';
import { helm } from './kubectl.ts';
import { REPOSITORY } from './places.ts';
import { apply, cluster, kube, namespace, onNode, provider } from './under-test.ts';

export const CHART = join(REPOSITORY, 'charts/podwall');
const IMAGES = join(REPOSITORY, 'e2e/cluster/values.yaml');
export const RELEASE = 'podwall';
export const SYSTEM = 'podwall-system';
/** Where dp pins what is in force, on each node. */
export const PINS = '/sys/fs/bpf/podwall';

const CRDS = ['networkrules.podwall.io', 'clusternetworkrules.podwall.io'];
const CHANGE_TIMEOUT_MS = 240_000;
const RULE_TIMEOUT_MS = 60_000;

/** As a user would, with images that the nodes have; `values` beside those. Resolves once all of it is ready. */
export async function install(values: { readonly agent?: object; readonly node?: object } = {}): Promise<void> {
  await apply([namespace(SYSTEM)]);
  const options = ['--namespace', SYSTEM, '--values', IMAGES, '--values', '-', '--wait', '--timeout', '220s'];
  await mustRun(helm(cluster, 'install', RELEASE, CHART, ...options), {
    timeoutMs: CHANGE_TIMEOUT_MS,
    input: JSON.stringify(values),
  });
}

/** Whatever there is of it, also what Helm leaves; and these namespaces. */
export async function remove(namespaces: readonly string[]): Promise<void> {
  const options = { timeoutMs: CHANGE_TIMEOUT_MS };
  await run(helm(cluster, '-n', SYSTEM, 'uninstall', RELEASE, '--ignore-not-found'), options);
  for (const node of await provider().nodes(cluster)) await onNode(node, 'rm', '-rf', PINS);
  await kube(['delete', 'crd', ...CRDS, '--ignore-not-found'], options);
  await kube(['delete', 'namespace', SYSTEM, ...namespaces, '--ignore-not-found'], options);
}

export type RuleAt = { readonly namespace: string; readonly name: string };
export type Condition = { readonly status: string; readonly observedGeneration: number; readonly message: string };

export async function conditionOf(rule: RuleAt, type: string): Promise<Condition | undefined> {
  const path = `jsonpath={.status.conditions[?(@.type=="${type}")]}`;
  const text = await kube(['-n', rule.namespace, 'get', 'networkrule', rule.name, '-o', path]);
  return text === '' ? undefined : (JSON.parse(text) as Condition); // as the CRD's schema has it
}

/** Resolves once the status says that the latest generation is in force everywhere. */
export async function untilProgrammed(rule: RuleAt): Promise<void> {
  const isInForce = async () => {
    const path = 'jsonpath={.metadata.generation}';
    const generation = Number(await kube(['-n', rule.namespace, 'get', 'networkrule', rule.name, '-o', path]));
    const now = await conditionOf(rule, 'Programmed');
    return (now?.status === 'True' && now.observedGeneration === generation) || undefined;
  };
  try {
    await waitFor(`${rule.namespace}/${rule.name} to be in force`, isInForce, { timeoutMs: RULE_TIMEOUT_MS });
  } catch (cause) {
    const status = await kube(['-n', rule.namespace, 'get', 'networkrule', rule.name, '-o', 'yaml']);
    throw new Error(status, { cause });
  }
}
