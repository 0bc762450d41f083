/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames that carry XDP metadata across a veth pair, as a neighbour's program could make them, and
 * a look at what arrives.
 *
 *   meta send DEV             reads lines "METADATA FRAME" in hexadecimal ("-": no metadata) and
 *                             sends each frame out of DEV
 *   meta watch DEV xdp|tc     says "ready", passes everything on, and at SIGTERM prints how many IP
 *                             frames arrived, how many of them with metadata, and with our own
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "meta.skel.h"

#define META_MAX 200
#define FRAME_MAX 2000

/* Bytes of a hexadecimal word, -1: it is none, or longer than room. */
static int from_hex(const char *hex, unsigned char *out, int room)
{
	size_t len = strlen(hex);
	unsigned int byte;

	if (len % 2 || len / 2 > (size_t)room)
		return -1;
	for (size_t i = 0; i < len / 2; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -1;
		out[i] = (unsigned char)byte;
	}
	return (int)(len / 2);
}

/* One repetition: with more the kernel takes its time. */
static int send_one(int prog_fd, unsigned char *bytes, int meta_len, int len)
{
	struct xdp_md ctx = { .data = (__u32)meta_len, .data_end = (__u32)(meta_len + len) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = (__u32)(meta_len + len),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(prog_fd, &opts);
}

static int cmd_send(struct meta_bpf *skel)
{
	static char line[2 * (META_MAX + FRAME_MAX) + 8];
	unsigned char bytes[META_MAX + FRAME_MAX];
	char *meta, *frame;
	int meta_len, len, err;

	while (fgets(line, sizeof(line), stdin)) {
		meta = strtok(line, " \n");
		frame = strtok(NULL, " \n");
		if (!meta || !frame)
			return -EINVAL;
		meta_len = strcmp(meta, "-") ? from_hex(meta, bytes, META_MAX) : 0;
		if (meta_len < 0)
			return -EINVAL;
		len = from_hex(frame, bytes + meta_len, FRAME_MAX);
		if (len < 0)
			return -EINVAL;
		err = send_one(bpf_program__fd(skel->progs.meta_send), bytes, meta_len, len);
		if (err)
			return err;
	}
	return 0;
}

static void wait_for_end(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("ready");
	fflush(stdout);
	sigwait(&set, &sig);
}

static void print_seen(const struct meta_bpf *skel)
{
	printf("{\"frames\": %llu, \"with_meta\": %llu, \"with_ours\": %llu}\n",
	       (unsigned long long)skel->bss->seen.frames,
	       (unsigned long long)skel->bss->seen.with_meta,
	       (unsigned long long)skel->bss->seen.with_ours);
}

static int watch_xdp(struct meta_bpf *skel, int ifindex)
{
	int fd = bpf_program__fd(skel->progs.meta_watch_xdp), err;

	err = bpf_xdp_attach(ifindex, fd, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (err)
		return err;
	wait_for_end();
	print_seen(skel);
	return bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);
}

static int watch_tc(struct meta_bpf *skel, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(skel->progs.meta_watch_tc));
	int err = bpf_tc_hook_create(&hook);

	if (!err)
		err = bpf_tc_attach(&hook, &opts);
	if (err)
		return err;
	wait_for_end();
	print_seen(skel);
	/* libbpf removes the qdisc only for both together */
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	return bpf_tc_hook_destroy(&hook);
}

int main(int argc, char **argv)
{
	bool send = argc == 3 && !strcmp(argv[1], "send");
	bool xdp = argc == 4 && !strcmp(argv[1], "watch") && !strcmp(argv[3], "xdp");
	bool tc = argc == 4 && !strcmp(argv[1], "watch") && !strcmp(argv[3], "tc");
	struct meta_bpf *skel;
	unsigned int ifindex;
	int err;

	if (!send && !xdp && !tc) {
		fputs("usage: meta send DEV\n       meta watch DEV xdp|tc\n", stderr);
		return 2;
	}
	ifindex = if_nametoindex(argv[2]);
	if (!ifindex) {
		fprintf(stderr, "meta: %s: no such device in this network namespace\n", argv[2]);
		return 1;
	}
	skel = meta_bpf__open();
	if (!skel)
		return 1;
	skel->rodata->target = ifindex;
	err = meta_bpf__load(skel);
	if (!err)
		err = send ? cmd_send(skel)
			   : xdp ? watch_xdp(skel, (int)ifindex) : watch_tc(skel, (int)ifindex);
	if (err)
		fprintf(stderr, "meta: %s: %s\n", argv[1], strerror(-err));
	meta_bpf__destroy(skel);
	return err ? 1 : 0;
}
