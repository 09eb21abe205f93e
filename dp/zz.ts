import { rule } from './bpf/rules.ts';
import { Lab, WORKLOAD } from './lab/lab.ts';

const lab = new Lab();
const dp = await lab.start('-d', 'error');
const client = lab.client();
const agent = lab.agent();
const traffic = await lab.traffic();
let bad = 0,
  late = 0;
const t: any = traffic;
for (let i = 0; i < 300; i++) {
  await client.send({ ctrl_add_mac: { iface: WORKLOAD.iface, mac: WORKLOAD.mac } });
  await client.ask(
    {
      ctrl_cfg_policy: {
        cmd: 1,
        flag: 3,
        defact: 2,
        dir: 3,
        mac: [WORKLOAD.mac],
        rules: [rule({ id: 1, ports: 'udp/7000' }), rule({ id: 2, ports: 'udp/7000', direction: 'ingress' })],
      },
    },
    'policyRealized',
  );
  await traffic.out(7002);
  await client.send({ ctrl_del_mac: { iface: WORKLOAD.iface, mac: WORKLOAD.mac } });
  await client.settled();
  for (const p of [7001, 7002, 7003]) {
    const before = globalThis as any;
    const ok = await traffic.out(p);
    if (!ok) {
      bad++;
      const n = t.lastCount?.();
      await new Promise((r) => setTimeout(r, 300));
      const ok2 = await traffic.out(p);
      console.log('bad', i, p, 'again', ok2);
    }
  }
}
console.log({
  bad,
  threats: agent.received
    .filter((r) => r.report.kind === 'threatLog')
    .map((r) => (r.report as any).threat.message + ' ' + (r.report as any).threat.destinationPort)
    .reduce((m: any, x: string) => ((m[x] = (m[x] ?? 0) + 1), m), {}),
});
await lab[Symbol.asyncDispose]();
