// What each pod's policy would be: the way of a rule from resources to what dp is sent, without etcd and kernel. Pure.
import { type ComputedPolicy, computePolicy, type WorkloadIdentity } from '@podwall/agent/policy/policy.ts';
import { namedGroups } from '@podwall/agent/store/references.ts';
import { parseMember, parseResource, parseWorkload } from '@podwall/agent/store/values.ts';
import { canonicalAddress } from '@podwall/controller/addresses/range.ts';
import {
  type GroupMember,
  keys,
  type PublishedResource,
  type PublishedWorkload,
} from '@podwall/controller/api/keyspace.ts';
import type { Pod, Resource, Rule } from '@podwall/controller/api/resources.ts';
import { compile } from '@podwall/controller/compile/compile.ts';
import { countGenerations } from '@podwall/controller/compile/generations.ts';
import { takeInventory } from '@podwall/controller/compile/inventory.ts';
import { type Declared, declare, NOTHING_UNREAD } from '@podwall/controller/sources/declared.ts';
import { referenceClassifier } from '@podwall/dp/policy/reference-classifier.ts';
import { ACTION } from '@podwall/dp/protocol/values.ts';

/** Of pods that no node has yet. */
const NO_NODE = 'none';
/** RFC 2544: no cluster's own. */
const STAND_IN = { prefix: '198.18', count: 0x10000 } as const;
const ANY_MAC = '02:00:00:00:00:01';

export type Classifier = ReturnType<typeof referenceClassifier>;

export type Enforced = {
  /** Those that select the pod, in the order in which they decide. */
  readonly resources: readonly PublishedResource[];
  readonly computed: ComputedPolicy;
  readonly classify: Classifier;
};

export class Cluster {
  readonly declared: Declared;
  /** By namespace/name, each with an address. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** By uid. */
  readonly rules: ReadonlyMap<string, Rule>;
  /** Names of the pods whose address stands in for one that they do not have yet. */
  readonly standIns: ReadonlySet<string>;
  readonly #workloads = new Map<string, PublishedWorkload>();
  readonly #resources = new Map<string, PublishedResource>();
  readonly #groups = new Map<string, GroupMember[]>();
  readonly #enforced = new Map<string, Enforced>();

  constructor(resources: readonly Resource[]) {
    const declared = declare(resources, [], NOTHING_UNREAD);
    const { pods, standIns } = withAddresses(declared.pods);
    this.declared = { ...declared, pods };
    this.pods = new Map(pods.map((pod) => [podName(pod), pod]));
    this.standIns = standIns;
    this.rules = new Map(declared.rules.map((rule) => [rule.uid, rule]));
    this.#read(publish(this.declared));
  }

  /** Undefined for a pod that Podwall leaves alone: on its node's network, or ended. */
  enforcedOn(pod: Pod): Enforced | undefined {
    const known = this.#enforced.get(pod.uid);
    if (known) return known;
    const workload = this.#workloads.get(pod.uid);
    if (!workload) return undefined;
    const resources = workload.resources.flatMap((uid) => this.#resources.get(uid) ?? []);
    const computed = computePolicy(this.#identityOf(pod, workload), resources, this.#groups);
    const enforced = { resources, computed, classify: classifierOf(computed) };
    this.#enforced.set(pod.uid, enforced);
    return enforced;
  }

  /** What these resources alone would be for the pod, without its node's part. */
  classifierFor(pod: Pod, resources: readonly PublishedResource[]): Classifier | undefined {
    const workload = this.#workloads.get(pod.uid);
    if (!workload) return undefined;
    const identity = { ...this.#identityOf(pod, workload), nodeIps: [] };
    return classifierOf(computePolicy(identity, resources, this.#groups));
  }

  /** One that runs, and has the address for itself. */
  podWithAddress(text: string): Pod | undefined {
    const ip = canonicalAddress(text);
    return [...this.pods.values()].find(
      ({ ips, isOnHostNetwork, hasEnded }) => !isOnHostNetwork && !hasEnded && ips.includes(ip),
    );
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.declared.namespaces.find((namespace) => namespace.name === name)?.labels ?? {};
  }

  #identityOf({ ips, node }: Pod, { uid, ports }: PublishedWorkload): WorkloadIdentity {
    const nodeIps = this.declared.nodes.find(({ name }) => name === node)?.ips ?? [];
    return { id: uid, mac: ANY_MAC, ips, ports, nodeIps };
  }

  /** As an agent reads etcd. */
  #read(entries: ReadonlyMap<string, string>): void {
    for (const [key, value] of entries) {
      if (key.startsWith(keys.rulesPrefix)) {
        const resource = parseResource(value);
        this.#resources.set(resource.uid, resource);
        for (const hash of namedGroups([resource])) if (!this.#groups.has(hash)) this.#groups.set(hash, []);
      } else if (key.startsWith(keys.groupsPrefix)) {
        const hash = key.slice(keys.groupsPrefix.length).split('/')[0] ?? '';
        const members = this.#groups.get(hash) ?? [];
        members.push(parseMember(value));
        this.#groups.set(hash, members);
      } else {
        const workload = parseWorkload(value);
        this.#workloads.set(workload.uid, workload);
      }
    }
  }
}

export const podName = ({ namespace, name }: Pick<Pod, 'namespace' | 'name'>): string => `${namespace}/${name}`;

function publish({ rules, pods, namespaces, nodes }: Declared): ReadonlyMap<string, string> {
  const scheduled = pods.map((pod) => (pod.node === '' ? { ...pod, node: NO_NODE } : pod));
  const inventory = takeInventory(scheduled, namespaces, nodes, new Map());
  return compile(rules, countGenerations(rules, new Map()), inventory).entries;
}

/** A pod of a file may have no address yet. */
function withAddresses(pods: readonly Pod[]): { pods: Pod[]; standIns: Set<string> } {
  const standIns = new Set<string>();
  const addressed = pods.map((pod, index) => {
    if (pod.ips.length > 0) return pod;
    standIns.add(podName(pod));
    const number = (index + 1) % STAND_IN.count;
    return { ...pod, ips: [`${STAND_IN.prefix}.${number >> 8}.${number & 0xff}`] };
  });
  return { pods: addressed, standIns };
}

function classifierOf({ policy }: ComputedPolicy): Classifier {
  if (!policy) return () => ({ action: ACTION.open, ruleId: 0 });
  return referenceClassifier({
    defaultAction: policy.defact,
    directions: policy.apply_dir,
    rules: policy.policy_rules,
  });
}
