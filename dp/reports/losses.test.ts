// What had no room in the kernel's tables, as the agent is told of it and as SIGUSR1 prints it.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness } from '../bpf/harness.ts';
import { counter } from '../kernel/abi.gen.ts';
import { GENERATIONS } from '../kernel/generation.ts';
import { getPinned, possibleCpus, updateElement } from '../kernel/libbpf.ts';
import { close } from '../kernel/libc.ts';
import { dump } from '../policy/dump.ts';
import { decodeReport, ERROR_CODE, encodeReport } from '../protocol/reports.ts';
import { Losses } from './losses.ts';

const PEER = '10.1.0.9';
const MOST_HITS = 2 ** 18;
/** Of a workload that there is not. */
const NOBODY = 0xffff;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

/** As an agent reads them. */
const textsOf = (losses: Losses): string[] =>
  losses.collect(2).map(({ report }) => {
    const { report: read } = decodeReport(encodeReport(report, 1));
    assert.ok(read.kind === 'error' && read.code === ERROR_CODE.reportsLost);
    return read.text;
  });

/** As the programs would on each CPU; they do so for flows only where the kernel has no memory left. */
function count(index: number, onEachCpu: bigint): bigint {
  const fd = getPinned(`/sys/fs/bpf/podwall-test-${process.pid}/${GENERATIONS[0]}/counters`);
  updateElement(fd, Uint32Array.of(index), new BigUint64Array(possibleCpus()).fill(onEachCpu), 0);
  close(fd);
  return onEachCpu * BigInt(possibleCpus());
}

describe('what is lost is told', () => {
  it('of hits, once their table is full; and the connection passes or not all the same', () => {
    for (let revision = 0; revision < MOST_HITS; revision++)
      harness.datapath.hits.set({ endpoint: NOBODY, revision, ruleId: 0 }, { hits: 1n, lastNs: 1n });
    const losses = new Losses(harness.datapath);
    const workload = harness.workload({});
    for (const port of [1, 2, 3]) assert.equal(workload.connectionTo(PEER, port).open(), 'drop');
    assert.deepEqual(textsOf(losses), ['3 hits lost in the last 2 s: their table is full']);
    assert.equal(losses.inKernel().hits, 3n);
  });
  it('of flows', () => {
    const losses = new Losses(harness.datapath);
    const lost = count(counter.flowsLost, 4n);
    assert.deepEqual(textsOf(losses), [`${lost} flows not remembered in the last 2 s: their table took no more`]);
  });
  it('of reports, those of the kernel and of dp in one sum', () => {
    const losses = new Losses(harness.datapath);
    const lost = count(counter.eventsLost, 5n);
    losses.add(7);
    assert.deepEqual(textsOf(losses), [`${lost + 7n} reports lost in the last 2 s: there were more than can be sent`]);
  });
  it('once', () => {
    const losses = new Losses(harness.datapath);
    losses.add(1);
    assert.equal(textsOf(losses).length, 1);
    assert.deepEqual(textsOf(losses), []);
  });
  it('by SIGUSR1 as sums since the tables were made', () => {
    const lost = { events: 5n, hits: 3n, flows: 4n };
    const answers = { resolvers: [], counts: { learnt: 0n, cut: 0n, alien: 0n, byTcp: 0n, lost: 0n } };
    const last = dump(harness.engine, harness.datapath.room(), lost, answers).split('\n').at(-1);
    assert.equal(last, 'lost in the kernel: 5 events, 3 hits, 4 flows');
  });
});
