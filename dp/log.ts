// The log: events with fields, one line each, chosen by the categories of -d.
import { type Logger, pino } from 'pino';

export const CATEGORIES = ['ctrl', 'packet', 'policy', 'fqdn', 'app', 'report', 'error'] as const;
export type Category = (typeof CATEGORIES)[number];

export type Log = {
  /** Always said: start, stop, and what an operator must know. */
  readonly notice: (event: string, fields?: object) => void;
  /** Said where the category is on. */
  readonly debug: (category: Category, event: string, fields?: object) => void;
  /** Always said. */
  readonly error: (event: string, fields?: object) => void;
};

export function createLog(categories: ReadonlySet<Category>, logger: Logger = pino({ name: 'dp', base: null })): Log {
  return {
    notice: (event, fields = {}) => logger.info(fields, event),
    debug: (category, event, fields = {}) => {
      if (categories.has(category)) logger.info({ category, ...fields }, event);
    },
    error: (event, fields = {}) => logger.error({ category: 'error', ...fields }, event),
  };
}
