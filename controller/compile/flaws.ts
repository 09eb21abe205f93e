// What can't be seen in a rule alone: names of container ports that none of the pods has that it is about.
import { parsePort } from '../api/formats.ts';
import type { GroupMember, NamedPorts, PublishedResource } from '../api/keyspace.ts';

const GROUP = /^nv\.group\.(.+)$/;

/**
 * In words, one a rule and name. `selected`: ports of the pods that the resource is for; `membersOf`: of a group by its
 * hash. Where there is no pod yet, nothing is wrong yet.
 */
export function findFlaws(
  { rules }: PublishedResource,
  selected: readonly NamedPorts[],
  membersOf: (hash: string) => readonly GroupMember[],
): string[] {
  const flaws = rules.flatMap(({ name, direction, to, ports }) => {
    const [, hash] = GROUP.exec(direction === 'egress' ? to : '') ?? [];
    const known = hash === undefined ? selected : membersOf(hash).map((member) => member.ports);
    if (known.length === 0) return [];
    const isUnknown = (port: string): boolean =>
      parsePort(port)?.kind === 'named' && !known.some((named) => port in named);
    const whose = direction === 'egress' ? 'the pods that it names as peers' : 'the pods that it is for';
    return ports
      .split(',')
      .filter(isUnknown)
      .map((port) => `${direction} rule ${name}: none of ${whose} has a container port named ${JSON.stringify(port)}`);
  });
  return [...new Set(flaws)];
}
