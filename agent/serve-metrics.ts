// Serves the agent's metrics, where its command line says.
import type { MetricsAddress } from '@podwall/metrics/address.ts';
import type { Logger } from 'pino';
import { AGENT_METRICS, type AgentState, lacksOf, readAgent } from './metrics.ts';

/** Nothing where there is no address. `state` is asked at each scrape. Throws MetricsError. */
export async function serveMetrics(
  at: MetricsAddress | undefined,
  state: () => AgentState,
  log: Logger,
): Promise<AsyncDisposable | undefined> {
  if (!at) return undefined;
  const { MetricsServer } = await import('@podwall/metrics/server.ts'); // only where it is needed: it takes memory
  return MetricsServer.listen(at, {
    definitions: AGENT_METRICS,
    read: () => readAgent(state()),
    lacks: () => lacksOf(state()),
    onError: (error) => log.error({ error: String(error) }, 'metrics not read'),
  });
}
