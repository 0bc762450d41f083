// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A batch that mixes SAs, families, protocols and errors: each packet comes out as it would alone. */
#include <stdlib.h>

#include "sa_kinds.h"

enum defect {
	GOOD,
	BAD_ICV,
	REPLAYED,
	CUT,
	OTHER_SPI,
	OTHER_FAMILY,
	PAD,
	NEXT_HEADER,
	DUMMY,
	DEFECTS
};

static const enum xi_reason defect_reason[] = {
	[GOOD] = XI_NONE,
	[BAD_ICV] = XI_DROP_ICV,
	[REPLAYED] = XI_DROP_REPLAY,
	[CUT] = XI_DROP_WORKER_MALFORMED,
	[OTHER_SPI] = XI_DROP_SA_GONE,
	[OTHER_FAMILY] = XI_DROP_SA_GONE,
	[PAD] = XI_DROP_PADDING,
	[NEXT_HEADER] = XI_DROP_INNER,
	[DUMMY] = XI_DUMMY,
};

static const struct choice mixed[] = {
	{{XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 16, false}, false, false, false, false},
	{{XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 256, 16, false}, false, true, true, false},
	{{XI_ALG_NONE, XI_AUTH_HMAC_SHA1, 0, 12, true}, false, false, false, false},
	{{XI_ALG_AES_CTR, XI_AUTH_AES_CMAC, 192, 12, false}, false, false, true, true},
	{{XI_ALG_CHACHA20_POLY1305, XI_AUTH_NONE, 256, 16, false}, true, true, true, true},
	{{XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 16, true}, true, true, true, false},
	{{XI_ALG_AES_CCM, XI_AUTH_NONE, 256, 8, false}, true, false, false, false},
	{{XI_ALG_NULL, XI_AUTH_HMAC_SHA512, 0, 32, false}, false, true, false, false},
};
#define MIXED COUNT(mixed)
#define BATCH 64

struct mixture {
	struct test_sa sas[MIXED];
	uint32_t which[BATCH]; /* SA of a packet */
	enum defect defect[BATCH];
	struct test_pkt pkts[BATCH];
	uint8_t ips[BATCH][256]; /* what must come out */
	uint32_t lens[BATCH];
	struct xi_aead_job jobs[BATCH];
	struct xi_esp_in ins[BATCH];
	struct xi_ah_saved saved[BATCH];
	enum xi_reason why[BATCH];
};

static struct mixture mix;

/* AH has no trailer, and its packets get another wrong instead; so do those of transport mode. */
static enum defect defect_choose(uint32_t i)
{
	enum defect d = (enum defect)(i % 3 ? random() % DEFECTS : GOOD);

	if (current.t.ah && (d == PAD || d == NEXT_HEADER || d == DUMMY))
		return BAD_ICV;
	return current.transport && d == NEXT_HEADER ? REPLAYED : d;
}

/* What happens to it on the wire. */
static void packet_spoil(struct test_pkt *p, enum defect d)
{
	uint8_t *ip = p->pkt.data;

	if (d == BAD_ICV)
		ip[p->pkt.len - 1] ^= 0x80;
	else if (d == CUT)
		p->pkt.len -= 9;
	else if (d == OTHER_SPI)
		ip[frame.offset + (current.t.ah ? 7 : 3)] ^= 1;
	else if (d == OTHER_FAMILY && current.v6)
		test_inner4(ip, 40, 0);
	else if (d == OTHER_FAMILY)
		test_inner6(ip, 40, 0);
}

static void mixture_packet(uint32_t i)
{
	uint32_t k = (uint32_t)random() % MIXED;
	struct test_pkt *p = &mix.pkts[i];
	struct test_sa *s = &mix.sas[k];
	struct xi_aead_job job;
	enum defect d;

	current = mixed[k];
	mix.which[i] = k;
	d = mix.defect[i] = defect_choose(i);
	mix.lens[i] = inner_make(mix.ips[i], (uint32_t)random() % 150 + 10, current.v6);
	test_pkt_set(p, mix.ips[i], mix.lens[i]);
	/* 1 was received before */
	check(!seal_start(s, d == REPLAYED ? 1 : i + 2, &p->pkt, &job));
	if (d == PAD)
		job.data[job.len - 2] = 255;
	else if (d == NEXT_HEADER)
		job.data[job.len - 1] = IPPROTO_ESP;
	else if (d == DUMMY)
		job.data[job.len - 1] = IPPROTO_NONE;
	seal_end(s, &job);
	packet_spoil(p, d);
}

static void mixture_open(const struct alg_engine *en)
{
	struct xi_esp_tally tally = {.now = 1000};
	uint32_t of[BATCH], n = 0, i, end;
	enum xi_crypto_status status;

	for (i = 0; i < BATCH; i++) {
		mix.why[i] = xi_in_prepare(&mix.sas[mix.which[i]].ctx, &mix.pkts[i].pkt,
					   &mix.jobs[n], &mix.ins[n], &mix.saved[n]);
		if (!mix.why[i])
			of[n++] = i;
	}
	en->e->open(en->c, mix.jobs, n);
	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n && mix.which[of[end]] == mix.which[of[i]]; end++)
			;
		xi_in_verify(&mix.sas[mix.which[of[i]]].ctx, &mix.jobs[i], &mix.ins[i], end - i);
		for (uint32_t k = i; k < end; k++)
			mix.why[of[k]] = xi_in_finish(&mix.sas[mix.which[of[k]]].ctx,
						      &mix.pkts[of[k]].pkt, &mix.jobs[k],
						      &mix.ins[k], &mix.saved[k], &tally, &status);
	}
	xi_esp_tally_flush(&tally);
}

static void mixture_check(void)
{
	uint64_t arrived[MIXED] = {0}, failed[MIXED] = {0};

	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t k = mix.which[i];
		enum defect d = mix.defect[i];

		current = mixed[k];
		if (mix.why[i] != defect_reason[d])
			fail_msg("packet %u, %s, defect %d: reason %d", i, choice_text(&current), d,
				 mix.why[i]);
		/* what was verified counts, but dummies, and packets whose padding tells no length
		 */
		arrived[k] += d == GOOD || d == NEXT_HEADER;
		failed[k] += d == BAD_ICV || d == REPLAYED || d == PAD || d == NEXT_HEADER;
		if (d == GOOD) {
			check(mix.pkts[i].pkt.len == mix.lens[i]);
			check(!memcmp(mix.pkts[i].pkt.data, mix.ips[i], mix.lens[i]));
		}
	}
	for (uint32_t k = 0; k < MIXED; k++) {
		const struct xi_sa_state *st = &mix.sas[k].state;

		current = mixed[k];
		check(st->packets == arrived[k]);
		check(st->replay_failed + st->integrity_failed + st->other_failed == failed[k]);
	}
}

static void a_batch_may_mix_sas_families_and_errors(void **state)
{
	srandom(64);
	for (unsigned int round = 0; round < 200 * alg_nengines; round++) {
		const struct alg_engine *en = &alg_engines[round % alg_nengines];

		for (uint32_t k = 0; k < MIXED; k++) {
			uint64_t one = 1;
			enum xi_reason why;

			sa_open(&mix.sas[k], &mixed[k], en);
			mix.sas[k].sa.id.spi += k;
			xi_replay_commit_run(&mix.sas[k].ctx.replay, &one, &why, 1);
		}
		for (uint32_t i = 0; i < BATCH; i++)
			mixture_packet(i);
		for (uint32_t k = 0; k < MIXED; k++)
			mix.sas[k].state.packets = mix.sas[k].state.bytes = 0;
		mixture_open(en);
		mixture_check();
		for (uint32_t k = 0; k < MIXED; k++)
			sa_close(&mix.sas[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_may_mix_sas_families_and_errors),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
