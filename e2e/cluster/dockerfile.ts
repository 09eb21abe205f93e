// The part of a Dockerfile's syntax that matters here: which images it starts from.

const FROM = /^\s*FROM\s+(?:--\S+\s+)*(?<image>\S+)(?:\s+AS\s+(?<stage>\S+))?/gim;

/** Each image that has to be there before the build, once: neither `scratch` nor a stage of the file itself. */
export function basesOf(dockerfile: string): string[] {
  const stages = new Set(['scratch']);
  const bases = new Set<string>();
  for (const { groups } of dockerfile.matchAll(FROM)) {
    if (groups?.image && !stages.has(groups.image)) bases.add(groups.image);
    if (groups?.stage) stages.add(groups.stage);
  }
  return [...bases];
}
