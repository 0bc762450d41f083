/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What misses cost: in XDP, by packet (BPF_PROG_TEST_RUN of xdp_cipher, a new SA each time), and in the control
 * thread, by message (the table of SAs and a real sa_cache, a worker that is never far from a quiescent state).
 *
 *   miss [-s SAS] [-n PACKETS] [-t SA-ENTRIES]
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <urcu-qsbr.h>

#include "bpf_bed.h"
#include "cache/sa_table.h"
#include "mem_store.h"

#define SPI_FIRST 0x10000U
#define SPI_MARK 0xdeadbeefU
#define HOT 64

static uint32_t nsas = 1 << 20, packets = 100000, sa_entries = 1024;
static atomic_bool stop;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void drop_sample(void *arg, int cpu, void *data, __u32 len)
{
}

static void drop_lost(void *arg, int cpu, __u64 n)
{
}

/* ESP from SPI_FIRST on; the place of its SPI. */
static uint8_t *frame_build(struct xi_frame *frame)
{
	const struct xi_spec spec = { .src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_ESP,
				      .spi = SPI_MARK, .payload_len = 40 };
	const uint32_t mark = htonl(SPI_MARK);

	xi_frame_build(frame, &spec);
	return memmem(frame->data, frame->len, &mark, sizeof(mark));
}

static void xdp(struct xi_bed *bed, struct perf_buffer *perf, uint32_t sas, const char *what)
{
	static uint8_t out[XI_FRAME_MAX + 256];
	static struct xi_frame frame;
	uint8_t *place = frame_build(&frame);
	struct xdp_md ctx = { .data_end = frame.len, .ingress_ifindex = bed->ifindex };
	uint64_t sum = 0;

	for (uint32_t i = 0; i < packets; i++) {
		uint32_t spi = htonl(SPI_FIRST + (uint32_t)rand() % sas);
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data, .data_out = out,
			    .ctx_in = &ctx, .data_size_in = frame.len,
			    .data_size_out = sizeof(out), .ctx_size_in = sizeof(ctx));

		memcpy(place, &spi, sizeof(spi));
		assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(bed->skel->progs.xdp_cipher), &opts), 0);
		assert_int_equal(opts.retval, XDP_REDIRECT);
		sum += opts.duration;
		if (i % 64 == 0)
			perf_buffer__consume(perf);
	}
	printf("# xdp, %s, of %u SAs: %.0f ns a packet\n", what, sas, (double)sum / packets);
}

static void limits(struct xi_bed *bed, uint32_t per_second, uint32_t dedup_ms)
{
	struct xi_config cfg = xi_bed_config();

	cfg.miss_per_second = per_second;
	cfg.miss_dedup_ms = dedup_ms;
	xi_bed_put_config(bed, &cfg);
}

static void sas_known(struct xi_bed *bed)
{
	struct xi_sa_id *ids = calloc(nsas, sizeof(*ids));
	uint32_t *handles = calloc(nsas, sizeof(*handles)), n = nsas;

	for (uint32_t i = 0; i < nsas; i++) {
		ids[i] = (struct xi_sa_id){ .daddr = { 192, 0, 2, 1 }, .spi = SPI_FIRST + i,
					    .proto = XI_ESP, .family = XI_IPV4 };
		handles[i] = XI_SA_INDEX(1, i);
	}
	assert_int_equal(bpf_map_update_batch(bpf_map__fd(bed->skel->maps.sad_lookup), ids, handles,
					      &n, NULL), 0);
	free(ids);
	free(handles);
}

static void packets_that_miss(void **state)
{
	struct xi_bed *bed = *state;
	struct perf_buffer *perf;

	xi_bed_reset(bed);
	sas_known(bed);
	perf = perf_buffer__new(bpf_map__fd(bed->skel->maps.misses), 64, drop_sample, drop_lost, NULL,
				NULL);
	assert_non_null(perf);
	limits(bed, 0, 5);
	xdp(bed, perf, nsas, "missed, beyond the limit");
	xdp(bed, perf, HOT, "missed, beyond the limit");
	limits(bed, 1000000, 60000);
	xdp(bed, perf, HOT, "missed, repeated");
	limits(bed, 1000000, 5);
	xdp(bed, perf, nsas, "missed, message sent");
	for (uint32_t i = 0; i < HOT; i++)
		xi_bed_sa_cached(bed, "192.0.2.1", SPI_FIRST + i, XI_METHOD_SLOW);
	xdp(bed, perf, HOT, "found, SLOW");
	perf_buffer__free(perf);
}

struct service {
	struct xi_sa_table table;
	struct xi_sa_rec *recs;
	struct xi_sa_state *states;
};

static void *run_worker(void *arg)
{
	struct timespec nap = { .tv_nsec = 20000 };

	rcu_register_thread();
	while (!atomic_load(&stop)) {
		rcu_quiescent_state();
		rcu_thread_offline();
		nanosleep(&nap, NULL);
		rcu_thread_online();
	}
	rcu_unregister_thread();
	return NULL;
}

static void service_open(struct service *s, const char *policy, uint32_t n)
{
	struct xi_sa_table_config config = { .engine = xi_engine_find("auto"), .nworkers = 1,
					     .sa_entries = sa_entries, .policy = policy };
	uint32_t size = 2 * xi_sa_table_elements(sa_entries);

	config.sa_cache_fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "sa_cache", sizeof(struct xi_sa_id),
					    sizeof(struct xi_sa_cached), size, NULL);
	s->recs = calloc(n, sizeof(*s->recs));
	s->states = calloc(n, sizeof(*s->states));
	assert_int_equal(xi_sa_table_create(&s->table, &config), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct xi_sa_rec *rec = &s->recs[i];

		rec->sa = sample_sa("192.0.2.2", "192.0.2.1", SPI_FIRST + i);
		rec->sa.sa_index = XI_SA_INDEX(1, i);
		rec->key = sample_key(i);
		rec->state = &s->states[i];
		rec->words = (uint64_t *)s->states[i].words;
		rec->nwords = XI_WINDOW_INLINE_WORDS;
	}
}

static bool is_cached(const struct xi_sa_table *table, uint32_t sa_index)
{
	const struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, sa_index);

	return sa && sa->cached;
}

/* Messages of SAs at random, each with a verified packet or two. */
static void serve(const char *policy, uint32_t n)
{
	struct service s;
	uint64_t start, spent, now = time(NULL);
	pthread_t worker;

	service_open(&s, policy, n);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&worker, NULL, run_worker, NULL), 0);
	start = clock_ns(CLOCK_MONOTONIC);
	spent = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint32_t i = 0; i < packets; i++) {
		uint32_t sa = (uint32_t)rand() % n;

		/* no message for one that XDP finds */
		while (is_cached(&s.table, XI_SA_INDEX(1, sa)))
			sa = (uint32_t)rand() % n;
		s.states[sa].packets += 1 + i % 2;
		s.states[sa].last_use = now;
		xi_sa_table_miss(&s.table, &s.recs[sa], clock_ns(CLOCK_MONOTONIC));
		if (i % 64 == 0) /* as if seconds had gone by */
			xi_sa_table_tick(&s.table, clock_ns(CLOCK_MONOTONIC) + 8000000000);
	}
	spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - spent;
	start = clock_ns(CLOCK_MONOTONIC) - start;
	printf("# service, %s, %u SAs over %u: %.0f ns CPU and %.0f ns a message; %lu evicted, %lu refused, %lu stale\n",
	       policy, n, sa_entries, (double)spent / packets, (double)start / packets,
	       (unsigned long)s.table.figures.evicted_admission,
	       (unsigned long)s.table.figures.refused, (unsigned long)s.table.figures.stale);
	atomic_store(&stop, true);
	pthread_join(worker, NULL);
	xi_sa_table_destroy(&s.table);
	free(s.recs);
	free(s.states);
}

static void messages(void **state)
{
	for (const char *const *policy = xi_admit_policies(); *policy; policy++) {
		serve(*policy, 2 * sa_entries);
		serve(*policy, 100 * sa_entries);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(packets_that_miss),
					    cmocka_unit_test(messages) };
	int c;

	while ((c = getopt(argc, argv, "s:n:t:")) != -1) {
		uint32_t value = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == '?' || !value) {
			fputs("usage: miss [-s SAS] [-n PACKETS] [-t SA-ENTRIES]\n", stderr);
			return 2;
		}
		*(c == 's' ? &nsas : c == 'n' ? &packets : &sa_entries) = value;
	}
	xi_bed_known = nsas;
	return cmocka_run_group_tests_name("misses", tests, xi_bed_setup, xi_bed_teardown);
}
