// The folder of manifests that the controller reads, and the status that it writes beside each rule.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Threat } from '@podwall/controller/api/keyspace.ts';
import type { NetworkRuleStatus, RuleHits } from '@podwall/controller/api/status.ts';
import { parse, parseDocument } from 'yaml';
import { waitFor } from './wait.ts';

export type RuleStatus = {
  /** The generation whose every rule is in force for every workload; 0: none yet. */
  readonly programmedGeneration: number;
  readonly rules: readonly RuleHits[];
  readonly threats: readonly Threat[];
  /** What is not as it should be, in the controller's words. */
  readonly problems: readonly string[];
};

export type RuleName = { readonly namespace: string; readonly name: string };

export const NO_STATUS: RuleStatus = { programmedGeneration: 0, rules: [], threats: [], problems: [] };

const PROGRAMMED_TIMEOUT_MS = 30_000;

export class RuleFolder {
  readonly path: string;
  readonly #signal: AbortSignal | undefined;

  private constructor(path: string, signal: AbortSignal | undefined) {
    this.path = path;
    this.#signal = signal;
  }

  static async create(path: string, signal?: AbortSignal): Promise<RuleFolder> {
    await mkdir(path);
    return new RuleFolder(path, signal);
  }

  /** Replaces the file at once, so that the controller never reads half of it. */
  async write(file: string, manifest: string): Promise<void> {
    const unfinished = join(this.path, `.${file}.new`);
    await writeFile(unfinished, manifest);
    await rename(unfinished, join(this.path, file));
  }

  async remove(file: string): Promise<void> {
    await rm(join(this.path, file));
  }

  async status({ namespace, name }: RuleName): Promise<RuleStatus> {
    const file = join(this.path, `${namespace}.${name}.status.yaml`);
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return text === undefined ? NO_STATUS : parseStatus(text);
  }

  /** Resolves once a later generation than this one is in force everywhere; throws LabError TimedOut after 30 s. */
  async untilProgrammed(rule: RuleName, laterThan: number): Promise<RuleStatus> {
    const attempt = async () => {
      const status = await this.status(rule);
      return status.programmedGeneration > laterThan ? status : undefined;
    };
    const what = `${rule.namespace}/${rule.name} to be in force (its status is in ${this.path})`;
    return waitFor(what, attempt, { timeoutMs: PROGRAMMED_TIMEOUT_MS, signal: this.#signal });
  }

  /** Writes the manifest, and resolves once it is in force. */
  async apply(file: string, manifest: string, rule: RuleName): Promise<RuleStatus> {
    const { programmedGeneration } = await this.status(rule);
    await this.write(file, manifest);
    return this.untilProgrammed(rule, programmedGeneration);
  }
}

type StatusFile = { readonly status?: NetworkRuleStatus };

export function parseStatus(text: string): RuleStatus {
  const { status } = (parse(text) ?? {}) as StatusFile; // what the controller writes into the file is of this type
  const programmed = status?.conditions.find(({ type }) => type === 'Programmed');
  return {
    programmedGeneration: programmed?.status === 'True' ? programmed.observedGeneration : 0,
    rules: status?.rules ?? [],
    threats: status?.threats.last ?? [],
    problems: status?.problems ?? [],
  };
}

/** The manifest with another action for one of its egress rules. */
export function withAction(manifest: string, rule: string, action: 'Allow' | 'Deny'): string {
  const document = parseDocument(manifest);
  const { spec } = document.toJS() as { readonly spec: { readonly egress: readonly { readonly name: string }[] } };
  const index = spec.egress.findIndex(({ name }) => name === rule);
  if (index < 0) throw new RangeError(`the manifest has no egress rule ${rule}`);
  document.setIn(['spec', 'egress', index, 'action'], action);
  return document.toString();
}
