// Puts the program that does nothing where dp puts its own, on one interface, for as long as this process runs.
import { createLink, KernelError } from '../../dp/kernel/libbpf.ts';
import { findProgram, loadObject, openFile, programFd } from '../../dp/kernel/libbpf-object.ts';
import { interfaceIndex } from '../../dp/kernel/libc.ts';

const TCX_INGRESS = 46;
const TCX_EGRESS = 47;
const STAYS_MS = 3_600_000;

const [iface = ''] = process.argv.slice(2);
const ifindex = interfaceIndex(iface);
const object = openFile(`${import.meta.dirname}/bpf/build/floor.bpf.o`, null);
if (ifindex === undefined || !object) throw new KernelError(`open the floor program for ${iface}`, -2);
loadObject(object);
for (const hook of [TCX_INGRESS, TCX_EGRESS]) createLink(programFd(findProgram(object, 'pass')), ifindex, hook, null);
process.stdout.write('attached\n');
setInterval(() => undefined, STAYS_MS);
