/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flushes of SAs and of policies: in turns of a few milliseconds, between which others are served. */
#include "source/server_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAS_A_TURN 1024
#define POLICIES_A_TURN 512

static void sas_news(struct xi_client *c)
{
	struct xi_nl_to to = xi_nl_answer(c, &c->flush.request);
	struct xfrm_usersa_flush *news;
	struct xi_nlmsg msg;

	news = xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHSA, 0, to.seq, to.portid, sizeof(*news));
	news->proto = c->flush.proto;
	xi_server_multicast(c->server, XFRMNLGRP_SA, &msg);
}

static void policies_news(struct xi_client *c)
{
	const struct xfrm_userpolicy_type type = { .type = XFRM_POLICY_TYPE_MAIN };
	struct xi_nl_to to = xi_nl_answer(c, &c->flush.request);
	struct xi_nlmsg msg;

	xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHPOLICY, 0, to.seq, to.portid, 0);
	xi_nlmsg_put(&msg, XFRMA_POLICY_TYPE, &type, sizeof(type));
	xi_server_multicast(c->server, XFRMNLGRP_POLICY, &msg);
}

static bool sas_step(struct xi_client *c, int *err)
{
	struct xi_sad_flush *sas = &c->flush.sas;

	if (xi_sad_flush_step(c->server->sad, sas, SAS_A_TURN))
		return false;
	*err = sas->err;
	if (sas->n && !*err)
		sas_news(c);
	return true;
}

static bool policies_step(struct xi_client *c, int *err)
{
	struct xi_spd_flush *policies = &c->flush.policies;

	if (xi_spd_flush_step(c->server->spd, policies, POLICIES_A_TURN))
		return false;
	xi_spd_flush_end(policies);
	*err = policies->err;
	if (policies->gone && !*err)
		policies_news(c);
	return true;
}

/* True: that was the end, and err what to answer. */
static bool flush_step(struct xi_client *c, int *err)
{
	struct xi_flush *flush = &c->flush;
	bool over = flush->kind == XI_FLUSH_SAS ? sas_step(c, err) : policies_step(c, err);

	if (over)
		flush->kind = XI_FLUSH_NONE;
	return over;
}

static void flush_begin(struct xi_client *c, const struct nlmsghdr *nlh, enum xi_flush_kind kind)
{
	c->flush = (struct xi_flush){ .kind = kind, .request = *nlh };
	c->flush.request.nlmsg_len = sizeof(*nlh); /* what an error echoes */
}

/* The first turn: most flushes need no other. */
static int flush_first(struct xi_client *c)
{
	int err;

	return flush_step(c, &err) ? err : XI_NO_ACK;
}

int xi_flush_put_off(struct xi_client *c, const uint8_t *data, size_t len)
{
	struct xi_flush *flush = &c->flush;

	if (!len)
		return 0;
	flush->rest = malloc(len);
	if (!flush->rest)
		return -ENOMEM;
	memcpy(flush->rest, data, len);
	flush->nrest = len;
	return 0;
}

/* Another flush among it has a rest of its own. */
static void rest_do(struct xi_client *c)
{
	uint8_t *rest = c->flush.rest;
	size_t n = c->flush.nrest;

	if (!rest)
		return;
	c->flush.rest = NULL;
	xi_server_hold(c->server);
	xi_server_request(c, rest, n);
	xi_server_release(c->server);
	explicit_bzero(rest, n);
	free(rest);
}

void xi_flush_turn(struct xi_client *c)
{
	struct xi_extack ack = { 0 };
	int err;

	if (!c->flush.kind || !flush_step(c, &err))
		return;
	if (err || c->flush.request.nlmsg_flags & NLM_F_ACK)
		xi_server_acknowledge(c, &c->flush.request, err, &ack);
	rest_do(c);
}

void xi_flush_finish(struct xi_client *c)
{
	while (c->flush.kind)
		xi_flush_turn(c);
}

int xi_handle_flushsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_usersa_flush flush;
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(flush), ack);
	if (err)
		return err;
	memcpy(&flush, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(flush));
	if (flush.proto && flush.proto != 255 && flush.proto != XI_ESP && flush.proto != XI_AH)
		return 0; /* there are none */
	flush_begin(c, nlh, XI_FLUSH_SAS);
	c->flush.proto = flush.proto;
	xi_sad_flush_begin(c->server->sad, &c->flush.sas,
			   flush.proto == 255 ? XI_PROTO_ANY : (enum xi_proto)flush.proto);
	return flush_first(c);
}

int xi_handle_flushpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_userpolicy_type type = { 0 };
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, 0, ack);
	if (err)
		return err;
	xi_attr_copy(&attrs, XFRMA_POLICY_TYPE, &type, sizeof(type));
	if (type.type == XFRM_POLICY_TYPE_SUB)
		return 0; /* there are none */
	if (type.type != XFRM_POLICY_TYPE_MAIN)
		return xi_refuse(ack, -EINVAL, "Invalid policy type");
	flush_begin(c, nlh, XI_FLUSH_POLICIES);
	err = xi_spd_flush_begin(c->server->spd, &c->flush.policies);
	if (err) {
		c->flush.kind = XI_FLUSH_NONE;
		return err;
	}
	return flush_first(c);
}
