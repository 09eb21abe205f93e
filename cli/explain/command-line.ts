// The command line of `podwall explain`.
import { parseArgs } from 'node:util';
import { UsageError } from '../usage.ts';

const HELP_COMMAND = 'podwall explain --help';
const usageError = (message: string): UsageError => new UsageError(message, HELP_COMMAND);

export const EXPLAIN_HELP = `Usage: podwall explain [-f PATH ...] --from POD --to POD|IP|NAME --port PORT [options]
       podwall explain --batch

Says whether a connection would pass, what each side's resources and rules say of it, tier by tier, and where it is
denied by default, which resources isolate the pod and which rule came closest. It asks the code that Podwall itself
compiles and judges rules with, on the objects of the cluster, or of files alone; no packet is sent.

  -f, --filename PATH  file, or folder of *.yaml, *.yml and *.json; - for standard input; may be repeated. Read are
                       NetworkRule, ClusterNetworkRule, NetworkPolicy, Pod, Namespace and Node, also in a List
                       Not given: the cluster is asked for these, and needs to allow only that they be listed
  --kubeconfig FILE    of the cluster; $KUBECONFIG, ~/.kube/config or a pod's own service account unless told
  --from END           who opens the connection: namespace/pod, a pod of the namespace default, or an address
  --to END             who it goes to: also a domain name, or NAME=ADDRESS
  --port PORT          tcp/80, 80 (TCP), udp/53, sctp/9, icmp, icmpv6, or the name of a port of the pod it goes to
  --application NAME   what is spoken, as in HTTP; unknown for none that is known. Not given: the answer says on which
                       it depends, if on any
  --json               the answer as JSON
  --batch              JSON lines on standard input, each a cluster with questions; a line of verdicts for each
  -h, --help           this text

A line of --batch, and of its answer:
  {"Namespaces":{"shop":{"team":"a"}},
   "Pods":[{"Namespace":"shop","Name":"web","IP":"10.0.0.1","Labels":{"app":"web"},
            "Ports":[{"Name":"http","Port":80,"Protocol":"TCP"}]}],
   "Policies":[{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",...}],
   "Queries":[{"From":"shop/web","To":"shop/db","Proto":"TCP","Port":5432}]}
  {"Verdicts":[{"From":"shop/web","To":"shop/db","Proto":"TCP","Port":5432,"Ingress":"blocked","Egress":"allowed",
                "Combined":"blocked","IngressRule":"NetworkPolicy shop/db: (default)","EgressRule":null}]}
or {"Error":"..."} for a line that can't be answered; the lines after it are answered all the same.

Exit codes: 0 it passes (also where that depends on the application), 1 it is blocked, 2 it can't be said. Of --batch:
0 all lines were answered, 2 some had errors.
`;

const USAGE_EXAMPLE = 'podwall explain -f rules/ --from shop/web --to shop/db --port tcp/5432';

export type ExplainOptions =
  | { readonly action: 'help' }
  | { readonly action: 'batch' }
  | {
      readonly action: 'explain';
      /** Empty: a cluster is asked. */
      readonly files: readonly string[];
      readonly kubeconfig: string | undefined;
      readonly from: string;
      readonly to: string;
      readonly port: string;
      readonly application: string | undefined;
      readonly isJson: boolean;
    };

/** Throws UsageError. */
export function readExplainOptions(args: readonly string[]): ExplainOptions {
  const { filename = [], kubeconfig, from, to, port, application, json, batch, help } = readFlags(args);
  if (help) return { action: 'help' };
  if (batch) {
    const others = [...filename, kubeconfig, from, to, port, application].some((value) => value !== undefined);
    if (others || json) throw usageError('--batch goes with no other option: all it needs is on standard input');
    return { action: 'batch' };
  }
  if (from === undefined) throw usageError(`--from is missing: ${USAGE_EXAMPLE}`);
  if (to === undefined) throw usageError(`--to is missing: ${USAGE_EXAMPLE}`);
  if (port === undefined) throw usageError(`--port is missing: ${USAGE_EXAMPLE}`);
  if (filename.length > 0 && kubeconfig !== undefined)
    throw usageError('--kubeconfig is for a cluster and -f for files: give one of them');
  return { action: 'explain', files: filename, kubeconfig, from, to, port, application, isJson: json ?? false };
}

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        kubeconfig: { type: 'string' },
        filename: { type: 'string', short: 'f', multiple: true },
        from: { type: 'string' },
        to: { type: 'string' },
        port: { type: 'string' },
        application: { type: 'string' },
        json: { type: 'boolean' },
        batch: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw usageError(message.split('\n')[0] ?? message); // the rest is about writing values that begin with a dash
  }
}
