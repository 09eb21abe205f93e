// Reports to the agent's socket: none is lost while they fit the queue, and what is lost is counted.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { CommandSocket } from '../kernel/command-socket.ts';
import { Changes } from '../lab/waiting.ts';
import { Notifier } from './notifier.ts';

const MAX_WAITING = 4096;
/** What a socket's own queue takes before its reader has read any, at most. */
const MAX_QUEUED = 1024;

const directory = mkdtempSync(join(tmpdir(), 'podwall-notifier-'));
after(() => rmSync(directory, { recursive: true }));
let sockets = 0;
const newPath = () => join(directory, `agent-${++sockets}.sock`);
const report = (number: number): Buffer => Buffer.from(`report ${number}`);

/** An agent that reads only while it is asked to. */
class Reader implements AsyncDisposable {
  readonly #socket: CommandSocket;
  readonly #changes = new Changes();
  readonly numbers: number[] = [];
  #reading: Promise<void> | undefined;

  constructor(path: string) {
    this.#socket = CommandSocket.bind(path, 65_535);
  }

  /** From now on; waits until this report has come. */
  async until(number: number): Promise<void> {
    this.#reading ??= this.#read();
    const what = () => `report ${number}; ${this.numbers.length} have come`;
    await this.#changes.until(what, () => this.numbers.includes(number) || undefined);
  }

  async #read(): Promise<void> {
    for await (const { data } of this.#socket.datagrams()) {
      this.numbers.push(Number(Buffer.from(data).toString().replace('report ', '')));
      this.#changes.happened();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reading ??= this.#read();
    this.#socket[Symbol.dispose]();
    await this.#reading;
  }
}

const countUpTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('reports', () => {
  it('come in their order to an agent that reads', async () => {
    const path = newPath();
    await using agent = new Reader(path);
    using notifier = new Notifier(path, () => undefined);
    for (const number of countUpTo(1000)) notifier.send(report(number));
    await agent.until(999);
    assert.deepEqual(agent.numbers, countUpTo(1000));
    assert.equal(notifier.takeLost(), 0);
  });
  it('wait for an agent that comes later', async () => {
    const path = newPath();
    const states: string[] = [];
    using notifier = new Notifier(path, (state) => states.push(state));
    for (const number of countUpTo(100)) notifier.send(report(number));
    await using agent = new Reader(path);
    await agent.until(99);
    assert.deepEqual(agent.numbers, countUpTo(100));
    assert.equal(notifier.takeLost(), 0);
    assert.deepEqual(states, ['reached the agent']);
  });
  it('wait for an agent that reads slowly, and are all there', async () => {
    const path = newPath();
    await using agent = new Reader(path);
    using notifier = new Notifier(path, () => undefined);
    for (const number of countUpTo(MAX_WAITING)) notifier.send(report(number));
    await agent.until(MAX_WAITING - 1);
    assert.deepEqual(agent.numbers, countUpTo(MAX_WAITING));
    assert.equal(notifier.takeLost(), 0);
  });
  it('beyond the queue push out the oldest, and how many is known', async () => {
    const path = newPath();
    using notifier = new Notifier(path, () => undefined);
    const sent = MAX_WAITING + 500;
    for (const number of countUpTo(sent)) notifier.send(report(number));
    assert.equal(notifier.takeLost(), 500);
    assert.equal(notifier.takeLost(), 0, 'each is counted once');
    await using agent = new Reader(path);
    await agent.until(sent - 1);
    assert.deepEqual(agent.numbers, countUpTo(sent).slice(500));
  });
  it('that say how many were lost are lost with what they say', () => {
    using notifier = new Notifier(newPath(), () => undefined);
    notifier.send(report(0), 70);
    for (const number of countUpTo(MAX_WAITING)) notifier.send(report(number));
    assert.equal(notifier.takeLost(), 71);
  });
  it('are neither lost nor doubled unseen, whatever the agent has read when it is full', async () => {
    const path = newPath();
    await using agent = new Reader(path);
    using notifier = new Notifier(path, () => undefined);
    const sent = MAX_WAITING + MAX_QUEUED + 500;
    for (const number of countUpTo(sent)) notifier.send(report(number));
    await agent.until(sent - 1);
    const lost = notifier.takeLost();
    assert.ok(lost > 0);
    assert.equal(agent.numbers.length + lost, sent);
    assert.deepEqual(
      agent.numbers,
      agent.numbers.toSorted((a, b) => a - b),
    );
  });
  it('go to the agent that takes the place of one that ended', async () => {
    const path = newPath();
    const states: string[] = [];
    const first = new Reader(path);
    using notifier = new Notifier(path, (state) => states.push(state));
    notifier.send(report(0));
    await first.until(0);
    await first[Symbol.asyncDispose]();
    for (const number of countUpTo(100)) notifier.send(report(number));
    await using second = new Reader(path);
    await second.until(99);
    assert.deepEqual(second.numbers, countUpTo(100));
    assert.equal(notifier.takeLost(), 0);
    assert.deepEqual(states, ['reached the agent', 'lost the agent', 'reached the agent']);
  });
});
