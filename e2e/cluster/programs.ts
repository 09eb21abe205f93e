// Builds the programs that a cluster is made of, each from its public Go module at the version that go/go.mod pins.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { mustRun, type RunOptions } from '../lab/command.ts';
import { LabError } from '../lab/failure.ts';
import type { Say } from '../lab/progress.ts';
import { findGo } from './go-toolchain.ts';
import { CACHE, PROGRAMS } from './places.ts';

const MODULE = join(import.meta.dirname, 'go');
const KUBERNETES = 'k8s.io/kubernetes';
const GO_LIST_TIMEOUT_MS = 10 * 60_000;
const SAY_EVERY_MS = 30_000;
const SHOWN_LOG_CHARACTERS = 2_000;

type Batch = { readonly packages: readonly string[]; readonly tags?: string; readonly usesC?: boolean };

/** With any provider. */
const TOOLS: Batch = {
  packages: [
    ...[`${KUBERNETES}/cmd/kubectl`, `${KUBERNETES}/test/images/agnhost`],
    ...['helm.sh/helm/v4/cmd/helm', 'go.etcd.io/etcd/server/v3'],
  ],
};
const KIND: Batch = { packages: ['sigs.k8s.io/kind'] };
const CLUSTER: Batch = {
  packages: [
    ...['./coredns', './pause'],
    ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'].map(
      (name) => `${KUBERNETES}/cmd/${name}`,
    ),
    ...['containerd', 'containerd-shim-runc-v2', 'ctr'].map(
      (name) => `github.com/containerd/containerd/v2/cmd/${name}`,
    ),
    ...['ipam/host-local', 'main/bridge', 'main/loopback', 'main/ptp', 'meta/portmap'].map(
      (name) => `github.com/containernetworking/plugins/plugins/${name}`,
    ),
  ],
  tags: 'no_btrfs,no_devmapper,no_zfs',
};
const RUNC: Batch = { packages: ['github.com/opencontainers/runc'], tags: 'seccomp', usesC: true };

/** Into PROGRAMS. Some ten minutes with empty Go caches, seconds when all is built. Say is told how it goes. */
export async function buildPrograms(forKind: boolean, say: Say, options: RunOptions): Promise<void> {
  await mkdir(PROGRAMS, { recursive: true });
  const go = await findGo(say, options);
  const flags = await flagsOf(go, options);
  const build: Build = { go, flags, log: join(CACHE, 'build.log'), say, options };
  for (const batch of forKind ? [TOOLS, KIND] : [TOOLS, CLUSTER, RUNC]) await buildBatch(build, batch);
  await rename(join(PROGRAMS, 'server'), join(PROGRAMS, 'etcd'));
}

type Build = {
  readonly go: string;
  readonly flags: readonly string[];
  readonly log: string;
  readonly say: Say;
  readonly options: RunOptions;
};

/** Kubernetes' programs say their version, which a plain build leaves out. */
async function flagsOf(go: string, options: RunOptions): Promise<string[]> {
  const list = [go, '-C', MODULE, 'list', '-m', '-f', '{{.Version}}', KUBERNETES] as const;
  const version = (await mustRun(list, { ...options, timeoutMs: GO_LIST_TIMEOUT_MS })).stdout.trim();
  const [major = '', minor = ''] = version.replace('v', '').split('.');
  const set = Object.entries({ gitVersion: version, gitMajor: major, gitMinor: minor });
  const settings = set.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ['-trimpath', '-buildvcs=false', '-ldflags', ['-s', '-w', ...settings].join(' ')];
}

async function buildBatch({ go, flags, log, say, options }: Build, batch: Batch): Promise<void> {
  const { packages, tags, usesC = false } = batch;
  await using file = await open(log, 'w');
  const tagged = tags ? ['-tags', tags] : [];
  // Nice: a build of some minutes leaves the machine to whoever works at it.
  const args = ['-n', '10', go, '-C', MODULE, 'build', '-v', ...flags, ...tagged, '-o', `${PROGRAMS}/`, ...packages];
  const child = spawn('nice', args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, CGO_ENABLED: usesC ? '1' : '0', GOWORK: 'off' },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const ended = once(child, 'close');
  let compiled = 0;
  const timer = setInterval(() => say(`building the cluster’s programs: ${compiled} packages compiled`), SAY_EVERY_MS);
  try {
    for await (const line of createInterface(child.stderr)) {
      if (!line.startsWith('go: ')) compiled++; // else a download
      await file.write(`${line}\n`);
    }
    const [code] = await ended;
    if (code === 0) return;
  } finally {
    clearInterval(timer);
  }
  options.signal?.throwIfAborted();
  const said = (await readFile(log, 'utf8')).slice(-SHOWN_LOG_CHARACTERS);
  throw new LabError('CommandFailed', `go build failed; the end of ${log}:\n${said}`);
}
