// From texts of manifests to resources: what is none of ours is left out, what is ours and wrong is refused. Pure.
import { isOfConcern, parseManifest, unwrapList } from '@podwall/controller/api/parse.ts';
import { describe, type Resource } from '@podwall/controller/api/resources.ts';
import { parseYaml } from '@podwall/controller/yaml.ts';
import { ObjectError, type Objects } from './object-source.ts';

export type Text = { readonly name: string; readonly text: string };

/** Throws ObjectError with all that is wrong. Of what is of no concern here one word is said. */
export function parseManifests(texts: readonly Text[]): Objects {
  const found = new Map<string, { resource: Resource; name: string }>();
  const [errors, leftOut]: [string[], string[]] = [[], []];
  for (const { name, manifest, error } of texts.flatMap(manifestsOf)) {
    if (error !== undefined) {
      errors.push(`${name}: ${error}`);
      continue;
    }
    if (!isOfConcern(manifest)) {
      leftOut.push(`${name}: ${kindWords(manifest)}`);
      continue;
    }
    const parsed = parseManifest(manifest);
    if ('refusals' in parsed) {
      errors.push(...parsed.refusals.map(({ message }) => `${name}: ${message}`));
      continue;
    }
    const key = describe(parsed.resource);
    const twin = found.get(key);
    if (twin) errors.push(`${name}: ${key} is already in ${twin.name}`);
    else found.set(key, { resource: parsed.resource, name });
  }
  if (errors.length > 0) throw new ObjectError(errors);
  return { resources: [...found.values()].map(({ resource }) => resource), leftOut };
}

type Found = { readonly name: string; readonly manifest?: unknown; readonly error?: string };

function manifestsOf({ name, text }: Text): Found[] {
  return parseYaml(text).flatMap((document, index): Found[] => {
    if ('error' in document) return [{ name, error: `document ${index + 1} is not YAML: ${document.error}` }];
    return unwrapList(document.value).map((manifest) => ({ name, manifest }));
  });
}

function kindWords(manifest: unknown): string {
  const { kind, metadata } = (typeof manifest === 'object' && manifest !== null ? manifest : {}) as {
    kind?: unknown;
    metadata?: { name?: unknown };
  }; // looked at member by member
  return `${typeof kind === 'string' ? kind : 'no resource'} ${typeof metadata?.name === 'string' ? metadata.name : ''}`.trim();
}
