// One line of --batch: a whole small cluster and questions about it in, a verdict for each out. Pure.
import { parseManifest } from '@podwall/controller/api/parse.ts';
import { describe, type Resource } from '@podwall/controller/api/resources.ts';
import { Ajv } from 'ajv';
import type { FromSchema } from 'json-schema-to-ts';
import { Cluster } from './cluster.ts';
import { QuestionError, readApplication, readEndpoint, readService } from './question.ts';
import { isAllowed, judge, passes, passesBoth, type Side } from './verdict.ts';
import { deciderName } from './walkthrough.ts';

const text = { type: 'string' } as const;
const labels = { type: 'object', additionalProperties: text } as const;
const port = { type: ['integer', 'string'] } as const;

/** Members that are not known are let through. */
const batchLine = {
  type: 'object',
  required: ['Pods', 'Policies', 'Queries'],
  properties: {
    Namespaces: { type: ['object', 'null'], additionalProperties: { ...labels, type: ['object', 'null'] } },
    Pods: {
      type: 'array',
      items: {
        type: 'object',
        required: ['Namespace', 'Name'],
        properties: {
          Namespace: text,
          Name: text,
          IP: text,
          Labels: { ...labels, type: ['object', 'null'] },
          Ports: {
            type: ['array', 'null'],
            items: {
              type: 'object',
              required: ['Port'],
              properties: { Name: text, Port: { type: 'integer' }, Protocol: text },
            },
          },
        },
      },
    },
    Policies: { type: ['array', 'null'], items: { type: 'object' } },
    Queries: {
      type: 'array',
      items: {
        type: 'object',
        required: ['From', 'To', 'Proto'],
        properties: { From: text, To: text, Proto: text, Port: port, Application: text },
      },
    },
  },
} as const;

type BatchLine = FromSchema<typeof batchLine>;
export type BatchVerdict = {
  readonly From: string;
  readonly To: string;
  readonly Proto: string;
  readonly Port?: number | string;
  readonly Ingress: 'allowed' | 'blocked';
  readonly Egress: 'allowed' | 'blocked';
  readonly Combined: 'allowed' | 'blocked';
  /** `NetworkPolicy shop/web: ingress[0]`; null where nothing polices the side. */
  readonly IngressRule: string | null;
  readonly EgressRule: string | null;
};
export type BatchAnswer = { readonly Verdicts: readonly BatchVerdict[] } | { readonly Error: string };

const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: false }).compile<BatchLine>(batchLine);

/** An error is about the whole line. Of an application that is not given, the one is taken that passes, if any. */
export function answerLine(line: string): BatchAnswer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { Error: `not JSON: ${error instanceof Error ? error.message : error}` };
  }
  if (!validate(value)) {
    const [first] = validate.errors ?? [];
    return {
      Error: `${(first?.instancePath ?? '').replaceAll('/', '.').replace(/^\./, '') || 'the line'} ${first?.message}`,
    };
  }
  try {
    const cluster = new Cluster(resourcesOf(value));
    return { Verdicts: value.Queries.map((query) => answer(query, cluster)) };
  } catch (error) {
    if (error instanceof QuestionError) return { Error: error.message };
    throw error;
  }
}

function resourcesOf({ Namespaces, Pods, Policies }: BatchLine): Resource[] {
  const manifests = [
    ...Object.entries(Namespaces ?? {}).map(([name, own]) => ({
      ...{ apiVersion: 'v1', kind: 'Namespace' },
      metadata: { name, labels: own ?? {} },
    })),
    ...Pods.map(podManifest),
    // Tools that write these from Go leave out what the type already says.
    ...(Policies ?? []).map((policy) => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', ...policy })),
  ];
  const resources = manifests.map((manifest) => {
    const parsed = parseManifest(manifest);
    if ('resource' in parsed) return parsed.resource;
    throw new QuestionError(parsed.refusals.map(({ message }) => message).join('; '));
  });
  return unlike(resources);
}

/** Throws QuestionError where two are the same resource. */
function unlike(resources: readonly Resource[]): Resource[] {
  const byName = new Map(resources.map((resource) => [describe(resource), resource]));
  const twice = resources.find((resource) => byName.get(describe(resource)) !== resource);
  if (twice) throw new QuestionError(`${describe(twice)} is there twice`);
  return [...byName.values()];
}

function podManifest({ Namespace, Name, IP, Labels, Ports }: BatchLine['Pods'][number]): object {
  const ports = (Ports ?? []).map(({ Name: name, Port, Protocol = 'TCP' }) => ({
    ...(name ? { name } : {}),
    ...{ containerPort: Port, protocol: Protocol.toUpperCase() },
  }));
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: Namespace, name: Name, labels: Labels ?? {} } },
    ...{ spec: { containers: [{ ports }] }, status: IP ? { podIP: IP } : {} },
  };
}

function answer({ From, To, Proto, Port, Application }: BatchLine['Queries'][number], cluster: Cluster): BatchVerdict {
  const [from, to] = [readEndpoint(From, cluster, 'from'), readEndpoint(To, cluster, 'to')];
  const hasPort = Port !== undefined && Port !== 0;
  const service = readService(hasPort ? `${Proto}/${Port}` : Proto, to);
  const application = Application === undefined ? undefined : readApplication(Application);
  const verdict = judge({ from, to, service, application }, cluster);
  const { egress, ingress } = verdict;
  return {
    ...{ From, To, Proto, ...(Port === undefined ? {} : { Port }) },
    ...{
      Ingress: verdictOf(isAllowed(ingress)),
      Egress: verdictOf(isAllowed(egress)),
      Combined: verdictOf(passesBoth(verdict)),
    },
    ...{ IngressRule: ruleOf(ingress), EgressRule: ruleOf(egress) },
  };
}

const verdictOf = (isPassing: boolean): 'allowed' | 'blocked' => (isPassing ? 'allowed' : 'blocked');

/** Of the outcome that passes, where it depends on the application. */
function ruleOf({ outcomes }: Side): string | null {
  const deciding = outcomes.findLast(passes) ?? outcomes.at(-1);
  return (deciding && deciderName(deciding.by)) ?? null;
}
