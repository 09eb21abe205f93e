// Certificates for tests, by openssl: an authority, and what it signs.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun, type RunOptions } from './command.ts';

export type CertificateWish = {
  /** Of the files NAME.crt and NAME.key. */
  readonly name: string;
  /** As openssl takes it: /CN=one or /O=group/CN=one. */
  readonly subject: string;
  /** X.509 v3 extensions, as extendedKeyUsage=clientAuth. */
  readonly extensions: readonly string[];
  /** Which of the folder's certificates signs it; none: itself, and it may sign others. */
  readonly authority?: string;
};

export const CLIENT = ['extendedKeyUsage=clientAuth'];
export const SERVER = ['extendedKeyUsage=serverAuth'];

const DAYS = '3650';
const AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,digitalSignature'];

/** Into this folder, which is to be there. */
export async function certify(folder: string, wish: CertificateWish, options: RunOptions): Promise<void> {
  const { name, subject, extensions, authority } = wish;
  const file = (base: string) => join(folder, base);
  // openssl's own configuration would add extensions.
  await writeFile(file('empty.cnf'), '[req]\ndistinguished_name=dn\n[dn]\n');
  await mustRun(
    [
      ...(['openssl', 'req', '-x509', '-config', file('empty.cnf'), '-noenc', '-days', DAYS] as const),
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', subject],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)],
      ...(authority ? ['-CA', file(`${authority}.crt`), '-CAkey', file(`${authority}.key`)] : []),
      ...[...extensions, ...(authority ? [] : AUTHORITY)].flatMap((extension) => ['-addext', extension]),
    ],
    options,
  );
}
