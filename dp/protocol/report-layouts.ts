// The layouts of the binary reports: what README.md documents. All numbers are big endian.
import { layout } from './layout.ts';

export const REPORT_KIND = {
  appUpdate: 1,
  threatLog: 2,
  connection: 3,
  fqdnUpdate: 4,
  ipFqdnStorageUpdate: 5,
  keepAlive: 6,
  policyRealized: 16,
  ruleHits: 17,
  error: 18,
} as const;

/** In front of every report: the reference's §6.2. */
export const header = layout([
  ['kind', 'u16', 'what the report is'],
  ['length', 'u16', 'bytes of the whole report, this header included'],
  ['more', 'u32', '1: the next datagram goes on with what this one began'],
  ['sequence', 'u32', 'counts the reports of this dp, from 1; in a keep-alive, the number that was asked with'],
]);

export const keepAlive = layout([['sequence', 'u32', 'the number that ctrl_keep_alive came with']]);

export const threatLog = layout([
  ['threatId', 'u32', 'a threat of the table in threats.ts'],
  ['reportedAt', 'u32', 'seconds since 1970'],
  ['count', 'u32', 'packets this report stands for'],
  ['action', 'u8', 'what was done: 1 open, 2 deny, 3 learn, 4 violate'],
  ['severity', 'u8', '1 info, 2 low, 3 medium, 4 high, 5 critical'],
  ['ipProtocol', 'u8', 'IP protocol number; 0 where there is none'],
  [
    'flags',
    'u8',
    '1 the packet went to the workload, 2 the connection was opened towards it, 4 the packet passed, 8 the peer is external',
  ],
  ['mac', 'mac', 'the workload'],
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6; 0: the addresses mean nothing'],
  ['source', 'address', 'source address; IPv4 in the first 4 bytes'],
  ['destination', 'address', 'destination address; IPv4 in the first 4 bytes'],
  ['sourcePort', 'u16', 'TCP, UDP or SCTP source port'],
  ['destinationPort', 'u16', 'TCP, UDP or SCTP destination port'],
  ['icmpCode', 'u8', 'ICMP code'],
  ['icmpType', 'u8', 'ICMP type'],
  ['capturedBytes', 'u16', 'bytes of the packet that follow this structure, at most 64'],
  ['application', 'u32', 'application number; 0 unknown'],
  ['packetBytes', 'u32', 'length of the packet, from its Ethernet header'],
  ['ruleId', 'u32', 'the rule that decided; 0: the default action, or no rule at all'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule id belongs to'],
  ['message', 'text64', 'the threat in words, UTF-8, zero-filled'],
]);

export const connectionList = layout([
  ['count', 'u16', 'connections that follow'],
  ['reserved', 'u16', 'zero'],
]);

export const connection = layout([
  ['mac', 'mac', 'the workload'],
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['client', 'address', 'who opened it; IPv4 in the first 4 bytes'],
  ['server', 'address', 'whom it was opened to; IPv4 in the first 4 bytes'],
  ['clientPort', 'u16', 'TCP, UDP or SCTP port'],
  ['serverPort', 'u16', 'TCP, UDP or SCTP port'],
  ['ipProtocol', 'u8', 'IP protocol number'],
  ['flags', 'u8', '1 opened towards the workload, 2 violation, 4 closed, 8 the peer is external'],
  ['action', 'u8', '1 open, 2 deny, 3 learn, 4 violate'],
  ['reserved', 'u8', 'zero'],
  ['application', 'u32', 'application number; 0 unknown'],
  ['ruleId', 'u32', 'the rule that decided; 0: the default action'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule id belongs to'],
  ['firstSeenAt', 'u32', 'seconds since 1970'],
  ['lastSeenAt', 'u32', 'seconds since 1970'],
  ['clientBytes', 'u64', 'bytes that the client sent, from the Ethernet header'],
  ['serverBytes', 'u64', 'bytes that the server sent'],
  ['clientPackets', 'u64', 'packets that the client sent'],
  ['serverPackets', 'u64', 'packets that the server sent'],
]);

export const appUpdateList = layout([
  ['mac', 'mac', 'the workload'],
  ['count', 'u16', 'ports that follow'],
]);

export const appUpdate = layout([
  ['port', 'u16', 'port that the workload listens on'],
  ['ipProtocol', 'u8', '6 TCP, 17 UDP'],
  ['reserved', 'u8', 'zero'],
  ['application', 'u32', 'application number'],
]);

export const fqdnUpdate = layout([
  ['name', 'name256', 'the domain name, zero-filled'],
  ['flags', 'u16', '1: vhost'],
  ['count', 'u16', 'addresses that follow, each as below'],
]);

export const fqdnAddress = layout([
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['reserved', 'u16', 'zero'],
  ['address', 'address', 'IPv4 in the first 4 bytes'],
  ['seconds', 'u32', 'how long it holds from now on'],
]);

export const ipFqdn = layout([
  ['etherType', 'u16', '0x0800 IPv4, 0x86dd IPv6'],
  ['reserved', 'u16', 'zero'],
  ['address', 'address', 'IPv4 in the first 4 bytes'],
  ['name', 'name256', 'a domain name it was given for, zero-filled'],
]);

export const policyRealized = layout([
  ['mac', 'mac', 'the workload whose policy is now in force'],
  ['reserved', 'u16', 'zero'],
  ['epoch', 'u32', 'counts the changes of this workload’s policy; the packet after this report meets this one'],
  ['rules', 'u32', 'rules in force; 0 with no policy left, or with the default action alone'],
]);

export const ruleHitsList = layout([
  ['mac', 'mac', 'the workload'],
  ['count', 'u16', 'rules that follow'],
  ['revision', 'u32', 'epoch of the POLICY_REALIZED that the rule ids belong to'],
]);

export const ruleHits = layout([
  ['ruleId', 'u32', 'the rule; 0: the default action'],
  ['lastHitAt', 'u32', 'seconds since 1970'],
  ['hits', 'u64', 'connections it decided on since that policy came into force'],
]);

export const errorReport = layout([
  ['code', 'u16', 'what kind of error: ERROR_CODE'],
  ['command', 'u16', 'the command, by its place in commandSchemas from 1; 0: none'],
  ['mac', 'mac', 'the workload; zeros: none'],
  ['textBytes', 'u16', 'bytes of the message that follows, UTF-8'],
]);
