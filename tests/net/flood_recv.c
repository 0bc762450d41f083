/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flood's receiver: a packet ring (TPACKET_V2, for a block of V3 waits for its timer while the sender waits for
 * the block), every packet opened and compared.
 */
#include "flood.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood.skel.h"

#define SLOT 2048
#define SLOTS 16384
#define BLOCK (64 * SLOT)

/* A frame that is none of the flood's; of the first one, how it begins and what it is said to be. */
static void note_foreign(struct flood *f, const char *what, const uint8_t *bytes, uint32_t len)
{
	char *out = f->first_foreign;
	size_t room = sizeof(f->first_foreign), n;

	if (f->foreign++)
		return;
	n = snprintf(out, room, "%s, %u bytes: ", what, len);
	for (uint32_t i = 0; i < len && i < 80 && n + 3 < room; i++)
		n += snprintf(out + n, room - n, "%02x", bytes[i]);
}

struct receiver {
	struct flood *flood;
	struct flood_bpf *skel;
	unsigned int ifindex;
	int fd;
	uint8_t *ring;
	uint32_t next;
	uint8_t *seen;               /* bit a packet number */
	int64_t last[FLOOD_FLOWS];   /* number last seen of each flow */
	uint64_t *spoiled;
};

/* Sets the bit; whether it was set already. */
static bool seen_before(uint8_t *bits, uint32_t i)
{
	bool was = bits[i / 8] & 1 << i % 8;

	bits[i / 8] |= 1 << i % 8;
	return was;
}

static void note_wrong(struct flood *f, const char *text)
{
	if (!f->wrong++)
		snprintf(f->first_wrong, sizeof(f->first_wrong), "%s", text);
}

static bool was_sent(const struct flood *f, uint64_t i)
{
	return i / f->senders < f->sent_by[i % f->senders];
}

static void check_inner(struct receiver *r, const uint8_t *packet, uint32_t len)
{
	struct flood *f = r->flood;
	int64_t number = flood_number(packet, len), *last;
	char text[200];

	if (number >= 0 && number < f->first) {
		note_foreign(f, "of before", packet, len);
		return;
	}
	if (number < 0 || !was_sent(f, number - f->first)) {
		note_wrong(f, "a packet whose number nobody sent");
		return;
	}
	if (!flood_same(&f->plan, number, packet, len, text, sizeof(text))) {
		note_wrong(f, text);
		return;
	}
	if (seen_before(r->seen, number)) {
		f->duplicates++;
		return;
	}
	last = &r->last[number % f->plan.flows];
	f->overtaken += number < *last;
	*last = number;
	f->checked++;
}

static struct flood_sa *find_sa(struct flood *f, uint32_t spi)
{
	unsigned int i;

	for (i = 0; i < f->nin; i++)
		if (f->in[i].spi == spi)
			return &f->in[i];
	return NULL;
}

static void check_esp(struct receiver *r, struct flood_sa *sa, uint32_t seq, const uint8_t *packet, uint32_t len)
{
	struct flood *f = r->flood;
	uint8_t inner[FLOOD_FRAME_MAX];
	char text[200];
	int n = flood_open(sa, packet, len, inner, text, sizeof(text));

	if (n < 0) {
		note_wrong(f, text);
		return;
	}
	if (seq >= FLOOD_NUMBERS) {
		note_wrong(f, "a sequence number beyond what can be checked");
		return;
	}
	if (flood_number(inner, n) < 0) {
		note_foreign(f, "inside", inner, n);
		return;
	}
	if (seen_before(sa->seen, seq)) {
		f->duplicates++;
		return;
	}
	f->out_of_order += seq < sa->last;
	sa->last = seq;
	if (!sa->lowest || seq < sa->lowest)
		sa->lowest = seq;
	if (seq > sa->highest)
		sa->highest = seq;
	check_inner(r, inner, n);
}

/* Reports of multicast listeners (RFC 3810 section 5.2.14): every IPv6 host sends some in the first seconds of a device. */
static bool is_mld(const uint8_t *packet, uint32_t len)
{
	static const uint8_t all_mldv2_routers[16] = { 0xff, 0x02, [15] = 0x16 };

	return len >= 40 && packet[0] >> 4 == 6 && packet[6] == IPPROTO_HOPOPTS &&
	       !memcmp(packet + 24, all_mldv2_routers, sizeof(all_mldv2_routers));
}

static void check_frame(struct receiver *r, const uint8_t *frame, uint32_t len)
{
	struct flood *f = r->flood;
	const uint8_t *packet = frame + ETH_HLEN;
	uint32_t seq, spi;
	struct flood_sa *sa;

	if (len <= ETH_HLEN || len > FLOOD_FRAME_MAX) {
		note_foreign(f, "length", frame, len);
		return;
	}
	len -= ETH_HLEN;
	spi = flood_esp(packet, len, &seq);
	sa = spi ? find_sa(f, spi) : NULL;
	if (sa)
		check_esp(r, sa, seq, packet, len);
	else if (is_mld(packet, len))
		return;
	else if (spi || flood_number(packet, len) < 0)
		note_foreign(f, "outside", packet, len);
	else if (f->nin)
		f->clear++;
	else
		check_inner(r, packet, len);
}

static void receive(struct receiver *r)
{
	struct tpacket2_hdr *h = (void *)(r->ring + (size_t)r->next * SLOT);
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
		poll(&p, 1, 10);
		return;
	}
	if (h->tp_snaplen == h->tp_len)
		check_frame(r, (uint8_t *)h + h->tp_mac, h->tp_len);
	else
		note_foreign(r->flood, "cut off", (uint8_t *)h + h->tp_mac, h->tp_snaplen);
	__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->next = (r->next + 1) % SLOTS;
}

/* Reading the statistics sets them to zero. */
static void count_ring_lost(struct receiver *r)
{
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);

	if (!getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		r->flood->ring_lost += stats.tp_drops;
}

static int open_ring(struct receiver *r)
{
	struct tpacket_req req = {
		.tp_block_size = BLOCK, .tp_block_nr = SLOTS / (BLOCK / SLOT), .tp_frame_size = SLOT, .tp_frame_nr = SLOTS,
	};
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)r->ifindex,
	};
	int version = TPACKET_V2, yes = 1;

	/* no protocol yet: nothing is received before the ring is there */
	r->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (r->fd < 0 || setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(r->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) ||
	    setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	r->ring = mmap(NULL, (size_t)SLOT * SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->ring == MAP_FAILED || bind(r->fd, (struct sockaddr *)&to, sizeof(to)))
		return -errno;
	return 0;
}

/* The near end of a veth pair takes spoiled frames, the far end drops them. */
static int open_hole(struct receiver *r)
{
	struct flood_end *hole = r->flood->hole;
	unsigned int near, far;
	__u32 zero = 0;
	int err = flood_enter(&hole[1], &far);

	err = err ?: bpf_xdp_attach((int)far, bpf_program__fd(r->skel->progs.flood_drop), XDP_FLAGS_DRV_MODE, NULL);
	err = err ?: flood_enter(&hole[0], &near);
	return err ?: bpf_map_update_elem(bpf_map__fd(r->skel->maps.hole), &zero, &near, BPF_ANY);
}

static int attach_spoiler(struct receiver *r)
{
	static struct flood_frame junk;
	__u32 zero = 0, i;
	int err;

	for (i = 0; i < sizeof(junk.data); i++)
		junk.data[i] = flood_mix(i);
	err = bpf_map_update_elem(bpf_map__fd(r->skel->maps.junk), &zero, &junk, BPF_ANY);
	err = err ?: open_hole(r);
	if (!err)
		err = bpf_xdp_attach((int)r->ifindex, bpf_program__fd(r->skel->progs.flood_spoil), XDP_FLAGS_DRV_MODE,
				     NULL);
	if (!err)
		__atomic_store_n(&r->flood->spoiled, (uint64_t *)&r->skel->bss->spoiled, __ATOMIC_RELEASE);
	return err;
}

/* The stack would answer each packet with an ICMP error. */
static int attach_eater(struct receiver *r)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)r->ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(r->skel->progs.flood_eat));
	int err = bpf_tc_hook_create(&hook);

	return err && err != -EEXIST ? err : bpf_tc_attach(&hook, &opts);
}

static int receiver_open(struct receiver *r)
{
	int err = flood_enter(&r->flood->to, &r->ifindex);

	if (err)
		return err;
	r->seen = calloc(FLOOD_NUMBERS / 8, 1);
	r->skel = flood_bpf__open_and_load();
	if (!r->seen || !r->skel)
		return -ENOMEM;
	err = attach_eater(r);
	err = err ?: open_ring(r);
	return err ?: r->flood->spoil ? attach_spoiler(r) : 0;
}

static void receiver_close(struct receiver *r)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)r->ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	unsigned int far;

	if (r->ifindex) {
		bpf_tc_hook_destroy(&hook);
		if (r->flood->spoiled) {
			bpf_xdp_detach((int)r->ifindex, XDP_FLAGS_DRV_MODE, NULL);
			if (!flood_enter(&r->flood->hole[1], &far))
				bpf_xdp_detach((int)far, XDP_FLAGS_DRV_MODE, NULL);
		}
	}
	if (r->fd >= 0)
		close(r->fd);
	free(r->seen);
}

/* The program's memory outlives this thread: others read its counter. */
void *flood_receiver_main(void *arg)
{
	struct receiver r = { .flood = arg, .fd = -1 };
	unsigned int i;
	int err;

	prctl(PR_SET_TIMERSLACK, 1UL);
	for (i = 0; i < FLOOD_FLOWS; i++)
		r.last[i] = -1;
	err = receiver_open(&r);
	if (err)
		r.flood->failed = err;
	r.flood->running--;
	while (!err && !r.flood->drained)
		receive(&r);
	if (!err)
		count_ring_lost(&r);
	receiver_close(&r);
	return NULL;
}
