// Where the other end of an interface is: real interfaces in namespaces of the test's own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { basename } from 'node:path';
import { after, describe, it } from 'node:test';
import { Lab } from '../lab/lab.ts';
import { NETNS_CURRENT, NETNS_UNKNOWN } from './abi.gen.ts';

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());
const ip = (...words: string[]) => execFileSync('ip', ['-n', basename(lab.host), ...words], { encoding: 'utf8' });

/** As a dp in the lab's host namespace sees it; what was thrown instead, as text. */
function behind(iface: string): number | string {
  const script = `
    const { namespaceBehind } = await import(${JSON.stringify(`${import.meta.dirname}/link-namespace.ts`)});
    const { interfaceIndex } = await import(${JSON.stringify(`${import.meta.dirname}/libc.ts`)});
    try {
      console.log(JSON.stringify(namespaceBehind(interfaceIndex(${JSON.stringify(iface)}) ?? 4321)));
    } catch (error) {
      console.log(JSON.stringify(error.message));
    }`;
  const command = [`--net=${lab.host}`, '--', process.execPath, '--input-type=module', '-e', script];
  return JSON.parse(execFileSync('nsenter', command, { encoding: 'utf8' }));
}

describe('the namespace behind an interface', () => {
  it('is known by its id, also where it had none before', () => {
    const id = behind('veth0');
    const [link] = JSON.parse(ip('-j', 'link', 'show', 'veth0'));
    assert.equal(id, link.link_netnsid);
  });
  it('is the same one where both ends are in it', () => {
    ip('link', 'add', 'here0', 'type', 'veth', 'peer', 'name', 'here1');
    assert.equal(behind('here0'), NETNS_CURRENT);
  });
  it('is not known of an interface without another end', () => {
    assert.equal(behind('lo'), NETNS_UNKNOWN);
    ip('link', 'add', 'bridge0', 'type', 'bridge');
    assert.equal(behind('bridge0'), NETNS_UNKNOWN);
  });
  it('of an interface that is gone is an error', () => {
    assert.equal(behind('nothing0'), 'RTM_GETLINK: ENODEV');
  });
});
