/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a worker puts aside while not all SAs of an earlier daemon are known, and what it does at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/slots.h"
#include "dataplane/batch.h"
#include "mem_store.h"
#include "sad/sad.h"
#include "sad/spd.h"

#define NFRAMES 64
#define HEADROOM 256

/* SAs by their SPI; of those below COLD packets had come before. */
enum { HOT = 0x1000, HOT_INNER, HOT_OLD, COLD, COLD_INNER };

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_worker *w;
	struct xi_port_dev *ports[XI_MAX_PORTS];
	struct xi_slots slots;
	struct xi_slot slot;         /* empty */
};

/* As the cache does. */
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

static void open_all(struct bed *bed)
{
	assert_int_equal(xi_sad_create(&bed->sad, &(struct xi_sad_config){0}, &bed->m->store), 0);
	assert_int_equal(xi_spd_create(&bed->spd, bed->sad, &bed->m->store), 0);
	xi_sad_listen(bed->sad, &(struct xi_sad_listener){.changed = on_changed, .sync = on_sync, .arg = bed});
	bed->w->config.sad = bed->sad;
	bed->w->config.spd = bed->spd;
}

static void close_all(struct bed *bed)
{
	xi_spd_destroy(bed->spd);
	xi_sad_destroy(bed->sad);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->m = mem_store_new(64, 1);
	bed->w = calloc(1, sizeof(*bed->w));
	bed->slots.n = 1;
	bed->slots.slots = &bed->slot;
	bed->ports[0] = (struct xi_port_dev *)bed; /* never looked into */
	bed->w->slots = &bed->slots;
	bed->w->config.ports = bed->ports;
	bed->w->counts = calloc(XI_REASON_MAX, sizeof(uint64_t));
	bed->w->frames.base = calloc(NFRAMES, XI_FRAME_SIZE);
	bed->w->frames.free = calloc(NFRAMES, sizeof(uint64_t));
	assert_int_equal(xi_hold_create(&bed->w->hold, NFRAMES), 0);
	open_all(bed);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	close_all(bed);
	xi_hold_destroy(&bed->w->hold);
	free(bed->w->frames.free);
	free(bed->w->frames.base);
	free(bed->w->counts);
	free(bed->w);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

static bool is_inner(uint32_t spi)
{
	return spi == HOT_INNER || spi == COLD_INNER;
}

static struct xi_sa sa_of(uint32_t spi)
{
	struct xi_sa sa = sample_sa("192.0.2.1", is_inner(spi) ? "192.0.2.3" : "192.0.2.2", spi);

	sa.reqid = spi;
	return sa;
}

static struct xi_tmpl tmpl_of(uint32_t spi, bool optional)
{
	struct xi_sa sa = sa_of(spi);
	struct xi_tmpl tmpl = {.id = sa.id, .mode = sa.mode, .family = XI_IPV4, .reqid = spi};

	tmpl.id.spi = 0;
	tmpl.optional = optional;
	memcpy(tmpl.saddr, sa.saddr, 16);
	return tmpl;
}

/* To 10.net.0.0/16, by SAs with these SPIs; inner 0: by one alone; both 0: without. */
static void policy(struct bed *bed, uint8_t net, uint32_t spi, bool optional, uint32_t inner)
{
	struct xi_policy p = {.dir = XI_OUT, .action = spi ? XI_ALLOW : XI_BLOCK};
	const char *why = NULL;

	p.sel.family = XI_IPV4;
	p.sel.prefixlen_d = 16;
	p.sel.daddr[0] = 10;
	p.sel.daddr[1] = net;
	if (inner)
		p.tmpls[p.ntmpls++] = tmpl_of(inner, false);
	if (spi)
		p.tmpls[p.ntmpls++] = tmpl_of(spi, optional);
	assert_int_equal(xi_spd_add(bed->spd, &p, false, &why), 0);
}

static uint32_t handle_of(struct bed *bed, uint32_t spi)
{
	struct xi_sa sa = sa_of(spi);

	return xi_sad_find(bed->sad, &sa.id)->sa.sa_index;
}

/* A later daemon, as far as it is when workers begin. handles: of all SAs, by SPI - HOT. */
static void begin_again(struct bed *bed, uint32_t *handles)
{
	struct xi_sa_key key;
	struct xi_sa sa;
	const char *why;
	unsigned int n;
	uint32_t spi;

	for (spi = HOT; spi <= COLD_INNER; spi++) {
		key = sample_key(spi);
		sa = sa_of(spi);
		assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
		handles[spi - HOT] = handle_of(bed, spi);
	}
	close_all(bed);
	open_all(bed);
	assert_int_equal(xi_sad_adopt_hot(bed->sad, handles, COLD - HOT), 0);
	assert_int_equal(xi_spd_adopt(bed->spd, &n), 0);
	xi_sad_set_superseded(bed->sad, handles[HOT_OLD - HOT], true);
}

/* Is a packet to 10.net.9.9 with this metadata put aside? */
static bool is_held(struct bed *bed, const struct xi_meta *meta, uint8_t net)
{
	static const uint8_t packet[] = {
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 1, 10, 0, 9, 9,
		0x04, 0xd2, 0x16, 0x2e, 0, 8, 0, 0,
	};
	struct xi_worker *w = bed->w;
	uint8_t *data = w->frames.base + HEADROOM;
	struct xi_meta m = *meta;
	uint32_t held = w->hold.n;

	w->nin = w->nout = w->nasked = 0;
	w->counts[XI_DROP_WORKER_META] = 0;
	m.magic = XI_META_MAGIC;
	memcpy(data, packet, sizeof(packet));
	data[17] = net;
	memcpy(data - sizeof(m), &m, sizeof(m));
	xi_hold_or_take(w, HEADROOM, sizeof(packet));
	assert_int_equal(w->hold.n - held + w->nin + w->nout, 1);
	return w->hold.n > held;
}

static void packets_of_sas_that_are_not_known_wait(void **state)
{
	struct bed *bed = *state;
	uint32_t handles[COLD_INNER - HOT + 1], hot, old, cold;
	struct xi_meta m = {.dir = XI_IN};

	begin_again(bed, handles);
	hot = handles[0];
	old = handles[HOT_OLD - HOT];
	cold = handles[COLD - HOT];
	for (m.dir = XI_IN; m.dir <= XI_OUT; m.dir++) {
		m.next_handle = 0;
		m.handle = hot;
		assert_false(is_held(bed, &m, 0));
		m.handle = cold;
		assert_true(is_held(bed, &m, 0));
		m.handle = old;
		assert_true(is_held(bed, &m, 0));
		m.handle = hot + (1U << XI_SA_SLOT_BITS); /* deleted long ago */
		assert_true(is_held(bed, &m, 0));
		m.handle = hot;
		m.next_handle = cold;
		assert_true(is_held(bed, &m, 0));
		m.next_handle = handles[HOT_INNER - HOT];
		assert_false(is_held(bed, &m, 0));
	}
	m = (struct xi_meta){.dir = XI_IN, .flags = XI_META_FRAGMENT};
	assert_true(is_held(bed, &m, 0));
}

/* Taking them one by one as they become known would make replays of those that wait. */
static void they_wait_until_all_are_known(void **state)
{
	struct bed *bed = *state;
	uint32_t handles[COLD_INNER - HOT + 1];
	struct xi_meta m = {.dir = XI_IN};
	unsigned int n;

	begin_again(bed, handles);
	assert_int_equal(xi_sad_adopt_first(bed->sad, &n), 0);
	assert_int_equal(n, COLD_INNER - HOT + 1);
	m.handle = handles[COLD - HOT];
	assert_true(is_held(bed, &m, 0));
	m.handle = handles[0];
	assert_false(is_held(bed, &m, 0));
}

static void what_policy_wants_of_them_waits(void **state)
{
	static const struct {
		uint32_t spi, inner;
		bool optional, waits;
	} cases[] = {
		{HOT, 0, false, false},
		{HOT, 0, true, false},
		{COLD, 0, false, true},
		{COLD, 0, true, true}, /* would leave in clear */
		{0, 0, false, false},
		{HOT, HOT_INNER, false, false},
		{HOT, COLD_INNER, false, true},
		{COLD, HOT_INNER, false, true},
		{COLD, HOT_INNER, true, true}, /* would leave with less than policy asks for */
	};
#define NCASES (sizeof(cases) / sizeof(cases[0]))
	const struct xi_meta m = {.dir = XI_OUT};
	uint32_t handles[COLD_INNER - HOT + 1];
	struct bed *bed = *state;
	unsigned int i, n, turn;

	for (i = 0; i < NCASES; i++)
		policy(bed, i, cases[i].spi, cases[i].optional, cases[i].inner);
	begin_again(bed, handles);
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < NCASES; i++)
			if (is_held(bed, &m, i) != cases[i].waits)
				fail_msg("policy %u: %s", i, cases[i].waits ? "taken" : "waits");
		assert_false(is_held(bed, &m, NCASES)); /* no policy's */
		/* the second turn: policy has found them, but workers do not know that yet */
		if (!turn)
			assert_int_equal(xi_sad_adopt_first(bed->sad, &n), 0);
	}
#undef NCASES
}

/* An SA inside of another is in no table of the fast path: it shows when the outer one is off. */
static void what_may_have_another_sa_inside_waits(void **state)
{
	uint32_t handles[COLD_INNER - HOT + 1];
	struct xi_meta m = {.dir = XI_IN};
	struct bed *bed = *state;

	policy(bed, 1, HOT, false, COLD_INNER);
	begin_again(bed, handles);
	m.handle = handles[0];
	assert_true(is_held(bed, &m, 0));
	m.dir = XI_OUT;
	assert_false(is_held(bed, &m, 0));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_of_sas_that_are_not_known_wait),
		T(they_wait_until_all_are_known),
		T(what_policy_wants_of_them_waits),
		T(what_may_have_another_sa_inside_waits),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
