// An nginx that serves one name over TLS, with a certificate by a CA of its own, and how a client asks it.
import { mkdir, writeFile } from 'node:fs/promises';
import { certify, SERVER } from '../certificate.ts';
import type { Command } from '../command.ts';
import type { Lab } from '../lab.ts';
import type { Namespace } from '../namespace.ts';
import { waitFor } from '../wait.ts';

const PORT = 443;
const READY_TIMEOUT_MS = 10_000;

export type WebSite = { readonly host: string; readonly ip: string; readonly caFile: string };

export async function startNginx(lab: Lab, namespace: Namespace, host: string, ip: string): Promise<WebSite> {
  const site: WebSite = { host, ip, caFile: lab.file('ca.crt') };
  await makeCertificates(lab, site);
  await mkdir(lab.file('nginx'));
  await writeFile(lab.file('nginx.conf'), configuration(lab, site));
  await lab.start('nginx', namespace, [
    'nginx',
    ...['-p', lab.file('nginx'), '-c', lab.file('nginx.conf'), '-e', 'stderr'],
  ]);
  const probe = async () => (await lab.run(namespace, httpsRequest(site))).stdout === '200' || undefined;
  await waitFor('nginx to answer', probe, { timeoutMs: READY_TIMEOUT_MS, signal: lab.signal });
  return site;
}

/** Writes the status code, having verified the certificate. */
export const httpsRequest = ({ host, ip, caFile }: WebSite): Command => [
  ...curl,
  ...['--cacert', caFile, '--resolve', `${host}:${PORT}:${ip}`, `https://${host}/`],
];

/** Writes the status code of an HTTP request without TLS to the port of HTTPS. */
export const plainHttpRequest = ({ ip }: WebSite): Command => [...curl, `http://${ip}:${PORT}/`];

const curl: Command = ['curl', '--silent', '--show-error', '--output', '/dev/null', '--write-out', '%{http_code}'];

async function makeCertificates({ directory, signal }: Lab, { host }: WebSite): Promise<void> {
  await certify(directory, { name: 'ca', subject: '/CN=Demo CA', extensions: [] }, { signal });
  const extensions = [...SERVER, `subjectAltName=DNS:${host}`];
  await certify(directory, { name: 'site', subject: `/CN=${host}`, extensions, authority: 'ca' }, { signal });
}

function configuration(lab: Lab, { host, ip }: WebSite): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${lab.file('nginx')};`,
  );
  return `
daemon off;
user root;
worker_processes 1;
pid ${lab.file('nginx.pid')};
events {}
http {
  access_log off;
  ${temporary.join('\n  ')}
  server {
    listen ${ip}:${PORT} ssl;
    server_name ${host};
    ssl_certificate ${lab.file('site.crt')};
    ssl_certificate_key ${lab.file('site.key')};
    location / { return 200 "hello from ${host}\\n"; }
  }
}
`;
}
