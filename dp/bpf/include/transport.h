/* SPDX-License-Identifier: GPL-2.0 */
/* Reads TCP, UDP, SCTP and ICMP headers. */
#pragma once

#include <bpf/bpf_endian.h>

#include "cursor.h"
#include "headers.h"

static __always_inline bool is_icmp_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/*
 * Routers and neighbours (RFC 4861), multicast listeners (RFC 2710, RFC 3810): how an address is found at all. What a
 * router has forwarded, or would, is none of these.
 */
static __always_inline bool is_neighbour_discovery(const struct packet *packet)
{
	__u8 type = packet->icmp_type;

	if (type >= ROUTER_SOLICITATION && type <= NEIGHBOUR_REDIRECT)
		return packet->hop_limit == 255;
	return ((type >= LISTENER_QUERY && type <= LISTENER_DONE) || type == LISTENER_REPORT_V2) && packet->hop_limit == 1;
}

/* Request and reply carry one identifier: it is the port of who asks, so that the other side can't ask too. */
static __always_inline void note_echo(struct packet *packet, const struct icmp_header *icmp, bool is_v6)
{
	if (icmp->type == (is_v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST))
		packet->source_port = bpf_ntohs(icmp->identifier);
	else if (icmp->type == (is_v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY))
		packet->destination_port = bpf_ntohs(icmp->identifier);
}

static __always_inline enum packet_kind read_icmp(struct cursor *cur, struct packet *packet, bool is_v6)
{
	struct icmp_header *icmp = take(cur, struct icmp_header);

	if (!icmp)
		return PACKET_INVALID;
	packet->icmp_type = icmp->type;
	packet->icmp_code = icmp->code;
	packet->quoted_at = bytes_into(cur, cur->pos);
	if (is_v6 && is_neighbour_discovery(packet))
		return PACKET_PASSED;
	if (is_v6 ? icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER_PROBLEM : is_icmp_error(icmp->type))
		return PACKET_ICMP_ERROR;
	note_echo(packet, icmp, is_v6);
	return PACKET_FLOW;
}

static __always_inline enum packet_kind read_transport(struct cursor *cur, struct packet *packet)
{
	bool is_v6 = packet->ether_type == bpf_htons(ETH_P_IPV6);

	if (packet->protocol == IPPROTO_TCP) {
		struct tcp_start *tcp = take(cur, struct tcp_start);

		if (!tcp || tcp->offset >> 4 < 5)
			return PACKET_INVALID;
		packet->source_port = bpf_ntohs(tcp->source);
		packet->destination_port = bpf_ntohs(tcp->dest);
		packet->sequence = bpf_ntohl(tcp->sequence);
		packet->tcp_flags = tcp->flags;
		packet->payload_at = bytes_into(cur, tcp) + (tcp->offset >> 4) * 4;
	} else if (packet->protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(cur, struct udphdr);

		if (!udp)
			return PACKET_INVALID;
		packet->source_port = bpf_ntohs(udp->source);
		packet->destination_port = bpf_ntohs(udp->dest);
		packet->payload_at = bytes_into(cur, cur->pos);
	} else if (packet->protocol == IPPROTO_SCTP) {
		struct sctp_start *sctp = take(cur, struct sctp_start);

		if (!sctp)
			return PACKET_INVALID;
		packet->source_port = bpf_ntohs(sctp->source);
		packet->destination_port = bpf_ntohs(sctp->dest);
	} else if (packet->protocol == (is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		return read_icmp(cur, packet, is_v6);
	}
	return PACKET_FLOW;
}

/* The payload ends where the IP packet does, not with the frame's padding. */
static __always_inline enum packet_kind find_payload(struct packet *packet, __u32 frame_bytes)
{
	__u32 end = packet->ip_end ? packet->ip_end : frame_bytes;

	if (end > frame_bytes || packet->payload_at > end)
		return PACKET_INVALID;
	packet->payload_bytes = packet->payload_at ? end - packet->payload_at : 0;
	return PACKET_FLOW;
}
