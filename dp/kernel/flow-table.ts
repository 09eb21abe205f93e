// Walks the flow table in bulk: a million flows are too many to ask for one by one.
import { type Flow, type FlowKey, flow as flowCodec, flowKey } from './abi.gen.ts';
import { lookupBatch } from './libbpf.ts';

const BATCH = 4096;
const TOKEN_BYTES = 8;

/** Every flow that `isWanted` says yes to by its last packet's tick; what changes meanwhile may be missed or come twice. */
export function* walkFlows(fd: number, isWanted: (lastSeen: number) => boolean): Generator<[FlowKey, Flow]> {
  const keys = new Uint8Array(BATCH * flowKey.size);
  const values = new Uint8Array(BATCH * flowCodec.size);
  const [keyView, valueView] = [new DataView(keys.buffer), new DataView(values.buffer)];
  let from: Uint8Array | null = null;
  for (;;) {
    const next = new Uint8Array(TOKEN_BYTES);
    const { count, isLast } = lookupBatch(fd, from, next, keys, values, BATCH);
    for (let i = 0; i < count; i++) {
      const at = i * flowCodec.size;
      if (isWanted(valueView.getUint32(at + flowCodec.offsets.lastSeen, true)))
        yield [flowKey.read(keyView, i * flowKey.size), flowCodec.read(valueView, at)];
    }
    if (isLast) return;
    from = next;
  }
}
