/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flood's senders: BPF_PROG_TEST_RUN with live frames, a call for every 1 to FLOOD_CALL packets. */
#include "flood.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood.skel.h"

#define TICK_US 20               /* between two looks at what has arrived */
#define LULL_US 150000
#define REST_MS 20               /* what a mixed load waits for its packets to arrive, at most */

struct sender {
	struct flood *flood;
	struct flood_bpf *skel;
	struct flood_frame *frames;
	unsigned int index;
	uint64_t n;                  /* packets sent */
	uint64_t chance;             /* state of the mixed load's dice */
	double start, progress;
	uint64_t arrived;            /* at that progress */
};

static uint64_t arrived(const struct flood *f)
{
	return f->checked + f->wrong + f->duplicates + f->written_off + flood_spoiled(f);
}

static uint64_t in_flight(const struct flood *f)
{
	uint64_t sent = f->sent, there = arrived(f);

	return sent > there ? sent - there : 0;
}

/* What has not arrived for so long does not count against the window any more. */
static void write_off(struct sender *s)
{
	struct flood *f = s->flood;
	uint64_t there = arrived(f);
	double now = flood_now();

	if (there != s->arrived) {
		s->arrived = there;
		s->progress = now;
	} else if (now - s->progress > f->patience_ms / 1000.0) {
		f->written_off += in_flight(f) / f->senders;
		s->progress = now;
	}
}

static bool over(const struct sender *s)
{
	const struct flood *f = s->flood;

	return f->stop || (f->count && s->n >= f->count / f->senders) ||
	       f->first + (s->n + FLOOD_CALL) * f->senders >= FLOOD_NUMBERS;
}

/* Until n more packets fit into the window. */
static bool wait_room(struct sender *s, uint32_t n)
{
	struct flood *f = s->flood;

	s->progress = flood_now();
	s->arrived = arrived(f);
	while (f->window && in_flight(f) + n > f->window) {
		if (over(s))
			return false;
		write_off(s);
		flood_pause(TICK_US);
	}
	while (f->pps > 0 && (double)s->n / (flood_now() - s->start) > f->pps / f->senders && !over(s))
		flood_pause(TICK_US);
	return !over(s);
}

static bool fill_frame(struct sender *s, struct flood_frame *frame, uint32_t number)
{
	struct flood *f = s->flood;
	uint8_t inner[FLOOD_FRAME_MAX];
	uint32_t len;

	memcpy(frame->data, f->eth_dst, 6);
	memcpy(frame->data + 6, f->eth_src, 6);
	if (f->out.ctx) {
		len = flood_inner(&f->plan, number, FLOOD_TTL, inner);
		len = flood_seal(&f->out, inner, len, frame->data + 14);
	} else {
		len = flood_inner(&f->plan, number, FLOOD_TTL, frame->data + 14);
	}
	frame->data[12] = frame->data[14] >> 4 == 6 ? 0x86 : 0x08;
	frame->data[13] = frame->data[14] >> 4 == 6 ? 0xdd : 0x00;
	frame->len = len + 14;
	return len != 0;
}

/*
 * data_in is longer than any frame: only then does the kernel leave room to size each as wanted. An interrupted call
 * goes on where it stopped.
 */
static int call(struct sender *s, uint32_t n)
{
	static const unsigned char buffer[FLOOD_FRAME_MAX + 64];
	struct flood_bpf__bss *bss = s->skel->bss;
	int err = 0;

	bss->next_frame = 0;
	bss->frame_count = n;
	while (bss->next_frame < n && (!err || err == -EINTR)) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buffer, .data_size_in = sizeof(buffer),
			    .repeat = (int)(n - bss->next_frame), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
			    .batch_size = 64);

		err = bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.flood_send), &opts);
	}
	return err == -EINTR ? 0 : err;
}

static int send_some(struct sender *s, uint32_t n)
{
	struct flood *f = s->flood;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!fill_frame(s, &s->frames[i], f->first + (s->n + i) * f->senders + s->index))
			return -EIO;
	s->n += n;
	f->sent += n;
	f->sent_by[s->index] = s->n;
	return call(s, n);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* n packets as fast as the window lets them. */
static int send_burst(struct sender *s, uint32_t n)
{
	const struct flood *f = s->flood;
	uint32_t most = f->window ? smaller(FLOOD_CALL, (f->window + 1) / 2) : FLOOD_CALL, now;
	int err = 0;

	for (; n && !err; n -= now) {
		now = smaller(n, most);
		if (!wait_room(s, now))
			return 0;
		err = send_some(s, now);
	}
	return err;
}

static uint32_t dice(struct sender *s, uint32_t sides)
{
	s->chance = flood_mix(s->chance);
	return (s->chance >> 20) % sides;
}

/*
 * Single packets, small batches, floods; and between them no pause, a short one, until all has arrived, or one
 * longer than burst transmit waits before it lets AF_XDP send again (XI_BURST_HOLD_MS).
 */
static int send_mixed(struct sender *s)
{
	static const uint32_t least[] = { 1, 1, 1, 2, 2, 2, 31, 1000 }, most[] = { 1, 1, 1, 30, 30, 30, 400, 3000 };
	uint32_t kind = dice(s, 8);
	double rest;
	int err = send_burst(s, least[kind] + dice(s, most[kind] - least[kind] + 1));

	switch (dice(s, 40)) {
	case 0 ... 9:
		flood_pause(dice(s, 100));
		break;
	case 10 ... 29:
		rest = flood_now() + REST_MS / 1000.0;
		while (in_flight(s->flood) && flood_now() < rest && !s->flood->stop)
			flood_pause(TICK_US);
		break;
	case 30:
		flood_pause(LULL_US);
	}
	return err;
}

static int sender_run(struct sender *s)
{
	int err = 0;

	s->start = flood_now();
	while (!err && !over(s))
		err = s->flood->mix ? send_mixed(s) : send_burst(s, FLOOD_CALL);
	return err;
}

/* Attached somewhere, the program is known to the dispatcher already, and a call need not enter it. */
static int park(struct sender *s, bool attach)
{
	const char *dev = s->flood->park[s->index];
	int ifindex = (int)if_nametoindex(dev);

	if (!ifindex) {
		fprintf(stderr, "flood: %s: no such device in %s\n", dev, s->flood->from.netns);
		return -ENODEV;
	}
	return bpf_xdp_attach(ifindex, attach ? bpf_program__fd(s->skel->progs.flood_send) : -1, XDP_FLAGS_DRV_MODE, NULL);
}

static int sender_open(struct sender *s)
{
	struct flood *f = s->flood;
	const struct bpf_map *frames;
	unsigned int ifindex;
	__u32 zero = 0;
	int err = flood_enter(&f->from, &ifindex);

	if (err)
		return err;
	s->skel = flood_bpf__open_and_load();
	if (!s->skel)
		return -errno;
	frames = s->skel->maps.frames;
	s->frames = mmap(NULL, bpf_map__value_size(frames) * FLOOD_CALL, PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(frames), 0);
	if (s->frames == MAP_FAILED)
		return -errno;
	err = bpf_map_update_elem(bpf_map__fd(s->skel->maps.out), &zero, &ifindex, BPF_ANY);
	return err ?: park(s, true);
}

static void pin_thread(unsigned int index)
{
	cpu_set_t may, set;
	int cpu;

	if (sched_getaffinity(0, sizeof(may), &may))
		return;
	index %= CPU_COUNT(&may);
	for (cpu = 0; !CPU_ISSET(cpu, &may) || index--; cpu++)
		;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void *flood_sender_main(void *arg)
{
	const struct flood_sender *which = arg;
	struct sender s = { .flood = which->flood, .index = which->index, .chance = which->index };
	int err;

	prctl(PR_SET_TIMERSLACK, 1UL);
	if (s.flood->pin)
		pin_thread(s.index);
	err = sender_open(&s);
	err = err ?: sender_run(&s);
	if (err)
		s.flood->failed = err;
	if (s.skel)
		park(&s, false);
	flood_bpf__destroy(s.skel);
	s.flood->running--;
	return NULL;
}
