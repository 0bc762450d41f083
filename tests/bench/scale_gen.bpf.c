/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Generator and sink of packets of many SAs: see scale_gen.c. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "scale_gen.h"

#define CATCH_UP 64              /* packets that a stream of a fixed rate may be behind and still send */
#define SAMPLE_EVERY 61

/* ESP packets from the SPI on, one an SA. As long as they are, the size is set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 128);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scale_block);
} order SEC(".maps");

/* By kind: what all frames of it begin with, or are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SCALE_KINDS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, SCALE_CLEAR);
} heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCALE_CLASSES);
	__type(key, __u32);
	__type(value, struct scale_count);
} counts SEC(".maps");

const volatile __u32 body_len = 128;
__u32 timed;                     /* some stream has an interval */
struct scale_stream streams[2];  /* SCALE_FLOOD, SCALE_LIVE; one caller: no atomics */
__u64 wrong;                     /* of the samples: not what the generator put into its ESP */

static __always_inline int is_due(struct scale_stream *s, __u64 now)
{
	if (!s->kind)
		return 0;
	if (!s->interval)
		return 1;
	if (now < s->next)
		return 0;
	if (now - s->next > CATCH_UP * s->interval)
		s->next = now - CATCH_UP * s->interval;
	s->next += s->interval;
	return 1;
}

static __always_inline int set_len(struct xdp_md *ctx, int len)
{
	int delta = len - (int)(ctx->data_end - ctx->data);

	return delta ? bpf_xdp_adjust_tail(ctx, delta) : 0;
}

static __always_inline void *next_packet(struct scale_stream *s)
{
	__u32 at = s->at, block = s->first + at / SCALE_BLOCK;
	struct scale_block *b = bpf_map_lookup_elem(&order, &block);

	s->at = at + 1 < s->count ? at + 1 : 0;
	return b ? bpf_map_lookup_elem(&packets, &b->sa[at % SCALE_BLOCK]) : NULL;
}

static __always_inline int put_random(struct xdp_md *ctx, __u32 off, __u32 or)
{
	__u8 *data = (void *)(long)ctx->data;

	if (data + off + 4 > (__u8 *)(long)ctx->data_end)
		return -1;
	*(__u32 *)(data + off) = bpf_get_prandom_u32() | bpf_htonl(or);
	return 0;
}

/* The checksum stays what it is: the identification takes away what the destination adds. */
static __always_inline int put_tuple(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(data + ETH_HLEN);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 chance = bpf_get_prandom_u32();

	if ((void *)(udp + 1) > (void *)(long)ctx->data_end)
		return -1;
	((__u16 *)&ip->daddr)[1] = chance;
	ip->id = ~chance;
	*(__u32 *)udp = bpf_get_prandom_u32();
	return 0;
}

static __always_inline int fill_esp(struct xdp_md *ctx, struct scale_stream *s, void *head)
{
	__u32 len = body_len;
	void *body = next_packet(s);

	if (!body || set_len(ctx, SCALE_HEAD + len) || bpf_xdp_store_bytes(ctx, 0, head, SCALE_HEAD) ||
	    bpf_xdp_store_bytes(ctx, SCALE_HEAD, body, len))
		return -1;
	if (s->kind == SCALE_RANDOM_SPI)
		return put_random(ctx, SCALE_HEAD, SCALE_SPI_NOBODY);
	return s->kind == SCALE_BAD_ICV ? put_random(ctx, SCALE_HEAD + len - 4, 0) : 0;
}

static __always_inline int fill(struct xdp_md *ctx, struct scale_stream *s)
{
	__u32 kind = s->kind;
	void *head = bpf_map_lookup_elem(&heads, &kind);

	if (!head)
		return -1;
	if (kind < SCALE_FOREIGN)
		return fill_esp(ctx, s, head);
	if (set_len(ctx, SCALE_CLEAR) || bpf_xdp_store_bytes(ctx, 0, head, SCALE_CLEAR))
		return -1;
	return kind == SCALE_TUPLES ? put_tuple(ctx) : 0;
}

/*
 * Pages are recycled within a call, with the length and the bytes that the last frame and its receiver
 * left in them, so each frame is sized and stored anew.
 */
SEC("xdp")
int scale_send(struct xdp_md *ctx)
{
	__u64 now = timed ? bpf_ktime_get_ns() : 0;
	struct scale_stream *s;

	if (is_due(&streams[SCALE_LIVE], now))
		s = &streams[SCALE_LIVE];
	else if (is_due(&streams[SCALE_FLOOD], now))
		s = &streams[SCALE_FLOOD];
	else
		return XDP_DROP;
	if (fill(ctx, s))
		return XDP_ABORTED;
	s->sent++;
	return bpf_redirect_map(&out, 0, XDP_ABORTED);
}

static __always_inline enum scale_class class_of_spi(__u32 spi)
{
	__u32 special = spi - (SCALE_SPI + SCALE_SPECIAL);

	return spi == SCALE_SPI_OUT_LIVE || special < SCALE_LIVE_SAS ? SCALE_LIVE : SCALE_FLOOD;
}

static __always_inline enum scale_class class_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 net;

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return SCALE_OTHER;
	if (ip->protocol == IPPROTO_ESP)
		return class_of_spi(bpf_ntohl(*(__u32 *)udp));
	if (ip->protocol != IPPROTO_UDP)
		return SCALE_OTHER;
	net = bpf_ntohl(ip->daddr) & 0xffff0000;
	if (net == SCALE_NET_FLOOD || udp->dest == bpf_htons(SCALE_PORT_FLOOD))
		return SCALE_FLOOD;
	return udp->dest == bpf_htons(SCALE_PORT_LIVE) ? SCALE_LIVE : SCALE_OTHER;
}

/* Of a packet in clear; of ESP nothing is known here. */
static __always_inline int is_wrong(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	__u64 *payload = (void *)(udp + 1);

	if ((void *)(payload + 1) > end || ip->protocol != IPPROTO_UDP)
		return 0;
	return *payload != (SCALE_MAGIC ^ ip->saddr);
}

SEC("xdp")
int scale_sink(struct xdp_md *ctx)
{
	__u32 class = class_of(ctx);
	struct scale_count *c = bpf_map_lookup_elem(&counts, &class);

	if (!c)
		return XDP_ABORTED;
	c->packets++;
	c->bytes += ctx->data_end - ctx->data;
	if (class != SCALE_OTHER && c->packets % SAMPLE_EVERY == 0 && is_wrong(ctx))
		__sync_fetch_and_add(&wrong, 1);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
