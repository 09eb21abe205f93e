/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the kernel programs and dp share. kernel/abi.gen.ts is derived from the
 * compiled form of this file by `npm run build`. Every struct is free of holes
 * (the generator refuses one): keys are hashed byte by byte, padding included.
 */
#pragma once

#include <linux/types.h>

/* Marks what user space must know; the tag ends up in BTF. */
#define __abi __attribute__((btf_decl_tag("abi")))
/* Keeps a type in BTF that no map names. */
#define ABI_KEEP(type, name) const type *abi_##name __attribute__((unused))

/*
 * A dp that finds tables of another layout moves their entries, field by field
 * of the same name; a field that is new is zero. So a field whose meaning
 * changes takes another name, and zero must mean "as before there was one".
 * POLICY_FORMAT goes up when a policy's blob is searched in another way.
 */
#define POLICY_FORMAT 1
#define RECORD_SIZE 16
#define NO_RANK 0xffffffffu
#define MAX_POLICIES 4096
#define MAX_ENDPOINT_ID 16777215	/* 24 bits, see struct flow_key */
/* Of struct endpoint: the workload's sockets are in the namespace of dp itself, or it is not known where. */
#define NETNS_CURRENT 4294967295
#define NETNS_UNKNOWN 2147483648
#define NAME_BYTES 256		/* RFC 1035 3.1: a name is at most 255 bytes on the wire */
#define NAMES_PER_ADDRESS 15
#define CAPTURED_BYTES 64

/* The reference's 5.3. NONE is no decision. */
enum action { ACTION_NONE, ACTION_OPEN, ACTION_DENY, ACTION_LEARN, ACTION_VIOLATE };
#define ACTIONS 5

/* Who sends: EGRESS is from the workload, INGRESS to it. A bit each in the reference's dir. */
enum direction { DIRECTION_EGRESS, DIRECTION_INGRESS };

/* Codes from 1 to 254, for the top byte of a port key; dp maps them to the reference's 5.6. */
enum application {
	APPLICATION_UNKNOWN,
	APPLICATION_HTTP,
	APPLICATION_HTTPS,
	APPLICATION_MYSQL,
	APPLICATION_POSTGRESQL,
	APPLICATION_MONGODB,
	APPLICATION_REDIS,
	APPLICATION_KAFKA,
	APPLICATION_ZOOKEEPER,
	APPLICATION_DNS,
	APPLICATION_SSH,
	APPLICATION_TELNET,
};

/* Why a packet was reported or dropped. */
enum reason {
	REASON_NONE,
	REASON_POLICY,
	REASON_SPOOFED_MAC,
	REASON_INVALID_PACKET,
	REASON_UNSUPPORTED_PROTOCOL,
	REASON_ORPHAN_FRAGMENT,
	REASON_STRAY_ICMP_ERROR,
	REASON_SPOOFED_ADDRESS,
};
#define REASONS 8

/* What the programs count about themselves, and over all workloads, also those that are gone; index of `counters`. */
enum counter {
	COUNTER_EVENTS_LOST,	/* the ring buffer was full */
	COUNTER_HITS_LOST,	/* the table of hits was full */
	COUNTER_FLOWS_LOST,	/* the flow table refused an entry */
	COUNTER_ANSWERS_LEARNT,	/* DNS answers to a workload that gave a rule's name its addresses */
	COUNTER_ANSWERS_CUT,	/* those that were not read to their end: too large, in fragments, truncated or malformed */
	COUNTER_ANSWERS_ALIEN,	/* those that answer another question than was asked with their number */
	COUNTER_ANSWERS_BY_TCP,	/* connections by TCP that workloads opened to resolvers: what comes by them is not read */
	COUNTER_ANSWERS_LOST,	/* answers with an address that there was no room for */
	COUNTER_VERDICTS,	/* first of ACTIONS: decisions on connections, by enum action */
	COUNTER_DROPS = COUNTER_VERDICTS + ACTIONS,	/* first of REASONS: packets, by enum reason */
	COUNTER_COUNT = COUNTER_DROPS + REASONS,
};

_Static_assert(ACTIONS == ACTION_VIOLATE + 1 && REASONS == REASON_SPOOFED_ADDRESS + 1, "counters have all of them");

/* IPv4 is ::ffff:a.b.c.d; each half in host order, so that they compare. */
struct address {
	__u64 high;
	__u64 low;
} __abi;

/* ---- A policy's blob: records of 16 bytes, all host order ---- */

/* Entry k of a table lies at record + k (16-byte entries) and counts from 1. */
struct table {
	__u32 record;
	__u32 count;
} __abi;

/* Record 0 of a blob. */
struct policy_header {
	__u32 one;		/* always 1; see classifier.h */
	__u32 depth;		/* bits of a port segment's number; a tree may end sooner */
	struct table ports;	/* of struct step: key -> port segment */
	struct table locals[2];	/* addresses -> record of a struct scope, by direction */
	__u32 rules;		/* record of the first struct rule */
	__u32 reserved;
};

struct scope {
	struct table peers;	/* addresses -> record of a port tree */
	struct table names;	/* of struct step: FQDN id -> record of a port tree */
};

struct step {
	__u32 start;
	__u32 value;
};

/* A port tree's node says which rules cover all segments under it. */
struct port_node {
	__u32 child[2];		/* records; 0 is the empty tree */
	__u32 base;		/* lowest rank without apps, or NO_RANK */
	__u32 app;		/* lowest rank with any app, or NO_RANK */
};

/* Rank r is the r-th lowest. */
struct rule {
	__u32 id;
	__u32 action;
};

/* ---- Endpoints ---- */

/* A MAC of zeros is the interface itself: group addresses, and which policy a spoofed source breaks. */
struct endpoint_key {
	__u32 ifindex;		/* or a port's id, from FIRST_PORT on */
	__u8 mac[6];
	__u16 reserved;
} __abi;

/* Replaced whole, so that a packet meets one policy and never parts of two. */
struct endpoint {
	__u32 id;		/* 1 to MAX_ENDPOINT_ID */
	__u32 policy;		/* index of `policies`; 0 is none */
	__u32 epoch;		/* a flow of an older one is classified again */
	__u32 revision;		/* the epoch at which the rules came into force */
	__u8 default_action;
	__u8 directions;	/* the reference's dir: 1 ingress, 2 egress, 3 both */
	__u8 tap;		/* enum tap bits; any of them: report, but drop nothing */
	__u8 families;		/* enum family bits: those of which every address is in `endpoint_addresses` */
	__u32 netns;		/* id of the namespace that its sockets are in, or NETNS_… */
	__u32 learns;		/* 1: its rules name hosts, and answers of resolvers to it are read */
} __abi;

enum family { FAMILY_IPV4 = 1, FAMILY_IPV6 = 2 };

/* Whose wish it is: the workload's setting, the whole node's, or that of who watches it through a port. */
enum tap { TAP_WORKLOAD = 1, TAP_NODE = 2, TAP_PORT = 4 };

/* ---- Ports: interfaces in other network namespaces ---- */

#define FIRST_PORT 2147483648	/* as an endpoint's ifindex, a port's id; interfaces' indexes stay below */
#define PATH_BYTES 256
#define INTERFACE_BYTES 16	/* IFNAMSIZ */

struct port {
	__u64 inode;			/* of the network namespace */
	__u32 ifindex;			/* within it */
	__u16 queue;			/* number of the netfilter queue */
	__u16 is_queue;			/* 0: the interface is watched */
	__u8 namespace[PATH_BYTES];	/* zero-filled, as the name */
	__u8 interface[INTERFACE_BYTES];
} __abi;

/* An address that a workload may send from. */
struct endpoint_address {
	struct address address;
	__u32 endpoint;
	__u32 reserved;
} __abi;

/* A port that a workload listens on, of which dp was told the application. */
struct listener {
	__u32 endpoint;
	__u16 port;		/* host order */
	__u8 protocol;
	__u8 reserved;
} __abi;

/* ---- Flows ---- */

/* A tick is 2^30 ns (1.07 s) of the monotonic clock. */
#define TICK_SHIFT 30

/* Beside the action in the low half of a decision. */
enum flow_flag {
	FLOW_UNIDENTIFIED = 1 << 8,	/* payloads are still to be looked at */
	FLOW_BY_APPLICATION = 1 << 9,	/* another application might have been decided on otherwise */
};

struct flow_key {
	struct address local;	/* the workload's side */
	struct address peer;
	__u16 local_port;	/* host order; an ICMP echo's identifier is the port of who asks, 0 that of who answers */
	__u16 peer_port;
	__u32 protocol : 8;	/* one word with the endpoint: an entry is 8 bytes shorter by it */
	__u32 endpoint : 24;
} __abi;

/* What one side of a flow sent: frames as on the wire, each with its headers from Ethernet on. */
struct flow_side {
	__u64 packets;
	__u64 bytes;
} __abi;

struct flow {
	/* epoch << 32 | enum flow_flag | action: one word, so that no CPU sees halves of two. */
	__u64 decision;
	__u32 rule_id;		/* 0: the default action */
	__u32 name;		/* FQDN id that led to the rule; 0 is none */
	__u32 first_seen;	/* ticks */
	__u32 last_seen;	/* ticks */
	__u32 start[2];		/* TCP: sequence number of the first payload byte, by who sends */
	__u32 seen;		/* enum seen; only ever gains bits, each by an atomic or */
	__u8 direction;		/* enum direction of who opened it */
	__u8 application;
	__u16 reserved;
	struct flow_side sides[2];	/* by who sends: enum direction */
} __abi;

/* A flow that may not pass, kept apart so that denied ones never push out those that may. */
struct denial {
	__u64 decision;		/* epoch << 32 | action */
	__u32 rule_id;
	__u32 reported;		/* ticks: when a report was last made */
	__u32 unreported;	/* packets since then */
	__u8 direction;		/* enum direction of who tried to open it */
	__u8 application;
	__u8 is_past;		/* 1: a connection on the same ports was let through since */
	__u8 reserved;
} __abi;

/* What is known of a TCP connection's application, for when its flow is pushed out of the table. */
struct socket_note {
	__u32 seen;		/* enum seen */
	__u8 direction;		/* enum direction of who opened it */
	__u8 application;
	__u16 reserved;
};

struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 endpoint;
	__u32 protocol;
	__u32 reserved;
} __abi;

/* ---- Names ---- */

/* A name as on the wire, lowercased, zero after its root label. */
struct fqdn_name {
	__u8 wire[NAME_BYTES];
} __abi;

/* Ids of the rules' names; 0 is none. `exact` is for x, `below` for *.x. */
struct fqdn_ids {
	__u32 exact;
	__u32 below;
} __abi;

/* The names that dp was told an address has. */
struct address_names {
	__u32 count;
	__u32 ids[NAMES_PER_ADDRESS];
} __abi;

#define MATCHES_MAX 8		/* of one name: itself and the patterns over it */
#define LEARNT_SLOTS 8
#define LEARNT_BLOCKS 32	/* of one address: with LEARNT_SLOTS, 256 names */
/* The sweeper deletes a block once all its slots ended this long ago: 10 minutes. */
#define SWEEP_TICKS 559

/* An address with more names goes on in block 1, 2, … */
struct learnt_key {
	struct address address;
	__u32 block;
	__u32 reserved;
} __abi;

/* Each slot: FQDN id << 32 | the tick until which it counts; 0 is free. Written by compare-and-swap, and by the programs alone. */
struct learnt_block {
	__u64 slots[LEARNT_SLOTS];
} __abi;

/* A question that a workload sent: only what answers it teaches. */
struct dns_query_key {
	struct flow_key flow;
	__u16 id;
	__u16 reserved[3];
};

struct dns_query {
	__u64 question;		/* digest of its name and type */
	__u32 sent;		/* ticks */
	__u32 count;
	__u32 names[MATCHES_MAX];	/* FQDN ids that the name in question has */
};

/* ---- Reports ---- */

/* `revision`: the rule ids mean what they meant at that epoch. */
struct hit_key {
	__u32 endpoint;
	__u32 revision;
	__u32 rule_id;
	__u32 reserved;
} __abi;

struct hit_count {
	__u64 hits;
	__u64 last_ns;		/* of the monotonic clock */
} __abi;

struct drop_key {
	__u32 endpoint;
	__u32 reason;
} __abi;

struct drop_count {
	__u64 packets;
	__u32 reported;		/* ticks */
	__u32 unreported;	/* packets since then */
} __abi;

struct event {
	__u64 time_ns;		/* of the monotonic clock */
	struct flow_key key;
	__u32 count;		/* packets this event stands for */
	__u32 rule_id;
	__u32 revision;
	__u32 ifindex;
	__u32 packet_bytes;
	__u32 captured_bytes;
	__be16 ether_type;
	__u8 reason;
	__u8 action;		/* what the policy says */
	__u8 packet_direction;	/* enum direction */
	__u8 flow_direction;	/* enum direction */
	__u8 application;
	__u8 passed;		/* 1: went on all the same */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 mac[6];		/* the source's where the reason is a spoofed one */
	__u8 captured[CAPTURED_BYTES];
} __abi;
