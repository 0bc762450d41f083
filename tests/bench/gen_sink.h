/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The benchmark's sink (gen sink), and what it shares with the generator. */
#ifndef XI_BENCH_GEN_SINK_H
#define XI_BENCH_GEN_SINK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define PCAP_MAGIC 0xa1b2c3d4U
#define PCAP_MAGIC_NS 0xa1b23c4dU
#define LINKTYPE_ETHERNET 1

#define GEN_MARK SIGRTMIN

struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snaplen, linktype;
};

struct pcap_record {
	uint32_t sec, frac, caplen, len;
};

struct gen_bpf;

struct sink {
	struct gen_bpf *skel;
	uint32_t ifindex;
	double seconds;
	bool in_xdp;
	const char *samples;         /* pcap file to write, or NULL */
	const char *threads;         /* whose CPU time is wanted, or NULL */
	int hold_cpu;                /* taken from them half of the time once more; -1: no */
	char **command;              /* the sender, or an empty list */
	pid_t sender;
};

int cmd_sink(struct sink *sink);

#endif
