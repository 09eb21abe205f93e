// Application numbers of the protocol and the codes that the kernel programs have for them.
import { application } from '../kernel/abi.gen.ts';
import { APPLICATION, type ApplicationName, UNKNOWN_APPLICATION } from '../protocol/applications.ts';

const CODES: Readonly<Record<ApplicationName, number>> = {
  HTTP: application.http,
  HTTPS: application.https,
  MySQL: application.mysql,
  PostgreSQL: application.postgresql,
  MongoDB: application.mongodb,
  Redis: application.redis,
  Kafka: application.kafka,
  ZooKeeper: application.zookeeper,
  DNS: application.dns,
  SSH: application.ssh,
  Telnet: application.telnet,
};

const entries = Object.entries(APPLICATION) as [ApplicationName, number][]; // the keys of a const object are its type's
const codeOfNumber = new Map(entries.map(([name, number]) => [number, CODES[name]]));
const numberOfCode = new Map(entries.map(([name, number]) => [CODES[name], number]));

/** Throws RangeError for a number that is no application's. */
export function applicationCode(number: number): number {
  const code = codeOfNumber.get(number);
  if (code === undefined) throw new RangeError(`${number} is no application`);
  return code;
}

export const applicationNumber = (code: number): number => numberOfCode.get(code) ?? UNKNOWN_APPLICATION;
