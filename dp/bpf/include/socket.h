/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The workload's own end of a TCP connection. It tells of a connection what the table of flows does not: of one that was
 * open before it was first seen, and of one that was pushed out. What is known of its application is kept with the socket,
 * for as long as there is one.
 */
#pragma once

#include <bpf/bpf_endian.h>

#include "flow.h"
#include "network.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_note);
} socket_notes SEC(".maps");

static __always_inline void write_address(__be32 words[4], const struct address *address)
{
	words[0] = bpf_htonl(address->high >> 32);
	words[1] = bpf_htonl(address->high);
	words[2] = bpf_htonl(address->low >> 32);
	words[3] = bpf_htonl(address->low);
}

/* The connection as its socket sees it: the peer is the source. Answers the tuple's length. */
static __always_inline __u32 write_tuple(struct bpf_sock_tuple *tuple, const struct flow_key *key, __u16 peer_port)
{
	if (is_mapped(&key->local)) {
		tuple->ipv4.saddr = bpf_htonl(key->peer.low);
		tuple->ipv4.daddr = bpf_htonl(key->local.low);
		tuple->ipv4.sport = bpf_htons(peer_port);
		tuple->ipv4.dport = bpf_htons(key->local_port);
		return sizeof(tuple->ipv4);
	}
	write_address(tuple->ipv6.saddr, &key->peer);
	write_address(tuple->ipv6.daddr, &key->local);
	tuple->ipv6.sport = bpf_htons(peer_port);
	tuple->ipv6.dport = bpf_htons(key->local_port);
	return sizeof(tuple->ipv6);
}

/* Whether somebody listens on the workload's port: no connection has a peer with port 0. */
static __noinline int is_listening(struct __sk_buff *skb, const struct flow_key *key, __u32 netns)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = write_tuple(&tuple, key, 0);
	struct bpf_sock *listener = bpf_skc_lookup_tcp(skb, &tuple, bytes, netns, 0);

	if (!listener)
		return 0;
	bpf_sk_release(listener);
	return 1;
}

/*
 * Where both streams start, and whether it is too late to tell the application by them: what has arrived was let through,
 * or was there before the program.
 */
static __always_inline void read_streams(struct bpf_sock *socket, struct flow *flow, bool is_noted)
{
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(socket);

	if (!tcp)
		return;

	/* Who opened it counts the acknowledgement of its SYN as a byte. */
	__u32 opening = flow->direction == DIRECTION_EGRESS;
	__u64 sent = tcp->bytes_acked, received = tcp->bytes_received;

	flow->start[DIRECTION_EGRESS] = tcp->snd_una - (__u32)sent + opening;
	flow->start[DIRECTION_INGRESS] = tcp->rcv_nxt - (__u32)received;
	flow->seen |= SEEN_START_EGRESS | SEEN_START_INGRESS;
	if (!is_noted && (sent > opening || received))
		flow->seen |= SEEN_PAYLOADS | SEEN_TOO_LATE;
}

/*
 * Takes from the workload's socket who opened a connection, in the middle of which a packet is, and what is known of its
 * application. Where none is found all stays as it is: it may be in a namespace within the workload's.
 */
static __noinline int recall(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow, __u32 netns)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = write_tuple(&tuple, key, key->peer_port);

	if (netns == NETNS_UNKNOWN)
		return 0;

	__u32 opener = is_listening(skb, key, netns) ? DIRECTION_INGRESS : DIRECTION_EGRESS;
	struct bpf_sock *socket = bpf_sk_lookup_tcp(skb, &tuple, bytes, netns, 0);

	if (!socket)
		return 0;
	flow->direction = opener;
	if (socket->state != BPF_TCP_LISTEN) {
		struct socket_note *note = bpf_sk_storage_get(&socket_notes, socket, NULL, 0);

		if (note) {
			flow->direction = note->direction & 1;
			flow->application = note->application;
			flow->seen |= note->seen | SEEN_NOTED;
		}
		read_streams(socket, flow, note);
	}
	bpf_sk_release(socket);
	return 0;
}

/* Keeps what is known of a connection's application with its socket. */
static __noinline int note_on_socket(struct __sk_buff *skb, const struct flow_key *key, struct flow *flow, __u32 netns)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = write_tuple(&tuple, key, key->peer_port);
	struct bpf_sock *socket;

	if (netns == NETNS_UNKNOWN)
		return 0;
	socket = bpf_sk_lookup_tcp(skb, &tuple, bytes, netns, 0);
	if (!socket)
		return 0;
	if (socket->state != BPF_TCP_LISTEN) {
		struct socket_note *note =
			bpf_sk_storage_get(&socket_notes, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);

		if (note) {
			note->direction = flow->direction;
			note->application = flow->application;
			note->seen = flow->seen & (SEEN_PAYLOADS | SEEN_TOO_LATE);
			flow->seen |= SEEN_NOTED;
		}
	}
	bpf_sk_release(socket);
	return 0;
}
