// A MariaDB server with one account, and how a client asks it something.
import { writeFile } from 'node:fs/promises';
import { type Command, mustRun, type RunOptions } from '../command.ts';
import type { Lab } from '../lab.ts';
import type { Namespace } from '../namespace.ts';
import { waitFor } from '../wait.ts';

const PORT = 3306;
const READY_TIMEOUT_MS = 20_000;
const ACCOUNT = 'checkout';
/** The data is thrown away with the lab: nothing of it needs to survive a power cut. */
const FAST = ['--innodb-log-file-size=4M', '--innodb-flush-method=nosync', '--innodb-buffer-pool-size=8M'];

/** What makes the account that `mariadbClient` uses. */
export const CREATE_ACCOUNT = `CREATE USER '${ACCOUNT}'@'%' IDENTIFIED BY '${ACCOUNT}';\n`;

const common = (data: string) => ['--no-defaults', '--user=root', `--datadir=${data}`, ...FAST];

/** The system's own tables, in a folder that is not there yet. */
export async function makeDatabase(data: string, options: RunOptions): Promise<void> {
  const rights = ['--auth-root-authentication-method=normal', '--skip-test-db'];
  await mustRun(['mariadb-install-db', ...common(data), ...rights], options);
}

type Server = { readonly data: string; readonly ip: string; readonly socket: string; readonly accounts: string };

/** `accounts`: a file with CREATE_ACCOUNT. */
export const mariadbServer = ({ data, ip, socket, accounts }: Server): Command => [
  'mariadbd',
  ...common(data),
  ...[`--bind-address=${ip}`, `--port=${PORT}`, `--socket=${socket}`, '--skip-name-resolve'],
  `--init-file=${accounts}`,
];

/** Resolves once it answers to the account that `client` uses. */
export async function startMariadb(lab: Lab, namespace: Namespace, ip: string): Promise<void> {
  const data = lab.file('mariadb');
  const socket = lab.file('mariadb.sock');
  const accounts = lab.file('mariadb.sql');
  await writeFile(accounts, CREATE_ACCOUNT);
  await makeDatabase(data, { signal: lab.signal });
  await lab.start('mariadb', namespace, mariadbServer({ data, ip, socket, accounts }));
  const probe = async () => (await lab.run(namespace, mariadbQuery(ip, 'SELECT 1'))).code === 0 || undefined;
  await waitFor('MariaDB to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
}

/** A client that answers each line of its input as soon as it comes, without column names. */
export const mariadbClient = (ip: string): Command => [
  'mariadb',
  ...['--no-defaults', '--batch', '--skip-column-names', '--unbuffered', '--skip-reconnect'],
  ...[`--host=${ip}`, `--port=${PORT}`, `--user=${ACCOUNT}`, `--password=${ACCOUNT}`],
];

export const mariadbQuery = (ip: string, sql: string): Command => [...mariadbClient(ip), `--execute=${sql}`];
