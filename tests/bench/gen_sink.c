/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The benchmark's sink: see gen.c. */
#include <errno.h>
#include <linux/if_link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen.h"
#include "gen_cpu.h"
#include "gen_sink.h"
#include "gen.skel.h"

#define WARM_UP_MS 150
#define FIRST_PACKET_MS 10000

/* Into counts[cpus]; returns their sum. */
static struct gen_count read_counts(struct gen_bpf *skel, struct gen_count *counts, int cpus)
{
	struct gen_count sum = {};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.counts), &zero, counts))
		return sum;
	for (int i = 0; i < cpus; i++) {
		sum.packets += counts[i].packets;
		sum.bytes += counts[i].bytes;
	}
	return sum;
}

static int wait_first_packet(struct gen_bpf *skel, struct gen_count *counts, int cpus)
{
	for (int ms = 0; !read_counts(skel, counts, cpus).packets; ms += 5) {
		if (ms >= FIRST_PACKET_MS) {
			fprintf(stderr, "gen: no packet came within %d s\n", FIRST_PACKET_MS / 1000);
			return -ETIMEDOUT;
		}
		gen_sleep_ms(5);
	}
	return 0;
}

/* The CPU that swallowed most of the packets, and its share of them. */
static void print_main_cpu(const struct gen_count *first, const struct gen_count *last, int cpus,
			   __u64 packets)
{
	__u64 most = 0;
	int cpu = 0;

	for (int i = 0; i < cpus; i++)
		if (last[i].packets - first[i].packets > most) {
			most = last[i].packets - first[i].packets;
			cpu = i;
		}
	if (most)
		printf(", \"sink_cpu\": %d, \"sink_share\": %.4f", cpu, (double)most / packets);
}

struct reading {
	double time, cpu;
	struct gen_count sum, *each;
};

static void take_reading(const struct sink *sink, struct reading *r, int cpus)
{
	r->time = now();
	r->sum = read_counts(sink->skel, r->each, cpus);
	r->cpu = gen_cpu_seconds(sink->threads);
}

static void mark(const struct sink *sink)
{
	if (sink->sender && sink->hold_cpu >= 0)
		kill(sink->sender, GEN_MARK);
}

static void count_seconds(const struct sink *sink, struct reading *first, struct reading *last, int cpus)
{
	mark(sink);
	take_reading(sink, first, cpus);
	gen_sleep_ms(sink->seconds * 1000);
	take_reading(sink, last, cpus);
	mark(sink);
	last->time -= first->time;
	last->sum.packets -= first->sum.packets;
	last->sum.bytes -= first->sum.bytes;
	printf("\"packets\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"mpps\": %.4f, \"gbps\": %.4f",
	       (unsigned long long)last->sum.packets, (unsigned long long)last->sum.bytes, last->time,
	       last->sum.packets / last->time / 1e6, last->sum.bytes * 8 / last->time / 1e9);
	if (first->cpu >= 0 && last->cpu >= 0)
		printf(", \"cpu\": %.4f", last->cpu - first->cpu);
}

/* The same again with half of the CPU: packets wait then that do not without. */
static int measure_held(const struct sink *sink, struct reading *first, struct reading *last, int cpus)
{
	struct gen_hold hold;
	int err = gen_hold_begin(&hold, sink->hold_cpu);

	if (err)
		return err;
	printf(", \"held\": {");
	count_seconds(sink, first, last, cpus);
	printf(", \"hold\": %.2f}", gen_hold_end(&hold, last->time));
	return 0;
}

static int measure(const struct sink *sink)
{
	int cpus = libbpf_num_possible_cpus(), err;
	struct gen_count firsts[cpus], lasts[cpus];
	struct reading first = { .each = firsts }, last = { .each = lasts };

	err = wait_first_packet(sink->skel, firsts, cpus);
	if (err)
		return err;
	gen_sleep_ms(WARM_UP_MS);
	putchar('{');
	count_seconds(sink, &first, &last, cpus);
	print_main_cpu(firsts, lasts, cpus, last.sum.packets);
	if (sink->hold_cpu >= 0)
		err = measure_held(sink, &first, &last, cpus);
	puts("}");
	return err;
}

/* Its process id, or -errno. */
static pid_t start_sender(char **command)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execvp(command[0], command);
	fprintf(stderr, "gen: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

static int stop_sender(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	fprintf(stderr, "gen: the sender failed\n");
	return -ECHILD;
}

static int send_and_measure(struct sink *sink)
{
	int err, stopped_err;

	if (!*sink->command)
		return measure(sink);
	sink->sender = start_sender(sink->command);
	if (sink->sender < 0)
		return sink->sender;
	err = measure(sink);
	stopped_err = stop_sender(sink->sender);
	return err ?: stopped_err;
}

static int write_samples(const struct sink *sink)
{
	const struct pcap_header h = {
		PCAP_MAGIC, 2, 4, 0, 0, GEN_FRAME_MAX, LINKTYPE_ETHERNET,
	};
	int fd = bpf_map__fd(sink->skel->maps.samples), err = 0;
	static struct gen_frame frame;
	FILE *f;

	if (!sink->samples)
		return 0;
	f = fopen(sink->samples, "we");
	if (!f)
		return -errno;
	fwrite(&h, sizeof(h), 1, f);
	for (__u32 i = 0; !err && i < GEN_SAMPLES; i++) {
		struct pcap_record rec = { 0 };

		err = bpf_map_lookup_elem(fd, &i, &frame);
		if (err || !frame.len)
			continue;
		rec.caplen = rec.len = frame.len;
		fwrite(&rec, sizeof(rec), 1, f);
		fwrite(frame.data, frame.len, 1, f);
	}
	if (fclose(f) && !err)
		err = -errno;
	return err;
}

static int sink_xdp(struct sink *sink)
{
	int fd = bpf_program__fd(sink->skel->progs.gen_sink_xdp), err;
	const __u32 flags = XDP_FLAGS_DRV_MODE;

	err = bpf_xdp_attach(sink->ifindex, fd, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (err)
		return err;
	err = send_and_measure(sink);
	bpf_xdp_detach(sink->ifindex, flags, NULL);
	return err;
}

static int sink_tc(struct sink *sink)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = sink->ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(sink->skel->progs.gen_sink_tc));
	int err = bpf_tc_hook_create(&hook);

	if (err)
		return err;
	err = bpf_tc_attach(&hook, &opts);
	err = err ?: send_and_measure(sink);
	/* libbpf removes the qdisc only for both together */
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
	return err;
}

int cmd_sink(struct sink *sink)
{
	int err;

	sink->skel = gen_bpf__open_and_load();
	if (!sink->skel)
		return -errno;
	err = sink->in_xdp ? sink_xdp(sink) : sink_tc(sink);
	err = err ?: write_samples(sink);
	gen_bpf__destroy(sink->skel);
	return err;
}
