/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The XFRM server under clients that send many requests at once: what is answered when, and whose turn it is. */
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem_store.h"
#include "null_store.h"
#include "source/proto.h"
#include "source/server_int.h"

#define TURN 256                 /* requests of one client, and what is left of a datagram */
#define BATCH 40

struct client {
	int fd;
	uint32_t acked;              /* sequence number of the last answer */
	uint32_t news, listed;
	int error;                   /* of the last answer */
	bool listens, done;
	bool deaf;                   /* reads nothing */
};

struct fixture {
	struct event_base *base;
	struct null_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_xfrm_server *server;
	char name[32];
	struct client a, b;
	bool mixed;                  /* not every answer is about an SA that was added */
	uint32_t added, in_force, syncs, longest;
};

static void answer(struct client *c, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_flags & NLM_F_MULTI) {
		c->done |= nlh->nlmsg_type == NLMSG_DONE;
		c->listed += nlh->nlmsg_type != NLMSG_DONE;
		return;
	}
	if (c->listens) {
		assert_int_equal(nlh->nlmsg_seq, ++c->news);
		return;
	}
	assert_int_equal(nlh->nlmsg_seq, c->acked + 1);
	c->acked = nlh->nlmsg_seq;
	c->error = nlh->nlmsg_type == NLMSG_ERROR ? *(const int *)NLMSG_DATA(nlh) : 0;
}

static void receive(struct client *c)
{
	union {
		struct nlmsghdr hdr;
		uint8_t buf[XI_XFRM_REPLY_MAX];
	} m;

	while (!c->deaf && recv(c->fd, &m, sizeof(m), MSG_DONTWAIT) > 0)
		answer(c, &m.hdr);
}

static void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	f->added += !old;
}

/* Invariant cache-coherent: nothing is acknowledged, or told, that is not in force. */
static void on_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
	receive(&f->a);
	receive(&f->b);
	assert_true(f->mixed || f->a.acked <= f->in_force);
	assert_true(f->b.news <= f->in_force);
	if (f->longest < f->added - f->in_force)
		f->longest = f->added - f->in_force;
	f->in_force = f->added;
}

static void client_open(struct fixture *f, struct client *c)
{
	int bytes = 4 << 20;
	struct sockaddr_un addr;
	socklen_t len = 0;

	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	assert_int_equal(xi_xfrm_sock_addr(&addr, &len, f->name), 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, len), 0);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = { 0 };

	f->store = null_store_new(8192);
	f->base = event_base_new();
	snprintf(f->name, sizeof(f->name), "xi-rounds-%d", getpid());
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->store->store), 0);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->store->store), 0);
	xi_sad_listen(f->sad, &(struct xi_sad_listener){.changed = on_changed, .sync = on_sync, .arg = f});
	assert_int_equal(xi_xfrm_server_create(&f->server, f->base, f->sad, f->spd, f->name), 0);
	client_open(f, &f->a);
	client_open(f, &f->b);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->a.fd);
	close(f->b.fd);
	xi_xfrm_server_destroy(f->server);
	xi_spd_destroy(f->spd);
	xi_sad_destroy(f->sad);
	event_base_free(f->base);
	null_store_free(f->store);
	free(f);
	return 0;
}

struct datagram {
	union {
		uint64_t align;
		uint8_t buf[XI_XFRM_REQUEST_MAX];
	};
	size_t len;
};

static void *put(struct datagram *d, uint16_t type, uint16_t flags, uint32_t seq, size_t body)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(d->buf + d->len);

	memset(nlh, 0, NLMSG_SPACE(body));
	nlh->nlmsg_len = NLMSG_LENGTH(body);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	d->len += NLMSG_SPACE(body);
	return NLMSG_DATA(nlh);
}

static void put_add(struct datagram *d, uint32_t seq, uint32_t spi)
{
	const size_t attr = NLA_HDRLEN + sizeof(struct xfrm_algo_aead) + 20;
	struct xfrm_usersa_info info = { 0 }; /* its place is aligned to four bytes only */
	char *body = put(d, XFRM_MSG_NEWSA, NLM_F_ACK, seq, sizeof(info) + attr);
	struct nlattr *nla = (struct nlattr *)(body + sizeof(info));
	struct xfrm_algo_aead *aead = (struct xfrm_algo_aead *)((char *)nla + NLA_HDRLEN);

	info.id.daddr.a4 = 0x020200c0;
	info.id.spi = __builtin_bswap32(spi);
	info.id.proto = IPPROTO_ESP;
	info.saddr.a4 = 0x010200c0;
	info.family = AF_INET;
	info.mode = XFRM_MODE_TUNNEL;
	memset(&info.lft, 0xff, 4 * sizeof(__u64));
	memcpy(body, &info, sizeof(info));
	nla->nla_type = XFRMA_ALG_AEAD;
	nla->nla_len = attr;
	strcpy(aead->alg_name, "rfc4106(gcm(aes))");
	aead->alg_key_len = 160;
	aead->alg_icv_len = 128;
	memcpy(aead->alg_key, &spi, sizeof(spi));
}

static void put_id(struct datagram *d, uint16_t type, uint16_t flags, uint32_t seq, uint32_t spi)
{
	struct xfrm_usersa_id *id = put(d, type, flags, seq, sizeof(*id));

	id->daddr.a4 = 0x020200c0;
	id->spi = __builtin_bswap32(spi);
	id->family = AF_INET;
	id->proto = IPPROTO_ESP;
}

static void post(struct client *c, struct datagram *d)
{
	assert_int_equal(send(c->fd, d->buf, d->len, 0), d->len);
	d->len = 0;
}

/* n SAs from SPI first on, `batch` in a datagram. */
static void post_adds(struct client *c, uint32_t first, uint32_t n, uint32_t batch)
{
	struct datagram d = { .len = 0 };
	uint32_t i;

	for (i = 0; i < n; i++) {
		put_add(&d, i + 1, first + i);
		if ((i + 1) % batch == 0 || i + 1 == n)
			post(c, &d);
	}
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	receive(&f->a);
	receive(&f->b);
}

static void join(struct fixture *f, struct client *c, unsigned int group)
{
	struct datagram d = { .len = 0 };
	struct xi_xfrm_ctl *ctl = put(&d, XI_XFRM_CTL, 0, 0, sizeof(*ctl));

	ctl->op = XI_CTL_ADD;
	c->listens = true;
	ctl->a = group;
	post(c, &d);
	turn(f);
}

static void answers_wait_for_the_sync(struct fixture *f, uint32_t n, uint32_t batch)
{
	int turns;

	join(f, &f->b, XFRMNLGRP_SA);
	post_adds(&f->a, 0x1000, n, batch);
	for (turns = 0; turns < 10000 && (f->a.acked < n || f->b.news < n); turns++)
		turn(f);
	assert_int_equal(f->a.acked, n);
	assert_int_equal(f->b.news, n);
	assert_int_equal(xi_sad_count(f->sad), n);
	assert_true(f->longest <= TURN + batch);
}

static void of_one_request_a_datagram(void **state)
{
	answers_wait_for_the_sync(*state, 1000, 1);
}

static void of_many_requests_a_datagram(void **state)
{
	struct fixture *f = *state;

	answers_wait_for_the_sync(f, 1000, BATCH);
	assert_true(f->syncs <= 1000 / BATCH);
}

static void requests_of_a_datagram_see_each_other(void **state)
{
	static const int errors[] = { 0, 0, 0, -ESRCH, 0, -EEXIST, 0 };
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t i;

	f->mixed = true;
	for (i = 0; i < 2; i++) { /* one by one, then all at once */
		f->a.acked = 0;
		for (uint32_t step = 0; step < 7; step++) {
			uint32_t seq = step + 1;

			if (step == 0 || step == 4 || step == 5)
				put_add(&d, seq, 0x5000);
			else if (step == 1 || step == 3)
				put_id(&d, XFRM_MSG_GETSA, 0, seq, 0x5000);
			else
				put_id(&d, XFRM_MSG_DELSA, NLM_F_ACK, seq, 0x5000);
			if (i)
				continue;
			post(&f->a, &d);
			turn(f);
			assert_int_equal(f->a.acked, seq);
			assert_int_equal(f->a.error, errors[step]);
		}
		if (i) {
			f->syncs = 0;
			post(&f->a, &d);
			turn(f);
			assert_int_equal(f->a.acked, 7);
			/* an SA that comes back with its key has to know how far that was used */
			assert_int_equal(f->syncs, 2);
		}
		assert_int_equal(xi_sad_count(f->sad), 0);
	}
}

/* One whose requests pile up does not keep others waiting for more than a turn. */
static void others_get_their_turn(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t before;

	post_adds(&f->a, 0x1000, 2000, BATCH);
	turn(f);
	put_id(&d, XFRM_MSG_GETSA, 0, 1, 0x1000);
	post(&f->b, &d);
	before = f->in_force;
	while (!f->b.acked)
		turn(f);
	assert_true(f->in_force - before <= 2 * (TURN + BATCH));
	assert_int_equal(f->b.error, 0);
	while (f->a.acked < 2000)
		turn(f);
}

/* A dump holds a position, not a list, whether its reader reads or not; and sees what changes behind that. */
static void dumps_keep_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	struct xi_client *c;
	uint32_t queued = 0;
	int i;

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	put(&d, XFRM_MSG_GETSA, NLM_F_DUMP, 1, 0);
	post(&f->b, &d);
	for (i = 0; i < 100; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	LIST_FOREACH (c, &f->server->clients, next)
		queued = c->queued > queued ? c->queued : queued;
	assert_true(queued <= XI_QUEUE_REPLIES);
	put_id(&d, XFRM_MSG_DELSA, NLM_F_ACK, 6001, 0x1000 + 5999);
	put_id(&d, XFRM_MSG_GETSA, 0, 6002, 0x1000);
	post(&f->a, &d);
	for (i = 0; i < 10; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		receive(&f->a);
	}
	assert_int_equal(f->a.acked, 6002);
	while (!f->b.done)
		turn(f);
	assert_int_equal(f->b.listed, 5999);
}

/* A flush of many SAs: others are served meanwhile, what they add stays, and the answer comes at the end. */
static void flushes_keep_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t left = 0;

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	f->mixed = true;
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 6001, sizeof(struct xfrm_usersa_flush));
	post(&f->a, &d);
	turn(f);
	put_add(&d, 1, 0x900);
	put_id(&d, XFRM_MSG_GETSA, 0, 2, 0x900);
	post(&f->b, &d);
	while (f->b.acked < 2) {
		assert_int_equal(f->a.acked, 6000);
		turn(f);
	}
	assert_int_equal(f->b.error, 0);
	left = xi_sad_count(f->sad);
	assert_true(left > 1 && left < 6000);
	while (f->a.acked < 6001)
		turn(f);
	assert_int_equal(f->a.error, 0);
	assert_int_equal(xi_sad_count(f->sad), 1);
}

static bool is_blocked(struct fixture *f)
{
	struct xi_client *c;
	bool blocked = false;

	LIST_FOREACH (c, &f->server->clients, next)
		blocked |= c->queued > 0;
	return blocked;
}

/* Who flushes and reads no answers: it goes on all the same, and the others still get their turns. */
static void a_flush_waits_for_no_reader(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t i, n, left = 0;

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	f->mixed = true;
	f->a.deaf = true;
	for (n = 0; !is_blocked(f); n++) {
		assert_true(n < 10000);
		put_id(&d, XFRM_MSG_GETSA, 0, 6001 + n, 0x1000);
		post(&f->a, &d);
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	}
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 6001 + n, sizeof(struct xfrm_usersa_flush));
	post(&f->a, &d);
	for (i = 0; i < 4 && xi_sad_count(f->sad) == 6000; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	put_add(&d, 1, 0x900);
	post(&f->b, &d);
	for (i = 0; i < 1000 && xi_sad_count(f->sad) != 1; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		receive(&f->b);
		if (f->b.acked && !left)
			left = xi_sad_count(f->sad);
	}
	assert_int_equal(xi_sad_count(f->sad), 1);
	assert_true(left > 1 && left < 6000);
	assert_true(is_blocked(f));
}

/* What others are served while somebody's flush goes on; returns the SAs that were left when they had their answer. */
static uint32_t served_meanwhile(struct fixture *f, struct client *c)
{
	struct datagram d = { .len = 0 };

	c->acked = 0;
	put_add(&d, 1, 0x900);
	post(c, &d);
	while (!c->acked)
		turn(f);
	assert_int_equal(c->error, 0);
	return xi_sad_count(f->sad) - 1;
}

/* What stands behind it in the same datagram comes after all of it, and makes nobody wait for that. */
static void flushes_end_before_what_follows(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t left;

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	f->mixed = true;
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 6001, sizeof(struct xfrm_usersa_flush));
	put_add(&d, 6002, 0x1000 + 5999);
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 6003, sizeof(struct xfrm_usersa_flush));
	put_add(&d, 6004, 0x1000 + 5998);
	post(&f->a, &d);
	turn(f);
	left = served_meanwhile(f, &f->b);
	assert_true(left > 0 && left < 6000);
	while (f->a.acked < 6004)
		turn(f);
	assert_int_equal(f->a.error, 0);
	assert_int_equal(xi_sad_count(f->sad), 1);
}

/* One whose client went away, and is found to have, goes on to its end, in its turns. */
static void flushes_of_who_went_away_keep_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t left;

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	f->mixed = true;
	f->b.deaf = true;
	join(f, &f->b, XFRMNLGRP_SA);
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 1, sizeof(struct xfrm_usersa_flush));
	put_add(&d, 2, 0x901);
	post(&f->b, &d);
	shutdown(f->b.fd, SHUT_RDWR);
	while (xi_sad_count(f->sad) == 6000)
		turn(f);
	left = served_meanwhile(f, &f->a); /* the news of it find nobody there */
	assert_true(left > 0 && left < 6000);
	turn(f);
	assert_true(xi_sad_count(f->sad) > 1000);
	while (f->server->nclients > 1)
		turn(f);
	assert_int_equal(xi_sad_count(f->sad), 2); /* what was added since, and what stood behind */
}

/* The daemon ends: what was begun is not left half done. */
static void flushes_end_with_the_server(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };

	post_adds(&f->a, 0x1000, 6000, BATCH);
	while (f->a.acked < 6000)
		turn(f);
	f->mixed = true;
	put(&d, XFRM_MSG_FLUSHSA, NLM_F_ACK, 6001, sizeof(struct xfrm_usersa_flush));
	post(&f->a, &d);
	while (xi_sad_count(f->sad) == 6000)
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_true(xi_sad_count(f->sad) > 0);
	xi_xfrm_server_destroy(f->server);
	f->server = NULL;
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void put_policy(struct datagram *d, uint32_t seq, uint32_t i)
{
	struct xfrm_userpolicy_info *info = put(d, XFRM_MSG_NEWPOLICY, NLM_F_ACK, seq, sizeof(*info));

	info->sel.family = AF_INET;
	info->sel.daddr.a4 = __builtin_bswap32(0x0a000000 + i);
	info->sel.prefixlen_d = 32;
	info->dir = XFRM_POLICY_OUT;
	info->action = XFRM_POLICY_BLOCK;
	memset(&info->lft, 0xff, 4 * sizeof(__u64));
}

static void flushes_of_policies_keep_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct datagram d = { .len = 0 };
	uint32_t i, left;

	f->mixed = true;
	for (i = 1; i <= 4000; i++) {
		put_policy(&d, i, i);
		if (i % BATCH == 0)
			post(&f->a, &d);
		if (i % (TURN * 4) == 0)
			while (f->a.acked + BATCH < i)
				turn(f);
	}
	while (f->a.acked < 4000)
		turn(f);
	put(&d, XFRM_MSG_FLUSHPOLICY, NLM_F_ACK, 4001, 0);
	put_policy(&d, 4002, 17); /* which it takes along */
	post(&f->a, &d);
	turn(f);
	put_policy(&d, 1, 5000);
	post(&f->b, &d);
	while (f->b.acked < 1) {
		assert_int_equal(f->a.acked, 4000);
		turn(f);
	}
	assert_int_equal(f->b.error, 0);
	left = xi_spd_count(f->spd, XI_OUT);
	assert_true(left > 1 && left < 4000);
	while (f->a.acked < 4002)
		turn(f);
	assert_int_equal(f->a.error, 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(of_one_request_a_datagram),
		T(of_many_requests_a_datagram),
		T(requests_of_a_datagram_see_each_other),
		T(others_get_their_turn),
		T(dumps_keep_nobody_waiting),
		T(flushes_keep_nobody_waiting),
		T(a_flush_waits_for_no_reader),
		T(flushes_end_before_what_follows),
		T(flushes_of_who_went_away_keep_nobody_waiting),
		T(flushes_end_with_the_server),
		T(flushes_of_policies_keep_nobody_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
