// Reads a manifest of whichever source: what is valid by itself, and small enough to be published.
import { type Parsed, parseManifest } from '../api/parse.ts';
import { describe } from '../api/resources.ts';
import { sizeFault } from '../compile/rules.ts';

export function readManifest(manifest: unknown): Parsed {
  const parsed = parseManifest(manifest);
  if ('refusals' in parsed || !('spec' in parsed.resource)) return parsed;
  const { resource } = parsed;
  const fault = sizeFault(resource);
  return fault === undefined ? parsed : { refusals: [{ resource, message: `${describe(resource)}: ${fault}` }] };
}
