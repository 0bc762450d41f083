/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "source/xfrm_attr.h"

uint64_t oseq_of(const struct kernel_sa *sa)
{
	return sa->esn.oseq | (uint64_t)sa->esn.oseq_hi << 32;
}

void oseq_set(struct kernel_sa *sa, uint64_t oseq)
{
	sa->esn.oseq = oseq;
	sa->esn.oseq_hi = oseq >> 32;
}

uint32_t kernel_on_device(const struct kernel *k)
{
	uint32_t n = 0;

	for (int i = 0; i < KERNEL_SAS; i++)
		n += k->sas[i].used && k->sas[i].device;
	return n;
}

static struct kernel_sa *sa_by(struct kernel *k, const xfrm_address_t *daddr, uint32_t spi,
			       uint8_t proto)
{
	for (int i = 0; i < KERNEL_SAS; i++) {
		struct kernel_sa *sa = &k->sas[i];

		if (sa->used && sa->info.id.spi == spi && sa->info.id.proto == proto &&
		    sa->info.id.daddr.a4 == daddr->a4)
			return sa;
	}
	return NULL;
}

void kernel_device_down(struct kernel *k)
{
	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < KERNEL_SAS; i++)
		if (k->sas[i].device == KERNEL_DEVICE) {
			k->sas[i].used = false;
			k->sas[i].device = 0;
		}
	pthread_mutex_unlock(&k->lock);
}

/* Where xfrm_replay_check_bmp() has the bit of top - diff. */
static uint32_t ring_bit(const struct kernel_sa *sa, uint32_t diff)
{
	uint32_t pos = (sa->esn.seq - 1) % sa->esn.replay_window;

	return pos >= diff ? pos - diff : sa->esn.replay_window - (diff - pos);
}

/* xfrm_replay_check_bmp(), xfrm_replay_advance_bmp() */
static bool ring_accept(struct kernel_sa *sa, uint32_t seq)
{
	uint32_t window = sa->esn.replay_window, top = sa->esn.seq, bit;

	if (!seq)
		return false;
	if (seq <= top) {
		if (top - seq >= window)
			return false;
		bit = ring_bit(sa, top - seq);
		if (sa->bmp[bit / 32] >> bit % 32 & 1)
			return false;
		sa->bmp[bit / 32] |= 1U << bit % 32;
		return true;
	}
	for (uint32_t n = top + 1; n < seq && n - top <= window; n++) {
		bit = (n - 1) % window;
		sa->bmp[bit / 32] &= ~(1U << bit % 32);
	}
	if (seq - top >= window)
		memset(sa->bmp, 0, sizeof(sa->bmp));
	sa->esn.seq = seq;
	bit = (seq - 1) % window;
	sa->bmp[bit / 32] |= 1U << bit % 32;
	return true;
}

/* xfrm_replay_check_legacy(), xfrm_replay_advance_legacy() */
static bool legacy_accept(struct kernel_sa *sa, uint32_t seq)
{
	uint32_t top = sa->esn.seq;

	if (!seq)
		return false;
	if (seq > top) {
		sa->bmp[0] = seq - top < sa->info.replay_window ? sa->bmp[0] << (seq - top) | 1 : 1;
		sa->esn.seq = seq;
		return true;
	}
	if (top - seq >= sa->info.replay_window || sa->bmp[0] >> (top - seq) & 1)
		return false;
	sa->bmp[0] |= 1U << (top - seq);
	return true;
}

bool kernel_receive(struct kernel *k, const xfrm_address_t *daddr, uint32_t spi, uint32_t seq)
{
	struct kernel_sa *sa = sa_by(k, daddr, htonl(spi), IPPROTO_ESP);
	bool accepted;

	if (!sa)
		return false;
	assert_false(sa->info.flags & XFRM_STATE_ESN);
	accepted = sa->legacy ? legacy_accept(sa, seq) : ring_accept(sa, seq);
	sa->info.curlft.packets += accepted;
	return accepted;
}

void kernel_put_sa(struct xi_nlmsg *msg, uint16_t type, uint32_t seq, uint16_t flags,
		   const struct kernel_sa *sa)
{
	union {
		struct xfrm_algo_aead aead;
		struct xfrm_algo comp;
		uint8_t buf[sizeof(struct xfrm_algo_aead) + 20];
	} alg = {0};
	union {
		struct xfrm_replay_state_esn esn;
		uint8_t buf[sizeof(struct xfrm_replay_state_esn) + 16];
	} esn;
	struct xfrm_replay_state legacy = {
		.oseq = sa->esn.oseq, .seq = sa->esn.seq, .bitmap = sa->bmp[0]};
	struct xfrm_user_offload offload = {.ifindex = (int)sa->device,
					    .flags = sa->inbound ? XFRM_OFFLOAD_INBOUND : 0};

	memcpy(xi_nlmsg_begin(msg, type, flags, seq, 0, sizeof(sa->info)), &sa->info,
	       sizeof(sa->info));
	if (sa->comp) {
		strcpy(alg.comp.alg_name, "deflate");
		xi_nlmsg_put(msg, XFRMA_ALG_COMP, &alg.comp, sizeof(alg.comp));
	} else if (!sa->larval) {
		strcpy(alg.aead.alg_name, "rfc4106(gcm(aes))");
		alg.aead.alg_key_len = 160;
		alg.aead.alg_icv_len = 128;
		memcpy(alg.buf + sizeof(alg.aead), sa->key, sizeof(sa->key));
		xi_nlmsg_put(msg, XFRMA_ALG_AEAD, &alg, sizeof(alg.aead) + 20);
	}
	if (sa->legacy) {
		xi_nlmsg_put(msg, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
	} else {
		memcpy(&esn.esn, &sa->esn, sizeof(sa->esn));
		memcpy(esn.buf + sizeof(esn.esn), sa->bmp, 16);
		xi_nlmsg_put(msg, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn.buf));
	}
	if (sa->mark.v | sa->mark.m)
		xi_nlmsg_put(msg, XFRMA_MARK, &sa->mark, sizeof(sa->mark));
	if (sa->device)
		xi_nlmsg_put(msg, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
}

void kernel_put_policy(struct xi_nlmsg *msg, uint16_t type, uint32_t seq, uint16_t flags,
		       const struct kernel_policy *p)
{
	memcpy(xi_nlmsg_begin(msg, type, flags, seq, 0, sizeof(p->info)), &p->info,
	       sizeof(p->info));
	if (p->tmpl.id.proto)
		xi_nlmsg_put(msg, XFRMA_TMPL, &p->tmpl, sizeof(p->tmpl));
	if (p->mark.m)
		xi_nlmsg_put(msg, XFRMA_MARK, &p->mark, sizeof(p->mark));
}

void kernel_say(int fd, struct xi_nlmsg *msg)
{
	assert_false(msg->full);
	assert_int_equal(send(fd, msg->buf, msg->hdr.nlmsg_len, MSG_NOSIGNAL), msg->hdr.nlmsg_len);
}

void kernel_say_error(int fd, const struct nlmsghdr *req, int err)
{
	struct xi_nlmsg msg;

	xi_xfrm_put_error(&msg, req, 0, err, true, NULL);
	kernel_say(fd, &msg);
}

void kernel_tell(struct kernel *k, struct xi_nlmsg *msg)
{
	if (k->nfds)
		kernel_say(k->fds[0], msg);
}

void kernel_news_sa(struct kernel *k, const struct kernel_sa *sa, uint16_t type)
{
	struct xfrm_usersa_id *id;
	struct xi_nlmsg msg;

	if (type == XFRM_MSG_DELSA) {
		id = xi_nlmsg_begin(&msg, type, 0, 0, 0, sizeof(*id));
		id->daddr = sa->info.id.daddr;
		id->spi = sa->info.id.spi;
		id->proto = sa->info.id.proto;
		id->family = AF_INET;
	} else {
		kernel_put_sa(&msg, type, 0, 0, sa);
	}
	kernel_tell(k, &msg);
}

static void done(int fd, const struct nlmsghdr *req, int error)
{
	struct xi_nlmsg msg;

	memcpy(xi_nlmsg_begin(&msg, NLMSG_DONE, NLM_F_MULTI, req->nlmsg_seq, 0, sizeof(int)),
	       &error, sizeof(error));
	kernel_say(fd, &msg);
}

static struct kernel_policy *policy_by(struct kernel *k, const struct xfrm_userpolicy_id *id)
{
	for (int i = 0; i < KERNEL_SAS; i++) {
		struct kernel_policy *p = &k->policies[i];

		if (p->used && p->info.dir == id->dir &&
		    !memcmp(&p->info.sel, &id->sel, sizeof(id->sel)))
			return p;
	}
	return NULL;
}

static void dump(struct kernel *k, int fd, const struct nlmsghdr *req)
{
	struct xi_nlmsg msg;

	if (k->dump_error) {
		done(fd, req, -(int)k->dump_error);
		k->dump_error = 0;
		return;
	}
	for (int i = KERNEL_SAS; i-- > 0;) {
		if (req->nlmsg_type == XFRM_MSG_GETSA && k->sas[i].used) {
			kernel_put_sa(&msg, XFRM_MSG_NEWSA, req->nlmsg_seq, NLM_F_MULTI,
				      &k->sas[i]);
			kernel_say(fd, &msg);
		}
		if (req->nlmsg_type == XFRM_MSG_GETPOLICY && k->policies[i].used) {
			kernel_put_policy(&msg, XFRM_MSG_NEWPOLICY, req->nlmsg_seq, NLM_F_MULTI,
					  &k->policies[i]);
			kernel_say(fd, &msg);
		}
	}
	done(fd, req, 0);
}

static int newae(struct kernel *k, const struct nlmsghdr *req)
{
	struct xfrm_aevent_id id;
	struct xfrm_replay_state_esn esn;
	struct xfrm_replay_state legacy;
	struct xfrm_lifetime_cur cur;
	struct xi_extack ack;
	struct xi_attrs attrs;
	struct kernel_sa *sa;

	memcpy(&id, NLMSG_DATA(req), sizeof(id));
	sa = sa_by(k, &id.sa_id.daddr, id.sa_id.spi, id.sa_id.proto);
	if (!sa)
		return -ESRCH;
	assert_int_equal(xi_attrs_parse(&attrs, req, sizeof(id), &ack), 0);
	assert_true(req->nlmsg_flags & NLM_F_REPLACE);
	k->aes++;
	if (k->refuse_aes_after) {
		k->refuse_aes_after--;
	} else if (k->refuse_aes) {
		k->refuse_aes--;
		return -ENOMEM;
	}
	if (xi_attr_has(&attrs, XFRMA_REPLAY_ESN_VAL) || xi_attr_has(&attrs, XFRMA_REPLAY_VAL)) {
		if (k->vanish) {
			sa->used = false;
			return -ESRCH;
		}
		if (k->sends) {
			if (!k->sent_first)
				k->sent_first = oseq_of(sa) + 1;
			oseq_set(sa, oseq_of(sa) + k->sends);
			sa->info.curlft.packets += k->sends; /* xfrm_output_one() */
			k->sent_last = oseq_of(sa);
			k->sends = 0;
		}
		if (k->delay_us)
			usleep(k->delay_us);
		k->delay_us = 0;
	}
	if (xi_attr_copy(&attrs, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn))) {
		if (sa->legacy || esn.bmp_len != sa->esn.bmp_len ||
		    esn.replay_window != sa->esn.replay_window)
			return -EINVAL;
		sa->esn.oseq = esn.oseq;
		sa->esn.oseq_hi = esn.oseq_hi;
		sa->esn.seq = esn.seq;
		sa->esn.seq_hi = esn.seq_hi;
		memcpy(sa->bmp,
		       (const uint8_t *)xi_attr_data(attrs.tb[XFRMA_REPLAY_ESN_VAL]) + sizeof(esn),
		       16);
	}
	if (xi_attr_copy(&attrs, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy))) {
		if (!sa->legacy)
			return -EINVAL;
		oseq_set(sa, legacy.oseq);
		sa->esn.seq = legacy.seq;
		sa->bmp[0] = legacy.bitmap;
	}
	if (xi_attr_copy(&attrs, XFRMA_LTIME_VAL, &cur, sizeof(cur)))
		sa->info.curlft = cur;
	return 0;
}

/* build_aevent() */
static void getae(struct kernel *k, int fd, const struct nlmsghdr *req)
{
	struct xfrm_replay_state legacy;
	struct xfrm_aevent_id id;
	union {
		struct xfrm_replay_state_esn esn;
		uint8_t buf[sizeof(struct xfrm_replay_state_esn) + 16];
	} esn;
	struct kernel_sa *sa;
	struct xi_nlmsg msg;

	memcpy(&id, NLMSG_DATA(req), sizeof(id));
	sa = sa_by(k, &id.sa_id.daddr, id.sa_id.spi, id.sa_id.proto);
	k->getaes++;
	if (!sa) {
		kernel_say_error(fd, req, -ESRCH);
		return;
	}
	memcpy(xi_nlmsg_begin(&msg, XFRM_MSG_NEWAE, 0, req->nlmsg_seq, 0, sizeof(id)), &id, sizeof(id));
	legacy = (struct xfrm_replay_state){
		.oseq = sa->esn.oseq, .seq = sa->esn.seq, .bitmap = sa->bmp[0]};
	memcpy(&esn.esn, &sa->esn, sizeof(sa->esn));
	memcpy(esn.buf + sizeof(esn.esn), sa->bmp, 16);
	if (sa->legacy)
		xi_nlmsg_put(&msg, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
	else
		xi_nlmsg_put(&msg, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn.buf));
	xi_nlmsg_put(&msg, XFRMA_LTIME_VAL, &sa->info.curlft, sizeof(sa->info.curlft));
	kernel_say(fd, &msg);
}

static int expire(struct kernel *k, const struct nlmsghdr *req)
{
	struct xfrm_user_expire e;
	struct kernel_sa *sa;

	memcpy(&e, NLMSG_DATA(req), sizeof(e));
	sa = sa_by(k, &e.state.id.daddr, e.state.id.spi, e.state.id.proto);
	if (!sa)
		return -ESRCH;
	k->expires[e.hard != 0]++;
	if (e.hard)
		sa->used = false;
	return 0;
}

static struct kernel_sa *sa_place(struct kernel *k, const struct xfrm_usersa_info *info)
{
	struct kernel_sa *place = NULL;

	for (int i = KERNEL_SAS; i-- > 0;) {
		struct kernel_sa *sa = &k->sas[i];

		if (sa->used)
			continue;
		if (sa->info.id.spi == info->id.spi && sa->info.id.daddr.a4 == info->id.daddr.a4)
			return sa; /* what was sent with its key is known */
		place = sa;
	}
	assert_non_null(place);
	return place;
}

static int device_takes(struct kernel *k, const struct xfrm_user_offload *offload, uint32_t spi)
{
	assert_int_equal(offload->ifindex, KERNEL_DEVICE);
	k->refusals++;
	if (k->refuses)
		return k->refuses;
	if (spi == k->refuses_spi)
		return -EINVAL;
	if (kernel_on_device(k) >= k->slots)
		return -ENOSPC;
	k->refusals--;
	k->in++;
	return 0;
}

static void newsa_replay(struct kernel_sa *sa, const struct xi_attrs *attrs)
{
	struct xfrm_replay_state replay;

	sa->legacy = !xi_attr_has(attrs, XFRMA_REPLAY_ESN_VAL);
	if (sa->legacy) {
		assert_true(xi_attr_copy(attrs, XFRMA_REPLAY_VAL, &replay, sizeof(replay)));
		oseq_set(sa, replay.oseq);
		sa->esn.seq = replay.seq;
		sa->bmp[0] = replay.bitmap;
		return;
	}
	assert_true(xi_attr_copy(attrs, XFRMA_REPLAY_ESN_VAL, &sa->esn, sizeof(sa->esn)));
	assert_true(sa->esn.bmp_len * 4 <= sizeof(sa->bmp));
	assert_int_equal(xi_attr_len(attrs->tb[XFRMA_REPLAY_ESN_VAL]),
			 sizeof(sa->esn) + sa->esn.bmp_len * 4);
	memcpy(sa->bmp,
	       (const uint8_t *)xi_attr_data(attrs->tb[XFRMA_REPLAY_ESN_VAL]) + sizeof(sa->esn),
	       sa->esn.bmp_len * 4);
}

static int newsa(struct kernel *k, const struct nlmsghdr *req)
{
	struct xfrm_user_offload offload = {0};
	struct kernel_sa *sa, made = {.used = true};
	struct xfrm_lifetime_cur cur;
	struct xi_extack ack;
	struct xi_attrs attrs;
	int err;

	memcpy(&made.info, NLMSG_DATA(req), sizeof(made.info));
	if (sa_by(k, &made.info.id.daddr, made.info.id.spi, made.info.id.proto))
		return -EEXIST;
	assert_int_equal(xi_attrs_parse(&attrs, req, sizeof(made.info), &ack), 0);
	assert_true(xi_attr_has(&attrs, XFRMA_ALG_AEAD));
	memcpy(made.key,
	       (const uint8_t *)xi_attr_data(attrs.tb[XFRMA_ALG_AEAD]) +
		       sizeof(struct xfrm_algo_aead),
	       sizeof(made.key));
	newsa_replay(&made, &attrs);
	assert_true(xi_attr_copy(&attrs, XFRMA_LTIME_VAL, &cur, sizeof(cur)));
	made.info.curlft = cur;
	xi_attr_copy(&attrs, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	if (offload.ifindex) {
		err = device_takes(k, &offload, ntohl(made.info.id.spi));
		if (err)
			return err;
		made.device = k->mute ? 0 : KERNEL_DEVICE;
		made.inbound = offload.flags & XFRM_OFFLOAD_INBOUND;
	} else if (k->refuse_back) {
		k->refuse_back--;
		return -ENOMEM;
	}
	sa = sa_place(k, &made.info);
	made.sent = sa->sent;
	*sa = made;
	kernel_news_sa(k, sa, XFRM_MSG_NEWSA);
	return 0;
}

static int delsa(struct kernel *k, const struct nlmsghdr *req)
{
	const struct xfrm_usersa_id *id = NLMSG_DATA(req);
	struct kernel_sa *sa = sa_by(k, &id->daddr, id->spi, id->proto);

	if (!sa)
		return -ESRCH;
	sa->used = false;
	sa->device = 0;
	if (k->vanish_early) {
		k->vanish_early = false;
		k->vanished = sa;
		return -ESRCH;
	}
	k->dels++;
	kernel_news_sa(k, sa, XFRM_MSG_DELSA);
	return 0;
}

/* netlink_rcv_skb() */
static void ack(struct kernel *k, int fd, const struct nlmsghdr *req, int err)
{
	k->acks += !err && req->nlmsg_flags & NLM_F_ACK;
	if (err || req->nlmsg_flags & NLM_F_ACK)
		kernel_say_error(fd, req, err);
}

static uint32_t asked_mark(const struct nlmsghdr *req)
{
	struct xfrm_mark mark = {0};
	struct xi_extack ack;
	struct xi_attrs attrs;

	if (!xi_attrs_parse(&attrs, req, sizeof(struct xfrm_usersa_id), &ack))
		xi_attr_copy(&attrs, XFRMA_MARK, &mark, sizeof(mark));
	return mark.v & mark.m;
}

static void answer(struct kernel *k, int fd, const struct nlmsghdr *req)
{
	const struct xfrm_usersa_id *id = NLMSG_DATA(req);
	const struct kernel_policy *p;
	struct kernel_sa *sa;
	struct xi_nlmsg msg;

	if (req->nlmsg_flags & NLM_F_DUMP &&
	    (req->nlmsg_type == XFRM_MSG_GETSA || req->nlmsg_type == XFRM_MSG_GETPOLICY)) {
		dump(k, fd, req);
	} else if (req->nlmsg_type == XFRM_MSG_GETSA) {
		sa = sa_by(k, &id->daddr, id->spi, id->proto);
		if (!sa || (asked_mark(req) & sa->mark.m) != sa->mark.v) {
			kernel_say_error(fd, req, -ESRCH);
			return;
		}
		kernel_put_sa(&msg, XFRM_MSG_NEWSA, req->nlmsg_seq, 0, sa);
		kernel_say(fd, &msg);
		if (k->receives) {
			sa->esn.seq = 5;
			sa->bmp[0] = 1U << 4; /* (5 - 1) % 128 */
		}
	} else if (req->nlmsg_type == XFRM_MSG_GETPOLICY) {
		p = policy_by(k, NLMSG_DATA(req));
		if (!p) {
			kernel_say_error(fd, req, -ENOENT);
			return;
		}
		kernel_put_policy(&msg, XFRM_MSG_NEWPOLICY, req->nlmsg_seq, 0, p);
		kernel_say(fd, &msg);
	} else if (req->nlmsg_type == XFRM_MSG_GETDEFAULT) {
		memcpy(xi_nlmsg_begin(&msg, XFRM_MSG_GETDEFAULT, 0, req->nlmsg_seq, 0,
				      sizeof(k->def)),
		       &k->def, sizeof(k->def));
		kernel_say(fd, &msg);
	} else if (req->nlmsg_type == XFRM_MSG_GETAE) {
		getae(k, fd, req);
	} else if (req->nlmsg_type == XFRM_MSG_NEWAE) {
		ack(k, fd, req, newae(k, req));
	} else if (req->nlmsg_type == XFRM_MSG_EXPIRE) {
		ack(k, fd, req, expire(k, req));
	} else if (req->nlmsg_type == XFRM_MSG_ACQUIRE) {
		k->acquires++;
		ack(k, fd, req, 0);
	} else if (req->nlmsg_type == XFRM_MSG_NEWSA) {
		ack(k, fd, req, newsa(k, req));
	} else if (req->nlmsg_type == XFRM_MSG_DELSA) {
		ack(k, fd, req, delsa(k, req));
	} else {
		ack(k, fd, req, -EINVAL);
	}
}

static void model_lock(struct kernel *k)
{
	atomic_store(&k->wants, true);
	pthread_mutex_lock(&k->lock);
	atomic_store(&k->wants, false);
}

void kernel_lock(struct kernel *k)
{
	while (atomic_load(&k->wants))
		sched_yield();
	pthread_mutex_lock(&k->lock);
}

static void datagram(struct kernel *k, int fd, const uint8_t *at, size_t n)
{
	unsigned int dels = 0, news = 0, messages = 0;
	static union {
		struct nlmsghdr hdr;
		uint64_t align;
		uint8_t buf[16384];
	} req;

	model_lock(k);
	while (n >= sizeof(req.hdr)) {
		memcpy(&req.hdr, at, sizeof(req.hdr));
		assert_in_range(req.hdr.nlmsg_len, sizeof(req.hdr), sizeof(req));
		assert_in_range(NLMSG_ALIGN(req.hdr.nlmsg_len), sizeof(req.hdr), n);
		memcpy(req.buf, at, req.hdr.nlmsg_len);
		dels += req.hdr.nlmsg_type == XFRM_MSG_DELSA;
		news += req.hdr.nlmsg_type == XFRM_MSG_NEWSA;
		if (k->meanwhile && fd == k->fds[1])
			k->meanwhile(k->meanwhile_arg);
		answer(k, fd, &req.hdr);
		messages++;
		at += NLMSG_ALIGN(req.hdr.nlmsg_len);
		n -= NLMSG_ALIGN(req.hdr.nlmsg_len);
	}
	k->dels_alone += dels && !news;
	if (k->most_messages < messages)
		k->most_messages = messages;
	pthread_mutex_unlock(&k->lock);
}

static void *serve(void *arg)
{
	struct kernel *k = arg;
	static uint8_t buf[65536];

	for (;;) {
		struct pollfd fds[3];
		ssize_t n;

		model_lock(k);
		if (k->stop) {
			pthread_mutex_unlock(&k->lock);
			return NULL;
		}
		for (int i = 0; i < 3; i++)
			fds[i] = (struct pollfd){.fd = i < k->nfds ? k->fds[i] : -1,
						 .events = POLLIN};
		pthread_mutex_unlock(&k->lock);
		poll(fds, 3, 10);
		for (int i = 1; i < 3; i++) {
			if (!(fds[i].revents & POLLIN))
				continue;
			n = recv(fds[i].fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (n > 0)
				datagram(k, fds[i].fd, buf, (size_t)n);
		}
	}
}

void kernel_start(struct kernel *k)
{
	pthread_mutex_init(&k->lock, NULL);
	assert_int_equal(pthread_create(&k->thread, NULL, serve, k), 0);
}

void kernel_stop(struct kernel *k)
{
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_mutex_destroy(&k->lock);
}

int kernel_connect(struct kernel *k, uint32_t groups)
{
	int pair[2], bytes = 4 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	pthread_mutex_lock(&k->lock);
	assert_int_equal(!groups, k->nfds > 0);
	if (k->nfds == 3) /* another for dumps */
		close(k->fds[--k->nfds]);
	k->fds[k->nfds++] = pair[1];
	pthread_mutex_unlock(&k->lock);
	return pair[0];
}

void kernel_disconnect(struct kernel *k)
{
	pthread_mutex_lock(&k->lock);
	while (k->nfds)
		close(k->fds[--k->nfds]);
	pthread_mutex_unlock(&k->lock);
}
