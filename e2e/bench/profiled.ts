// Preloaded into a dp to be profiled: SIGUSR2 starts a CPU profile, and the next ends it and writes it to a file.
// Not from the start on, as by --cpu-prof: the profiler's signals keep the kernel's verifier from its work (EAGAIN).
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

const INTERVAL_US = 250;

const prefix = new URL(import.meta.url).searchParams.get('to') ?? '';
const session = new Session();
session.connect();
let [written, isRunning] = [0, false];

async function turn(): Promise<void> {
  isRunning = !isRunning;
  if (isRunning) {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    await session.post('Profiler.start');
    return;
  }
  const { profile } = await session.post('Profiler.stop');
  // Renamed: whoever waits for the file finds the whole of it.
  writeFileSync(`${prefix}-new`, JSON.stringify(profile));
  renameSync(`${prefix}-new`, `${prefix}-${written++}`);
}

let last = Promise.resolve();
process.on('SIGUSR2', () => {
  last = last.then(turn);
});
