// The application protocols and their numbers: the reference's §5.6.

export const APPLICATION = {
  HTTP: 100,
  HTTPS: 101,
  MySQL: 200,
  PostgreSQL: 201,
  MongoDB: 202,
  Redis: 300,
  Kafka: 301,
  ZooKeeper: 302,
  DNS: 400,
  SSH: 500,
  Telnet: 501,
} as const;

export type ApplicationName = keyof typeof APPLICATION;
export const APPLICATION_NAMES = Object.keys(APPLICATION) as ApplicationName[]; // the keys of a const object are its type's
export const APPLICATION_NUMBERS: readonly number[] = Object.values(APPLICATION);
export const UNKNOWN_APPLICATION = 0;

const nameOf = new Map<number, string>(Object.entries(APPLICATION).map(([name, number]) => [number, name]));

/** The name of an application number; 'unknown' for 0, and the number itself for one that has no name. */
export function applicationName(number: number): string {
  return nameOf.get(number) ?? (number === UNKNOWN_APPLICATION ? 'unknown' : String(number));
}
