// One file of manifests: valid as a whole or not at all.
import { type Refusal, unwrapList } from '../../api/parse.ts';
import { describe, type Resource } from '../../api/resources.ts';
import { parseYaml } from '../../yaml.ts';
import { readManifest } from '../read-manifest.ts';

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
      const read = readManifest(manifest);
      if ('resource' in read) {
        resources.push(read.resource);
        continue;
      }
      for (const { resource, message } of read.refusals) {
        refuse({ resource, message: resource ? message : `document ${index + 1}: ${message}` });
      }
    }
  }
  const claimed = new Set<string>();
  for (const resource of resources) {
    const claims = claimsOf(resource);
    const twice = claims.find((claim) => claimed.has(claim));
    if (twice)
      refuse({ resource, message: `${describe(resource)}: ${nameOf(twice, resource)} is declared twice here` });
    for (const claim of claims) claimed.add(claim);
  }
  return { resources, refusals };
}

/** What only one resource may have: its name among its kind, and its uid. */
export const claimsOf = (resource: Resource): string[] => [describe(resource), `uid ${resource.uid}`];

/** A claim in a message that already says which resource it is about. */
export const nameOf = (claim: string, resource: Resource): string =>
  claim === describe(resource) ? 'it' : `its ${claim}`;
