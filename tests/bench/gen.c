/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet generator, forwarder and sink for the benchmark.
 *
 *   gen send DEV FILE.pcap SECONDS       send the capture's frames, over and over, out of DEV
 *   gen forward DEV OUT                  XDP on DEV that redirects every frame out of OUT
 *   gen sink DEV SECONDS [tc|skb|xdp [FILE.pcap [THREADS [HOLD [COMMAND...]]]]]
 *                                        swallow and count what arrives on DEV; keep samples in
 *                                        FILE; tell the CPU time that THREADS used meanwhile:
 *                                        thread ids, or pPID for all threads of a process, with
 *                                        commas between. tc and skb are one program: which of them
 *                                        it is depends on DEV's GRO, which is the caller's choice.
 *                                        HOLD is a CPU, THREADS', to be held for half of the time
 *                                        in a second measurement, or -. COMMAND sends, and is
 *                                        ended by SIGTERM
 *
 * send is one long BPF_PROG_TEST_RUN call with live frames, ended by a signal: many Mpps out of
 * one core, which is more than a gateway on the other takes; the excess is lost on the way, and
 * the sink says what came through. The sink waits for the first packet, lets WARM_UP_MS pass, and
 * then counts. It runs COMMAND between attaching and detaching its program, for while programs
 * come and go, other callers of BPF_PROG_TEST_RUN wait, and a gateway may send by that. send and
 * sink print one JSON object. With HOLD, the sink marks the start and the end of each measurement
 * by SIGRTMIN, and send tells the time and its count at each. SIGTERM ends send and forward in good order. CPUs are the caller's
 * choice (taskset).
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen.h"
#include "gen_cpu.h"
#include "gen_sink.h"
#include "gen.skel.h"

#define FRAMES_MAX 65536
#define MARKS_MAX 8

static int read_record(FILE *f, struct gen_frame *frame, const char *path)
{
	struct pcap_record rec;

	if (fread(&rec, sizeof(rec), 1, f) != 1)
		return 0;
	if (rec.caplen != rec.len || rec.len < GEN_FRAME_MIN || rec.len > GEN_FRAME_MAX) {
		fprintf(stderr, "gen: %s: frame of %u bytes (%u captured): %d to %d are possible\n",
			path, rec.len, rec.caplen, GEN_FRAME_MIN, GEN_FRAME_MAX);
		return -EINVAL;
	}
	frame->len = rec.len;
	frame->pad = 0;
	return fread(frame->data, rec.len, 1, f) == 1 ? 1 : 0;
}

/* Returns the number of frames, in *out, which the caller frees; or -errno, said. */
static int read_pcap(const char *path, struct gen_frame **out)
{
	FILE *f = fopen(path, "re");
	struct gen_frame *frames = NULL;
	struct pcap_header h;
	int n = 0, err = -EINVAL;

	if (!f) {
		err = -errno;
		fprintf(stderr, "gen: %s: %s\n", path, strerror(errno));
		return err;
	}
	if (fread(&h, sizeof(h), 1, f) != 1 || h.linktype != LINKTYPE_ETHERNET ||
	    (h.magic != PCAP_MAGIC && h.magic != PCAP_MAGIC_NS)) {
		fprintf(stderr, "gen: %s: no pcap file of Ethernet frames in this host's byte order\n",
			path);
		goto fail;
	}
	for (;;) {
		struct gen_frame *grown = reallocarray(frames, n + 1, sizeof(*frames));

		err = -ENOMEM;
		if (!grown)
			goto fail;
		frames = grown;
		err = n < FRAMES_MAX ? read_record(f, &frames[n], path) : 0;
		if (err <= 0)
			break;
		n++;
	}
	if (err < 0)
		goto fail;
	if (!n) {
		err = -ENODATA;
		fprintf(stderr, "gen: %s: no frame in it\n", path);
		goto fail;
	}
	fclose(f);
	*out = frames;
	return n;
fail:
	free(frames);
	fclose(f);
	return err;
}

static int fill_maps(struct gen_bpf *skel, const struct gen_frame *frames, int n, __u32 ifindex)
{
	int fd = bpf_map__fd(skel->maps.frames);
	__u32 zero = 0;

	for (__u32 i = 0; i < (__u32)n; i++) {
		int err = bpf_map_update_elem(fd, &i, &frames[i], BPF_ANY);

		if (err)
			return err;
	}
	return bpf_map_update_elem(bpf_map__fd(skel->maps.out), &zero, &ifindex, BPF_ANY);
}

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	if (sig == SIGTERM)
		stopped = 1;
}

/* data_in is longer than any frame: only then does the kernel leave room to size each as wanted. */
static int run_send(struct gen_bpf *skel, double seconds)
{
	static unsigned char buffer[GEN_FRAME_MAX + 64];
	struct sigaction act = { .sa_handler = on_signal };
	struct itimerval timer = {
		.it_value = { (long)seconds, (long)((seconds - (long)seconds) * 1e6) },
		.it_interval = { 0, 10000 },
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buffer, .data_size_in = sizeof(buffer),
		    .repeat = 1 << 30, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	double end = now() + seconds;
	int err;

	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	do
		err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.gen_send), &opts);
	while ((!err || err == -EINTR) && !stopped && now() < end);
	return err == -EINTR ? 0 : err;
}

/* Bytes up to the last one that is not zero in some frame. */
static __u32 find_head(const struct gen_frame *frames, int n)
{
	__u32 head = GEN_FRAME_MIN;

	for (int i = 0; i < n; i++) {
		__u32 len = frames[i].len;

		while (len > head && !frames[i].data[len - 1])
			len--;
		if (len > head)
			head = len;
	}
	return head;
}

struct marks {
	struct gen_bpf *skel;
	int n;
	double time[MARKS_MAX];
	unsigned long long sent[MARKS_MAX];
};

static void *keep_marks(void *arg)
{
	struct marks *marks = arg;
	sigset_t set;
	int sig;

	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, GEN_MARK);
	while (marks->n < MARKS_MAX && !sigwait(&set, &sig)) {
		marks->time[marks->n] = now();
		marks->sent[marks->n++] = *(volatile __u64 *)&marks->skel->bss->sent;
	}
	return NULL;
}

static int start_marks(struct marks *marks)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, GEN_MARK);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return -pthread_create(&thread, NULL, keep_marks, marks);
}

static void print_sent(const struct marks *marks, double seconds)
{
	unsigned long long sent = marks->skel->bss->sent;

	printf("{\"sent\": %llu, \"seconds\": %.3f, \"mpps\": %.4f, \"marks\": [", sent, seconds,
	       sent / seconds / 1e6);
	for (int i = 0; i < marks->n; i++)
		printf("%s[%.6f, %llu]", i ? ", " : "", marks->time[i], marks->sent[i]);
	puts("]}");
}

static int cmd_send(__u32 ifindex, const char *path, double seconds)
{
	struct gen_frame *frames = NULL;
	static struct marks marks;
	struct gen_bpf *skel;
	int n = read_pcap(path, &frames), err;
	double start;

	if (n < 0)
		return n;
	skel = gen_bpf__open();
	err = skel ? 0 : -errno;
	if (err)
		goto out;
	skel->rodata->frame_count = n;
	skel->rodata->head_len = find_head(frames, n);
	err = bpf_map__set_max_entries(skel->maps.frames, n);
	err = err ?: gen_bpf__load(skel);
	err = err ?: fill_maps(skel, frames, n, ifindex);
	marks.skel = skel;
	err = err ?: start_marks(&marks);
	if (err)
		goto out;
	start = now();
	err = run_send(skel, seconds);
	seconds = now() - start;
	if (!err)
		print_sent(&marks, seconds);
out:
	gen_bpf__destroy(skel);
	free(frames);
	return err;
}

static int cmd_forward(__u32 ifindex, const char *out)
{
	__u32 zero = 0, out_ifindex = if_nametoindex(out);
	const __u32 flags = XDP_FLAGS_DRV_MODE;
	struct gen_bpf *skel;
	sigset_t set;
	int err, sig;

	if (!out_ifindex) {
		fprintf(stderr, "gen: %s: no such device in this network namespace\n", out);
		return -ENODEV;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	skel = gen_bpf__open_and_load();
	if (!skel)
		return -errno;
	err = bpf_map_update_elem(bpf_map__fd(skel->maps.out), &zero, &out_ifindex, BPF_ANY);
	err = err ?: bpf_xdp_attach(ifindex, bpf_program__fd(skel->progs.gen_forward),
				    flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (!err) {
		sigwait(&set, &sig);
		bpf_xdp_detach(ifindex, flags, NULL);
	}
	gen_bpf__destroy(skel);
	return err;
}

static int usage(void)
{
	fputs("usage: gen send DEV FILE.pcap SECONDS\n"
	      "       gen forward DEV OUT\n"
	      "       gen sink DEV SECONDS [tc|skb|xdp [FILE.pcap [THREADS [HOLD [COMMAND...]]]]]\n", stderr);
	return 2;
}

/* The command of argv for this device; 1: the command line is not understood. */
static int run(int argc, char **argv, __u32 ifindex)
{
	const char *command = argv[1];

	if (!strcmp(command, "forward") && argc == 4)
		return cmd_forward(ifindex, argv[3]);
	if (!strcmp(command, "send") && argc == 5 && atof(argv[4]) > 0)
		return cmd_send(ifindex, argv[3], atof(argv[4]));
	if (!strcmp(command, "sink") && atof(argv[3]) > 0) {
		struct sink sink = {
			.ifindex = ifindex,
			.seconds = atof(argv[3]),
			.in_xdp = argc > 4 && !strcmp(argv[4], "xdp"),
			.samples = argc > 5 ? argv[5] : NULL,
			.threads = argc > 6 ? argv[6] : NULL,
			.hold_cpu = argc > 7 && strcmp(argv[7], "-") ? atoi(argv[7]) : -1,
			.command = argv + (argc > 8 ? 8 : argc),
		};

		return cmd_sink(&sink);
	}
	return 1;
}

int main(int argc, char **argv)
{
	__u32 ifindex;
	int err;

	if (argc < 4)
		return usage();
	ifindex = if_nametoindex(argv[2]);
	if (!ifindex) {
		fprintf(stderr, "gen: %s: no such device in this network namespace\n", argv[2]);
		return 1;
	}
	err = run(argc, argv, ifindex);
	if (err > 0)
		return usage();
	if (err)
		fprintf(stderr, "gen: %s: %s\n", argv[1], strerror(-err));
	return err ? 1 : 0;
}
