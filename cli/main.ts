#!/usr/bin/env node
// podwall: what people ask of rules at a terminal.
import { EXIT, type ExitCode, explain } from './explain/explain.ts';
import { QuestionError } from './explain/question.ts';
import { ObjectError } from './objects/object-source.ts';
import manifest from './package.json' with { type: 'json' };
import { UsageError } from './usage.ts';

const HELP = `Usage: podwall COMMAND [options]

  explain     whether a connection would pass, and by which rules
  --version   print the version
  --help      print this; podwall COMMAND --help says more
`;

const HELP_COMMAND = 'podwall --help';

async function run([command, ...args]: readonly string[]): Promise<ExitCode> {
  switch (command) {
    case 'explain':
      return await explain(args, { input: process.stdin, output: process.stdout, errors: process.stderr });
    case '--version':
      process.stdout.write(`${manifest.version}\n`);
      return EXIT.allowed;
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(HELP);
      return EXIT.allowed;
    default:
      throw new UsageError(
        command === undefined ? 'no command: try podwall explain' : `${command} is no command: try podwall explain`,
        HELP_COMMAND,
      );
  }
}

const isOfReader = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EPIPE';

// Whoever reads may stop early (| head): the exit code is the answer's all the same.
process.stdout.on('error', (error) => {
  if (!isOfReader(error)) throw error;
});

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`podwall: ${error.message}\n${error.help} says more\n`);
  else if (error instanceof QuestionError || error instanceof ObjectError)
    process.stderr.write(`podwall: ${error.message.replaceAll('\n', '\npodwall: ')}\n`);
  else if (!isOfReader(error))
    process.stderr.write(`podwall: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
  process.exitCode = EXIT.failed;
}
