// One file of manifests: valid as a whole or not at all.
import { parseManifest, type Refusal, unwrapList } from '../../api/parse.ts';
import { describe, type Resource } from '../../api/resources.ts';
import { parseYaml } from '../../yaml.ts';

export type ManifestFile = {
  /** In the order of the file; those that are valid where the file as a whole is not. */
  readonly resources: readonly Resource[];
  /** Each message begins with the file's name. Empty for a valid file. */
  readonly refusals: readonly Refusal[];
};

export function parseManifestFile(file: string, text: string): ManifestFile {
  const resources: Resource[] = [];
  const refusals: Refusal[] = [];
  const refuse = ({ resource, message }: Refusal): void => {
    refusals.push({ resource, message: `${file}: ${message}` });
  };
  for (const [index, document] of parseYaml(text).entries()) {
    if ('error' in document) {
      refuse({ resource: undefined, message: `document ${index + 1} is not YAML: ${document.error}` });
      continue;
    }
    for (const manifest of unwrapList(document.value)) {
      const parsed = parseManifest(manifest);
      if ('resource' in parsed) resources.push(parsed.resource);
      else
        parsed.refusals.forEach((refusal) => {
          refuse(refusal.resource ? refusal : { ...refusal, message: `document ${index + 1}: ${refusal.message}` });
        });
    }
  }
  for (const [claim, { resource, count }] of countClaims(resources)) {
    if (count > 1)
      refuse({ resource, message: `${describe(resource)}: ${claim} is declared ${count} times in this file` });
  }
  return { resources, refusals };
}

/** What only one resource may have: its name among its kind, and its uid. */
export const claimsOf = (resource: Resource): string[] => [describe(resource), `uid ${resource.uid}`];

function countClaims(resources: readonly Resource[]): Map<string, { resource: Resource; count: number }> {
  const counts = new Map<string, { resource: Resource; count: number }>();
  for (const resource of resources) {
    for (const claim of new Set(claimsOf(resource))) {
      counts.set(claim, { resource, count: (counts.get(claim)?.count ?? 0) + 1 });
    }
  }
  return counts;
}
