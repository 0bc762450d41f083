/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "mirror_bed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static void fence(void *arg, bool up)
{
	struct mirror_bed *f = arg;

	f->fenced = up;
}

void mirror_start(struct mirror_bed *f)
{
	const struct xi_mirror_config config = {.base = f->g.base,
						.sad = f->g.sad,
						.spd = f->g.spd,
						.open = ground_open,
						.fence = fence,
						.arg = f};

	assert_int_equal(xi_mirror_create(&f->g.mirror, &config), 0);
}

static void sad_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct mirror_bed *f = arg;

	f->early += f->strict &&
		    new &&xi_spd_is_local(xi_spd_snapshot(f->g.spd), new->sa.id.daddr, XI_IPV4) &&
		    !xi_spd_count(f->g.spd, XI_IN);
	f->late += f->strict && old &&
		   xi_spd_is_local(xi_spd_snapshot(f->g.spd), old->sa.id.daddr, XI_IPV4) &&
		   !xi_spd_count(f->g.spd, XI_IN);
	ground_sa_changed(&f->g, old, new);
}

static void sad_synced(void *arg)
{
	struct mirror_bed *f = arg;

	xi_spd_sas_changed(f->g.spd);
}

int mirror_setup(void **state)
{
	struct mirror_bed *f = calloc(1, sizeof(*f));

	f->fenced = -1;
	ground_make(&f->g, &(struct xi_sad_listener){.changed = sad_changed, .sync = sad_synced, .arg = f});
	kernel_start(&f->g.k);
	*state = f;
	return 0;
}

int mirror_teardown(void **state)
{
	struct mirror_bed *f = *state;

	ground_unmake(&f->g);
	free(f);
	return 0;
}

struct kernel_sa *sa_add_key(struct mirror_bed *f, const char *src, const char *dst,
				    uint32_t spi, uint32_t reqid, uint8_t key, bool news)
{
	struct kernel_sa *sa = f->g.k.sas;
	struct xi_nlmsg msg;

	pthread_mutex_lock(&f->g.k.lock);
	while (sa->used)
		sa++;
	assert_true(sa < f->g.k.sas + KERNEL_SAS);
	memset(sa, 0, sizeof(*sa));
	sa->used = true;
	memset(sa->key, key, sizeof(sa->key));
	sa->info.family = AF_INET;
	sa->info.mode = XFRM_MODE_TUNNEL;
	sa->info.reqid = reqid;
	sa->info.id.spi = htonl(spi);
	sa->info.id.proto = IPPROTO_ESP;
	inet_pton(AF_INET, src, &sa->info.saddr);
	inet_pton(AF_INET, dst, &sa->info.id.daddr);
	sa->info.lft.soft_byte_limit = sa->info.lft.hard_byte_limit = XFRM_INF;
	sa->info.lft.soft_packet_limit = sa->info.lft.hard_packet_limit = XFRM_INF;
	sa->info.curlft.add_time = BORN;
	sa->info.flags = XFRM_STATE_ESN;
	sa->esn.bmp_len = 4;
	sa->esn.replay_window = 128;
	kernel_put_sa(&msg, XFRM_MSG_NEWSA, 0, 0, sa);
	pthread_mutex_unlock(&f->g.k.lock);
	if (news)
		kernel_tell(&f->g.k, &msg);
	return sa;
}

void sa_news(struct mirror_bed *f, const struct kernel_sa *sa, uint16_t type)
{
	kernel_news_sa(&f->g.k, sa, type);
}

struct kernel_sa *sa_out(struct mirror_bed *f, uint32_t spi)
{
	return sa_add_key(f, LOCAL, PEER, spi, 1, (uint8_t)spi, true);
}

struct kernel_sa *sa_in(struct mirror_bed *f, uint32_t spi)
{
	return sa_add_key(f, PEER, LOCAL, spi, 1, (uint8_t)spi, true);
}

void sa_del(struct mirror_bed *f, struct kernel_sa *sa, bool news)
{
	pthread_mutex_lock(&f->g.k.lock);
	sa->used = false;
	pthread_mutex_unlock(&f->g.k.lock);
	if (news)
		sa_news(f, sa, XFRM_MSG_DELSA);
}

struct kernel_policy *policy_add(struct mirror_bed *f, int dir, const char *src,
					const char *dst, bool news)
{
	struct kernel_policy *p = f->g.k.policies;
	struct xi_nlmsg msg;

	pthread_mutex_lock(&f->g.k.lock);
	while (p->used)
		p++;
	assert_true(p < f->g.k.policies + KERNEL_SAS);
	memset(p, 0, sizeof(*p));
	p->used = true;
	p->info.dir = dir;
	p->info.priority = 100;
	p->info.sel.family = AF_INET;
	p->info.sel.prefixlen_s = p->info.sel.prefixlen_d = 24;
	inet_pton(AF_INET, src, &p->info.sel.saddr);
	inet_pton(AF_INET, dst, &p->info.sel.daddr);
	p->info.lft.soft_byte_limit = p->info.lft.hard_byte_limit = XFRM_INF;
	p->info.lft.soft_packet_limit = p->info.lft.hard_packet_limit = XFRM_INF;
	p->tmpl.id.proto = IPPROTO_ESP;
	p->tmpl.family = AF_INET;
	p->tmpl.reqid = 1;
	p->tmpl.mode = XFRM_MODE_TUNNEL;
	p->tmpl.aalgos = p->tmpl.ealgos = p->tmpl.calgos = ~0U;
	inet_pton(AF_INET, dir == XFRM_POLICY_OUT ? LOCAL : PEER, &p->tmpl.saddr);
	inet_pton(AF_INET, dir == XFRM_POLICY_OUT ? PEER : LOCAL, &p->tmpl.id.daddr);
	kernel_put_policy(&msg, XFRM_MSG_NEWPOLICY, 0, 0, p);
	pthread_mutex_unlock(&f->g.k.lock);
	if (news)
		kernel_tell(&f->g.k, &msg);
	return p;
}

struct kernel_policy *policy_out(struct mirror_bed *f)
{
	return policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.2.0", true);
}

void policy_del(struct mirror_bed *f, struct kernel_policy *p)
{
	struct xfrm_userpolicy_id *id;
	struct xi_nlmsg msg;

	id = xi_nlmsg_begin(&msg, XFRM_MSG_DELPOLICY, 0, 0, 0, sizeof(*id));
	id->dir = p->info.dir;
	id->sel = p->info.sel;
	xi_nlmsg_put(&msg, XFRMA_POLICY, &p->info, sizeof(p->info));
	pthread_mutex_lock(&f->g.k.lock);
	p->used = false;
	pthread_mutex_unlock(&f->g.k.lock);
	kernel_tell(&f->g.k, &msg);
}

void news_lost(struct mirror_bed *f)
{
	static uint8_t big[XI_MIRROR_DATAGRAM + 4];

	assert_int_equal(send(f->g.k.fds[0], big, sizeof(big), 0), sizeof(big));
}

int unread(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0);
}

struct xi_mirror_figures figures(const struct mirror_bed *f)
{
	struct xi_mirror_figures figs;

	xi_mirror_figures(f->g.mirror, &figs);
	return figs;
}

void settle(struct mirror_bed *f)
{
	uint64_t until = now_ms() + 10000;

	do {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
	} while (unread(f->g.mirror->news_fd) || !figures(f).synced);
}

void mirror_start_with_policy(struct mirror_bed *f)
{
	policy_out(f);
	mirror_start(f);
	settle(f);
}

struct xi_sa_id id_of(const struct kernel_sa *sa)
{
	struct xi_sa_id id = {.spi = ntohl(sa->info.id.spi), .proto = XI_ESP, .family = XI_IPV4};

	memcpy(id.daddr, &sa->info.id.daddr.a4, 4);
	return id;
}

const struct xi_sa_rec *ours(const struct mirror_bed *f, const struct kernel_sa *sa)
{
	struct xi_sa_id id = id_of(sa);

	return xi_sad_find(f->g.sad, &id);
}

enum xi_verdict verdict(const struct mirror_bed *f)
{
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17, .family = XI_IPV4};
	struct xi_flow_verdict v = {0};

	sample_addr(flow.saddr, "10.1.1.2");
	sample_addr(flow.daddr, "10.1.2.2");
	return xi_spd_judge_out(xi_spd_snapshot(f->g.spd), f->g.sad, &flow, &v, NULL);
}

void turns_until(struct mirror_bed *f, const uint64_t *figure, uint64_t value)
{
	uint64_t until = now_ms() + 10000;

	while (*figure < value) {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
	}
}

void retries(struct mirror_bed *f, unsigned int n)
{
	while (n--) {
		f->g.mirror->retry.at = 0;
		xi_mirror_retry_tick(f->g.mirror);
		settle(f);
	}
}
