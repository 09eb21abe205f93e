// Serves dp's metrics; a module of its own, since dp is held to little memory and most of this goes into the HTTP server.
import type { MetricsAddress } from '@podwall/metrics/address.ts';
import { MetricsServer } from '@podwall/metrics/server.ts';
import type { Dp } from './dp.ts';
import type { Log } from './log.ts';
import { DP_METRICS, readDp } from './metrics.ts';

/** `dp` answers it once it is there; until then nothing else runs. Throws MetricsError. */
export function serveMetrics(at: MetricsAddress, dp: () => Dp, log: Log): Promise<MetricsServer> {
  return MetricsServer.listen(at, {
    definitions: DP_METRICS,
    read: () => readDp(dp().state()),
    lacks: () => [], // a dp that could not load its programs has ended
    onError: (error) => log.error('metrics not read', { reason: String(error) }),
  });
}
