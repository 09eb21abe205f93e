#!/usr/bin/env node
// podwall-dp: has Node run it with as little memory as it can, and only then loads what it is made of.
import { keepCompiled, relaunch } from './launch.ts';

relaunch();
const { start } = await import('./start.ts');
const isMeasured = process.argv.some((word) => word.startsWith('--metrics'));
if (isMeasured) await import('./serve-metrics.ts'); // compiled with the rest
keepCompiled(isMeasured);
process.exitCode = await start(process.argv.slice(2));
