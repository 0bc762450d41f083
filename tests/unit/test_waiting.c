/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a worker does with packets whose SA is to come: which of them wait, until when, and where each is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/slots.h"
#include "dataplane/batch.h"
#include "dataplane/mailbox.h"
#include "mem_store.h"
#include "sad/sad.h"
#include "sad/spd.h"

#define NFRAMES 1200
#define HEADROOM 256
#define PLAIN 1
#define HOLD_MS 30000
#define WORKERS 2

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_worker *workers[WORKERS];
	struct xi_mailbox *asks;
	struct xi_port_dev plain;
	struct xi_port_dev *ports[XI_MAX_PORTS];
	struct xi_slots slots;       /* empty */
	atomic_uint changes, hold_ms;
	atomic_bool acquiring;
};

/* As the cache does, but for the count of changes, which is the tests'. */
static void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	const struct bed *bed = arg;

	xi_spd_sa_changed(bed->spd, new ? &new->sa : &old->sa);
}

static void on_sync(void *arg)
{
	const struct bed *bed = arg;

	xi_spd_sas_changed(bed->spd);
}

static struct xi_worker *worker_new(struct bed *bed, unsigned int index)
{
	struct xi_worker *w = calloc(1, sizeof(*w));
	uint32_t i;

	w->slots = &bed->slots;
	w->config = (struct xi_worker_config){
		.index = index,
		.ports = bed->ports,
		.sad = bed->sad,
		.spd = bed->spd,
		.asks = bed->asks,
		.host_mtu = 1500,
		.hold_ms = &bed->hold_ms,
		.acquiring = &bed->acquiring,
	};
	w->changes = &bed->changes;
	w->now_ms = 1000000;
	w->counts = calloc(XI_REASON_MAX, sizeof(uint64_t));
	w->frames.base = calloc(NFRAMES, XI_FRAME_SIZE);
	w->frames.free = calloc(NFRAMES, sizeof(uint64_t));
	for (i = 0; i < NFRAMES; i++)
		xi_frame_put(&w->frames, (uint64_t)i * XI_FRAME_SIZE);
	/* no map to tell, and no cache to ask */
	w->bypass = (struct xi_allowance){.ms = w->now_ms, .n = 1000};
	w->want_ms = w->now_ms;
	w->want_n = 20;
	assert_int_equal(xi_await_create(&w->await, 64), 0);
	return w;
}

static void worker_free(struct xi_worker *w)
{
	xi_await_destroy(&w->await);
	free(w->frames.free);
	free(w->frames.base);
	free(w->counts);
	free(w);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	unsigned int i;

	bed->m = mem_store_new(64, 1);
	assert_int_equal(xi_slots_create(&bed->slots, xi_engine_find("openssl"), 1, WORKERS), 0);
	bed->plain.config.role = XI_ROLE_PLAIN;
	bed->ports[PLAIN] = &bed->plain;
	bed->hold_ms = HOLD_MS;
	bed->acquiring = true;
	assert_int_equal(xi_sad_create(&bed->sad, &(struct xi_sad_config){0}, &bed->m->store), 0);
	assert_int_equal(xi_spd_create(&bed->spd, bed->sad, &bed->m->store), 0);
	xi_sad_listen(bed->sad, &(struct xi_sad_listener){.changed = on_changed, .sync = on_sync, .arg = bed});
	assert_int_equal(xi_mailbox_create(&bed->asks, WORKERS, sizeof(struct xi_flow)), 0);
	for (i = 0; i < WORKERS; i++)
		bed->workers[i] = worker_new(bed, i);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		worker_free(bed->workers[i]);
	xi_slots_destroy(&bed->slots);
	xi_mailbox_destroy(bed->asks);
	xi_spd_destroy(bed->spd);
	xi_sad_destroy(bed->sad);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

static struct xi_sa sa_of(uint32_t reqid)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + reqid);

	sa.reqid = reqid;
	return sa;
}

/* For 10.net.0.0/16: by an SA of this reqid, 0: block. */
static struct xi_policy policy_of(uint8_t net, uint32_t reqid)
{
	struct xi_policy p = {.dir = XI_OUT, .action = reqid ? XI_ALLOW : XI_BLOCK};

	p.sel.family = XI_IPV4;
	p.sel.prefixlen_d = 16;
	p.sel.daddr[0] = 10;
	p.sel.daddr[1] = net;
	if (reqid) {
		struct xi_sa sa = sa_of(reqid);

		p.tmpls[0] = (struct xi_tmpl){
			.id = sa.id, .mode = sa.mode, .family = XI_IPV4, .reqid = reqid};
		p.tmpls[0].id.spi = 0;
		memcpy(p.tmpls[0].saddr, sa.saddr, 16);
		p.ntmpls = 1;
	}
	return p;
}

static void set_policy(struct bed *bed, uint8_t net, uint32_t reqid)
{
	const struct xi_policy p = policy_of(net, reqid);
	const char *why = NULL;

	assert_int_equal(xi_spd_add(bed->spd, &p, true, &why), 0);
}

static void add_sa(struct bed *bed, uint32_t reqid)
{
	struct xi_sa_key key = sample_key(reqid);
	struct xi_sa sa = sa_of(reqid);
	const char *why;

	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
}

/* A packet to 10.net.9.host. How many of the batch, which it alone is, have an SA. */
static uint32_t comes(struct xi_worker *w, uint8_t net, uint8_t host)
{
	static const uint8_t packet[] = {
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 1, 10, 0, 9, 9,
		0x04, 0xd2, 0x16, 0x2e, 0, 8, 0, 0,
	};
	struct xi_item *item = &w->out[0];

	*item = (struct xi_item){
		.frame = xi_frame_get(&w->frames),
		.port = PLAIN,
		.slot = XI_NO_SLOT,
		.flags = XI_META_MISS,
	};
	item->pkt.data = w->frames.base + item->frame + HEADROOM;
	item->pkt.len = sizeof(packet);
	memcpy(item->pkt.data, packet, sizeof(packet));
	item->pkt.data[17] = net;
	item->pkt.data[19] = host;
	w->nout = w->nasked = 1;
	w->nout = xi_batch_resolve(w);
	return w->nout;
}

static void look(struct xi_worker *w)
{
	w->nout = 0;
	xi_batch_look_again(w);
}

static unsigned int asked(struct bed *bed)
{
	struct xi_flow flow;
	unsigned int n = 0;

	while (xi_mailbox_pop(bed->asks, &flow))
		n++;
	return n;
}

static void without_a_key_manager_nothing_waits(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	bed->acquiring = false;
	assert_int_equal(comes(w, 1, 9), 0);
	assert_int_equal(w->counts[XI_DROP_NO_SA], 1);
	assert_int_equal(w->counts[XI_HELD], 0);
	assert_int_equal(w->frames.nfree, NFRAMES);
	assert_int_equal(asked(bed), 0);
}

static void the_control_thread_is_asked_once_a_flow(void **state)
{
	struct bed *bed = *state;
	unsigned int i;

	set_policy(bed, 1, 7);
	for (i = 0; i < 10; i++)
		assert_int_equal(comes(bed->workers[0], 1, i % 2), 0);
	assert_int_equal(bed->workers[0]->counts[XI_HELD], 10);
	assert_int_equal(asked(bed), 2);
	comes(bed->workers[1], 1, 0);
	assert_int_equal(bed->workers[1]->await.n, 1);
	assert_int_equal(asked(bed), 1);
	/* again while it waits, for the first may have been lost */
	bed->workers[0]->now_ms += 1000;
	xi_mailbox_renew(bed->asks);
	look(bed->workers[0]);
	assert_int_equal(asked(bed), 2);
}

static void each_packet_that_finds_no_room_is_counted(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	unsigned int i;

	set_policy(bed, 1, 7);
	for (i = 0; i < 100; i++)
		comes(w, 1, 9);
	assert_int_equal(w->counts[XI_HELD], 64);
	assert_int_equal(w->counts[XI_DROP_HOLD_FULL], 36);
	assert_int_equal(w->frames.nfree, NFRAMES - 64);
	assert_int_equal(bed->workers[1]->await.n, 0);
}

static void time_runs_for_each_packet(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	comes(w, 1, 9);
	look(w);
	w->now_ms += 10000;
	comes(w, 1, 9);
	w->now_ms += HOLD_MS - 10000;
	look(w);
	assert_int_equal(w->await.n, 2);
	w->now_ms += 1000;
	look(w);
	assert_int_equal(w->await.n, 1);
	assert_int_equal(w->counts[XI_DROP_HOLD_TIMEOUT], 1);
	w->now_ms += 10000;
	look(w);
	assert_int_equal(w->counts[XI_DROP_HOLD_TIMEOUT], 2);
	assert_int_equal(w->counts[XI_HELD], 2);
	assert_int_equal(w->frames.nfree, NFRAMES);
}

static void a_shorter_time_is_heeded(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	comes(w, 1, 9);
	bed->hold_ms = 2000;
	w->now_ms += 4000;
	look(w);
	assert_int_equal(w->counts[XI_DROP_HOLD_TIMEOUT], 1);
}

/* Looking at all that waits in each round would be work for nothing. */
static void nothing_is_judged_while_nothing_changes(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	comes(w, 1, 9);
	look(w);
	set_policy(bed, 1, 0);
	look(w);
	assert_int_equal(w->await.n, 1);
	bed->changes++;
	look(w);
	assert_int_equal(w->await.n, 0);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1);
	assert_int_equal(w->counts[XI_HELD_DONE], 1);
	assert_int_equal(w->frames.nfree, NFRAMES);
}

/* A key manager that changes an SA in each round must not have a worker judge all that waits in each. */
static void many_flows_are_judged_now_and_then(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	unsigned int i;

	w->looked_second = w->now_ms / 1000;
	for (i = 0; i < 4; i++)
		set_policy(bed, i, 7 + i);
	for (i = 0; i < 1024; i++)
		comes(w, i / 256, i % 256);
	assert_int_equal(w->await.n, 1024);
	look(w);
	set_policy(bed, 0, 0);
	bed->changes++;
	look(w);
	assert_int_equal(w->await.n, 1024);
	w->now_ms += 8;
	look(w);
	assert_int_equal(w->await.n, 768);
	/* few are, as soon as something changes */
	for (i = 1; i < 4; i++)
		set_policy(bed, i, 0);
	bed->changes++;
	w->now_ms += 8;
	look(w);
	assert_int_equal(w->await.n, 0);
	w->now_ms += 8;
	set_policy(bed, 1, 7);
	comes(w, 1, 9);
	look(w);
	set_policy(bed, 1, 0);
	bed->changes++;
	look(w);
	assert_int_equal(w->await.n, 0);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1025);
}

/* Between the judgement of the first and its being put aside something may have changed. */
static void the_first_that_waits_is_judged_once_more(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	w->looked_second = w->now_ms / 1000;
	comes(w, 1, 9);
	set_policy(bed, 1, 0);
	look(w);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1);
}

static void a_change_that_was_not_counted_is_seen_in_a_second(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	comes(w, 1, 9);
	look(w);
	set_policy(bed, 1, 0);
	w->now_ms += 1000;
	look(w);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1);
}

/* They came when policy wanted them protected; the next packet of the flow is another matter. */
static void policy_deleted_drops_them(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	struct xi_policy p = policy_of(1, 7);

	set_policy(bed, 1, 7);
	set_policy(bed, 2, 8);
	comes(w, 1, 9);
	comes(w, 2, 9);
	assert_int_equal(xi_spd_delete(bed->spd, &p), 0);
	bed->changes++;
	look(w);
	assert_int_equal(w->counts[XI_WORKER_BYPASS], 0);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1);
	assert_int_equal(w->counts[XI_HELD_DONE], 1);
	assert_int_equal(w->await.n, 1);
	assert_int_equal(w->frames.nfree, NFRAMES - 1);
	comes(w, 1, 9);
	assert_int_equal(w->counts[XI_WORKER_BYPASS], 1);
	assert_int_equal(w->counts[XI_DROP_HOST_FULL], 1); /* there is no xipsec0 in this test */
}

/* Deleted, it uncovers one that lets all pass; updated so, it speaks for itself. */
static void another_policy_does_not_let_them_go(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	struct xi_policy p = policy_of(1, 7), wide = {.dir = XI_OUT, .action = XI_ALLOW, .priority = 9};
	const char *why;

	wide.sel.family = XI_IPV4;
	assert_int_equal(xi_spd_add(bed->spd, &wide, false, &why), 0);
	set_policy(bed, 1, 7);
	set_policy(bed, 2, 8);
	comes(w, 1, 9);
	comes(w, 2, 9);
	assert_int_equal(xi_spd_delete(bed->spd, &p), 0);
	bed->changes++;
	look(w);
	assert_int_equal(w->counts[XI_DROP_WORKER_POLICY], 1);
	assert_int_equal(w->counts[XI_WORKER_BYPASS], 0);
	p = policy_of(2, 8);
	p.ntmpls = 0;
	assert_int_equal(xi_spd_add(bed->spd, &p, true, &why), 0);
	bed->changes++;
	look(w);
	assert_int_equal(w->counts[XI_WORKER_BYPASS], 1);
	assert_int_equal(w->await.n, 0);
}

/* Not before those that came earlier, though the SA is there. */
static void a_packet_gets_in_line_behind_its_flow(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	assert_int_equal(comes(w, 1, 9), 0);
	look(w);
	add_sa(bed, 7);
	assert_false(w->look);
	assert_int_equal(comes(w, 1, 9), 0);
	assert_int_equal(w->await.n, 2);
	assert_true(w->look);
	assert_int_equal(comes(w, 1, 10), 1); /* another flow has nobody to wait for */
	assert_int_equal(comes(bed->workers[1], 1, 9), 1);
	assert_int_equal(w->counts[XI_DROP_NO_SA], 0);
}

static void an_sa_for_another_policy_lets_nothing_go(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	set_policy(bed, 1, 7);
	set_policy(bed, 2, 8);
	comes(w, 1, 9);
	add_sa(bed, 8);
	bed->changes++;
	look(w);
	assert_int_equal(w->await.n, 1);
	assert_int_equal(w->counts[XI_HELD_DONE], 0);
}

/* An item's place had another packet in the batch before, whose output mark is not this one's way. */
static void a_packet_has_no_mark_of_the_one_before(void **state)
{
	const struct xi_meta meta = {
		.magic = XI_META_MAGIC, .slot = XI_NO_SLOT, .next_slot = XI_NO_SLOT,
		.flags = XI_META_MISS, .dir = XI_OUT, .l3_offset = 14, .port = PLAIN,
	};
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint64_t addr = xi_frame_get(&w->frames) + HEADROOM;

	memset(&w->out[0], 0xff, sizeof(w->out[0]));
	memcpy(w->frames.base + addr - sizeof(meta), &meta, sizeof(meta));
	xi_batch_take(w, addr, 14 + 28);
	assert_int_equal(w->nout, 1);
	assert_int_equal(w->out[0].mark, 0);
	assert_int_equal(w->out[0].handle, 0);
	assert_false(w->out[0].piece || w->out[0].whole || w->out[0].judged);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_key_manager_nothing_waits),
		T(the_control_thread_is_asked_once_a_flow),
		T(each_packet_that_finds_no_room_is_counted),
		T(time_runs_for_each_packet),
		T(a_shorter_time_is_heeded),
		T(nothing_is_judged_while_nothing_changes),
		T(many_flows_are_judged_now_and_then),
		T(the_first_that_waits_is_judged_once_more),
		T(a_change_that_was_not_counted_is_seen_in_a_second),
		T(policy_deleted_drops_them),
		T(another_policy_does_not_let_them_go),
		T(a_packet_gets_in_line_behind_its_flow),
		T(an_sa_for_another_policy_lets_nothing_go),
		T(a_packet_has_no_mark_of_the_one_before),
	};

	return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
