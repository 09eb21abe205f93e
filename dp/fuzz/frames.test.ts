// Any frame, whole or damaged, under a policy that allows nothing: none passes but what resolves addresses.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Harness } from '../bpf/harness.ts';
import { resolvesAddresses } from './address-resolution.ts';
import { FRAMES_PER_SEED, Frames } from './frames.ts';

const SEEDS = 40;
const FRAMES = SEEDS * FRAMES_PER_SEED;

const harness = new Harness();
after(() => harness[Symbol.dispose]());

function firstWrong(frames: Frames, firstSeed: number): string | undefined {
  for (let seed = firstSeed; seed < firstSeed + SEEDS; seed++) {
    const wrong = frames.run(seed);
    if (wrong) return `seed ${seed}\n${wrong}`;
  }
  return undefined;
}

describe('under a policy that allows nothing', () => {
  it(`of ${FRAMES} frames exactly those pass that resolve addresses`, (t) => {
    const frames = new Frames(harness);
    const seed = Date.now() % 2 ** 31;
    assert.equal(firstWrong(frames, seed), undefined);
    const { judged, passed, refused } = frames;
    t.diagnostic(`from seed ${seed}: ${judged} judged, ${passed} passed, ${refused} refused by the kernel’s test run`);
    assert.equal(judged + refused, FRAMES);
    assert.ok(judged > FRAMES / 2 && passed > FRAMES / 200 && passed < FRAMES / 5);
  });

  it('a frame that passes and must not is shown as short as can be', (t) => {
    /** Takes ARP for what must not pass. */
    const wrong = firstWrong(new Frames(harness, (frame) => frame[12] !== 8 && resolvesAddresses(frame)), 1);
    t.diagnostic(`${wrong}`);
    // Two MACs, and the type.
    assert.match(`${wrong}`, /passed, under a policy that allows nothing:\n {2}[0-9a-f]{24}0806$/);
  });
});
