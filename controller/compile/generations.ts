// Counts a resource's generation where its source does not: it rises whenever the spec changes.
import { createHash } from 'node:crypto';
import type { Rule } from '../api/resources.ts';

/** `digest` is of the spec that had the generation; absent where the source counts for itself. */
export type Generation = { readonly generation: number; readonly digest?: string };

export const FIRST_GENERATION: Generation = { generation: 1 };
const DIGEST_CHARACTERS = 16;

/** `known`: what each resource was last published as, by uid. Answers what each is to be published as now. */
export function countGenerations(
  rules: readonly Rule[],
  known: ReadonlyMap<string, Generation>,
): Map<string, Generation> {
  return new Map(rules.map((rule) => [rule.uid, nextGeneration(rule, known.get(rule.uid))]));
}

function nextGeneration({ generation, spec }: Rule, last: Generation | undefined): Generation {
  if (generation !== undefined) return { generation };
  const digest = createHash('sha256').update(canonicalJson(spec)).digest('hex').slice(0, DIGEST_CHARACTERS);
  if (!last) return { ...FIRST_GENERATION, digest };
  return { generation: last.digest === digest ? last.generation : last.generation + 1, digest };
}

/** JSON in which the order of members does not matter. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
