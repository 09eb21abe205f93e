// What dp is to enforce for each workload of the node, from what etcd holds; and what stays while etcd has a gap.
import type { GroupMember, PublishedResource, PublishedWorkload } from '@podwall/controller/api/keyspace.ts';
import type { Target } from '../dp/steps.ts';
import type { Snapshot } from '../store/mirror.ts';
import { namedGroups } from '../store/references.ts';
import type { LocalWorkload } from '../workloads/links.ts';
import { PublishedWorkloads } from '../workloads/match.ts';
import { nameOf } from '../workloads/source.ts';
import { type ComputedPolicy, computePolicy } from './policy.ts';

export type WorkloadTarget = {
  readonly local: LocalWorkload;
  /** Absent for a workload that is known by name only, and not yet in etcd. */
  readonly uid?: string;
  readonly target: Target;
  /** Why the policy is not (or no longer) computed from what etcd holds, in words. */
  readonly waiting?: string;
};

type Inputs = readonly (LocalWorkload | PublishedWorkload | PublishedResource | readonly GroupMember[] | string)[];
/** What is known besides the workloads: of etcd (undefined before it answered), and of this node. */
export type Surroundings = { readonly snapshot: Snapshot | undefined; readonly nodeIps: readonly string[] };
type Known = { readonly inputs: Inputs; readonly result: WorkloadTarget };

/**
 * A policy in force ends with its workload, or when the controller says that nothing selects the workload (a key with
 * no resources). It never ends because a key is missing: that can't be told from a store that was wiped, from a
 * controller that is behind, or from a pod that was deleted by force and still runs.
 */
export class Targets {
  /** By MAC, which is how dp tells workloads apart. */
  #known = new Map<string, Known>();

  /** Workloads whose inputs are the same objects as the last time have the same target object. */
  update(
    locals: readonly LocalWorkload[],
    { snapshot, nodeIps }: Surroundings,
  ): { readonly targets: readonly WorkloadTarget[]; readonly problems: readonly string[] } {
    const published = new PublishedWorkloads(snapshot?.workloads ?? []);
    const next = new Map<string, Known>();
    const problems: string[] = [];
    for (const local of locals) {
      const { mac } = local.link;
      const same = next.get(mac);
      if (same) problems.push(`${nameOf(local)} has the MAC address of ${same.result.target.name} and is not policed`);
      else next.set(mac, this.#compute(local, published.find(local), { snapshot, nodeIps }));
    }
    this.#known = next;
    return { targets: [...next.values()].map(({ result }) => result), problems };
  }

  /** Of one workload, before all others are looked at. Undefined where its MAC is another's until `update` says otherwise. */
  updateOne(local: LocalWorkload, surroundings: Surroundings): WorkloadTarget | undefined {
    const known = this.#known.get(local.link.mac);
    if (known && !isSamePod(known.result.local, local)) return undefined;
    const published = new PublishedWorkloads(surroundings.snapshot?.workloads ?? []).find(local);
    const next = this.#compute(local, published, surroundings);
    this.#known.set(local.link.mac, next);
    return next.result;
  }

  #compute(local: LocalWorkload, published: PublishedWorkload | undefined, { snapshot, nodeIps }: Surroundings): Known {
    const known = this.#known.get(local.link.mac);
    const before = known && isSamePod(known.result.local, local) ? known : undefined;
    const uid = published?.uid ?? local.uid ?? before?.result.uid;
    const missing = missingOf(published, snapshot);
    const inputs = [...inputsOf(local, published, snapshot, missing), nodeIps.join()];
    if (before && isSame(before.inputs, inputs)) return before;
    const computed =
      published && snapshot && missing === undefined
        ? computeFor(local, published, snapshot, nodeIps)
        : before?.result.target.computed;
    const { mac, ips, hostInterface } = local.link;
    const target = { name: nameOf(local), mac, ips, hostInterface, ...(computed && { computed }) };
    const result = {
      local,
      target,
      ...(uid !== undefined && { uid }),
      ...(missing !== undefined && { waiting: missing }),
    };
    return { inputs, result };
  }
}

function computeFor(
  local: LocalWorkload,
  published: PublishedWorkload,
  snapshot: Snapshot,
  nodeIps: readonly string[],
): ComputedPolicy {
  const { mac, ips } = local.link;
  const identity = { id: published.uid, mac, ips, ports: published.ports, nodeIps };
  return computePolicy(identity, resourcesOf(published, snapshot), snapshot.groups);
}

/** What is needed and not there, in words. */
function missingOf(published: PublishedWorkload | undefined, snapshot: Snapshot | undefined): string | undefined {
  if (!snapshot) return 'etcd has not answered yet';
  if (!published) return 'the controller has not published this workload';
  const missing = published.resources.filter((uid) => !snapshot.resources.has(uid));
  return missing.length > 0 ? `the controller has not published the rules of ${missing.join(', ')}` : undefined;
}

function inputsOf(
  local: LocalWorkload,
  published: PublishedWorkload | undefined,
  snapshot: Snapshot | undefined,
  missing: string | undefined,
): Inputs {
  if (!published || !snapshot || missing !== undefined) return [local, missing ?? ''];
  const resources = resourcesOf(published, snapshot);
  const groups = [...namedGroups(resources)].flatMap((hash) => {
    const members = snapshot.groups.get(hash);
    return members ? [members] : [];
  });
  return [local, published, ...resources, ...groups];
}

const resourcesOf = (published: PublishedWorkload, { resources }: Snapshot): PublishedResource[] =>
  published.resources.flatMap((uid) => resources.get(uid) ?? []);

const isSame = (a: Inputs, b: Inputs): boolean => a.length === b.length && a.every((input, i) => input === b[i]);

/** A pod that was deleted and made anew may have its name, and its MAC address too. */
const isSamePod = (a: LocalWorkload, b: LocalWorkload): boolean =>
  nameOf(a) === nameOf(b) && (a.uid === undefined || b.uid === undefined || a.uid === b.uid);
