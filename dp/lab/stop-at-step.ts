// For tests: takes over what an earlier dp pinned, and is killed at a step of it. Arguments: the folder of pins, the step.
import { PinDirectory } from '../kernel/bpffs.ts';
import { Datapath } from '../kernel/datapath.ts';

const [pin = '', fatal = ''] = process.argv.slice(2);
using pins = PinDirectory.open(pin);
using _datapath = Datapath.open(pins, 'auto', undefined, {
  onStep: (step) => {
    if (step !== fatal) return;
    process.kill(process.pid, 'SIGKILL');
    for (;;); // the signal ends it within this loop
  },
});
