// For tests: another version of dp, compiled from a copy of this one whose kernel contract was edited.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const DP = `${import.meta.dirname}/..`;
const MODULES = `${DP}/../node_modules`;

/** Each must occur in bpf/include/abi.h. */
export type Edit = readonly [from: string, to: string];

/** What tests put there; another field in every table, in another order, and wider or narrower. */
export const ANOTHER_LAYOUT: readonly Edit[] = [
  ['struct flow_key {\n', 'struct flow_key {\n\t__u64 test_added;\n'],
  ['struct flow {\n', 'struct flow {\n\t__u64 test_added;\n'],
  ['\t__u32 start[2];', '\t__u64 test_between;\n\t__u32 start[2];'],
  ['struct denial {\n', 'struct denial {\n\t__u64 test_added;\n'],
  ['struct fragment_key {\n', 'struct fragment_key {\n\t__u64 test_added;\n'],
  ['struct endpoint {\n', 'struct endpoint {\n\t__u32 test_added;\n'],
  ['struct endpoint_address {\n', 'struct endpoint_address {\n\t__u64 test_added;\n'],
  ['struct fqdn_ids {\n', 'struct fqdn_ids {\n\t__u32 test_added;\n'],
  ['struct address_names {\n', 'struct address_names {\n\t__u32 test_added;\n'],
  ['struct hit_key {\n', 'struct hit_key {\n\t__u64 test_added;\n'],
  ['struct hit_count {\n', 'struct hit_count {\n\t__u64 test_added;\n'],
  ['struct drop_count {\n', 'struct drop_count {\n\t__u64 test_added;\n'],
  ['struct event {\n', 'struct event {\n\t__u64 test_added;\n'],
];
export const ANOTHER_POLICY_FORMAT: readonly Edit[] = [['#define POLICY_FORMAT 1', '#define POLICY_FORMAT 2']];

/** Answers the folder that has main.ts, lab and all else of dp. */
export function buildVariant(directory: string, name: string, edits: readonly Edit[]): string {
  const root = join(directory, name);
  const dp = join(root, 'dp');
  cpSync(DP, dp, { recursive: true, filter: (path) => !path.endsWith('.test.ts') && basename(path) !== 'build' });
  symlinkSync(MODULES, join(root, 'node_modules'));
  const header = join(dp, 'bpf/include/abi.h');
  writeFileSync(header, edits.reduce(edited, readFileSync(header, 'utf8')));
  execFileSync('make', ['-s', '-C', join(dp, 'bpf')]);
  execFileSync(process.execPath, [join(dp, 'kernel/abi.ts')]);
  return dp;
}

function edited(text: string, [from, to]: Edit): string {
  if (!text.includes(from)) throw new Error(`abi.h has no ${JSON.stringify(from)}`);
  return text.replace(from, to);
}
