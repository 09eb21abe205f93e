// Commands as datagrams: a policy cut into batches, each small enough for a socket's buffer.
import type { CommandBody, CommandName, DPWorkloadIPPolicy, PolicyConfig } from '@podwall/dp/protocol/commands.ts';
import { ACTION, BATCH_FLAG, BATCH_RULES, DIRECTION, POLICY_COMMAND } from '@podwall/dp/protocol/values.ts';

/** dp's socket library reads 64 KiB of a datagram, and the kernel's send buffer holds three of this size. */
export const MAX_DATAGRAM_BYTES = 60_000;

export const command = <Name extends CommandName>(name: Name, body: CommandBody<Name>): Buffer =>
  Buffer.from(JSON.stringify({ [name]: body }));

/** The datagrams that put a whole policy in force. */
export function policyBatches(policy: DPWorkloadIPPolicy): Buffer[] {
  const head: Head = {
    cmd: POLICY_COMMAND.add,
    defact: policy.defact,
    dir: policy.apply_dir,
    mac: policy.mac,
  };
  const emptyBytes = batchDatagram(head, 0, []).length;
  const batches: (readonly string[])[] = [];
  let batch: string[] = [];
  let bytes = emptyBytes;
  for (const rule of policy.policy_rules) {
    const text = JSON.stringify(rule);
    const ruleBytes = Buffer.byteLength(text) + 1; // its comma
    if (batch.length === BATCH_RULES || (batch.length > 0 && bytes + ruleBytes > MAX_DATAGRAM_BYTES)) {
      batches.push(batch);
      batch = [];
      bytes = emptyBytes;
    }
    batch.push(text);
    bytes += ruleBytes;
  }
  batches.push(batch);
  return batches.map((rules, i) => {
    const flag = (i === 0 ? BATCH_FLAG.start : 0) | (i === batches.length - 1 ? BATCH_FLAG.end : 0);
    return batchDatagram(head, flag, rules);
  });
}

/** The datagram that leaves a workload with no policy. */
export function removePolicy(mac: string): Buffer {
  const head: Head = { cmd: POLICY_COMMAND.del, defact: ACTION.open, dir: DIRECTION.both, mac: [mac] };
  return batchDatagram(head, BATCH_FLAG.start | BATCH_FLAG.end, []);
}

type Head = Pick<PolicyConfig, 'cmd' | 'defact' | 'dir'> & { readonly mac: readonly string[] };

/** Rules come as JSON, since their sizes were needed before. */
function batchDatagram({ cmd, defact, dir, mac }: Head, flag: number, rules: readonly string[]): Buffer {
  const config = JSON.stringify({ cmd, flag, defact, dir, mac });
  return Buffer.from(`{"ctrl_cfg_policy":${config.slice(0, -1)},"rules":[${rules.join(',')}]}}`);
}
