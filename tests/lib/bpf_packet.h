/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames for the program tests, described by their fields. */
#ifndef XI_TEST_BPF_PACKET_H
#define XI_TEST_BPF_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define XI_FRAME_MAX 1600

struct xi_frame {
	uint8_t data[XI_FRAME_MAX];
	uint32_t len;
};

/* Everything left out is zero, or what an ordinary packet has. */
struct xi_spec {
	const char *src, *dst; /* text; NULL: no IP packet, eth_type alone */
	const uint8_t *dmac;   /* NULL: all zero */
	const uint8_t *smac;
	uint16_t eth_type;  /* 0: by address family */
	unsigned int vlans; /* tags in front */
	uint8_t proto;
	uint16_t sport, dport; /* ICMP: type and code */
	uint32_t spi;
	uint16_t frag_off; /* units of eight bytes */
	bool mf;
	bool atomic;	 /* IPv6: fragment header of a whole packet */
	uint8_t hops;	 /* 0: 64 */
	const char *ext; /* IPv6: one character a header, h hop-by-hop, r routing, d destination
			    options */
	const uint8_t *payload;
	uint32_t payload_len; /* bytes behind the first eight of proto's header */
	uint32_t cut;	      /* bytes taken off the end, length fields left as they are */
	uint32_t shrink;      /* bytes taken off the length fields, frame left as it is */
	uint8_t version_ihl;  /* 0: right */
	int udp_skew;	      /* added to the length in the UDP header */
	uint32_t mark, if_id; /* of its flow, as flow_cache has it */
};

void xi_frame_build(struct xi_frame *frame, const struct xi_spec *spec);
/* 16 bytes as in the ABI. Returns 4 or 6. */
int xi_addr_parse(uint8_t addr[16], const char *text);

#endif
