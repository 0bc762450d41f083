/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A first layer that frames by itself, in the place of xdp_plain on a port with attach = none: IPv4
 * packets to one address get headers, padding, SPI and a number of the SA's, and go to the worker
 * for the crypto (XI_META_FRAMED). ESP with AES-GCM, alone or one in transport mode inside another
 * in tunnel mode, and AH in tunnel mode; over IPv4.
 *
 * A packet is framed in a buffer and written back in front of where it was: there is room at a
 * veth's head, not at its tail.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <xipsec/abi.h>

#define IP_LEN 20
#define ESP_LEN 16 /* header and IV */
#define ICV_LEN 16
#define AH_LEN 32 /* header, ICV of HMAC-SHA-256-128, padding to 8 bytes */
#define PACKET_MAX 1500
#define BUF 2048 /* a power of two */
#define GARBAGE 0xe5

#define LIE_SEQ 1 /* a number that nobody took */
#define LIE_PADDING 2
#define LIE_ADDRESS 3 /* of another peer */
#define LIE_NO_HANDLE 4
#define LIE_OLD_HANDLE 5 /* of another generation */

struct order {
	__u32 handle, next_handle;
	__u32 daddr; /* network order: what is sent there is framed */
	__u32 lie;
};

struct buf {
	__u8 b[BUF + 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct order);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct buf);
} bufs SEC(".maps");

/* The daemon's own take their places. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_sa);
} sad SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_sa_state);
} sa_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_port);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

static __always_inline void put16(__u8 *p, __u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static __always_inline void put32(__u8 *p, __u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* The next number of an SA, 0: there is no such SA. */
static __always_inline __u64 take_seq(__u32 handle)
{
	__u32 slot = XI_SA_SLOT(handle);
	struct xi_sa_state *state = bpf_map_lookup_elem(&sa_state, &slot);

	if (!state || state->sa_index != handle)
		return 0;
	return __sync_fetch_and_add(&state->oseq, 1) + 1;
}

static __always_inline void ip_finish(__u8 *ip, __u16 len)
{
	__u32 sum = 0;

	put16(ip + 2, len);
	put16(ip + 10, 0);
	for (int i = 0; i < IP_LEN; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)));
}

static __always_inline void outer_ip(const struct xi_sa *sa, __u8 *ip, __u8 proto, __u16 len)
{
	__builtin_memset(ip, 0, IP_LEN);
	ip[0] = 0x45;
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = proto;
	__builtin_memcpy(ip + 12, sa->saddr, 4);
	__builtin_memcpy(ip + 16, sa->id.daddr, 4);
	ip_finish(ip, len);
}

static __always_inline void esp_front(const struct xi_sa *sa, __u8 *esp, __u32 seq)
{
	__builtin_memset(esp + 8, GARBAGE, 8);
	put32(esp, sa->id.spi);
	put32(esp + 4, seq);
}

/* Trailer and garbage for the ICV behind len bytes of payload that end at `at`. Returns where the
 * packet ends. */
static __always_inline __u32 esp_back(__u8 *b, __u32 at, __u32 len, __u8 next_header)
{
	__u32 pad = -(len + 2) & 3;

	for (__u32 i = 0; i < 3; i++)
		if (i < pad)
			b[(at + i) & (BUF - 1)] = i + 1;
	at += pad;
	b[at & (BUF - 1)] = pad;
	b[(at + 1) & (BUF - 1)] = next_header;
	at += 2;
	for (__u32 i = 0; i < ICV_LEN; i++)
		b[(at + i) & (BUF - 1)] = GARBAGE;
	return at + ICV_LEN;
}

/* Each makes b[] the framed packet of len bytes inside, and returns its length; 0: it cannot be. */
static __always_inline __u32 frame_esp(struct xdp_md *ctx, const struct order *order,
				       const struct xi_sa *sa, __u8 *b, __u32 len)
{
	__u64 seq;
	__u32 end;

	if (bpf_xdp_load_bytes(ctx, ETH_HLEN, b + IP_LEN + ESP_LEN, len))
		return 0;
	seq = take_seq(order->handle);
	if (!seq)
		return 0;
	esp_front(sa, b + IP_LEN, seq + (order->lie == LIE_SEQ ? 1000 : 0));
	end = esp_back(b, IP_LEN + ESP_LEN + len, len, IPPROTO_IPIP);
	if (order->lie == LIE_PADDING)
		b[(end - ICV_LEN - 2) & (BUF - 1)] = 0xff;
	outer_ip(sa, b, IPPROTO_ESP, end);
	if (order->lie == LIE_ADDRESS) {
		b[19]++;
		ip_finish(b, end);
	}
	return end;
}

static __always_inline __u32 frame_ah(struct xdp_md *ctx, const struct order *order,
				      const struct xi_sa *sa, __u8 *b, __u32 len)
{
	__u8 *ah = b + IP_LEN;
	__u64 seq;

	if (bpf_xdp_load_bytes(ctx, ETH_HLEN, ah + AH_LEN, len))
		return 0;
	seq = take_seq(order->handle);
	if (!seq)
		return 0;
	__builtin_memset(ah + 12, GARBAGE, ICV_LEN);
	__builtin_memset(ah + 12 + ICV_LEN, 0, AH_LEN - 12 - ICV_LEN);
	ah[0] = IPPROTO_IPIP;
	ah[1] = AH_LEN / 4 - 2;
	put16(ah + 2, 0);
	put32(ah + 4, sa->id.spi);
	put32(ah + 8, seq);
	outer_ip(sa, b, IPPROTO_AH, IP_LEN + AH_LEN + len);
	return IP_LEN + AH_LEN + len;
}

/* sa in transport mode, next in tunnel mode around it; packets without IP options. */
static __always_inline __u32 frame_two(struct xdp_md *ctx, const struct order *order,
				       const struct xi_sa *sa, const struct xi_sa *next, __u8 *b,
				       __u32 len)
{
	__u8 *inner = b + IP_LEN + ESP_LEN;
	__u32 payload = len - IP_LEN, end;
	__u64 seq, next_seq;
	__u8 proto;

	if (payload < 1 || payload > PACKET_MAX)
		return 0;
	if (bpf_xdp_load_bytes(ctx, ETH_HLEN, inner, IP_LEN) ||
	    bpf_xdp_load_bytes(ctx, ETH_HLEN + IP_LEN, inner + IP_LEN + ESP_LEN, payload))
		return 0;
	seq = take_seq(order->handle);
	next_seq = take_seq(order->next_handle);
	if (!seq || !next_seq)
		return 0;
	proto = inner[9];
	inner[9] = IPPROTO_ESP;
	esp_front(sa, inner + IP_LEN, seq);
	end = esp_back(b, 2 * (IP_LEN + ESP_LEN) + payload, payload, proto);
	len = end - IP_LEN - ESP_LEN;
	ip_finish(inner, len);
	esp_front(next, b + IP_LEN, next_seq);
	end = esp_back(b, end, len, IPPROTO_IPIP);
	outer_ip(next, b, IPPROTO_ESP, end);
	return end;
}

static __always_inline __u32 frame(struct xdp_md *ctx, const struct order *order, __u8 *b,
				   __u32 len)
{
	const struct xi_sa *sa = bpf_map_lookup_elem(&sad, &order->handle), *next;

	if (!sa)
		return 0;
	if (order->next_handle) {
		next = bpf_map_lookup_elem(&sad, &order->next_handle);
		return next ? frame_two(ctx, order, sa, next, b, len) : 0;
	}
	return sa->id.proto == XI_AH ? frame_ah(ctx, order, sa, b, len)
				     : frame_esp(ctx, order, sa, b, len);
}

static __always_inline bool write_back(struct xdp_md *ctx, __u8 *b, __u32 len)
{
	int grown = (int)(ETH_HLEN + len) - (int)bpf_xdp_get_buff_len(ctx);
	__u8 eth[ETH_HLEN];

	return !bpf_xdp_load_bytes(ctx, 0, eth, sizeof(eth)) && !bpf_xdp_adjust_head(ctx, -grown) &&
	       !bpf_xdp_store_bytes(ctx, 0, eth, sizeof(eth)) &&
	       !bpf_xdp_store_bytes(ctx, ETH_HLEN, b, len);
}

static __always_inline __u32 told_handle(const struct order *order)
{
	if (order->lie == LIE_NO_HANDLE)
		return 0;
	return order->handle + (order->lie == LIE_OLD_HANDLE ? 1U << XI_SA_SLOT_BITS : 0);
}

static __always_inline int to_worker(struct xdp_md *ctx, const struct order *order)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct xi_port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct xi_meta *meta;

	if (!port || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_DROP;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_DROP;
	*meta = (struct xi_meta){
		.magic = XI_META_MAGIC,
		.handle = told_handle(order),
		.next_handle = order->next_handle,
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.flags = XI_META_FRAMED,
		.dir = XI_OUT,
		.status = XI_CRYPTO_NOT_DONE,
		.l3_offset = ETH_HLEN,
		.port = port->slot,
	};
	return bpf_redirect_map(&xsks, port->slot * XI_MAX_QUEUES + ctx->rx_queue_index, XDP_DROP);
}

SEC("xdp")
int framer(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct order *order;
	struct buf *buf;
	__u32 zero = 0, len;

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	order = bpf_map_lookup_elem(&orders, &zero);
	buf = bpf_map_lookup_elem(&bufs, &zero);
	if (!order || !buf || ip->daddr != order->daddr)
		return XDP_PASS;
	len = bpf_ntohs(ip->tot_len);
	if (len < IP_LEN || len > PACKET_MAX)
		return XDP_DROP;
	len = frame(ctx, order, buf->b, len);
	if (len < IP_LEN || len > BUF || !write_back(ctx, buf->b, len))
		return XDP_DROP;
	return to_worker(ctx, order);
}

char _license[] SEC("license") = "Dual BSD/GPL";
