// libbpf's calls about a compiled object: opening it, setting it up, loading it.
import { checked, lib } from './libbpf.ts';

export const openFile = lib.func('void *bpf_object__open_file(const char *path, void *options)');
export const closeObject = lib.func('void bpf_object__close(void *object)');
export const loadObject = checked('int bpf_object__load(void *object)');

export const findMap = lib.func('void *bpf_object__find_map_by_name(void *object, const char *name)');
export const mapFd = checked('int bpf_map__fd(void *map)');
export const setPinPath = checked('int bpf_map__set_pin_path(void *map, const char *path)');
export const setMaxEntries = checked('int bpf_map__set_max_entries(void *map, uint32_t entries)');
export const setInitialValue = checked('int bpf_map__set_initial_value(void *map, const void *bytes, size_t size)');
export const mapType = lib.func('int bpf_map__type(void *map)');
export const keySize = lib.func('uint32_t bpf_map__key_size(void *map)');
export const valueSize = lib.func('uint32_t bpf_map__value_size(void *map)');
export const maxEntriesOf = lib.func('uint32_t bpf_map__max_entries(void *map)');
export const mapFlags = lib.func('uint32_t bpf_map__map_flags(void *map)');
export const keyTypeId = lib.func('uint32_t bpf_map__btf_key_type_id(void *map)');
export const valueTypeId = lib.func('uint32_t bpf_map__btf_value_type_id(void *map)');

export const findProgram = lib.func('void *bpf_object__find_program_by_name(void *object, const char *name)');
export const programFd = checked('int bpf_program__fd(void *program)');
export const setAutoload = checked('int bpf_program__set_autoload(void *program, bool isLoaded)');
