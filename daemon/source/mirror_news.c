/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel says of itself: news, and dumps. Both only name what is to be looked at. */
#include "source/mirror_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "log.h"

static bool id_read(struct xi_sa_id *id, const xfrm_address_t *daddr, uint32_t spi,
		    unsigned int proto, unsigned int family)
{
	memset(id, 0, sizeof(*id));
	if (!xi_family_known(family) || (proto != XI_ESP && proto != XI_AH && proto != XI_COMP) ||
	    !spi)
		return false;
	xi_addr_from_xfrm(id->daddr, daddr, family);
	id->spi = ntohl(spi);
	id->proto = (enum xi_proto)proto;
	id->family = (enum xi_family)family;
	return true;
}

static void sa_gone_news(struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xi_mirror_sa *sa;

	xi_mirror_sa_dirty(m, id);
	HASH_FIND(hh, m->sas, id, sizeof(*id), sa);
	if (sa)
		sa->told_gone = true;
}

static void sas_gone_news(struct xi_mirror *m)
{
	struct xi_mirror_sa *sa;

	xi_mirror_touch_sas(m);
	TAILQ_FOREACH(sa, &m->all_sas, all)
	sa->told_gone = true;
}

static void sa_news(struct xi_mirror *m, const struct nlmsghdr *nlh)
{
	const void *body = (const uint8_t *)nlh + NLMSG_HDRLEN;
	struct xfrm_usersa_info info;
	struct xfrm_usersa_id key;
	struct xi_sa_id id;
	size_t len = nlh->nlmsg_len - NLMSG_HDRLEN;

	if (nlh->nlmsg_type == XFRM_MSG_DELSA && len >= sizeof(key)) {
		memcpy(&key, body, sizeof(key));
		if (id_read(&id, &key.daddr, key.spi, key.proto, key.family))
			sa_gone_news(m, &id);
	} else if (nlh->nlmsg_type != XFRM_MSG_DELSA && len >= sizeof(info)) {
		/* that of EXPIRE begins with it, too */
		memcpy(&info, body, sizeof(info));
		if (!id_read(&id, &info.id.daddr, info.id.spi, info.id.proto, info.family))
			return;
		if (nlh->nlmsg_type == XFRM_MSG_EXPIRE) /* a hard one deletes */
			sa_gone_news(m, &id);
		else
			xi_mirror_sa_dirty(m, &id);
	}
}

void xi_mirror_touch_sas(struct xi_mirror *m)
{
	struct xi_mirror_sa *sa;

	TAILQ_FOREACH(sa, &m->all_sas, all)
	xi_mirror_sa_touch(m, sa);
}

void xi_mirror_touch_policies(struct xi_mirror *m)
{
	struct xi_mirror_policy *policy, *next;

	HASH_ITER(hh, m->policies, policy, next)
	xi_mirror_policy_touch(m, policy);
}

static void policy_news(struct xi_mirror *m, const struct nlmsghdr *nlh, bool dumped)
{
	struct xi_mirror_policy_key key;

	if (xi_mirror_policy_key(&key, nlh))
		xi_mirror_policy_dirty(m, &key, dumped);
}

static void news(struct xi_mirror *m, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
	case XFRM_MSG_EXPIRE:
		sa_news(m, nlh);
		break;
	case XFRM_MSG_FLUSHSA:
		sas_gone_news(m);
		break;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_POLEXPIRE:
		policy_news(m, nlh, false);
		break;
	case XFRM_MSG_FLUSHPOLICY:
		xi_mirror_touch_policies(m);
		break;
	case XFRM_MSG_GETDEFAULT:
	case XFRM_MSG_SETDEFAULT:
		m->defaults = true;
		event_active(m->work, EV_TIMEOUT, 0);
		break;
	case XFRM_MSG_MIGRATE:
		xi_mirror_resync(m);
		break;
	default:
		break;
	}
}

static void dumped(struct xi_mirror *m, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == XFRM_MSG_NEWSA)
		sa_news(m, nlh);
	else if (nlh->nlmsg_type == XFRM_MSG_NEWPOLICY)
		policy_news(m, nlh, true);
}

void xi_mirror_dump_failed(struct xi_mirror *m, int err)
{
	log_warnx("mirror: the kernel's SAs and policies cannot be listed: %s; trying again",
		  strerror(-err));
	m->dump = XI_MIRROR_DUMP_NONE;
	xi_mirror_resync(m);
}

/* SAs come first: so when a policy comes into force here it is known whether all that it may use is
 * carried. */
static void dump_next(struct xi_mirror *m)
{
	int err;

	if (m->dump == XI_MIRROR_DUMP_SAS) {
		m->dump = XI_MIRROR_DUMP_POLICIES;
		err = xi_mirror_ask_dump(m, XFRM_MSG_GETPOLICY);
		if (err)
			xi_mirror_dump_failed(m, err);
		return;
	}
	m->dump = XI_MIRROR_DUMP_NONE;
	event_active(m->work, EV_TIMEOUT, 0);
}

static void datagram(struct xi_mirror *m, size_t len, bool dump)
{
	const uint8_t *at = m->datagram.buf;

	while (len >= NLMSG_HDRLEN) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)at;
		size_t step;
		int error = 0;

		if (nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len)
			break;
		if (!dump) {
			news(m, nlh);
		} else if (nlh->nlmsg_type == NLMSG_DONE) {
			if (nlh->nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
				memcpy(&error, at + NLMSG_HDRLEN, sizeof(error));
			if (error)
				xi_mirror_dump_failed(m, error);
			else
				dump_next(m);
		} else if (nlh->nlmsg_type == NLMSG_ERROR) {
			if (nlh->nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
				memcpy(&error, at + NLMSG_HDRLEN, sizeof(error));
			xi_mirror_dump_failed(m, error);
		} else {
			dumped(m, nlh);
		}
		step = NLMSG_ALIGN(nlh->nlmsg_len);
		if (step >= len)
			break;
		at += step;
		len -= step;
	}
	explicit_bzero(m->datagram.buf, sizeof(m->datagram.buf)); /* keys */
}

static void socket_lost(struct xi_mirror *m, struct event *ev, int err)
{
	if (err == -ENOBUFS) {
		m->figures.lost++;
		m->unsure = true;
		xi_mirror_resync(m);
		return;
	}
	log_warnx(
		"mirror: the kernel's XFRM cannot be read: %s; what was taken over stays as it is",
		strerror(-err));
	event_del(ev);
}

void xi_mirror_on_news(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;
	int n;

	for (unsigned int i = 0; i < XI_MIRROR_TURN; i++) {
		n = xi_mirror_read(m, fd);
		if (n < 0)
			socket_lost(m, m->on_news, n);
		if (n == -ENOBUFS)
			continue;
		if (n <= 0)
			return;
		datagram(m, n, false);
	}
}

/* An event is of its fd: it waits for the new one, or for none. */
static void dump_lost(struct xi_mirror *m, int err)
{
	struct event_base *base = event_get_base(m->on_dump);
	int reopened;

	event_del(m->on_dump);
	reopened = xi_mirror_reopen_dump(m);
	if (!reopened && (event_assign(m->on_dump, base, m->dump_fd, EV_READ | EV_PERSIST,
				       xi_mirror_on_dump, m) ||
			  event_add(m->on_dump, NULL)))
		reopened = -ENOMEM;
	if (reopened)
		log_warnx("mirror: no socket to list the kernel's SAs and policies by: %s; what was taken over stays as it is",
			  strerror(-reopened));
	else
		xi_mirror_dump_failed(m, err);
}

void xi_mirror_on_dump(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;
	int n = xi_mirror_read(m, fd);

	if (n > 0)
		datagram(m, n, true);
	else if (n < 0)
		dump_lost(m, n);
}
