// Builds DNS messages for tests, record by record (RFC 1035 4.1). Pure.
import ipaddr from 'ipaddr.js';

export const TYPE = { a: 1, cname: 5, txt: 16, aaaa: 28, opt: 41 } as const;
const CLASS_IN = 1;
const FLAGS = { query: 0x0100, answer: 0x8180, truncated: 0x8380, nameError: 0x8183 } as const;
/** A name as it stands in the message: text, or a pointer to a byte. */
export type Name = string | { readonly pointer: number };
export type Record = {
  readonly owner: Name;
  readonly type: number;
  readonly data: Uint8Array;
  readonly ttl?: number;
  readonly class?: number;
};
export type Message = {
  readonly id: number;
  readonly name: string;
  readonly type?: number;
  readonly kind?: keyof typeof FLAGS;
  readonly answers?: readonly Record[];
  readonly additionals?: readonly Record[];
};

/** Where the question's name stands. */
export const QUESTION: Name = { pointer: 12 };

const u16 = (value: number): number[] => [value >> 8, value & 0xff];

export function wire(name: Name): number[] {
  if (typeof name !== 'string') return u16(0xc000 | name.pointer);
  return [...name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]), 0];
}

export function message({ id, name, type = TYPE.a, kind = 'query', answers = [], additionals = [] }: Message): Buffer {
  const header = [id, FLAGS[kind], 1, answers.length, 0, additionals.length].flatMap(u16);
  const question = [...wire(name), ...u16(type), ...u16(CLASS_IN)];
  return Buffer.from([...header, ...question, ...[...answers, ...additionals].flatMap(recordBytes)]);
}

function recordBytes({ owner, type, data, ttl = 300, class: of = CLASS_IN }: Record): number[] {
  return [
    ...wire(owner),
    ...u16(type),
    ...u16(of),
    ...u16(ttl >>> 16),
    ...u16(ttl & 0xffff),
    ...u16(data.length),
    ...data,
  ];
}

export function addressRecord(address: string, owner: Name = QUESTION, ttl = 300): Record {
  const { v6, data } = { v6: address.includes(':'), data: Uint8Array.from(ipaddr.parse(address).toByteArray()) };
  return { owner, type: v6 ? TYPE.aaaa : TYPE.a, data, ttl };
}

export const alias = (of: Name, to: Name, ttl = 300): Record => ({
  owner: of,
  type: TYPE.cname,
  data: Uint8Array.from(wire(to)),
  ttl,
});
/** EDNS, as most servers send it (RFC 6891): its class is a size. */
export const EDNS: Record = { owner: '', type: TYPE.opt, data: new Uint8Array(), ttl: 0, class: 1232 };
