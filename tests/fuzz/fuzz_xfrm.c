// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for XFRM: any bytes as one XFRM request. What is accepted is encoded and must be
 * accepted again, as the same. corpus/xfrm has what iproute2 and strongSwan really send.
 */
#include "fuzz.h"

#include "crypto/algs.h"
#include "ipsec/replay.h"
#include "source/xfrm_migrate.h"

#define WORDS (XI_WINDOW_WORDS * XI_WINDOW_RUN)

static const struct xi_nl_to nobody;

static void ae_again(const struct xi_sa_rec *rec)
{
	static const struct xi_ae_defaults defaults = {2, 10};
	static struct xi_ae_request ae;
	struct xi_extack ack = {0};
	struct xi_nlmsg msg;

	xi_xfrm_put_ae(&msg, &nobody, rec, XFRM_AE_RTHR | XFRM_AE_ETHR, &defaults);
	msg.hdr.nlmsg_flags |= NLM_F_REPLACE;
	require(!msg.full && !xi_xfrm_get_ae_id(&ae, &msg.hdr, &ack) &&
		!xi_xfrm_get_newae(&ae, &msg.hdr, &rec->sa, &ack));
	require(ae.thresholds.replay == (rec->sa.replay_thresh ? rec->sa.replay_thresh : 3));
	require(ae.thresholds.etimer == (rec->sa.etimer_thresh ? rec->sa.etimer_thresh : 11));
}

static void sa_again(const struct xi_sa_request *req)
{
	static uint64_t words[WORDS];
	struct xi_sa_state state = {.oseq = req->init.oseq, .last_use = 1};
	struct xi_sa_rec rec = {
		.sa = req->sa, .key = req->key, .state = &state, .words = words, .nwords = WORDS};
	struct xi_replay r = {.top = (uint64_t *)&state.top,
			      .words = words,
			      .word_mask = WORDS - 1,
			      .window = req->sa.replay_window,
			      .esn = req->sa.flags & XFRM_STATE_ESN};
	static struct xi_sa_request again;
	struct xi_extack ack = {0};
	struct xi_nlmsg msg;

	require(xi_key_valid(&req->key));
	require(req->key.alg == req->sa.alg && req->key.auth == req->sa.auth);
	if (req->init.bmp)
		xi_replay_import(&r, req->init.seq, req->init.bmp, req->init.bmp_len);
	xi_xfrm_put_sa(&msg, XFRM_MSG_NEWSA, &nobody, &rec);
	require(!msg.full && !xi_xfrm_get_newsa(&again, &msg.hdr, &ack));
	/* NEWAE tells of these, where they are asked for */
	again.sa.replay_thresh = req->sa.replay_thresh;
	again.sa.etimer_thresh = req->sa.etimer_thresh;
	require(!memcmp(&again.sa, &req->sa, sizeof(again.sa)));
	ae_again(&rec);
	require(!memcmp(&again.key, &req->key, sizeof(again.key)));
	xi_xfrm_put_delsa(&msg, &nobody, &rec);
	require(!msg.full);
	xi_xfrm_put_mapping(&msg, &rec, req->sa.id.daddr, req->sa.encap_dport);
	require(!msg.full && msg.hdr.nlmsg_len % 4 == 0);
}

static void policy_again(const struct xi_policy *policy)
{
	struct xi_extack ack = {0};
	struct xi_policy again;
	struct xi_nlmsg msg;

	xi_xfrm_put_policy(&msg, XFRM_MSG_NEWPOLICY, &nobody, policy);
	require(!msg.full && !xi_xfrm_get_newpolicy(&again, &msg.hdr, &ack));
	again.share = policy->share; /* not told, as by Linux */
	require(!memcmp(&again, policy, sizeof(again)));
}

/* What the group hears has an attribute an item: of those that come twice the last is taken. */
static void migrate_again(const struct xi_migrate_request *req)
{
	struct xi_migrate_request again;
	struct xi_extack ack = {0};
	struct xi_nlmsg msg;

	require(req->n && req->n <= XI_MAX_TMPLS);
	xi_xfrm_put_migrate(&msg, req);
	require(!msg.full && msg.hdr.nlmsg_len % 4 == 0);
	require(!xi_xfrm_get_migrate(&again, &msg.hdr, &ack) && again.n == 1);
	require(!memcmp(&again.items[0], &req->items[req->n - 1], sizeof(again.items[0])));
	require(!memcmp(&again.encap, &req->encap, sizeof(again.encap)));
	require(!memcmp(&again.key.sel, &req->key.sel, sizeof(again.key.sel)));
}

static void acquire_again(struct xi_acquire_request *req)
{
	struct xi_acquire_request again;
	struct xi_extack ack = {0};
	struct xi_nlmsg msg;
	uint32_t i;

	for (i = 0; i < req->policy.ntmpls; i++) {
		xi_xfrm_put_acquire_again(&msg, req, i, 1);
		require(!msg.full && msg.hdr.nlmsg_len % 4 == 0);
		/* The direction that is told is always out: an index has another in it, and there an optional tunnel is refused. */
		if (req->policy.dir != XI_OUT || req->policy.index)
			continue;
		require(!xi_xfrm_get_acquire(&again, &msg.hdr, &ack));
		require(again.policy.ntmpls == req->policy.ntmpls);
	}
}

static void others(const struct nlmsghdr *nlh)
{
	struct xi_extack ack = {0};
	struct xi_expire_request expire;
	struct xi_spi_request spi;
	struct xi_sa_filter filter;
	struct xi_ae_request ae;
	struct xi_policy key;
	struct xi_nlmsg msg;
	struct xi_sa_id id;
	bool hard;
	struct xi_sa sa = {.flags = XFRM_STATE_ESN, .replay_window = 128};

	xi_xfrm_get_sa_id(&id, nlh, &ack);
	xi_xfrm_get_allocspi(&spi, nlh, 30, &ack);
	if (!xi_xfrm_get_ae_id(&ae, nlh, &ack))
		xi_xfrm_get_newae(&ae, nlh, &sa, &ack);
	xi_xfrm_get_expire(&expire, nlh, &ack);
	if (!xi_xfrm_get_sa_filter(&filter, nlh, &ack))
		xi_sa_filter_matches(&filter, &sa);
	xi_xfrm_get_policy_id(&key, nlh, &ack);
	xi_xfrm_get_polexpire(&key, &hard, nlh, &ack);
	xi_xfrm_put_error(&msg, nlh, 1, -22, false, &ack);
	require(!msg.full && msg.hdr.nlmsg_len % 4 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *nlh;
	static struct xi_sa_request req;
	struct xi_migrate_request migrate;
	struct xi_acquire_request acquire;
	struct xi_policy policy;
	struct xi_extack ack = {0};
	struct fuzz_buf buf;

	if (size < sizeof(*nlh) || size > XI_XFRM_REQUEST_MAX)
		return 0;
	buf = fuzz_buf_new(size);
	memcpy(buf.data, data, size);
	nlh = (struct nlmsghdr *)buf.data;
	nlh->nlmsg_len = size; /* the server has checked it against the datagram */
	if (!xi_xfrm_get_newsa(&req, nlh, &ack))
		sa_again(&req);
	if (!xi_xfrm_get_newpolicy(&policy, nlh, &ack))
		policy_again(&policy);
	if (!xi_xfrm_get_migrate(&migrate, nlh, &ack))
		migrate_again(&migrate);
	if (!xi_xfrm_get_acquire(&acquire, nlh, &ack))
		acquire_again(&acquire);
	others(nlh);
	fuzz_buf_free(&buf);
	return 0;
}
