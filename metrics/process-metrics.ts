// What every process tells of itself, under the names that Prometheus has for it.
import { performance } from 'node:perf_hooks';
import type { Definitions, Readings } from './definition.ts';

export const PROCESS_METRICS = {
  process_cpu_seconds_total: { type: 'counter', help: 'Processor time that this process has used, in seconds.' },
  process_resident_memory_bytes: { type: 'gauge', help: 'Memory that this process has of the machine, in bytes.' },
  process_start_time_seconds: { type: 'gauge', help: 'When this process started, in seconds since 1970.' },
  nodejs_heap_size_used_bytes: { type: 'gauge', help: 'Of its memory, what JavaScript objects take, in bytes.' },
} as const satisfies Definitions;

const MICROSECONDS = 1e6;
const MILLISECONDS = 1e3;

export function readProcess(): Readings<typeof PROCESS_METRICS> {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    process_cpu_seconds_total: (user + system) / MICROSECONDS,
    process_resident_memory_bytes: rss,
    process_start_time_seconds: performance.timeOrigin / MILLISECONDS,
    nodejs_heap_size_used_bytes: heapUsed,
  };
}
