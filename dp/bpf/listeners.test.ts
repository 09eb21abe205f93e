// What ctrl_cfg_mac tells of a workload's ports counts where no payload tells the application.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { APPLICATION } from '../protocol/applications.ts';
import { CommandError } from '../protocol/errors.ts';
import { ACTION, PROTOCOL } from '../protocol/values.ts';
import { Harness, type Workload } from './harness.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const PORT = 8080;
const RUBBISH = Buffer.from('what no application begins with');
const HTTP = Buffer.from('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const allowing = (app: 'HTTP' | 'Redis'): Workload =>
  harness.workload({ rules: [rule({ direction: 'ingress', ports: `tcp/${PORT}`, apps: { [app]: ACTION.open } })] });
const told = (app: number, port = PORT) => ({ apps: [{ ip_proto: PROTOCOL.tcp, port, app, server: 0 }] });

/** What becomes of the last of both sides' first payloads. */
function exchange(workload: Workload, fromPeer: Uint8Array, fromWorkload: Uint8Array = RUBBISH) {
  const connection = workload.connectionFrom(PEER, PORT).establish();
  const first = connection.say('client', fromPeer);
  return first === 'drop' ? first : connection.say('server', fromWorkload);
}

describe('a port of a workload', () => {
  it('speaks nothing that is known where nobody said so', () => {
    assert.equal(exchange(allowing('Redis'), RUBBISH), 'drop');
  });
  it('speaks what dp was told, where no payload tells', () => {
    const workload = allowing('Redis');
    workload.configure(told(APPLICATION.Redis));
    assert.equal(exchange(workload, RUBBISH), 'pass');
  });
  it('speaks what the payload tells, whatever dp was told', () => {
    const workload = allowing('Redis');
    workload.configure(told(APPLICATION.Redis));
    assert.equal(exchange(workload, HTTP), 'drop');
  });
  it('of another number is not meant', () => {
    const workload = allowing('Redis');
    workload.configure(told(APPLICATION.Redis, PORT + 1));
    assert.equal(exchange(workload, RUBBISH), 'drop');
  });
  it('is forgotten with the next list', () => {
    const workload = allowing('Redis');
    workload.configure(told(APPLICATION.Redis));
    workload.configure({ apps: null });
    assert.equal(exchange(workload, RUBBISH), 'drop');
  });
  it('keeps what was told where a command says nothing of ports', () => {
    const workload = allowing('Redis');
    workload.configure(told(APPLICATION.Redis));
    workload.configure({ tap: false });
    assert.equal(exchange(workload, RUBBISH), 'pass');
  });
  it('takes no number that is no application’s', () => {
    assert.throws(() => allowing('HTTP').configure(told(999)), CommandError);
  });
});
