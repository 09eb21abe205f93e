// A real containerd in a lab's node: its pods hang on that node's network namespace, and all of it goes with the lab.
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IMAGES, PROGRAMS, program } from '../cluster/places.ts';
import { type Command, mustRun, run } from '../lab/command.ts';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { PAUSE_IMAGE } from './pods.ts';

const READY_TIMEOUT_MS = 30_000;
/** Pods' addresses. */
export const POD_SUBNET = '10.77.0.0/16';

export type ContainerdOptions = {
  /** Further lines of its configuration. */
  readonly extra?: string;
  /** Whether NRI is on, as it is unless told. */
  readonly nri?: boolean;
};

/** Why it can't run here; undefined where it can. */
export function missing(): string | undefined {
  const programs = ['containerd', 'containerd-shim-runc-v2', 'runc', 'ctr', 'ptp', 'host-local', 'loopback'];
  const files = [...programs.map(program), join(IMAGES, 'pause.tar')];
  const absent = files.filter((file) => !existsSync(file));
  return absent.length > 0 ? `no ${absent.join(', ')}: run "npm run cluster -- up --build-only"` : undefined;
}

export class Containerd {
  readonly socket: string;
  readonly nriSocket: string;
  readonly #lab: Lab;
  readonly #process: LabProcess;
  readonly #pidFile: string;
  /** Of the first process in its namespaces, as the machine sees it. */
  readonly #init: number;

  private constructor(lab: Lab, labProcess: LabProcess, init: number) {
    this.#lab = lab;
    this.#process = labProcess;
    this.#init = init;
    this.socket = lab.file('containerd.sock');
    this.nriSocket = lab.file('nri/nri.sock');
    this.#pidFile = lab.file('containerd.pid');
  }

  /** Resolves once it answers, with the image that sandboxes need. */
  static async start(lab: Lab, options: ContainerdOptions = {}): Promise<Containerd> {
    await mkdir(lab.file('cni'));
    await mkdir(lab.file('nri'));
    await writeFile(lab.file('cni/10-lab.conflist'), cni(lab));
    await writeFile(lab.file('containerd.toml'), configuration(lab, options));
    // Its own pid and mount namespaces: whatever becomes of it, no pod and no mount of it stays.
    const keepRunning = `while :; do containerd --config ${lab.file('containerd.toml')} & echo $! >${lab.file('containerd.pid')}; wait $!; sleep 0.2; done`;
    const own = ['--mount', '--propagation', 'slave', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const path = `PATH=${PROGRAMS}:${process.env.PATH}`;
    const labProcess = await lab.start('containerd', lab.node, [
      ...(['env', path, 'unshare', ...own] as const),
      ...['sh', '-c', keepRunning],
    ]);
    const init = await childOf(labProcess.pid ?? 0);
    const containerd = new Containerd(lab, labProcess, init);
    await containerd.untilAnswering();
    await containerd.#ctr('-n', 'k8s.io', 'images', 'import', join(IMAGES, 'pause.tar'));
    return containerd;
  }

  /** Where its mounts are to be seen. */
  inside(command: Command): Command {
    return ['nsenter', `--mount=/proc/${this.#init}/ns/mnt`, '--', ...command];
  }

  /** Ends it; it is started again at once. Its pods go on. */
  async restart(): Promise<void> {
    const before = await readFile(this.#pidFile, 'utf8');
    await this.#inItsNamespaces('kill', before.trim());
    const again = async () => (await readFile(this.#pidFile, 'utf8')) !== before || undefined;
    await waitFor('containerd to be started again', again, { timeoutMs: READY_TIMEOUT_MS });
    await this.untilAnswering();
  }

  async untilAnswering(): Promise<void> {
    const probe = async () => (await run(this.#ctrCommand('version'))).code === 0 || undefined;
    await waitFor('containerd to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: this.#lab.signal });
  }

  log(): Promise<string> {
    return this.#process.log();
  }

  #inItsNamespaces(...command: Command) {
    return mustRun(['nsenter', '--target', String(this.#init), '--pid', '--mount', '--', ...command]);
  }

  #ctr(...args: readonly string[]) {
    return mustRun(this.#ctrCommand(...args), { timeoutMs: READY_TIMEOUT_MS });
  }

  #ctrCommand(...args: readonly string[]): Command {
    return this.inside([program('ctr'), '--address', this.socket, ...args]);
  }
}

async function childOf(pid: number): Promise<number> {
  const read = async () => {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    return Number(children.trim().split(' ')[0]) || undefined;
  };
  return waitFor('the namespaces of containerd', read, { timeoutMs: READY_TIMEOUT_MS, everyMs: 10 });
}

const configuration = (lab: Lab, { extra = '', nri = true }: ContainerdOptions): string => `version = 3
root = '${lab.file('containerd')}'
state = '${lab.file('run')}'
[grpc]
  address = '${lab.file('containerd.sock')}'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.runtime']
  disable_cgroup = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['${PROGRAMS}']
  conf_dir = '${lab.file('cni')}'
[plugins.'io.containerd.nri.v1.nri']
  disable = ${!nri}
  socket_path = '${lab.file('nri/nri.sock')}'
${extra}`;

const cni = (lab: Lab): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'lab',
    plugins: [
      {
        type: 'ptp',
        ipam: {
          type: 'host-local',
          dataDir: lab.file('addresses'),
          ranges: [[{ subnet: POD_SUBNET }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ],
  });
