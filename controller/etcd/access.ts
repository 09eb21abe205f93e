// Who may do what in etcd. The name in a client's certificate is its user: the controller may do everything, an agent
// reads what is published and writes reports. Without this, every certificate of etcd's authority may do everything.
import { type Etcd3, Range } from 'etcd3';
import { keys } from '../api/keyspace.ts';

/** Common names of the certificates. */
export const CONTROLLER_USER = 'podwall-controller';
export const AGENT_USER = 'podwall-agent';
/** etcd wants a user and a role of this name before it tells users apart; no certificate has it. */
const ROOT = 'root';

type Permission = { readonly kind: 'Read' | 'Readwrite'; readonly prefix: string };
const AGENT_PERMISSIONS: readonly Permission[] = [
  ...[keys.rulesPrefix, keys.groupsPrefix, keys.nodesPrefix].map((prefix) => ({ kind: 'Read', prefix }) as const),
  { kind: 'Readwrite', prefix: keys.reportsPrefix },
];
const ROLE_OF = { [ROOT]: ROOT, [CONTROLLER_USER]: ROOT, [AGENT_USER]: AGENT_USER };

/**
 * Adds what is missing, and nothing where nothing is: each change makes etcd turn away requests that are under way. To be
 * called at each connection, since an etcd that was wiped no longer tells clients apart.
 */
export async function grantAccess({ auth }: Etcd3): Promise<void> {
  const [{ roles }, { users }] = await Promise.all([auth.roleList(), auth.userList()]);
  for (const name of [ROOT, AGENT_USER]) if (!roles.includes(name)) await auth.roleAdd({ name });
  await grantPermissions(auth);
  for (const [name, role] of Object.entries(ROLE_OF)) {
    if (!users.includes(name)) await auth.userAdd({ name, password: '', options: { no_password: true } });
    const granted = users.includes(name) ? (await auth.userGet({ name })).roles : [];
    if (!granted.includes(role)) await auth.userGrantRole({ user: name, role });
  }
  await auth.authEnable(); // nothing, where it is enabled
}

async function grantPermissions(auth: Etcd3['auth']): Promise<void> {
  const { perm: granted } = await auth.roleGet({ role: AGENT_USER });
  for (const { kind, prefix } of AGENT_PERMISSIONS) {
    const { start, end } = Range.prefix(prefix);
    const isGranted = granted.some(
      ({ permType, key, range_end }) => permType === kind && start.equals(key) && end.equals(range_end),
    );
    if (!isGranted)
      await auth.roleGrantPermission({ name: AGENT_USER, perm: { permType: kind, key: start, range_end: end } });
  }
}
