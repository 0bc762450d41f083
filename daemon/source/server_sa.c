/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the server does about SAs. -EEXIST and -ESRCH go without a text, so that iproute2 prints its
 * own. */
#include "source/server_int.h"

#include <errno.h>
#include <string.h>

#include "log.h"

static int refused(struct xi_extack *ack, int err, const char *why)
{
	if (err && why && err != -EEXIST && err != -ESRCH && err != -ENOENT && !ack->text[0])
		return xi_refuse(ack, err, "%s", why);
	return err;
}

/* The SA of an id; NULL: none, or the mark in the request is not one of its own. */
static const struct xi_sa_rec *sa_find(const struct xi_client *c, const struct nlmsghdr *nlh,
				       size_t fixed, const struct xi_sa_id *id)
{
	const struct xi_sa_rec *rec = xi_sad_find(c->server->sad, id);
	uint32_t mark = xi_xfrm_get_mark(nlh, fixed);

	return rec && (mark & rec->sa.mark_m) == rec->sa.mark_v ? rec : NULL;
}

static void sa_notify(struct xi_client *c, const struct nlmsghdr *nlh, const struct xi_sa_rec *rec)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	struct xi_nlmsg msg;

	if (!rec || !xi_server_listened(c->server, XFRMNLGRP_SA))
		return;
	xi_xfrm_put_sa(&msg, nlh->nlmsg_type, &to, rec);
	xi_server_multicast(c->server, XFRMNLGRP_SA, &msg);
}

/* At each start the file finds the SAs of the last one there: a key that was changed in it is not taken. */
static void file_key_check(const struct xi_sad *sad, const struct xi_sa_request *req)
{
	const struct xi_sa_rec *rec = xi_sad_find(sad, &req->sa.id);

	if (rec && memcmp(&rec->key, &req->key, sizeof(req->key)))
		log_warnx("SA with SPI 0x%08x keeps its key, though the file of SAs has another; delete the SA to load it",
			  req->sa.id.spi);
}

int xi_handle_newsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_sad *sad = c->server->sad;
	struct xi_sa_request req;
	const char *why = NULL;
	int err;

	err = xi_xfrm_get_newsa(&req, nlh, ack);
	if (err)
		return err;
	if (xi_client_is_file(c))
		req.sa.life |= XI_SA_FROM_FILE;
	if (nlh->nlmsg_type == XFRM_MSG_NEWSA)
		err = xi_sad_add(sad, &req.sa, &req.key, &req.init, &why);
	else
		err = xi_sad_update(sad, &req.sa, &req.key, &req.init, &why);
	if (!err) {
		sa_notify(c, nlh, xi_sad_find(sad, &req.sa.id));
		xi_aevents_start(c->server->aevents, xi_sad_find(sad, &req.sa.id));
		xi_acquire_settled(c->server, &req.sa);
	} else if (err == -EEXIST && xi_client_is_file(c)) {
		file_key_check(sad, &req);
	}
	explicit_bzero(&req.key, sizeof(req.key));
	return refused(ack, err, why);
}

int xi_handle_delsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_sa_rec *rec;
	struct xi_nlmsg msg;
	struct xi_sa_id id;
	int err;

	err = xi_xfrm_get_sa_id(&id, nlh, ack);
	if (err)
		return err;
	rec = sa_find(c, nlh, sizeof(struct xfrm_usersa_id), &id);
	if (!rec)
		return -ESRCH;
	xi_xfrm_put_delsa(&msg, &to, rec);
	err = xi_sad_delete(c->server->sad, &id);
	if (err)
		explicit_bzero(msg.buf, msg.hdr.nlmsg_len);
	else
		xi_server_multicast(c->server, XFRMNLGRP_SA, &msg);
	return err;
}

static int dump_start(struct xi_client *c, const struct nlmsghdr *nlh, enum xi_dump_kind kind,
		      struct xi_extack *ack)
{
	/* Only a second dump in the same datagram gets here: a client's next one waits in its
	 * socket. */
	if (c->dump.kind)
		return xi_refuse(ack, -EINVAL, "two dumps in one datagram");
	c->dump = (struct xi_dump){ .kind = kind, .to = xi_nl_answer(c, nlh) };
	c->dump.to.flags = NLM_F_MULTI;
	return XI_NO_ACK;
}

int xi_handle_getsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_sa_rec *rec;
	struct xi_sa_filter filter;
	struct xi_nlmsg msg;
	struct xi_sa_id id;
	int err;

	if (nlh->nlmsg_flags & NLM_F_DUMP) {
		err = xi_xfrm_get_sa_filter(&filter, nlh, ack);
		if (!err)
			err = dump_start(c, nlh, XI_DUMP_SA, ack);
		if (err == XI_NO_ACK)
			c->dump.filter = filter;
		return err;
	}
	err = xi_xfrm_get_sa_id(&id, nlh, ack);
	if (err)
		return err;
	rec = sa_find(c, nlh, sizeof(struct xfrm_usersa_id), &id);
	if (!rec)
		return -ESRCH;
	xi_xfrm_put_sa(&msg, XFRM_MSG_NEWSA, &to, rec);
	xi_client_reply(c, &msg);
	return 0;
}

int xi_handle_allocspi(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	uint32_t ttl = xi_acquire_ttl();
	const struct xi_sa_rec *rec;
	struct xi_spi_request req;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_allocspi(&req, nlh, ttl, ack);
	if (err)
		return err;
	err = xi_sad_alloc_spi(c->server->sad, &req.sa, req.min, req.max, ttl, &rec);
	if (err == -ENOENT)
		return xi_refuse(ack, err,
				 "Failed to allocate SPI: none is free between 0x%x and 0x%x",
				 req.min, req.max);
	if (err)
		return err;
	xi_xfrm_put_sa(&msg, XFRM_MSG_NEWSA, &to, rec);
	xi_client_reply(c, &msg);
	return 0;
}

static int newae_apply(struct xi_sad *sad, const struct xi_ae_request *req)
{
	const struct xi_ae_thresholds *t = &req->thresholds;
	int err = xi_sad_set_replay(sad, &req->id, &req->init);

	if (err || (!t->replay && !t->etimer))
		return err;
	return xi_sad_set_thresholds(sad, &req->id, t->replay, t->etimer);
}

int xi_handle_newae(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_sa_rec *rec;
	struct xi_ae_defaults defaults = { 0 };
	struct xi_ae_request req;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_ae_id(&req, nlh, ack);
	if (err)
		return err;
	rec = sa_find(c, nlh, sizeof(struct xfrm_aevent_id), &req.id);
	if (!rec)
		return -ESRCH;
	if (rec->sa.life & XI_SA_LARVAL)
		return xi_refuse(ack, -EINVAL, "SA has no keys yet");
	err = xi_xfrm_get_newae(&req, nlh, &rec->sa, ack);
	if (err)
		return err;
	err = newae_apply(c->server->sad, &req);
	if (err == -EINVAL)
		return xi_refuse(
			ack, err,
			"the replay window would go back, and let packets in a second time");
	if (err)
		return err;
	rec = xi_sad_find(c->server->sad, &req.id);
	if (!rec)
		return 0;
	xi_aevents_start(c->server->aevents, rec);
	xi_xfrm_put_ae(&msg, &to, rec, XFRM_AE_CU, &defaults);
	xi_server_multicast(c->server, XFRMNLGRP_AEVENTS, &msg);
	return 0;
}

int xi_handle_getae(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_sa_rec *rec;
	struct xi_ae_defaults defaults = { 0 };
	struct xi_ae_request req;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_ae_id(&req, nlh, ack);
	if (err)
		return err;
	rec = sa_find(c, nlh, sizeof(struct xfrm_aevent_id), &req.id);
	if (!rec)
		return -ESRCH;
	if (req.flags & (XFRM_AE_RTHR | XFRM_AE_ETHR))
		defaults = xi_aevents_defaults();
	xi_xfrm_put_ae(&msg, &to, rec, req.flags, &defaults);
	xi_client_reply(c, &msg);
	return 0;
}

static void expire_notify(struct xi_xfrm_server *server, const struct xi_nl_to *to,
			  const struct xi_sa_rec *rec, bool hard)
{
	struct xi_nlmsg msg;

	xi_xfrm_put_expire(&msg, to, rec, hard);
	xi_server_multicast(server, XFRMNLGRP_EXPIRE, &msg);
}

int xi_handle_expire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	struct xi_expire_request req;
	const struct xi_sa_rec *rec;
	int err;

	err = xi_xfrm_get_expire(&req, nlh, ack);
	if (err)
		return err;
	rec = sa_find(c, nlh, sizeof(struct xfrm_user_expire), &req.id);
	if (!rec)
		return -ENOENT;
	if (rec->sa.life & XI_SA_LARVAL)
		return xi_refuse(ack, -EINVAL, "SA has no keys yet");
	expire_notify(c->server, &to, rec, req.hard);
	return req.hard ? xi_sad_delete(c->server->sad, &req.id) : 0;
}

void xi_server_expired(void *arg, const struct xi_sa_rec *rec, bool hard)
{
	expire_notify(arg, &(struct xi_nl_to){ 0 }, rec, hard);
}

static bool dump_done(struct xi_client *c, struct xi_nlmsg *msg)
{
	xi_nlmsg_begin(msg, NLMSG_DONE, NLM_F_MULTI, c->dump.to.seq, c->dump.to.portid,
		       sizeof(int));
	return false;
}

static bool dump_sa(struct xi_client *c, struct xi_nlmsg *msg)
{
	const struct xi_sa_rec *rec;

	while ((rec = xi_sad_next(c->server->sad, &c->dump.pos))) {
		if (!xi_sa_filter_matches(&c->dump.filter, &rec->sa))
			continue;
		xi_xfrm_put_sa(msg, XFRM_MSG_NEWSA, &c->dump.to, rec);
		return true;
	}
	return dump_done(c, msg);
}

static bool dump_policy(struct xi_client *c, struct xi_nlmsg *msg)
{
	const struct xi_policy *policy = xi_spd_next(c->server->spd, &c->dump.pos);

	if (!policy)
		return dump_done(c, msg);
	xi_xfrm_put_policy(msg, XFRM_MSG_NEWPOLICY, &c->dump.to, policy);
	return true;
}

bool xi_dump_step(struct xi_client *c, struct xi_nlmsg *msg)
{
	return c->dump.kind == XI_DUMP_SA ? dump_sa(c, msg) : dump_policy(c, msg);
}

int xi_handle_getpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_policy *policy;
	struct xi_policy key;
	struct xi_nlmsg msg;
	int err;

	if (nlh->nlmsg_flags & NLM_F_DUMP)
		return dump_start(c, nlh, XI_DUMP_POLICY, ack);
	err = xi_xfrm_get_policy_id(&key, nlh, ack);
	if (err)
		return err;
	policy = xi_spd_find(c->server->spd, &key);
	if (!policy)
		return -ENOENT;
	xi_xfrm_put_policy(&msg, XFRM_MSG_NEWPOLICY, &to, policy);
	xi_client_reply(c, &msg);
	return 0;
}
