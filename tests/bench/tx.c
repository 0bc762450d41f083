/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sending costs by either path, by packets a batch: the break-even point, and the fixed part
 * of a burst call.
 *
 *   tx [ROUNDS]       root; makes and leaves a network namespace of its own
 *
 * Each figure is ns a packet of the sending thread's wall clock, the receiver's softirq included,
 * the median and the least of ROUNDS (200) batches, which alternate between the paths.
 */

#include <errno.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/burst.h"
#include "dataplane/burst_watch.h"
#include "dataplane/frames.h"
#include "dataplane/port.h"
#include "dataplane/xsk.h"
#include "log.h"

#define MAX_BATCH 1024

static const uint32_t sizes[] = { 60, 512, 1408 };
static const uint32_t batches[] = { 1, 4, 8, 16, 20, 32, 64, 128, 256, 512, 1024 };

struct bed {
	struct xi_port_dev port;
	struct xi_frames frames;
	struct xi_umem umem;
	struct xi_xsk xsk;
	struct xi_burst *burst;
	struct xi_tx *tx;            /* burst */
	uint64_t now_ms;
	uint64_t counts[XI_REASON_MAX];
};

static void die(const char *what, int err)
{
	fprintf(stderr, "tx: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void shell(const char *command)
{
	if (system(command))
		die(command, -EIO);
}

/* A program that answers `verdict` to every packet. */
static int constant_program(int verdict)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "constant", "Dual BSD/GPL", insns, 2, NULL);
}

static void attach(const char *device, int verdict)
{
	int fd = constant_program(verdict);
	int err = fd < 0 ? fd : bpf_xdp_attach(if_nametoindex(device), fd, XDP_FLAGS_DRV_MODE, NULL);

	if (err)
		die("cannot attach a program", err);
	close(fd);
}

static void bed_open(struct bed *bed)
{
	struct xi_port_config config = { .name = "out0", .role = XI_ROLE_CIPHER };
	const struct xi_burst_config burst = {
		.frames = &bed->frames, .counts = bed->counts, .now_ms = &bed->now_ms };
	char why[XI_BURST_WHY] = "";
	int err = xi_port_open(&bed->port, &config, 1);

	err = err ? err : xi_frames_create(&bed->frames, 4096, 0);
	err = err ? err : xi_umem_create(&bed->umem, &bed->frames);
	err = err ? err : xi_xsk_open(&bed->xsk, &bed->umem, &bed->port, 0);
	err = err ? err : xi_burst_open(&bed->burst, &burst, why);
	if (err)
		die(*why ? why : "cannot open the port", err);
	bed->tx = xi_burst_add_port(bed->burst, &bed->xsk);
}

/* Wall clock of one batch, ns a packet. Frames go in and come back. */
static double batch(struct bed *bed, struct xi_tx *tx, uint32_t n, uint32_t size)
{
	struct timespec from, to;
	uint64_t addr;
	uint32_t i;

	clock_gettime(CLOCK_MONOTONIC, &from);
	/* small batches do not follow the big ones before them */
	bed->now_ms += XI_BURST_HOLD_MS;
	for (i = 0; i < n; i++) {
		addr = xi_frame_get(&bed->frames) + 256;
		memcpy(bed->frames.base + addr, "\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5", 14);
		if (!tx->ops->send(tx, addr, size))
			xi_frame_put(&bed->frames, addr);
	}
	tx->ops->flush(tx);
	tx->ops->reap(tx);
	clock_gettime(CLOCK_MONOTONIC, &to);
	while (bed->xsk.outstanding)
		tx->ops->flush(tx), tx->ops->reap(tx);
	return ((to.tv_sec - from.tv_sec) * 1e9 + to.tv_nsec - from.tv_nsec) / n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct bed *bed, uint32_t n, uint32_t size, int rounds)
{
	double xsk[rounds], burst[rounds];
	int i;

	for (i = 0; i < rounds; i++) {
		xsk[i] = batch(bed, &bed->xsk.tx, n, size);
		burst[i] = batch(bed, bed->tx, n, size);
	}
	qsort(xsk, rounds, sizeof(*xsk), by_value);
	qsort(burst, rounds, sizeof(*burst), by_value);
	printf("%6u %6u %9.0f %9.0f %9.0f %9.0f %7.2f\n", size, n, xsk[rounds / 2], xsk[0],
	       burst[rounds / 2], burst[0], xsk[rounds / 2] / burst[rounds / 2]);
}

static void measure_all(const char *receiver, int rounds)
{
	struct bed bed = { 0 };
	size_t s, b;

	bed_open(&bed);
	printf("\nreceiver: %s; below %d packets the path burst sends by AF_XDP\n", receiver, XI_BURST_MIN);
	printf("%6s %6s %9s %9s %9s %9s %7s\n", "bytes", "batch", "xsk", "(least)", "burst", "(least)",
	       "ratio");
	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (b = 0; b < sizeof(batches) / sizeof(batches[0]); b++)
			measure(&bed, batches[b], sizes[s], rounds);
	printf("lost behind the redirect: %llu of %llu\n",
	       (unsigned long long)bed.counts[XI_DROP_BURST_LOST],
	       (unsigned long long)bed.counts[XI_TX_BURST]);
	xi_burst_close(bed.burst);
	xi_xsk_close(&bed.xsk);
	xi_umem_destroy(&bed.umem);
	xi_frames_destroy(&bed.frames);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 200;

	if (rounds < 1 || argc > 2) {
		fprintf(stderr, "usage: tx [ROUNDS]\n");
		return 2;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		die("cannot make a network namespace (root?)", -errno);
	shell("ip link add name out0 type veth peer name in0 && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && "
	      "ethtool -K in0 gro on && ip link set out0 up && ip link set in0 up");
	attach("out0", XDP_PASS);
	measure_all("skb (GRO)", rounds);
	attach("in0", XDP_DROP);
	measure_all("XDP", rounds);
	return 0;
}
