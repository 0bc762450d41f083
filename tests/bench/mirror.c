/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mirror [-n SAS] [-p PEERS]
 *
 * What the mirror costs with very many SAs, before a model of the kernel's XFRM that answers at
 * once: half of the SAs (100,000) leave, to so many peers (1,000) of one outbound policy each, half
 * come in. Prints a line of JSON for each of
 *
 *   take     dump, and all taken over            resync   all looked at once more, for lost news
 *   settling until nothing more is told of those that came in: their windows
 *   idle     five seconds in which nothing happens
 *   busy     five seconds in which 1,000 carry packets all the time
 *   usage    all carried packets: until the kernel knows
 *   rekey    1,000 times: one SA more, one gone  stay     an SA of one peer that is not carried:
 * its like go back crowd    the same of a peer that has a tenth of all leave    all given back
 *
 * with seconds, those of the mirror's CPU time, messages to the kernel, and the process's memory; of
 * idle, busy and usage also the longest turn of the event loop, milliseconds of CPU time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "null_store.h"
#include "source/mirror_int.h"

#define LOCAL 0xc0000201U /* 192.0.2.1 */
#define PEERS 0xc6120000U /* 198.18.0.0/15, RFC 2544 */
#define SPI 0x1000
#define CROWD_REQID 1 /* of the first peer, who has a tenth */
#define REKEYS 1000
#define BUSY 1000

struct sa {
	uint64_t oseq;
	bool there, comp;
};

struct kernel {
	pthread_t thread;
	int fds[3], nfds; /* the mirror's news, ask and dump sockets */
	bool stop;
	unsigned int n, peers;
	struct sa *sas;
	unsigned int dump_at;
	struct nlmsghdr dumping; /* nlmsg_type 0: nothing is */
	uint64_t asked;
};

struct bench {
	struct kernel k;
	struct event_base *base;
	struct null_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_mirror *mirror;
	uint64_t asked;
	double cpu, longest;
};

static void die(const char *what)
{
	fprintf(stderr, "mirror: %s\n", what);
	exit(1);
}

static double clock_now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double now(void)
{
	return clock_now(CLOCK_MONOTONIC);
}

static double cpu(void)
{
	return clock_now(CLOCK_THREAD_CPUTIME_ID);
}

/* Every second SA leaves; every fifth of those is the first peer's. */
static bool sa_leaves(unsigned int i)
{
	return !(i % 2);
}

static unsigned int sa_peer(const struct kernel *k, unsigned int i)
{
	return i / 2 % 10 ? 1 + i / 2 % (k->peers - 1) : 0;
}

static void sa_put(const struct kernel *k, struct xi_nlmsg *msg, unsigned int i, uint32_t seq,
		   uint16_t flags)
{
	union {
		struct xfrm_algo_aead aead;
		struct xfrm_algo comp;
		uint8_t buf[sizeof(struct xfrm_algo_aead) + 20];
	} alg = {0};
	union {
		struct xfrm_replay_state_esn esn;
		uint8_t buf[sizeof(struct xfrm_replay_state_esn) + 16];
	} esn = {.esn = {.bmp_len = 4, .replay_window = 128}};
	uint64_t oseq = __atomic_load_n(&k->sas[i].oseq, __ATOMIC_RELAXED);
	struct xfrm_usersa_info *info;
	uint32_t peer = htonl(PEERS + sa_peer(k, i));

	info = xi_nlmsg_begin(msg, XFRM_MSG_NEWSA, flags, seq, 0, sizeof(*info));
	info->family = AF_INET;
	info->mode = XFRM_MODE_TUNNEL;
	info->reqid = CROWD_REQID + sa_peer(k, i);
	info->id.spi = htonl(SPI + i);
	info->id.proto = IPPROTO_ESP;
	info->saddr.a4 = sa_leaves(i) ? htonl(LOCAL) : peer;
	info->id.daddr.a4 = sa_leaves(i) ? peer : htonl(LOCAL);
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	info->flags = XFRM_STATE_ESN;
	esn.esn.oseq = oseq;
	esn.esn.oseq_hi = oseq >> 32;
	if (k->sas[i].comp) {
		strcpy(alg.comp.alg_name, "deflate");
		xi_nlmsg_put(msg, XFRMA_ALG_COMP, &alg.comp, sizeof(alg.comp));
	} else {
		strcpy(alg.aead.alg_name, "rfc4106(gcm(aes))");
		alg.aead.alg_key_len = 160;
		alg.aead.alg_icv_len = 128;
		memcpy(alg.buf + sizeof(alg.aead), &i, sizeof(i));
		xi_nlmsg_put(msg, XFRMA_ALG_AEAD, &alg, sizeof(alg.aead) + 20);
	}
	xi_nlmsg_put(msg, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn.buf));
}

static void policy_put(struct xi_nlmsg *msg, unsigned int peer, uint32_t seq, uint16_t flags)
{
	struct xfrm_userpolicy_info *info;
	struct xfrm_user_tmpl tmpl = {.family = AF_INET, .mode = XFRM_MODE_TUNNEL};

	info = xi_nlmsg_begin(msg, XFRM_MSG_NEWPOLICY, flags, seq, 0, sizeof(*info));
	info->dir = XFRM_POLICY_OUT;
	info->priority = 100;
	info->sel.family = AF_INET;
	info->sel.prefixlen_d = 32;
	info->sel.daddr.a4 = htonl(0x0a000000 + peer);
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	tmpl.id.proto = IPPROTO_ESP;
	tmpl.reqid = CROWD_REQID + peer;
	tmpl.aalgos = tmpl.ealgos = tmpl.calgos = ~0U;
	tmpl.saddr.a4 = htonl(LOCAL);
	tmpl.id.daddr.a4 = htonl(PEERS + peer);
	xi_nlmsg_put(msg, XFRMA_TMPL, &tmpl, sizeof(tmpl));
}

static void say(int fd, const struct xi_nlmsg *msg)
{
	if (send(fd, msg->buf, msg->hdr.nlmsg_len, MSG_NOSIGNAL) < 0)
		die("the mirror does not read");
}

static void say_error(int fd, const struct nlmsghdr *req, int err)
{
	struct xi_nlmsg msg;

	xi_xfrm_put_error(&msg, req, 0, err, true, NULL);
	say(fd, &msg);
}

static struct sa *sa_by_spi(struct kernel *k, uint32_t spi)
{
	unsigned int i = ntohl(spi) - SPI;

	return i < k->n && k->sas[i].there ? &k->sas[i] : NULL;
}

static int newae(struct kernel *k, const struct nlmsghdr *req)
{
	struct xfrm_replay_state_esn esn;
	struct xfrm_aevent_id id;
	struct xi_extack ack;
	struct xi_attrs attrs;
	struct sa *sa;

	memcpy(&id, NLMSG_DATA(req), sizeof(id));
	sa = sa_by_spi(k, id.sa_id.spi);
	if (!sa)
		return -ESRCH;
	if (xi_attrs_parse(&attrs, req, sizeof(id), &ack))
		return -EINVAL;
	if (xi_attr_copy(&attrs, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn)))
		__atomic_store_n(&sa->oseq, esn.oseq | (uint64_t)esn.oseq_hi << 32,
				 __ATOMIC_RELAXED);
	return 0;
}

static void ack(int fd, const struct nlmsghdr *req, int err)
{
	if (err || req->nlmsg_flags & NLM_F_ACK)
		say_error(fd, req, err);
}

static void getae(struct kernel *k, int fd, const struct nlmsghdr *req)
{
	union {
		struct xfrm_replay_state_esn esn;
		uint8_t buf[sizeof(struct xfrm_replay_state_esn) + 16];
	} esn = {.esn = {.bmp_len = 4, .replay_window = 128}};
	struct xfrm_lifetime_cur cur = {0};
	const struct sa *sa;
	struct xfrm_aevent_id id;
	struct xi_nlmsg msg;

	memcpy(&id, NLMSG_DATA(req), sizeof(id));
	sa = sa_by_spi(k, id.sa_id.spi);
	if (!sa) {
		say_error(fd, req, -ESRCH);
		return;
	}
	memcpy(xi_nlmsg_begin(&msg, XFRM_MSG_NEWAE, 0, req->nlmsg_seq, 0, sizeof(id)), &id, sizeof(id));
	esn.esn.oseq = sa->oseq;
	esn.esn.oseq_hi = sa->oseq >> 32;
	xi_nlmsg_put(&msg, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn.buf));
	xi_nlmsg_put(&msg, XFRMA_LTIME_VAL, &cur, sizeof(cur));
	say(fd, &msg);
}

static void answer(struct kernel *k, int fd, const struct nlmsghdr *req)
{
	const struct xfrm_usersa_id *id = NLMSG_DATA(req);
	const struct xfrm_userpolicy_id *policy = NLMSG_DATA(req);
	const struct sa *sa;
	struct xi_nlmsg msg;

	k->asked++;
	switch (req->nlmsg_type) {
	case XFRM_MSG_GETSA:
		sa = sa_by_spi(k, id->spi);
		if (sa)
			sa_put(k, &msg, sa - k->sas, req->nlmsg_seq, 0);
		else
			xi_xfrm_put_error(&msg, req, 0, -ESRCH, true, NULL);
		say(fd, &msg);
		break;
	case XFRM_MSG_GETPOLICY:
		policy_put(&msg, ntohl(policy->sel.daddr.a4) - 0x0a000000, req->nlmsg_seq, 0);
		say(fd, &msg);
		break;
	case XFRM_MSG_NEWAE:
		ack(fd, req, newae(k, req));
		break;
	case XFRM_MSG_GETAE:
		getae(k, fd, req);
		break;
	default:
		say_error(fd, req, -EINVAL);
	}
}

static void answers(struct kernel *k, int fd)
{
	static union {
		struct nlmsghdr hdr;
		uint8_t buf[65536];
	} req;
	ssize_t n = recv(fd, &req, sizeof(req), MSG_DONTWAIT), at = 0;

	while (at + (ssize_t)sizeof(req.hdr) <= n) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(req.buf + at);

		answer(k, fd, nlh);
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
}

/* One datagram of it; as many messages as the kernel has in one. */
static void dump_step(struct kernel *k)
{
	bool sas = k->dumping.nlmsg_type == XFRM_MSG_GETSA;
	unsigned int n = sas ? k->n : k->peers;
	uint8_t buf[XI_MIRROR_DATAGRAM / 2];
	struct xi_nlmsg msg;
	size_t len = 0;

	for (; k->dump_at < n && len + 1024 < sizeof(buf); k->dump_at++) {
		if (sas && !k->sas[k->dump_at].there)
			continue;
		if (sas)
			sa_put(k, &msg, k->dump_at, k->dumping.nlmsg_seq, NLM_F_MULTI);
		else
			policy_put(&msg, k->dump_at, k->dumping.nlmsg_seq, NLM_F_MULTI);
		memcpy(buf + len, msg.buf, msg.hdr.nlmsg_len);
		len += NLMSG_ALIGN(msg.hdr.nlmsg_len);
	}
	if (!len) {
		memset(xi_nlmsg_begin(&msg, NLMSG_DONE, NLM_F_MULTI, k->dumping.nlmsg_seq, 0,
				      sizeof(int)),
		       0, sizeof(int));
		memcpy(buf, msg.buf, msg.hdr.nlmsg_len);
		len = msg.hdr.nlmsg_len;
		k->dumping.nlmsg_type = 0;
	}
	if (send(k->fds[2], buf, len, MSG_NOSIGNAL) < 0)
		die("the mirror does not read the dump");
}

static void *serve(void *arg)
{
	struct kernel *k = arg;
	union {
		struct nlmsghdr hdr;
		uint8_t buf[16384];
	} req;

	while (!__atomic_load_n(&k->stop, __ATOMIC_ACQUIRE)) {
		struct pollfd fds[2] = {
			{.fd = k->fds[1], .events = POLLIN},
			{.fd = k->fds[2], .events = k->dumping.nlmsg_type ? POLLOUT : POLLIN}};

		poll(fds, 2, 50);
		if (fds[0].revents & POLLIN)
			answers(k, fds[0].fd);
		if (fds[1].revents & POLLOUT) {
			dump_step(k);
		} else if (fds[1].revents & POLLIN &&
			   recv(fds[1].fd, &req, sizeof(req), MSG_DONTWAIT) > 0) {
			k->dumping = req.hdr;
			k->dump_at = 0;
		}
	}
	return NULL;
}

static int kernel_open(void *arg, uint32_t groups)
{
	struct bench *b = arg;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return -errno;
	b->k.fds[b->k.nfds++] = pair[1];
	return pair[0];
}

static void changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct bench *b = arg;

	if (old)
		xi_spd_sa_changed(b->spd, &old->sa);
	if (new)
		xi_spd_sa_changed(b->spd, &new->sa);
}

static void synced(void *arg)
{
	xi_spd_sas_changed(((struct bench *)arg)->spd);
}

static void settle(struct bench *b)
{
	struct xi_mirror_figures figures;
	struct pollfd pfd = {.fd = b->mirror->news_fd, .events = POLLIN};

	do {
		event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		xi_mirror_figures(b->mirror, &figures);
	} while (!figures.synced || poll(&pfd, 1, 0) > 0);
}

static long resident_kib(void)
{
	long pages = 0, all = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%ld %ld", &all, &pages) != 2)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void report(struct bench *b, const char *name, double since)
{
	struct xi_mirror_figures figures;

	xi_mirror_figures(b->mirror, &figures);
	printf("{\"name\":\"%s\",\"sas\":%u,\"seconds\":%.3f,\"cpu\":%.3f,\"asked\":%llu,\"ours\":%"
	       "u,\"kept\":%"
	       "u,\"kib\":%ld,\"longest_ms\":%.2f}\n",
	       name, b->k.n, now() - since, cpu() - b->cpu,
	       (unsigned long long)(b->k.asked - b->asked), figures.sas, figures.sas_kept,
	       resident_kib(), b->longest * 1000);
	fflush(stdout);
	b->longest = 0;
	b->asked = b->k.asked;
	b->cpu = cpu();
}

static void sa_news(struct bench *b, unsigned int i, bool there)
{
	struct xfrm_usersa_id *id;
	struct xi_nlmsg msg;

	b->k.sas[i].there = there;
	if (there) {
		sa_put(&b->k, &msg, i, 0, 0);
	} else {
		id = xi_nlmsg_begin(&msg, XFRM_MSG_DELSA, 0, 0, 0, sizeof(*id));
		id->daddr.a4 = htonl(sa_leaves(i) ? PEERS + sa_peer(&b->k, i) : LOCAL);
		id->spi = htonl(SPI + i);
		id->proto = IPPROTO_ESP;
		id->family = AF_INET;
	}
	say(b->k.fds[0], &msg);
	settle(b);
}

static void turn(struct bench *b)
{
	double at = cpu();

	event_base_loop(b->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	at = cpu() - at;
	b->longest = at > b->longest ? at : b->longest;
	usleep(2000);
}

static void carried(const struct xi_sa_rec *rec)
{
	rec->state->packets++;
	rec->state->last_use = time(NULL);
}

static void bench_seconds(struct bench *b, const char *name, unsigned int busy)
{
	const struct xi_sa_rec *recs[BUSY];
	double since = now();
	uint32_t at = 0;

	for (unsigned int i = 0; i < busy; i++)
		recs[i] = xi_sad_next(b->sad, &at);
	b->cpu = cpu();
	while (now() - since < 5) {
		for (unsigned int i = 0; i < busy; i++)
			carried(recs[i]);
		turn(b);
	}
	report(b, name, since);
}

static void bench_settling(struct bench *b)
{
	uint64_t written = b->mirror->figures.written;
	double since = now(), last = since;

	while (now() - last < 3) {
		turn(b);
		if (written != b->mirror->figures.written)
			last = now();
		written = b->mirror->figures.written;
	}
	report(b, "settling", since);
}

static void bench_usage(struct bench *b)
{
	uint64_t until = b->mirror->figures.written + b->mirror->figures.sas;
	const struct xi_sa_rec *rec;
	struct xi_mirror_sa *sa;
	double since;
	uint32_t at = 0;

	while ((rec = xi_sad_next(b->sad, &at)))
		carried(rec);
	TAILQ_FOREACH(sa, &b->mirror->all_sas, all)
	sa->told_at -= 5;
	b->cpu = cpu();
	since = now();
	while (b->mirror->figures.written < until)
		turn(b);
	report(b, "usage", since);
}

/* Out of those that were left out at the beginning. */
static void bench_rekey(struct bench *b, unsigned int first)
{
	double since = now();

	for (unsigned int i = 0; i < REKEYS; i++) {
		sa_news(b, first + i, true);
		sa_news(b, i, false);
	}
	report(b, "rekey", since);
}

static void bench_stay(struct bench *b, const char *name, unsigned int i)
{
	double since = now();

	b->k.sas[i].comp = true;
	sa_news(b, i, true);
	report(b, name, since);
	since = now();
	b->k.sas[i].comp = false;
	sa_news(b, i, true);
	report(b, name, since);
}

static void bench_run(struct bench *b)
{
	static uint8_t big[XI_MIRROR_DATAGRAM + 4];
	unsigned int first = b->k.n - REKEYS, i;
	struct xi_mirror_config config = {
		.base = b->base, .sad = b->sad, .spd = b->spd, .open = kernel_open, .arg = b};
	double since = now();

	for (i = 0; i < first; i++)
		b->k.sas[i].there = true;
	if (xi_mirror_create(&b->mirror, &config))
		die("no mirror");
	pthread_create(&b->k.thread, NULL, serve, &b->k);
	settle(b);
	report(b, "take", since);
	bench_settling(b);
	bench_seconds(b, "idle", 0);
	bench_seconds(b, "busy", BUSY);
	since = now();
	b->cpu = cpu();
	if (send(b->k.fds[0], big, sizeof(big), 0) < 0)
		die("the mirror does not read");
	settle(b);
	report(b, "resync", since);
	bench_usage(b);
	bench_rekey(b, first);
	for (i = REKEYS; !sa_leaves(i) || !sa_peer(&b->k, i); i++)
		;
	bench_stay(b, "stay", i);
	for (; !sa_leaves(i) || sa_peer(&b->k, i); i++)
		;
	bench_stay(b, "crowd", i);
	since = now();
	xi_mirror_leave(b->mirror);
	report(b, "leave", since);
	if (xi_sad_count(b->sad))
		die("SAs were left");
	__atomic_store_n(&b->k.stop, true, __ATOMIC_RELEASE);
	pthread_join(b->k.thread, NULL);
	xi_mirror_destroy(b->mirror);
}

int main(int argc, char **argv)
{
	struct xi_sad_config config = {.carries = xi_datapath_carries};
	struct bench b = {.k = {.n = 100000, .peers = 1000}};
	struct xi_addr local = {.family = XI_IPV4};
	uint32_t addr = htonl(LOCAL);
	int o;

	while ((o = getopt(argc, argv, "n:p:")) != -1) {
		if (o == 'n')
			b.k.n = atoi(optarg);
		else if (o == 'p')
			b.k.peers = atoi(optarg);
		else
			return 2;
	}
	if (b.k.n < 4 * REKEYS || b.k.peers < 2 || optind < argc)
		die("usage: mirror [-n SAS, 4000 or more] [-p PEERS, 2 or more]");
	b.k.sas = calloc(b.k.n, sizeof(*b.k.sas));
	b.store = null_store_new(b.k.n + 1);
	b.base = event_base_new();
	if (!b.k.sas || xi_sad_create(&b.sad, &config, &b.store->store) ||
	    xi_spd_create(&b.spd, b.sad, &b.store->store))
		die("no memory");
	xi_sad_listen(b.sad, &(struct xi_sad_listener){.changed = changed, .sync = synced, .arg = &b});
	memcpy(local.addr, &addr, sizeof(addr));
	xi_spd_set_local(b.spd, &local, 1);
	bench_run(&b);
	xi_spd_destroy(b.spd);
	xi_sad_destroy(b.sad);
	event_base_free(b.base);
	null_store_free(b.store);
	free(b.k.sas);
	return 0;
}
