import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseManifest } from '@podwall/controller/api/parse.ts';
import fc from 'fast-check';
import { anyCluster, manifestsOf } from './any-cluster.ts';
import { Cluster } from './cluster.ts';
import { type Asked, type Facts, passesByTheLetter } from './naive.ts';
import { readEndpoint, readService } from './question.ts';
import { isAllowed, judge } from './verdict.ts';

const CLUSTERS = 400;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];
const PORTS = [80, 81, 83, 90];

function clusterOf(facts: Facts): Cluster {
  return new Cluster(
    manifestsOf(facts).map((manifest) => {
      const parsed = parseManifest(structuredClone(manifest));
      return 'resource' in parsed ? parsed.resource : assert.fail(JSON.stringify(parsed.refusals));
    }),
  );
}

function* connections({ pods }: Facts): Generator<Asked> {
  const running = pods.filter(({ hasEnded }) => !hasEnded);
  for (const from of running)
    for (const to of running)
      for (const protocol of PROTOCOLS) for (const port of PORTS) yield { from, to, protocol, port };
}

describe('what any cluster’s rules are compiled to', () => {
  it('says of every connection what the manifests say by the letter', (t) => {
    const tally = { connections: 0, blocked: 0, allowedByPolicies: 0 };
    const say = (cluster: Cluster, { from, to, protocol, port }: Asked) => {
      const [origin, target] = [from, to].map((pod) => readEndpoint(`${pod.namespace}/${pod.name}`, cluster, 'to'));
      assert.ok(origin && target);
      const service = readService(`${protocol}/${port}`, target);
      return judge({ from: origin, to: target, service, application: undefined }, cluster);
    };
    fc.assert(
      fc.property(anyCluster, (facts) => {
        const cluster = clusterOf(facts);
        for (const asked of connections(facts)) {
          const { egress, ingress } = say(cluster, asked);
          for (const side of [egress, ingress]) {
            const expected = passesByTheLetter(facts, asked, side.direction);
            const { from, to, protocol, port } = asked;
            assert.equal(
              isAllowed(side),
              expected,
              `${side.direction} of ${from.name} → ${to.name}, ${protocol}/${port}`,
            );
            tally.connections += 1;
            tally.blocked += Number(!expected);
            const [by] = side.outcomes.map((outcome) => outcome.by);
            tally.allowedByPolicies += Number(by?.kind === 'rule' && by.resource.kind === 'NetworkPolicy');
          }
        }
      }),
      { numRuns: CLUSTERS },
    );
    t.diagnostic(JSON.stringify(tally));
    assert.ok(tally.blocked > tally.connections / 10, 'a comparison means little where all go one way');
    assert.ok(tally.allowedByPolicies > tally.connections / 100);
  });
});
