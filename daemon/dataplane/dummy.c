// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dataplane/dummy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/hostpath.h"
#include "ipsec/esp.h"
#include "ipsec/pmtu.h"
#include "ipsec/transform.h"
#include "log.h"

#define SIZE_LEAST 40 /* of a random size: what a TCP acknowledgement has */
#define SIZE_MOST 1200
#define FRONT 256 /* more than any headers and IV */
#define BACK 512  /* more than padding, trailer and ICV */
#define DISCARD_PORT 9

struct xi_dummy {
	struct xi_dummy_config config;
	struct xi_crypto *crypto;
	struct xi_rawout rawout;
	char why[96];
	uint8_t buf[FRONT + XI_DUMMY_SIZE_MAX + BACK];
};

/* What a request is about. */
struct run {
	struct xi_sa_ctx ctx;
	uint32_t max;	/* payload bytes that the path takes */
	uint32_t limit; /* bytes of a packet inside that it takes */
	struct xi_esp_tally tally;
};

int xi_dummy_create(struct xi_dummy **out, const struct xi_dummy_config *config)
{
	struct xi_dummy *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->rawout = (struct xi_rawout){.fd4 = -1, .fd6 = -1};
	/* every job brings its raw key, so the worker's index is nobody's */
	err = config->engine->create(&d->crypto, 0);
	if (err)
		log_warnx("dummy packets: cannot set up the crypto engine: %s", strerror(-err));
	else
		err = xi_rawout_open(&d->rawout);
	if (err) {
		xi_dummy_destroy(d);
		return err;
	}
	*out = d;
	return 0;
}

void xi_dummy_destroy(struct xi_dummy *d)
{
	if (!d)
		return;
	xi_rawout_close(&d->rawout);
	if (d->crypto)
		d->config.engine->destroy(d->crypto);
	free(d);
}

static void count(const struct xi_dummy *d, enum xi_reason reason)
{
	if (d->config.counts)
		__atomic_fetch_add(&d->config.counts[reason], 1, __ATOMIC_RELAXED);
}

static int connect_to_peer(const struct xi_sa *sa, int fd)
{
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(DISCARD_PORT)};
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(DISCARD_PORT)};

	if (sa->id.family == XI_IPV6) {
		memcpy(&to6.sin6_addr, sa->id.daddr, 16);
		return connect(fd, (struct sockaddr *)&to6, sizeof(to6));
	}
	memcpy(&to4.sin_addr, sa->id.daddr, 4);
	return connect(fd, (struct sockaddr *)&to4, sizeof(to4));
}

/* MTU of the host's route to the SA's peer, which dummy packets take; or -errno. Sends nothing. */
static int route_mtu(const struct xi_sa *sa)
{
	bool v6 = sa->id.family == XI_IPV6;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(int);
	int mtu, err;

	if (fd < 0)
		return -errno;
	err = connect_to_peer(sa, fd);
	if (!err)
		err = getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu,
				 &len);
	err = err ? -errno : mtu;
	close(fd);
	return err;
}

/* Payload bytes that make up a whole packet inside in tunnel mode, and one without its IP header
 * else. */
static uint32_t payload_max(const struct xi_sa_ctx *ctx, uint32_t limit)
{
	uint32_t keep = ctx->transport ? (ctx->family == 6 ? 40 : 20) : 0;

	limit = limit > keep ? limit - keep : 0;
	return limit < XI_DUMMY_SIZE_MAX ? limit : XI_DUMMY_SIZE_MAX;
}

static bool run_start(struct run *run, const struct xi_sa_rec *rec, const char **why)
{
	uint64_t now = (uint64_t)time(NULL);
	int mtu;

	if (xi_sa_ctx_init(&run->ctx, &rec->sa, &rec->key, rec->state, rec->words, rec->nwords)) {
		*why = "the datapath does not carry this SA";
		return false;
	}
	mtu = route_mtu(&rec->sa);
	if (mtu < 0) {
		*why = "no route to the SA's destination: see `ip route get`";
		return false;
	}
	run->limit = xi_inner_mtu(&run->ctx, xi_path_mtu(rec->state, (uint32_t)mtu, now));
	run->max = payload_max(&run->ctx, run->limit);
	run->tally = (struct xi_esp_tally){.now = now};
	return true;
}

static bool fill_random(uint8_t *p, uint32_t len)
{
	ssize_t n;

	for (; len; p += n, len -= (uint32_t)n) {
		n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return false;
	}
	return true;
}

static bool random_size(const struct run *run, uint32_t *size)
{
	uint32_t most = run->max < SIZE_MOST ? run->max : SIZE_MOST;
	uint32_t least = most < SIZE_LEAST ? 0 : SIZE_LEAST, r;

	if (!fill_random((uint8_t *)&r, sizeof(r)))
		return false;
	*size = least + r % (most - least + 1);
	return true;
}

static const char *take_text(enum xi_reason reason)
{
	switch (reason) {
	case XI_DROP_SEQ_EXHAUSTED:
		return "the SA's sequence numbers are used up: rekey it";
	case XI_DROP_SEQ_RESERVE:
		return "no reserved sequence number is left, the reserve on disk is being "
		       "extended: try again";
	default:
		return "the SA's hard lifetime is reached: rekey it";
	}
}

/* Crypto; the packet is then as it goes out. Counted at once: the next one may be beyond a limit.
 */
static enum xi_reason seal(struct xi_dummy *d, struct run *run, const struct xi_frame *frame)
{
	struct xi_aead_job job;
	enum xi_reason reason;

	xi_esp_out_job(&run->ctx, frame, &job);
	d->config.engine->seal(d->crypto, &job, 1);
	reason = xi_esp_out_finish(&run->ctx, frame, &job, &run->tally);
	xi_esp_tally_flush(&run->tally);
	return reason;
}

static enum xi_reason hand_over(struct xi_dummy *d, const struct xi_pkt *pkt, uint32_t mark,
				const char **why)
{
	int err = xi_rawout_send(&d->rawout, pkt->data, pkt->len, mark);

	switch (-err) {
	case 0:
		return XI_DUMMY_SENT;
	case EMSGSIZE:
		*why = "the packet does not fit the outgoing device: ask for less with -s";
		return XI_DROP_TOO_BIG;
	case ENETUNREACH:
	case EHOSTUNREACH:
		*why = "no route to the SA's destination: see `ip route get`";
		return XI_DROP_NO_NEXTHOP;
	default:
		snprintf(d->why, sizeof(d->why), "the host's stack did not take the packet: %s",
			 strerror(-err));
		*why = d->why;
		return XI_DROP_HOST_FULL;
	}
}

/* One packet, of which something is counted once it has its sequence number. */
static enum xi_reason send_one(struct xi_dummy *d, struct run *run, uint32_t size, const char **why)
{
	struct xi_pkt pkt = {.data = d->buf + FRONT, .len = size, .headroom = FRONT};
	enum xi_reason reason;
	struct xi_frame frame;
	uint64_t seq;

	pkt.tailroom = (uint32_t)(d->buf + sizeof(d->buf) - pkt.data) - size;
	if (!fill_random(pkt.data, size)) {
		*why = "no random bytes to be had";
		return XI_NONE;
	}
	if (!xi_seq_take(&run->ctx, 1, &seq, &reason)) {
		*why = take_text(reason);
		return XI_NONE;
	}
	reason = xi_esp_frame_dummy(&run->ctx, seq, run->limit, &pkt, &frame);
	if (!reason)
		reason = seal(d, run, &frame);
	if (!reason)
		return hand_over(d, &pkt, run->ctx.mark, why);
	*why = "the packet could not be made: `xipsec stats` tells which drop it was";
	return reason;
}

unsigned int xi_dummy_send(struct xi_dummy *d, const struct xi_sa_rec *rec, unsigned int n,
			   uint32_t size, const char **why)
{
	unsigned int sent = 0;
	enum xi_reason reason;
	struct run run;
	uint32_t bytes = size;

	if (!run_start(&run, rec, why))
		return 0;
	if (size != XI_DUMMY_SIZE_RANDOM && size > run.max) {
		snprintf(d->why, sizeof(d->why), "so much does not fit the path: at most %u bytes",
			 run.max);
		*why = d->why;
		return 0;
	}
	for (; sent < n; sent++) {
		if (size == XI_DUMMY_SIZE_RANDOM && !random_size(&run, &bytes)) {
			*why = "no random bytes to be had";
			break;
		}
		reason = send_one(d, &run, bytes, why);
		if (reason)
			count(d, reason);
		if (reason != XI_DUMMY_SENT)
			break;
	}
	if (run.tally.expired)
		xi_sad_expire_now(d->config.sad, run.tally.expired);
	return sent;
}
