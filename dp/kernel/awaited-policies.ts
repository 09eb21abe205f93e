// Workloads whose policies can't be taken over: the earlier programs decide for them until they are told again.
import { visitEntries } from './bulk.ts';
import type { Generation } from './generation.ts';
import { numberAt, recordCopy } from './record-copy.ts';
import type { RecordLayout } from './record-layout.ts';
import type { TableLayout, TablesLayout } from './table-layouts.ts';

/** Ids of the workloads' endpoints by the index of their interface. */
export type Awaited = Map<number, Set<number>>;

/** Those with a policy in force and none in the next generation. */
export function awaitedPolicies(inForce: Generation, next: Generation): Awaited {
  const to = endpointsOf(next.layout());
  const told = new Set<number>();
  visitEndpoints(next, to, to, ({ id, policy }) => {
    if (policy !== 0) told.add(id);
  });
  const present = new Set<number>();
  visitEndpoints(next, to, to, ({ id }) => present.add(id));
  const awaited: Awaited = new Map();
  visitEndpoints(inForce, endpointsOf(inForce.layout()), to, ({ ifindex, id, policy }) => {
    if (policy === 0 || told.has(id) || !present.has(id)) return;
    awaited.set(ifindex, (awaited.get(ifindex) ?? new Set()).add(id));
  });
  return awaited;
}

/** Takes the policy out of an endpoint's record. */
export function clearPolicy(layout: TablesLayout): (value: DataView, at: number) => void {
  const place = endpointsOf(layout).value.places.find(({ path }) => path === 'policy');
  if (!place) throw new Error('endpoints have no policy');
  return (value, at) => value.setUint32(at + place.bit / 8, 0, true);
}

type Endpoints = TableLayout & { readonly key: RecordLayout; readonly value: RecordLayout };

function endpointsOf({ tables: { endpoints } }: TablesLayout): Endpoints {
  if (!endpoints?.key || !endpoints.value) throw new Error('endpoints have no layout');
  return { ...endpoints, key: endpoints.key, value: endpoints.value };
}

/** Reads a table of one layout as if it were of another. */
function visitEndpoints(
  generation: Generation,
  own: Endpoints,
  wanted: Endpoints,
  visit: (endpoint: { ifindex: number; id: number; policy: number }) => void,
): void {
  const [copyKey, copyValue] = [recordCopy(own.key, wanted.key), recordCopy(own.value, wanted.value)];
  const ifindexOf = numberAt(wanted.key, 'ifindex');
  const [idOf, policyOf] = [numberAt(wanted.value, 'id'), numberAt(wanted.value, 'policy')];
  if (!ifindexOf || !idOf || !policyOf) throw new Error('endpoints have no interface, id or policy');
  generation.with('endpoints', (fd) =>
    visitEntries(fd, own.keyBytes, own.valueBytes, (keys, keyAt, values, valueAt) => {
      const [key, value] = [
        new DataView(new ArrayBuffer(wanted.keyBytes)),
        new DataView(new ArrayBuffer(wanted.valueBytes)),
      ];
      copyKey(keys, keyAt, key, 0);
      copyValue(values, valueAt, value, 0);
      visit({ ifindex: ifindexOf(key, 0), id: idOf(value, 0), policy: policyOf(value, 0) });
    }),
  );
}
