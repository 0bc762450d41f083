// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICVs and sequence numbers of received packets, of ESP and AH alike (RFC 4303 section 3.4.3). */
#include "ipsec/verify.h"

#include <errno.h>

#include "ipsec/tally.h"

#define VERIFY_RUN 64	   /* numbers that go to the replay window together */

enum xi_reason xi_seq_judge(const struct xi_sa_ctx *ctx, uint32_t lo, uint64_t *seq)
{
	enum xi_reason why;

	if (xi_replay_infer(&ctx->replay, lo, seq))
		why = xi_replay_check(&ctx->replay, *seq);
	else
		why = XI_DROP_REPLAY_OLD;
	if (why)
		xi_tally_failed(&ctx->state->replay_failed);
	return why;
}

static enum xi_reason judge_icv(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job)
{
	if (!job->status)
		return XI_NONE;
	if (job->status == -EBADMSG) {
		xi_tally_failed(&ctx->state->integrity_failed);
		return XI_DROP_ICV;
	}
	xi_tally_failed(&ctx->state->other_failed);
	return XI_DROP_CRYPTO;
}

static void set_verdict(const struct xi_sa_ctx *ctx, struct xi_esp_in *in, enum xi_reason why)
{
	in->verdict = (uint8_t)why;
	if (why)
		xi_tally_failed(&ctx->state->replay_failed);
}

static void verify_one(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
		       struct xi_esp_in *in)
{
	in->verdict = (uint8_t)judge_icv(ctx, job);
	if (!in->verdict)
		set_verdict(ctx, in, xi_replay_commit(&ctx->replay, in->seq));
}

/* At most VERIFY_RUN. Not inline: a lone packet would pay 4 ns for the arrays. */
static __attribute__((noinline)) void verify_run(const struct xi_sa_ctx *ctx,
						 const struct xi_aead_job *jobs,
						 struct xi_esp_in *ins, unsigned int n)
{
	struct xi_esp_in *verified[VERIFY_RUN];
	enum xi_reason why[VERIFY_RUN];
	uint64_t seqs[VERIFY_RUN];
	unsigned int i, done = 0;

	for (i = 0; i < n; i++) {
		ins[i].verdict = (uint8_t)judge_icv(ctx, &jobs[i]);
		if (ins[i].verdict)
			continue;
		seqs[done] = ins[i].seq;
		verified[done++] = &ins[i];
	}
	if (done)
		xi_replay_commit_run(&ctx->replay, seqs, why, done);
	for (i = 0; i < done; i++)
		set_verdict(ctx, verified[i], why[i]);
}

void xi_in_verify(const struct xi_sa_ctx *ctx, const struct xi_aead_job *jobs,
		  struct xi_esp_in *ins, unsigned int n)
{
	unsigned int i, run;

	for (i = 0; i < n; i += run) {
		run = n - i < VERIFY_RUN ? n - i : VERIFY_RUN;
		if (run == 1)
			verify_one(ctx, &jobs[i], &ins[i]);
		else
			verify_run(ctx, &jobs[i], &ins[i], run);
	}
}

/* [transport mode][ESP] */
static const enum xi_crypto_status auth_failed[2][2] = {
	{XI_CRYPTO_TUNNEL_AH_AUTH_FAILED, XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED},
	{XI_CRYPTO_TRANSPORT_AH_AUTH_FAILED, XI_CRYPTO_TRANSPORT_ESP_AUTH_FAILED},
};

enum xi_crypto_status xi_in_failure(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job)
{
	if (job->status != -EBADMSG)
		return XI_CRYPTO_GENERIC_ERROR;
	return auth_failed[ctx->transport][ctx->proto == XI_ESP];
}
