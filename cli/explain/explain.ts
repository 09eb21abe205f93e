// The command `podwall explain`: reads objects, puts the question, prints the answer.
import type { Readable, Writable } from 'node:stream';
import { Files } from '../objects/files.ts';
import type { ObjectSource } from '../objects/object-source.ts';
import { answerLines } from './batch-stream.ts';
import { Cluster } from './cluster.ts';
import { EXPLAIN_HELP, type ExplainOptions, readExplainOptions } from './command-line.ts';
import { readApplication, readEndpoint, readService } from './question.ts';
import { formatReport, reportOf } from './report.ts';
import { judge } from './verdict.ts';

export const EXIT = { allowed: 0, blocked: 1, failed: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export type Streams = { readonly input: Readable; readonly output: Writable; readonly errors: Writable };

/** Throws UsageError, ObjectError, QuestionError. */
export async function explain(args: readonly string[], streams: Streams): Promise<ExitCode> {
  const options = readExplainOptions(args);
  switch (options.action) {
    case 'help':
      streams.output.write(EXPLAIN_HELP);
      return EXIT.allowed;
    case 'batch':
      return (await answerLines(streams.input, streams.output)).errors === 0 ? EXIT.allowed : EXIT.failed;
    case 'explain':
      return await answer(options, await sourceOf(options, streams), streams);
  }
}

/** The client of the API server takes long to load, and files need none. */
async function sourceOf({ files, kubeconfig }: Extract<ExplainOptions, { action: 'explain' }>, { input }: Streams) {
  if (files.length > 0) return new Files(files, input);
  const { ClusterObjects } = await import('../objects/cluster-objects.ts');
  return new ClusterObjects(kubeconfig);
}

async function answer(
  { from, to, port, application, isJson }: Extract<ExplainOptions, { action: 'explain' }>,
  source: ObjectSource,
  { output, errors }: Streams,
): Promise<ExitCode> {
  const { resources, leftOut } = await source.read();
  if (leftOut.length > 0) errors.write(`podwall: left out: ${leftOut.join('; ')}\n`);
  const cluster = new Cluster(resources);
  const [origin, destination] = [readEndpoint(from, cluster, 'from'), readEndpoint(to, cluster, 'to')];
  const verdict = judge(
    {
      from: origin,
      to: destination,
      service: readService(port, destination),
      application: application === undefined ? undefined : readApplication(application),
    },
    cluster,
  );
  const report = reportOf(verdict, cluster);
  output.write(isJson ? `${JSON.stringify(report, undefined, 2)}\n` : formatReport(report, verdict, cluster));
  return EXIT[report.verdict];
}
