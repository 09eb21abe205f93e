// How the kernel programs tell applications apart, and what rules with applications then decide.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { application } from '../kernel/abi.gen.ts';
import { ACTION } from '../protocol/values.ts';
import type { Connection, Side } from './connection.ts';
import { Harness, type Workload } from './harness.ts';
import { TCP_FLAG } from './packets.ts';
import { codeOf, FIRST_PAYLOADS, firstPayload } from './payloads.ts';
import { rule } from './rules.ts';

const PEER = '10.1.0.9';
const HELLO = firstPayload('HTTPS');
const REQUEST = firstPayload('HTTP');
const NONSENSE = 'neither of these';

const harness = new Harness();
after(() => harness[Symbol.dispose]());

const other = (side: Side): Side => (side === 'client' ? 'server' : 'client');
const established = (workload: Workload, port = 443): Connection => workload.connectionTo(PEER, port).establish();

describe('the application of a connection', () => {
  const workload = harness.workload();
  for (const { application: name, side, by, bytes } of FIRST_PAYLOADS)
    it(`is ${name} where the ${side} begins with ${by}`, () => {
      const connection = established(workload);
      connection.say(side, bytes);
      assert.equal(connection.flow?.application, codeOf(name));
    });
  for (const { application: name, side, by, bytes } of FIRST_PAYLOADS)
    it(`is ${name} or unknown where the ${other(side)} begins with ${by} of a ${side}`, () => {
      const connection = established(workload);
      connection.say(other(side), bytes);
      assert.ok([codeOf(name), application.unknown].includes(connection.flow?.application ?? -1));
    });
  for (const { application: name, side, by, bytes } of FIRST_PAYLOADS)
    it(`is told of ${by} where the workload is the server (${name})`, () => {
      const connection = workload.connectionFrom(PEER, 8080).establish();
      connection.say(side, bytes);
      assert.equal(connection.flow?.application, codeOf(name));
    });
  it('is told by the second side where the first says nothing of itself', () => {
    const connection = established(workload);
    connection.say('client', NONSENSE);
    connection.say('server', firstPayload('SSH', 'server'));
    assert.equal(connection.flow?.application, application.ssh);
  });
  it('is told by a payload that comes with the SYN', () => {
    const connection = workload.connectionTo(PEER, 443);
    connection.segment('client', TCP_FLAG.syn, HELLO);
    assert.equal(connection.flow?.application, application.https);
  });
  it('is told by the first bytes, also where the second segment comes first', () => {
    const connection = established(workload);
    const at = 1_000_001;
    connection.packet('client', { flags: TCP_FLAG.ack, sequence: at + 100, payload: HELLO.subarray(100) });
    assert.equal(connection.flow?.application, application.unknown);
    connection.packet('client', { flags: TCP_FLAG.ack, sequence: at, payload: HELLO.subarray(0, 100) });
    assert.equal(connection.flow?.application, application.https);
  });
  it('stays what it is, whatever is said later', () => {
    const connection = established(workload);
    connection.say('client', HELLO);
    connection.say('client', REQUEST);
    assert.equal(connection.flow?.application, application.https);
  });
  it('is told anew for a new connection on the same ports', () => {
    const connection = established(workload);
    connection.say('client', HELLO);
    connection.establish();
    assert.equal(connection.flow?.application, application.unknown);
    connection.say('client', REQUEST);
    assert.equal(connection.flow?.application, application.http);
  });
  it('is DNS over UDP, from either side', () => {
    const query = firstPayload('DNS').subarray(2); // without the length that TCP needs
    const before = harness.datapath.flows().entries().length;
    workload.sendUdp(PEER, 53, query);
    const flows = harness.datapath.flows().entries();
    assert.equal(flows.length, before + 1);
    assert.ok(flows.some(([key, flow]) => key.protocol === 17 && flow.application === application.dns));
  });
  it('is unknown, for now, where a side begins with fewer bytes than tell it', () => {
    const connection = established(workload);
    connection.say('client', HELLO.subarray(0, 5));
    connection.say('client', HELLO.subarray(5));
    assert.equal(connection.flow?.application, application.unknown);
  });
  it('is unknown where the first packet seen is in the middle of the connection', () => {
    const connection = workload.connectionTo(PEER, 443);
    connection.say('client', HELLO);
    assert.equal(connection.flow?.application, application.unknown);
  });
});

describe('a rule with applications', () => {
  const httpsOnly = [rule({ id: 1001, ports: 'tcp/443', apps: { HTTPS: ACTION.open } })];

  it('lets the handshake and what its application sends through', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    assert.equal(connection.flow?.ruleId, 0, 'nothing is decided before the first payload');
    assert.equal(connection.say('client', HELLO), 'pass');
    assert.equal(connection.flow?.ruleId, 1001);
    assert.equal(connection.say('server', firstPayload('HTTPS', 'server')), 'pass');
  });
  it('drops the very payload that tells another application, its repetition, and all after it', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    assert.equal(connection.say('client', REQUEST), 'drop');
    assert.equal(connection.packet('client', { flags: 24, sequence: 1_000_001, payload: REQUEST }), 'drop');
    assert.equal(connection.say('server', 'HTTP/1.1 200 OK\r\n\r\n'), 'drop');
    assert.equal(connection.segment('client', TCP_FLAG.ack), 'drop');
  });
  it('keeps denying where its entry is pushed out of the table and no socket tells of it', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    assert.equal(connection.say('client', REQUEST), 'drop');
    harness.datapath.flows().delete(connection.key);
    assert.equal(connection.say('client', REQUEST), 'drop');
    harness.datapath.flows().delete(connection.key);
    assert.equal(connection.say('server', NONSENSE), 'drop');
  });
  it('says nothing of a later connection on the same ports, whose entry is pushed out too', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    assert.equal(connection.say('client', REQUEST), 'drop');
    connection.establish();
    assert.equal(connection.say('client', HELLO), 'pass');
    harness.datapath.flows().delete(connection.key);
    assert.equal(connection.say('client', NONSENSE), 'pass');
  });
  it('judges a new connection on the ports of a denied one anew', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    assert.equal(connection.say('client', REQUEST), 'drop');
    connection.establish();
    assert.equal(connection.say('client', HELLO), 'pass');
  });
  it('lets unknown payloads pass until both sides have spoken, and then goes on to the next rule', () => {
    const allowed = harness.workload({ rules: [...httpsOnly, rule({ id: 1002, ports: 'tcp/443' })] });
    const connection = established(allowed);
    assert.equal(connection.say('client', NONSENSE), 'pass');
    assert.equal(connection.say('client', NONSENSE), 'pass');
    assert.equal(connection.say('server', NONSENSE), 'pass');
    assert.equal(connection.flow?.ruleId, 1002);

    const denied = established(harness.workload({ rules: httpsOnly }));
    assert.equal(denied.say('client', NONSENSE), 'pass');
    assert.equal(denied.say('server', NONSENSE), 'drop');
    assert.equal(denied.say('client', NONSENSE), 'drop');
  });
  it('waits for no side that keeps silent while the other goes on', () => {
    const connection = established(harness.workload({ rules: httpsOnly }));
    const kilobyte = NONSENSE.repeat(64);
    const verdicts = Array.from({ length: 4 }, () => connection.say('client', kilobyte));
    assert.deepEqual(verdicts, ['pass', 'pass', 'pass', 'drop']);
  });
  it('says nothing of ports that it does not name', () => {
    assert.equal(harness.workload({ rules: httpsOnly }).connectionTo(PEER, 444).open(), 'drop');
  });
  it('is passed over at once where a rule of lower id decides', () => {
    const deny = rule({ id: 1000, ports: 'tcp/443', action: ACTION.deny });
    assert.equal(
      harness
        .workload({ rules: [deny, ...httpsOnly] })
        .connectionTo(PEER, 443)
        .open(),
      'drop',
    );
  });
  it('takes the action and the id that belong to the application', () => {
    const apps = [
      { app: 100, action: ACTION.deny, rid: 2001 },
      { app: 101, action: ACTION.open, rid: 2002 },
      { app: 500, action: ACTION.violate, rid: 2003 },
    ];
    const workload = harness.workload({ rules: [{ ...rule({ ports: 'tcp/1-9999' }), apps }] });
    const verdictAndRule = (bytes: Buffer, port: number) => {
      const connection = established(workload, port);
      const verdict = connection.say('client', bytes);
      const denial = harness.datapath.denials().get(connection.key);
      return [verdict, denial?.ruleId ?? connection.flow?.ruleId];
    };
    assert.deepEqual(verdictAndRule(REQUEST, 80), ['drop', 2001]);
    assert.deepEqual(verdictAndRule(HELLO, 443), ['pass', 2002]);
    assert.deepEqual(verdictAndRule(firstPayload('SSH'), 22), ['pass', 2003]);
    assert.deepEqual(verdictAndRule(firstPayload('Redis'), 6379), ['drop', 0]);
  });
  it('that denies its application leaves all others to the next rules', () => {
    const noHttp = rule({ id: 1001, apps: { HTTP: ACTION.deny } });
    const workload = harness.workload({ rules: [noHttp, rule({ id: 1002 })] });
    assert.equal(established(workload).say('client', REQUEST), 'drop');
    const allowed = established(workload);
    assert.equal(allowed.say('client', HELLO), 'pass');
    assert.equal(allowed.flow?.ruleId, 1002);
  });
  it('that denies is not escaped by a connection that was open before dp saw it', () => {
    const noHttp = rule({ id: 1001, apps: { HTTP: ACTION.deny } });
    const workload = harness.workload({ rules: [noHttp, rule({ id: 1002 })] });
    assert.equal(workload.connectionTo(PEER, 80).say('client', 'GET / HTTP/1.1\r\n\r\n'), 'drop');
  });
  it('that allows does not cut a connection that was open before dp saw it, where the next rule allows', () => {
    const workload = harness.workload({ rules: [...httpsOnly, rule({ id: 1002 })] });
    assert.equal(workload.connectionTo(PEER, 443).say('client', HELLO), 'pass');
  });
  it('of any protocol matches over UDP too', () => {
    const workload = harness.workload({ rules: [rule({ apps: { DNS: ACTION.open } })] });
    assert.equal(workload.sendUdp(PEER, 5353, firstPayload('DNS').subarray(2)), 'pass');
    const noDns = harness.workload({ rules: [rule({ apps: { DNS: ACTION.deny } }), rule({ id: 1002 })] });
    assert.equal(noDns.sendUdp(PEER, 5353, firstPayload('DNS').subarray(2)), 'drop');
    assert.equal(noDns.sendUdp(PEER, 5353, Buffer.from(NONSENSE)), 'pass');
  });
  it('decides again at a change of policy, by the application that is known', () => {
    const workload = harness.workload({ rules: httpsOnly });
    const connection = established(workload);
    connection.say('client', HELLO);
    workload.allowOnly(rule({ id: 1001, apps: { HTTPS: ACTION.deny } }), rule({ id: 1002 }));
    assert.equal(connection.say('client', 'more'), 'drop');
  });
  it('counts one hit a connection, for the rule that decided in the end', () => {
    const workload = harness.workload({ rules: [...httpsOnly, rule({ id: 1002, ports: 'tcp/80' })] });
    for (const port of [443, 443, 80]) established(workload, port).say('client', HELLO);
    established(workload).say('client', REQUEST);
    const hits = harness.datapath.hits.entries().filter(([key]) => key.endpoint === workload.id);
    const byRule = Object.fromEntries(hits.map(([key, count]) => [key.ruleId, count.hits]));
    assert.deepEqual(byRule, { 0: 1n, 1001: 2n, 1002: 1n });
  });
});
