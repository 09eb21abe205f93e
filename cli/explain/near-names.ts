// Names like the one that was mistyped. Pure.

const MAX_NAMES = 5;
/** Of the longer one's characters, so many may differ. */
const MAX_DIFFERENCE = 0.4;

/** The most alike first; none where all are too different. */
export function nearNames(wanted: string, names: Iterable<string>): string[] {
  return [...names]
    .map((name) => ({ name, distance: editDistance(wanted, name) / Math.max(wanted.length, name.length, 1) }))
    .filter(({ name, distance }) => distance <= MAX_DIFFERENCE || name.endsWith(`/${wanted}`) || name.includes(wanted))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_NAMES)
    .map(({ name }) => name);
}

/** Levenshtein's: insertions, deletions and replacements of characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
