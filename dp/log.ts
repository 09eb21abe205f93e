// The log: events with fields, one line each, chosen by the categories of -d.
import { type Logger, pino } from 'pino';

export const CATEGORIES = ['ctrl', 'packet', 'policy', 'fqdn', 'app', 'report', 'error'] as const;
export type Category = (typeof CATEGORIES)[number];

export type Log = {
  /** Always said: start, stop, and what an operator must know. */
  readonly notice: (event: string, fields?: object) => void;
  /** Said where the category is on. */
  readonly debug: (category: Category, event: string, fields?: object) => void;
  /** Said where `error` is on, which it is unless told otherwise. */
  readonly error: (event: string, fields?: object) => void;
};

export class CategoryError extends Error {
  readonly code = 'USAGE';
}

/** Reads `all`, or categories joined by commas. Throws CategoryError. */
export function parseCategories(text: string): ReadonlySet<Category> {
  if (text === 'all') return new Set(CATEGORIES);
  const wanted = text.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !CATEGORIES.some((category) => category === name));
  if (unknown.length > 0)
    throw new CategoryError(`-d ${text}: ${unknown.join(', ')}: categories are all, ${CATEGORIES.join(', ')}`);
  return new Set(CATEGORIES.filter((category) => wanted.includes(category)));
}

export function createLog(categories: ReadonlySet<Category>, logger: Logger = pino({ name: 'dp', base: null })): Log {
  return {
    notice: (event, fields = {}) => logger.info(fields, event),
    debug: (category, event, fields = {}) => {
      if (categories.has(category)) logger.info({ category, ...fields }, event);
    },
    error: (event, fields = {}) => {
      if (categories.has('error')) logger.error({ category: 'error', ...fields }, event);
    },
  };
}
