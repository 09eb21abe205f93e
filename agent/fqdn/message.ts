// DNS questions and answers as bytes: what is asked, and the addresses that an answer gives for it. Pure.
import { isIP } from 'node:net';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';

export type Question = { readonly id: number; readonly name: string; readonly type: 'A' | 'AAAA' };

/** `ttlSeconds` is the least of all records that led to the addresses; absent where there is none. */
export type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttlSeconds?: number }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'failed'; readonly reason: string };

/** RFC 1035 4.1.1. */
const RCODE_MASK = 0xf;
const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];
/** As resolvers bound it: longer chains are loops. */
const MAX_CNAMES = 16;

export function encodeQuestion({ id, name, type }: Question): Buffer {
  return encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type, name }] });
}

/** Undefined for a datagram that does not answer the question: anybody may send one. */
export function readAnswer(datagram: Buffer, { id, name, type }: Question): Answer | undefined {
  const packet = tryDecode(datagram);
  const [asked] = packet?.questions ?? [];
  if (!packet?.flag_qr || packet.id !== id || !asked) return undefined;
  if (canonical(asked.name) !== canonical(name) || asked.type !== type) return undefined;
  if (packet.flag_tc) return { kind: 'truncated' };
  const code = (packet.flags ?? 0) & RCODE_MASK;
  if (code !== 0) return { kind: 'failed', reason: RCODES[code] ?? `RCODE ${code}` };
  return follow(packet.answers ?? [], canonical(name), type);
}

type Packet = ReturnType<typeof decode>;

/** Only records of the name itself and of the names that it is an alias for count. */
function follow(answers: NonNullable<Packet['answers']>, name: string, type: Question['type']): Answer {
  const records = answers.flatMap((record) => (record.type === type || record.type === 'CNAME' ? record : []));
  const ttls: number[] = [];
  let owner = name;
  for (let links = 0; links < MAX_CNAMES; links += 1) {
    const ofOwner = records.filter((record) => canonical(record.name) === owner);
    const alias = ofOwner.find((record) => record.type === 'CNAME');
    const used = alias ? [alias] : ofOwner;
    ttls.push(...used.flatMap(({ ttl }) => ttl ?? []));
    if (!alias) {
      const addresses = [...new Set(used.map(({ data }) => data).filter((data) => isIP(data) !== 0))].toSorted();
      return { kind: 'addresses', addresses, ...(ttls.length > 0 && { ttlSeconds: Math.min(...ttls) }) };
    }
    owner = canonical(alias.data);
  }
  return { kind: 'failed', reason: `more than ${MAX_CNAMES} aliases` };
}

function tryDecode(datagram: Buffer): Packet | undefined {
  try {
    return decode(datagram);
  } catch {
    return undefined; // not DNS: no answer
  }
}

const canonical = (name: string): string => name.toLowerCase().replace(/\.$/, '');
