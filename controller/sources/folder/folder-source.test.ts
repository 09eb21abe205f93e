import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe as describeResource } from '../../api/resources.ts';
import { openLog } from '../../log.ts';
import type { Declared } from '../declared.ts';
import { FolderSource } from './folder-source.ts';

const TIMEOUT_MS = 5000;
/** Longer than it takes to read a change and to believe a removal. */
const SETTLED_MS = 600;

const rule = (name: string, port = 'tcp/80') => `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {}
  egress: [{name: web, action: Allow, ports: [${port}]}]
`;

/** A folder of its own, followed: what it declares, as text, and all that it declared on the way. */
class Followed implements AsyncDisposable {
  readonly folder: string;
  readonly history: string[] = [];
  declared: Declared | undefined;
  readonly #source: FolderSource;

  private constructor(folder: string) {
    this.folder = folder;
    this.#source = new FolderSource(folder, openLog('silent'), (declared) => {
      this.declared = declared;
      this.history.push(this.rules());
    });
  }

  static async open(files: Readonly<Record<string, string>>): Promise<Followed> {
    const folder = await mkdtemp(join(tmpdir(), 'podwall-folder-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const followed = new Followed(folder);
    await followed.until(() => followed.declared !== undefined);
    return followed;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(this.path(name), text);
  }

  rules(): string {
    const rules = this.declared?.rules ?? [];
    return rules
      .map(({ name, spec }) => `${name}:${spec.egress?.[0]?.ports?.join()}`)
      .sort()
      .join(' ');
  }

  refusals(): string[] {
    return (this.declared?.refusals ?? []).map(({ message }) => message);
  }

  async until(isSo: () => boolean): Promise<void> {
    const deadline = Date.now() + TIMEOUT_MS;
    while (!isSo()) {
      assert.ok(Date.now() < deadline, `still ${this.rules() || 'nothing'}, refused ${this.refusals()}`);
      await sleep(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

describe('a folder', { concurrency: true }, () => {
  it('declares what its files hold, several documents a file, without status and hidden files', async () => {
    await using folder = await Followed.open({
      'a.yaml': `${rule('a')}---${rule('b')}---\n# nothing\n`,
      'c.yml': `apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: shop}}]`,
      'shop.a.status.yaml': rule('status'),
      '.hidden.yaml': rule('hidden'),
      'notes.txt': 'none',
    });
    assert.equal(folder.rules(), 'a:tcp/80 b:tcp/80');
    assert.deepEqual(
      folder.declared?.namespaces.map(({ name }) => name),
      ['shop'],
    );
    assert.notEqual(folder.declared?.unread, 'unknown');
  });

  it('declares NetworkPolicies, and namespaces with their labels', async () => {
    const metadata = 'metadata: {name: web, namespace: shop}';
    await using folder = await Followed.open({
      'rule.yaml': rule('web'),
      'policy.yaml': `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n${metadata}\nspec: {podSelector: {}}`,
      'shop.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}',
    });
    assert.deepEqual(folder.refusals(), []);
    assert.deepEqual(folder.declared?.rules.map(describeResource).sort(), [
      'NetworkPolicy shop/web',
      'NetworkRule shop/web',
    ]);
    assert.deepEqual(
      folder.declared?.namespaces.map(({ labels }) => labels),
      [{ team: 'a', 'kubernetes.io/metadata.name': 'shop' }],
    );
  });

  it('is followed as files are added, changed and deleted', async () => {
    await using folder = await Followed.open({});
    assert.equal(folder.rules(), '');
    await folder.write('a.yaml', rule('a'));
    await folder.until(() => folder.rules() === 'a:tcp/80');
    await folder.write('a.yaml', rule('a', 'tcp/81'));
    await folder.until(() => folder.rules() === 'a:tcp/81');
    await unlink(folder.path('a.yaml'));
    await folder.until(() => folder.rules() === '');
    assert.deepEqual(
      folder.history.filter((text, index, all) => text !== all[index - 1]),
      ['', 'a:tcp/80', 'a:tcp/81', ''],
    );
  });

  it('keeps what a file had for as long as it is bad, and takes it over once repaired', async () => {
    await using folder = await Followed.open({ 'a.yaml': `${rule('a')}---${rule('b')}` });
    await folder.write('a.yaml', `${rule('a', 'tcp/81')}---${rule('b', 'tcp/99999')}`);
    await folder.until(() => folder.refusals().length > 0);
    assert.equal(folder.rules(), 'a:tcp/80 b:tcp/80');
    assert.deepEqual(
      folder.declared?.refusals.map(({ resource }) => resource),
      [{ kind: 'NetworkRule', namespace: 'shop', name: 'b' }],
    );
    assert.match(
      folder.refusals()[0] ?? '',
      /^a\.yaml: NetworkRule shop\/b: spec\.egress\[0\]\.ports\[0\]: "tcp\/99999" is not a port/,
    );
    assert.notEqual(folder.declared?.unread, 'unknown');
    await folder.write('a.yaml', `${rule('a', 'tcp/81')}---${rule('b', 'tcp/82')}`);
    await folder.until(() => folder.refusals().length === 0);
    assert.equal(folder.rules(), 'a:tcp/81 b:tcp/82');
  });

  it('says where a file is no YAML', async () => {
    await using folder = await Followed.open({ 'a.yaml': `${rule('a')}---\nkind: [` });
    assert.match(folder.refusals()[0] ?? '', /^a\.yaml: document 2 is not YAML: .* at line \d+, column \d+$/);
  });

  it('is not complete while a file was never valid', async () => {
    await using folder = await Followed.open({ 'a.yaml': rule('a'), 'b.yaml': 'kind: [' });
    assert.equal(folder.rules(), 'a:tcp/80');
    assert.equal(folder.declared?.unread, 'unknown');
    await folder.write('b.yaml', rule('b'));
    await folder.until(() => folder.rules() === 'a:tcp/80 b:tcp/80');
    assert.notEqual(folder.declared?.unread, 'unknown');
  });

  it('never lacks a rule while its file is replaced, however an editor does it', async () => {
    await using folder = await Followed.open({ 'a.yaml': rule('a') });
    await rename(folder.path('a.yaml'), folder.path('a.yaml~')); // a backup first, then the new file: as vi does
    await sleep(100);
    await folder.write('a.yaml', rule('a', 'tcp/81'));
    await folder.until(() => folder.rules() === 'a:tcp/81');
    await folder.write('.a.yaml.tmp', rule('a', 'tcp/82')); // written aside, then put in place
    await rename(folder.path('.a.yaml.tmp'), folder.path('a.yaml'));
    await folder.until(() => folder.rules() === 'a:tcp/82');
    await folder.write('a.yaml', ''); // cut off, then written
    await sleep(100);
    await folder.write('a.yaml', rule('a', 'tcp/83'));
    await folder.until(() => folder.rules() === 'a:tcp/83');
    assert.ok(!folder.history.includes(''), folder.history.join(' | '));
  });

  it('never lacks a rule while its file gets another name', async () => {
    await using folder = await Followed.open({ 'a.yaml': rule('a') });
    await rename(folder.path('a.yaml'), folder.path('b.yaml'));
    await sleep(SETTLED_MS);
    assert.equal(folder.rules(), 'a:tcp/80');
    assert.deepEqual(folder.refusals(), []);
    assert.ok(!folder.history.includes(''), folder.history.join(' | '));
    await folder.write('b.yaml', rule('a', 'tcp/81'));
    await folder.until(() => folder.rules() === 'a:tcp/81');
  });

  it('leaves a rule to the file that has it, until that file gives it up', async () => {
    await using folder = await Followed.open({ 'b.yaml': rule('x') });
    await folder.write('a.yaml', rule('x', 'tcp/81'));
    await folder.until(() => folder.refusals().length > 0);
    assert.deepEqual(folder.refusals(), ['a.yaml: NetworkRule shop/x: it is already declared in b.yaml']);
    assert.equal(folder.rules(), 'x:tcp/80');
    await folder.write('b.yaml', rule('y'));
    await folder.until(() => folder.rules() === 'x:tcp/81 y:tcp/80');
  });

  it('refuses a file that declares a rule twice', async () => {
    await using folder = await Followed.open({ 'a.yaml': `${rule('a')}---${rule('a')}` });
    assert.deepEqual(folder.refusals(), ['a.yaml: NetworkRule shop/a: it is declared twice here']);
  });

  it('may be a mounted ConfigMap, whose files are links that are exchanged at once', async () => {
    await using folder = await Followed.open({});
    for (const version of ['1', '2']) {
      await mkdir(folder.path(`..v${version}`));
      await writeFile(folder.path(`..v${version}/a.yaml`), rule('a', `tcp/${version}`));
      await symlink(`..v${version}`, folder.path('..data_tmp'));
      await rename(folder.path('..data_tmp'), folder.path('..data'));
      if (version === '1') await symlink('..data/a.yaml', folder.path('a.yaml'));
      await folder.until(() => folder.rules() === `a:tcp/${version}`);
    }
  });

  it('may go and come back: all stays in force meanwhile', async () => {
    await using folder = await Followed.open({ 'a.yaml': rule('a') });
    await rename(folder.folder, `${folder.folder}.away`);
    await sleep(SETTLED_MS);
    assert.equal(folder.rules(), 'a:tcp/80');
    await mkdir(folder.folder);
    await folder.write('a.yaml', rule('a', 'tcp/81'));
    await folder.until(() => folder.rules() === 'a:tcp/81');
    await folder.write('a.yaml', rule('a', 'tcp/82'));
    await folder.until(() => folder.rules() === 'a:tcp/82');
    await rm(`${folder.folder}.away`, { recursive: true });
  });
});
