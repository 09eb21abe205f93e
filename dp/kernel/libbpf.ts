// The few libbpf calls that dp needs, each turning a negative return into a KernelError.
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

export const lib = koffi.load('libbpf.so.1');

export class KernelError extends Error {
  /** A system error's name: EPERM, ENOENT, … */
  readonly code: string;

  constructor(call: string, result: number) {
    const code = getSystemErrorName(result);
    super(`${call}: ${code}`);
    this.name = 'KernelError';
    this.code = code;
  }
}

export function isKernelError(error: unknown, code: string): boolean {
  return error instanceof KernelError && error.code === code;
}

export function checked(signature: string): (...args: unknown[]) => number {
  const call = lib.func(signature);
  return (...args) => {
    const result: number = call(...args);
    if (result < 0) throw new KernelError(call.info.name, result);
    return result;
  };
}

export const pin = checked('int bpf_obj_pin(int fd, const char *path)');
export const getPinned = checked('int bpf_obj_get(const char *path)');
export const createLink = checked('int bpf_link_create(int program, int target, int type, void *options)');
export const detachLink = checked('int bpf_link_detach(int link)');
export const updateLink = checked('int bpf_link_update(int link, int program, void *options)');
const objectInfo = checked('int bpf_obj_get_info_by_fd(int fd, void *info, _Inout_ uint32_t *bytes)');

/** The index of the interface that a TCX link is on, within that one's network namespace; 0 once it is gone. */
export function linkInterface(link: number): number {
  const info = new DataView(new ArrayBuffer(64)); // struct bpf_link_info: type, id, program, then what is the type's own
  objectInfo(link, info.buffer, [info.byteLength]);
  return info.getUint32(16, true);
}

export const updateElement = checked(
  'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
);
export const lookupElement = checked('int bpf_map_lookup_elem(int fd, const void *key, void *value)');
export const takeElement = checked('int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)');
export const deleteElement = checked('int bpf_map_delete_elem(int fd, const void *key)');
const lookupBatchCall = lib.func(
  'int bpf_map_lookup_batch(int fd, void *from, void *next, void *keys, void *values, _Inout_ uint32_t *count, void *options)',
);
const updateBatchCall = checked(
  'int bpf_map_update_batch(int fd, const void *keys, const void *values, _Inout_ uint32_t *count, void *options)',
);
const ENOENT = -2;

/** Reads entries of a hash table in bulk: how many, and whether they are the last. `next` is where to go on `from`. */
export function lookupBatch(
  fd: number,
  from: Uint8Array | null,
  next: Uint8Array,
  keys: Uint8Array,
  values: Uint8Array,
  count: number,
): { readonly count: number; readonly isLast: boolean } {
  const taken: [number] = [count];
  const result: number = lookupBatchCall(fd, from, next, keys, values, taken, null);
  if (result < 0 && result !== ENOENT) throw new KernelError('bpf_map_lookup_batch', result);
  return { count: taken[0], isLast: result === ENOENT };
}

/** Writes `count` entries of a hash table, in the place of those with the same keys. Throws KernelError E2BIG where it is full. */
export function updateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): void {
  updateBatchCall(fd, keys, values, [count], null);
}

/** What the kernel says of a map: `type` is enum bpf_map_type, `flags` are BPF_F_…. */
export type MapShape = {
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly maxEntries: number;
  readonly flags: number;
};

const infoCall = checked('int bpf_obj_get_info_by_fd(int fd, void *info, _Inout_ uint32_t *bytes)');
const MAP_INFO_BYTES = 88;

/** Throws KernelError EINVAL where the descriptor is of no BPF object. */
export function mapShape(fd: number): MapShape {
  const info = new DataView(new ArrayBuffer(MAP_INFO_BYTES));
  infoCall(fd, new Uint8Array(info.buffer), [MAP_INFO_BYTES]);
  const [type, , keyBytes, valueBytes, maxEntries, flags] = Array.from({ length: 6 }, (_, i) =>
    info.getUint32(4 * i, true),
  ) as [number, number, number, number, number, number];
  return { type, keyBytes, valueBytes, maxEntries, flags };
}

export const possibleCpus = checked('int libbpf_num_possible_cpus()');

const MapOptions = koffi.struct('bpf_map_create_opts', {
  sz: 'size_t',
  btf_fd: 'uint32_t',
  btf_key_type_id: 'uint32_t',
  btf_value_type_id: 'uint32_t',
  btf_vmlinux_value_type_id: 'uint32_t',
  inner_map_fd: 'uint32_t',
  map_flags: 'uint32_t',
  map_extra: 'uint64_t',
  numa_node: 'uint32_t',
  map_ifindex: 'uint32_t',
});
const mapCreate = checked(
  'int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t entries, bpf_map_create_opts *options)',
);

/** Makes a map without BTF; answers its file descriptor. `name` has 15 characters at most. */
export function createMap(name: string, { type, keyBytes, valueBytes, maxEntries, flags }: MapShape): number {
  const options = {
    sz: koffi.sizeof(MapOptions),
    btf_fd: 0,
    btf_key_type_id: 0,
    btf_value_type_id: 0,
    btf_vmlinux_value_type_id: 0,
    inner_map_fd: 0,
    map_flags: flags,
    map_extra: 0,
    numa_node: 0,
    map_ifindex: 0,
  };
  return mapCreate(type, name, keyBytes, valueBytes, maxEntries, options);
}

/** Makes an array map with `flags`. */
export function createArray(name: string, valueBytes: number, maxEntries: number, flags: number): number {
  const ARRAY = 2;
  return createMap(name, { type: ARRAY, keyBytes: 4, valueBytes, maxEntries, flags });
}

const Hook = koffi.struct('bpf_tc_hook', { sz: 'size_t', ifindex: 'int', attach_point: 'int', parent: 'uint32_t' });
const FilterOptions = koffi.struct('bpf_tc_opts', {
  sz: 'size_t',
  prog_fd: 'int',
  flags: 'uint32_t',
  prog_id: 'uint32_t',
  handle: 'uint32_t',
  priority: 'uint32_t',
});
const hookCreate = checked('int bpf_tc_hook_create(_Inout_ bpf_tc_hook *hook)');
const tcAttach = checked('int bpf_tc_attach(_In_ bpf_tc_hook *hook, _Inout_ bpf_tc_opts *options)');
const tcDetach = checked('int bpf_tc_detach(_In_ bpf_tc_hook *hook, _In_ bpf_tc_opts *options)');
const BOTH_POINTS = 3; // BPF_TC_INGRESS | BPF_TC_EGRESS
const REPLACE = 1;
/** Ours among the filters of one priority: of a workload's interface, and of one that is watched. */
export const FILTER = { workload: 0x5057, watched: 0x5058 } as const;
type Filter = (typeof FILTER)[keyof typeof FILTER];
/** Before all others. */
const PRIORITY = 1;

const hookOf = (ifindex: number, point: number) => ({
  sz: koffi.sizeof(Hook),
  ifindex,
  attach_point: point,
  parent: 0,
});
const filterOf = (program: number, flags: number, handle: Filter) => ({
  sz: koffi.sizeof(FilterOptions),
  prog_fd: program,
  flags,
  prog_id: 0,
  handle,
  priority: PRIORITY,
});

/** Gives an interface a clsact qdisc, where it has none. */
export function createHook(ifindex: number): void {
  try {
    hookCreate(hookOf(ifindex, BOTH_POINTS));
  } catch (error) {
    if (!isKernelError(error, 'EEXIST')) throw error;
  }
}

/** `point`: 1 ingress, 2 egress of the interface. Takes the place of our earlier filter there. */
export function attachFilter(ifindex: number, point: number, program: number, filter: Filter): void {
  tcAttach(hookOf(ifindex, point), filterOf(program, REPLACE, filter));
}

/** Nothing where the filter, or the interface, is gone. */
export function detachFilter(ifindex: number, point: number, filter: Filter): void {
  try {
    tcDetach(hookOf(ifindex, point), filterOf(0, 0, filter));
  } catch (error) {
    if (!['ENOENT', 'EINVAL', 'ENODEV'].some((code) => isKernelError(error, code))) throw error;
  }
}

const TestRun = koffi.struct('bpf_test_run_opts', {
  sz: 'size_t',
  data_in: 'const void *',
  data_out: 'void *',
  data_size_in: 'uint32_t',
  data_size_out: 'uint32_t',
  ctx_in: 'void *',
  ctx_out: 'void *',
  ctx_size_in: 'uint32_t',
  ctx_size_out: 'uint32_t',
  retval: 'uint32_t',
  repeat: 'int',
  duration: 'uint32_t',
  flags: 'uint32_t',
  cpu: 'uint32_t',
  batch_size: 'uint32_t',
});
const testRun = checked('int bpf_prog_test_run_opts(int fd, _Inout_ bpf_test_run_opts *options)');

/** Runs a tc program over a packet, without a network; `ns` is the mean of the repeats. */
export function runProgram(
  fd: number,
  packet: Uint8Array,
  context: Uint8Array,
  repeat: number,
): { verdict: number; ns: number } {
  const options = {
    sz: koffi.sizeof(TestRun),
    data_in: packet,
    data_out: null,
    data_size_in: packet.length,
    data_size_out: 0,
    ctx_in: context,
    ctx_out: null,
    ctx_size_in: context.length,
    ctx_size_out: 0,
    retval: 0,
    repeat,
    duration: 0,
    flags: 0,
    cpu: 0,
    batch_size: 0,
  };
  testRun(fd, options);
  return { verdict: options.retval | 0, ns: options.duration };
}

const Sample = koffi.proto('int podwall_sample(void *context, void *data, size_t bytes)');
const newRing = lib.func('void *ring_buffer__new(int fd, podwall_sample *callback, void *context, void *options)');
const consumeRing = lib.func('int ring_buffer__consume(void *ring)');
const freeRing = lib.func('void ring_buffer__free(void *ring)');

/** What a callback answers to be called no more; not an error number that libbpf has of its own here. */
const STOP = -0x7fff;

/** The consumer's end of a ring buffer map. */
export class RingBuffer implements Disposable {
  readonly #ring: unknown;
  readonly #callback: bigint;
  #taken = 0;
  #most = 0;

  /** `onSample` gets memory that is valid only until it returns. */
  constructor(fd: number, onSample: (sample: Uint8Array) => void) {
    this.#callback = koffi.register((_context: unknown, data: unknown, bytes: number) => {
      onSample(new Uint8Array(koffi.view(data, Number(bytes))));
      this.#taken += 1;
      return this.#taken < this.#most ? 0 : STOP;
    }, koffi.pointer(Sample));
    this.#ring = newRing(fd, this.#callback, null, null);
    if (!this.#ring) throw new KernelError('ring_buffer__new', -koffi.errno());
  }

  /** Hands over what has come in, at most so many samples; answers how many. Unbounded, it ends only once no more comes. */
  consume(most = Number.POSITIVE_INFINITY): number {
    if (most <= 0) return 0;
    this.#taken = 0;
    this.#most = most;
    const result = consumeRing(this.#ring);
    if (result < 0 && result !== STOP) throw new KernelError('ring_buffer__consume', result);
    return this.#taken;
  }

  [Symbol.dispose](): void {
    freeRing(this.#ring);
    koffi.unregister(this.#callback);
  }
}
