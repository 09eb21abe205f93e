// How Node runs dp: with a small heap, and from compiled code, so that what strips the types is never loaded (20 MiB).
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { flushCompileCache, getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Room for young objects in MiB: more is faster than this only where garbage is never collected. `gc` is for release.ts. */
const FLAGS = ['--max-semi-space-size=4', '--expose-gc'] as const;
/** Of root, as dp is; another user's dp goes without. Node itself knows this variable. */
const CACHE = { variable: 'NODE_COMPILE_CACHE', directory: '/var/cache/podwall' } as const;
const WRITABLE_BY_OTHERS = 0o022;

/** Replaces this process by one with the settings of dp, but for those that Node was given; returns where it has them all. */
export function relaunch(): void {
  const missing = FLAGS.filter((flag) => !process.execArgv.some((given) => nameOf(given) === nameOf(flag)));
  const cache = process.env[CACHE.variable] ?? cacheDirectory();
  const hasCache = cache === undefined || cache === process.env[CACHE.variable];
  if (missing.length > 0 || !hasCache) execute(missing, cache);
}

/** Once all is loaded, with what serves metrics if told: where it was not compiled before, starts over with what is compiled now. */
export function keepCompiled(isMeasured: boolean): void {
  const directory = getCompileCacheDir();
  if (directory === undefined) return;
  const own = import.meta.dirname;
  const sources = fingerprint(isMeasured ? [own, metricsFolder()] : [own]);
  const mark = `${directory}/podwall-dp${isMeasured ? '-metrics' : ''}`;
  try {
    if (readFileSync(mark, { encoding: 'utf8', flag: 'a+' }) === sources) return;
    flushCompileCache();
    writeFileSync(mark, sources);
  } catch {
    return; // of another user, or on a full disk: it goes on with what it has loaded
  }
  execute([], undefined);
}

const nameOf = (flag: string): string => flag.replace(/=.*/, '').replaceAll('_', '-');

/** Same process, other program: its id, its parent and its open output stay. */
function execute(flags: readonly string[], cache: string | undefined): void {
  const { execPath, execArgv, argv, env } = process;
  const variables = cache === undefined ? env : { ...env, [CACHE.variable]: cache };
  process.execve?.(execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], variables);
}

/** Whoever writes there says what dp runs: nobody but its own user may. */
function cacheDirectory(): string | undefined {
  try {
    mkdirSync(CACHE.directory, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(CACHE.directory);
    return uid === process.getuid?.() && (mode & WRITABLE_BY_OTHERS) === 0 ? CACHE.directory : undefined;
  } catch {
    return undefined;
  }
}

const metricsFolder = (): string => dirname(fileURLToPath(import.meta.resolve('@podwall/metrics/server.ts')));

/** Of the sources in these folders: compiled code of others is no use. */
function fingerprint(folders: readonly string[]): string {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
  const hash = createHash('sha256');
  for (const path of files.sort()) {
    const { mtimeMs, size } = statSync(path);
    hash.update(`${path} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}
