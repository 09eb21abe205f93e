// Writes the plain manifests from the chart, for clusters without Helm: node deploy/manifests.ts [HELM]
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatYaml } from '@podwall/controller/yaml.ts';
import { parseAllDocuments } from 'yaml';

const CHART = join(import.meta.dirname, '../charts/podwall');
const NAMESPACE = 'podwall-system';

export const FILES = {
  podwall: join(import.meta.dirname, 'podwall.yaml'),
  uninstall: join(import.meta.dirname, 'podwall-uninstall.yaml'),
} as const;

const HEADS = {
  podwall: `# Podwall without Helm. Made by deploy/manifests.ts from the chart with its default values: change it there.
#   kubectl create namespace ${NAMESPACE}
#   deploy/etcd-certificates ${NAMESPACE} | kubectl apply -f -
#   kubectl apply -f deploy/podwall.yaml
# Before that, set the image (podwall:…), and the cluster's DNS server where it is not 10.96.0.10 (--resolver).
`,
  uninstall: `# Takes what Podwall has in force off every node. Made by deploy/manifests.ts: change the chart.
#   kubectl apply -f deploy/podwall-uninstall.yaml
#   kubectl -n ${NAMESPACE} wait --for=condition=complete --timeout=150s job/podwall-uninstall
#   kubectl delete -f deploy/podwall-uninstall.yaml -f deploy/podwall.yaml    # also the rules
#   kubectl delete namespace ${NAMESPACE}
# Before that, set the image as in podwall.yaml.
`,
} as const;

type Resource = {
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec?: { readonly template?: { readonly metadata: Metadata } };
};
type Metadata = {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};

/** The text of each file; `helm` is the program. Certificates are left out: they would be everybody's. */
export function manifests(helm: string): Record<keyof typeof FILES, string> {
  const command = ['template', 'podwall', CHART, '--namespace', NAMESPACE, '--include-crds'];
  const rendered = execFileSync(helm, command, { encoding: 'utf8', maxBuffer: 1 << 26 });
  const all = parseAllDocuments(rendered)
    .map((document) => document.toJS() as Resource | null) // Helm renders resources, and comments alone
    .filter((resource): resource is Resource => resource !== null && resource.kind !== 'Secret');
  const ofHook = Map.groupBy(all, ({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined);
  return {
    podwall: HEADS.podwall + textOf(ofHook.get(false) ?? []),
    uninstall: HEADS.uninstall + textOf(ofHook.get(true) ?? []),
  };
}

const textOf = (resources: readonly Resource[]): string =>
  resources.map((resource) => `---\n${formatYaml(withoutHelm(resource))}`).join('');

/** What only Helm reads, and says what is not so. */
function withoutHelm(resource: Resource): Resource {
  const namespace = NAMESPACED.has(resource.kind) ? { namespace: NAMESPACE } : {};
  const template = resource.spec?.template;
  return {
    ...resource,
    metadata: { ...plain(resource.metadata), ...namespace },
    ...(template && { spec: { ...resource.spec, template: { ...template, metadata: plain(template.metadata) } } }),
  };
}

/** Kinds that the chart makes; it leaves their namespace to Helm. */
const NAMESPACED = new Set([
  ...['DaemonSet', 'Deployment', 'Job', 'NetworkPolicy', 'PodDisruptionBudget', 'Role', 'RoleBinding'],
  ...['Service', 'ServiceAccount', 'StatefulSet'],
]);

function plain({ labels, annotations, ...rest }: Metadata): Metadata {
  const isPlain = ([key]: readonly [string, string]) =>
    !key.startsWith('helm.sh/') && key !== 'app.kubernetes.io/managed-by';
  const kept = Object.entries(annotations ?? {}).filter(isPlain);
  return {
    ...rest,
    ...(labels && { labels: Object.fromEntries(Object.entries(labels).filter(isPlain)) }),
    ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }),
  };
}

if (import.meta.main) {
  const texts = manifests(process.argv[2] ?? 'helm');
  await writeFile(FILES.podwall, texts.podwall);
  await writeFile(FILES.uninstall, texts.uninstall);
}
