// For tests: a lab with a dp and traffic that goes on until the process is ended. Says where it is.
import { ADD_MAC } from './commands.ts';
import { Lab } from './lab.ts';

const lab = new Lab();
const dp = await lab.start();
await lab.client().send(ADD_MAC);
await lab.traffic();
process.stdout.write(`${JSON.stringify({ pin: lab.pin, host: lab.host, directory: lab.directory, dp: dp.pid })}\n`);
