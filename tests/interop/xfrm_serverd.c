/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * xfrm_serverd [STATE-DIR]
 *
 * The XFRM server alone, with SAD and SPD in plain memory: for tests with real clients, no root
 * needed. Says "ready" and takes commands on stdin, a line each, answering each with a line:
 *
 *   send SPI N BYTES   N outbound packets of BYTES
 *   receive SPI SEQ    a packet arrives and is accepted
 *   mapping SPI ADDR PORT   a verified packet came from there
 *   acquire            a packet needs an SA of the first outbound policy
 *   tick SECONDS       time passes
 *   clock              it is as late as the clock says
 *   batch FILE         loads the file; the answer is "batch STATUS", then the report
 *   groups             which multicast groups have members, as a mask
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ipsec/replay.h"
#include "mem_store.h"
#include "source/batch.h"
#include "source/server_int.h"
#include "source/xfrm_msg.h"

struct daemon {
	struct event_base *base;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_xfrm_server *server;
	uint64_t now;
	char line[512];
	size_t line_len;
};

static void sas_changed(void *arg)
{
	struct daemon *d = arg;

	xi_spd_sas_changed(d->spd);
}

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct daemon *d = arg;

	if (old)
		xi_spd_sa_changed(d->spd, &old->sa);
	if (new)
		xi_spd_sa_changed(d->spd, &new->sa);
}

static const struct xi_sa_rec *sa_by_spi(struct daemon *d, uint32_t spi)
{
	const struct xi_sa_rec *rec;
	uint32_t slot = 0;

	while ((rec = xi_sad_next(d->sad, &slot))) {
		if (rec->sa.id.spi == spi)
			return rec;
	}
	return NULL;
}

static void used(const struct xi_sa_rec *rec, unsigned int n, unsigned long bytes, uint64_t now)
{
	rec->state->packets += n;
	rec->state->bytes += n * bytes;
	rec->state->last_use = now;
	if (!rec->state->use_time)
		rec->state->use_time = now;
}

static int do_send(struct daemon *d, uint32_t spi, unsigned int n, unsigned long bytes)
{
	const struct xi_sa_rec *rec = sa_by_spi(d, spi);

	if (!rec)
		return -1;
	rec->state->oseq += n;
	used(rec, n, bytes, d->now);
	return 0;
}

static int do_receive(struct daemon *d, uint32_t spi, uint64_t seq)
{
	const struct xi_sa_rec *rec = sa_by_spi(d, spi);
	struct xi_replay r;

	if (!rec)
		return -1;
	r = (struct xi_replay){
		.top = (uint64_t *)&rec->state->top,
		.words = rec->words,
		.word_mask = rec->nwords - 1,
		.window = rec->sa.replay_window,
		.esn = rec->sa.flags & XFRM_STATE_ESN,
	};
	if (xi_replay_commit(&r, seq)) {
		rec->state->replay_failed++;
		return 0;
	}
	used(rec, 1, 100, d->now);
	return 0;
}

static int do_mapping(struct daemon *d, uint32_t spi, const char *addr, unsigned int port)
{
	const struct xi_sa_rec *rec = sa_by_spi(d, spi);
	uint8_t saddr[16] = { 0 };

	if (!rec || inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, saddr) != 1)
		return -1;
	xi_xfrm_server_mapping(d->server, rec, saddr, (uint16_t)port);
	return 0;
}

static int do_acquire(struct daemon *d)
{
	struct xi_flow flow = {
		.proto = IPPROTO_ICMP, .sport = 8, .dir = XI_OUT, .family = XI_IPV4
	};
	const struct xi_policy *policy;
	uint32_t index = 0;

	while ((policy = xi_spd_next(d->spd, &index))) {
		if (policy->dir != XI_OUT || policy->sel.family != XI_IPV4)
			continue;
		memcpy(flow.saddr, policy->sel.saddr, 4);
		memcpy(flow.daddr, policy->sel.daddr, 4);
		xi_xfrm_server_acquire(d->server, &flow, policy);
		return 0;
	}
	return -1;
}

static void batch_done(void *arg, int status, const char *report)
{
	printf("batch %d%s%s\n", status, *report ? " " : "", report);
}

static void do_batch(struct daemon *d, const char *file)
{
	struct xi_batch_config config = {
		.base = d->base,
		.server = d->server,
		.file = file,
		.done = batch_done,
	};
	struct xi_batch *batch;
	char why[256];
	int err = xi_batch_start(&batch, &config, why, sizeof(why));

	if (err)
		printf("batch %d %s\n", err, why);
}

static void do_tick(struct daemon *d, unsigned int seconds)
{
	d->now += seconds;
	xi_sad_tick(d->sad, d->now);
	xi_xfrm_server_tick(d->server, d->now);
}

static void do_groups(struct daemon *d)
{
	uint32_t mask = 0;

	for (unsigned int group = 1; group <= 32; group++)
		mask |= (uint32_t)xi_server_listened(d->server, group) << (group - 1);
	printf("groups 0x%x\n", mask);
}

static void command(struct daemon *d, const char *line)
{
	unsigned int spi, n;
	unsigned long bytes;
	char file[256];
	int err = 0;

	if (sscanf(line, "send %x %u %lu", &spi, &n, &bytes) == 3)
		err = do_send(d, spi, n, bytes);
	else if (sscanf(line, "receive %x %lx", &spi, &bytes) == 2)
		err = do_receive(d, spi, bytes);
	else if (sscanf(line, "mapping %x %255s %u", &spi, file, &n) == 3)
		err = do_mapping(d, spi, file, n);
	else if (!strcmp(line, "acquire"))
		err = do_acquire(d);
	else if (sscanf(line, "tick %u", &n) == 1)
		do_tick(d, n);
	else if (!strcmp(line, "clock"))
		do_tick(d, time(NULL) - d->now);
	else if (!strcmp(line, "groups")) {
		do_groups(d);
		return;
	} else if (sscanf(line, "batch %255s", file) == 1) {
		do_batch(d, file);
		return;
	} else
		err = -1;
	puts(err ? "failed" : "done");
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	char text[512];
	ssize_t n = read(fd, text, sizeof(text));

	if (n <= 0) {
		event_base_loopbreak(d->base);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n' && d->line_len < sizeof(d->line) - 1) {
			d->line[d->line_len++] = text[i];
			continue;
		}
		d->line[d->line_len] = '\0';
		d->line_len = 0;
		command(d, d->line);
	}
}

int main(int argc, char **argv)
{
	struct xi_sad_config config = { .state_dir = argv[1], .carries = xi_datapath_carries };
	struct daemon d = { .base = event_base_new(), .now = time(NULL) };
	struct mem_store *store = mem_store_new(4096, 64);
	struct xi_sad_listener listener = { .changed = sa_changed, .sync = sas_changed, .arg = &d };
	struct event *in;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	err = xi_sad_create(&d.sad, &config, &store->store);
	if (!err)
		err = xi_spd_create(&d.spd, d.sad, &store->store);
	if (!err) {
		xi_sad_listen(d.sad, &listener);
		err = xi_xfrm_server_create(&d.server, d.base, d.sad, d.spd, NULL);
	}
	in = err ? NULL : event_new(d.base, 0, EV_READ | EV_PERSIST, on_stdin, &d);
	if (!in || event_add(in, NULL)) {
		fprintf(stderr, "xfrm_serverd: %s\n", strerror(err ? -err : ENOMEM));
		return 1;
	}
	puts("ready");
	event_base_dispatch(d.base);
	event_free(in);
	xi_xfrm_server_destroy(d.server);
	xi_spd_destroy(d.spd);
	xi_sad_destroy(d.sad);
	mem_store_free(store);
	event_base_free(d.base);
	return 0;
}
