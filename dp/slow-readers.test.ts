// Who does not read what dp sends him costs dp no memory and nobody a command; what he misses is counted.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rule } from './bpf/rules.ts';
import { ReportReader } from './fuzz/report-reader.ts';
import { CommandSocket } from './kernel/command-socket.ts';
import { isKernelError } from './kernel/libbpf.ts';
import { AF_UNIX } from './kernel/libc.ts';
import { ADD_MAC, CONTROL_RULES, policy } from './lab/commands.ts';
import type { DpProcess } from './lab/dp-process.ts';
import { Lab } from './lab/lab.ts';

const COMMANDS = 20_000;
/** Far less than what so many answers would take, were they kept. */
const MAX_GROWTH_BYTES = 64 << 20;
const LONG = 'x'.repeat(4000);

const lab = new Lab();
after(() => lab[Symbol.asyncDispose]());

const residentBytes = ({ pid }: DpProcess): number =>
  Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

/** A sender with a socket of its own, which is not read. */
class Silent implements AsyncDisposable {
  readonly #socket: CommandSocket;

  constructor(path: string) {
    this.#socket = CommandSocket.bind(path, 65_535);
  }

  /** Waits while dp's own queue is full. */
  async send(count: number, commandOf: (i: number) => object): Promise<void> {
    const to = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(`${lab.listen}\0`)]);
    for (let i = 0; i < count; )
      try {
        this.#socket.answer(to, Buffer.from(JSON.stringify(commandOf(i))));
        i += 1;
      } catch (error) {
        if (!isKernelError(error, 'EAGAIN')) throw error;
        await sleep(1);
      }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket[Symbol.dispose]();
    await this.#socket.datagrams().next(); // which closes it, now that it has ended
  }
}

describe('dp', async () => {
  const dp = await lab.start();
  const client = lab.client();
  await client.send(ADD_MAC);

  it('goes on while a sender never reads the answers to its keep-alives', async () => {
    await using silent = new Silent(join(lab.directory, 'silent.sock'));
    await silent.send(COMMANDS / 10, () => ({ ctrl_keep_alive: { seq_num: 1 } }));
    await client.settled();
    const before = residentBytes(dp);
    await silent.send(COMMANDS, (seq_num) => ({ ctrl_keep_alive: { seq_num } }));
    await client.settled();
    assert.ok(residentBytes(dp) - before < MAX_GROWTH_BYTES, `${before} bytes, then ${residentBytes(dp)}`);
    const { realized } = await client.ask(policy([...CONTROL_RULES, rule({ id: 1001 })]), 'policyRealized');
    assert.equal(realized.rules, 3);
    assert.match(dp.takeOutput(), /"answer not sent"/);
  });

  it('carries out every command while the agent does not read its reports, and counts what it lost', async () => {
    const before = residentBytes(dp);
    {
      // Bound, and so reached, but not read: from here come wrong commands, whose errors go to the agent.
      await using agent = new Silent(lab.notify);
      await agent.send(COMMANDS, (i) => ({ [`ctrl_${i}_${LONG}`]: {} }));
      for (const id of [1001, 1002]) {
        const { realized } = await client.ask(policy([...CONTROL_RULES, rule({ id })]), 'policyRealized');
        assert.equal(realized.rules, 3);
      }
      assert.ok(residentBytes(dp) - before < MAX_GROWTH_BYTES, `${before} bytes, then ${residentBytes(dp)}`);
    }
    // Another agent comes: it gets what waits, and is told of the rest. What the first one's socket held went with it.
    await using agent = new ReportReader(lab.notify);
    const held = COMMANDS / 100;
    const what = () => `${COMMANDS} errors less ${held}; ${agent.errors} came, ${agent.lost} were said to be lost`;
    await agent.changes.until(what, () => agent.errors + agent.lost > COMMANDS - held || undefined);
    assert.ok(agent.errors > 0 && agent.lost > 0, what());
    assert.ok(agent.errors + agent.lost <= COMMANDS + 1, what());
  });
});
