/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NAT keepalives of SAs: when one is sent, as nat_keepalive_work_single() of Linux 6.11 has it, and what it looks like. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/keepalive.h"
#include "mem_store.h"
#include "null_store.h"

#define SLOTS 32768
#define START 1000000

struct fixture {
	struct null_store *store;
	struct xi_sad *sad;
	struct xi_keepalives *k;
	unsigned int sent;
	uint8_t packet[64];
	uint32_t len, mark;
	int fails;
};

static int take(void *arg, const uint8_t *packet, uint32_t len, uint32_t mark)
{
	struct fixture *f = arg;

	assert_true(len <= sizeof(f->packet));
	memcpy(f->packet, packet, len);
	f->len = len;
	f->mark = mark;
	f->sent++;
	return f->fails;
}

static int setup_of(void **state, uint32_t slots)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = {0};
	struct xi_keepalive_config keepalives = {.send = take, .arg = f};

	f->store = null_store_new(slots);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->store->store), 0);
	keepalives.sad = f->sad;
	assert_int_equal(xi_keepalives_create(&f->k, &keepalives), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, SLOTS);
}

static int setup_small(void **state)
{
	return setup_of(state, 2);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_keepalives_destroy(f->k);
	xi_sad_destroy(f->sad);
	null_store_free(f->store);
	free(f);
	return 0;
}

static struct xi_sa natted(const char *src, const char *dst, uint32_t spi, uint32_t interval)
{
	struct xi_sa sa = sample_sa(src, dst, spi);

	sa.sa_dir = 2;
	sa.encap = XI_ENCAP_ESPINUDP;
	sa.encap_sport = 4500;
	sa.encap_dport = 40123;
	sa.nat_keepalive = interval;
	return sa;
}

static const struct xi_sa_rec *add(struct fixture *f, const struct xi_sa *sa)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why;

	assert_int_equal(xi_sad_add(f->sad, sa, &key, NULL, &why), 0);
	return xi_sad_find(f->sad, &sa->id);
}

/* Keepalives sent in this second. */
static unsigned int second(struct fixture *f, unsigned int s)
{
	unsigned int before = f->sent, i;

	for (i = 0; i < 4; i++)
		xi_keepalives_tick(f->k, START + s);
	return f->sent - before;
}

static void one_an_interval_while_idle(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);
	unsigned int s;

	assert_int_equal(second(f, 0), 0);
	add(f, &sa);
	for (s = 1; s < 100; s++)
		assert_int_equal(second(f, s), s % 20 == 1); /* it never sent anything: at once */
}

static void packets_put_it_off(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);
	const struct xi_sa_rec *rec = add(f, &sa);
	unsigned int s;

	for (s = 1; s < 60; s++) {
		rec->state->last_use = START + s;
		assert_int_equal(second(f, s), 0);
	}
	for (; s < 200; s++)
		assert_int_equal(second(f, s), s == 79 || s == 99 || s == 119 || s == 139 || s == 159 || s == 179 || s == 199);
}

static void none_without_an_interval(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 0), other = natted("192.0.2.1", "192.0.2.2", 0x1002, 5);
	unsigned int s;

	add(f, &sa);
	for (s = 0; s < 100; s++)
		assert_int_equal(second(f, s), 0);
	add(f, &other);
	assert_int_equal(second(f, 100), 1);
	assert_int_equal(xi_sad_delete(f->sad, &other.id), 0);
	for (s = 101; s < 120; s++)
		assert_int_equal(second(f, s), 0);
	add(f, &other);
	assert_int_equal(second(f, 120), 1);
	for (s = 121; s < 125; s++)
		assert_int_equal(second(f, s), 0);
}

/* A slot whose SA went has room for the next one. */
static void slots_are_used_again(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001 + i, 20);

		add(f, &sa);
		assert_int_equal(second(f, 1 + 2 * i), 1);
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
		assert_int_equal(second(f, 2 + 2 * i), 0);
	}
}

static void many_come_and_go(void **state)
{
	struct fixture *f = *state;
	unsigned int i, s, n = 0;
	struct xi_sa sa;

	for (i = 0; i < 50; i++) {
		sa = natted("192.0.2.1", "192.0.2.2", 0x2000 + i, 10);
		add(f, &sa);
	}
	assert_int_equal(second(f, 1), 50);
	for (i = 0; i < 50; i += 2) {
		sa = natted("192.0.2.1", "192.0.2.2", 0x2000 + i, 10);
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	}
	for (s = 2; s < 12; s++)
		n += second(f, s);
	assert_int_equal(n, 25);
}

/* RFC 3948 section 2.3: the ports of ESP, one byte 0xff, the IPv4 UDP checksum zero. */
static void it_is_one_byte_between_the_ports_of_the_sa(void **state)
{
	static const uint8_t udp[] = {0x11, 0x94, 0x9c, 0xbb, 0, 9, 0, 0, 0xff};
	static const uint8_t ends[] = {192, 0, 2, 1, 192, 0, 2, 2};
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);

	sa.output_mark = 0xf5;
	sa.output_mark_mask = 0x0f;
	add(f, &sa);
	second(f, 1);
	assert_int_equal(f->len, 29);
	assert_int_equal(f->packet[0], 0x45);
	assert_int_equal(f->packet[9], 17);
	assert_memory_equal(f->packet + 12, ends, 8);
	assert_memory_equal(f->packet + 20, udp, 9);
	assert_int_equal(f->mark, 0x5);
}

/* One's complement sum of 16-bit words, by the book (RFC 1071). */
static uint16_t sum16(const uint8_t *p, unsigned int n, uint32_t sum)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void of_ipv6_it_has_a_checksum(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("2001:db8::1", "2001:db8::2", 0x1001, 20);

	add(f, &sa);
	f->fails = -ENETUNREACH; /* and the next one comes in its time */
	assert_int_equal(second(f, 1), 1);
	assert_int_equal(second(f, 2), 0);
	assert_int_equal(f->len, 49);
	assert_int_equal(f->packet[0], 0x60);
	assert_int_equal(f->packet[5], 9);
	assert_int_equal(f->packet[6], 17);
	assert_int_equal(f->packet[48], 0xff);
	/* addresses, UDP and the rest of the pseudo header: length and protocol */
	assert_int_equal(sum16(f->packet + 8, 32 + 9, 9 + 17), 0xffff);
	assert_int_equal(second(f, 21), 1);
}

/* A full socket is no reason to let the NAT forget the mapping. */
static void what_found_no_room_is_sent_a_second_later(void **state)
{
	static const int full[] = {-EAGAIN, -ENOBUFS, -ENOMEM};
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);
	unsigned int s;

	add(f, &sa);
	for (s = 0; s < 3; s++) {
		f->fails = full[s];
		assert_int_equal(second(f, 1 + s), 1);
	}
	f->fails = 0;
	assert_int_equal(second(f, 4), 1);
	for (s = 5; s < 24; s++)
		assert_int_equal(second(f, s), 0);
	assert_int_equal(second(f, 24), 1);
}

static void a_clock_put_back_silences_none(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);
	const struct xi_sa_rec *rec = add(f, &sa);
	unsigned int s, n = 0;

	assert_int_equal(second(f, 5000), 1);
	rec->state->last_use = START + 5001;
	assert_int_equal(second(f, 5002), 0);
	for (s = 1000; s < 1100; s++)
		n += second(f, s);
	assert_int_equal(n, 5);
}

/* Those of the kernel's SAs are the kernel's to send. */
static void none_for_an_sa_of_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = natted("192.0.2.1", "192.0.2.2", 0x1001, 20);
	unsigned int s;

	sa.life |= XI_SA_FROM_KERNEL;
	add(f, &sa);
	for (s = 1; s < 60; s++)
		assert_int_equal(second(f, s), 0);
}

static void very_many_take_turns(void **state)
{
	struct fixture *f = *state;
	unsigned int i, more = 100;
	struct xi_sa sa;

	for (i = 0; i < XI_KEEPALIVE_TURN + more; i++) {
		sa = natted("192.0.2.1", "192.0.2.2", 0x2000 + i, 10);
		add(f, &sa);
	}
	xi_keepalives_tick(f->k, START + 1);
	assert_int_equal(f->sent, XI_KEEPALIVE_TURN);
	xi_keepalives_tick(f->k, START + 1);
	assert_int_equal(f->sent, XI_KEEPALIVE_TURN + more);
	assert_int_equal(second(f, 1), 0);
	assert_int_equal(second(f, 10), 0);
	assert_int_equal(second(f, 11), XI_KEEPALIVE_TURN + more);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_an_interval_while_idle),
		T(packets_put_it_off),
		T(none_without_an_interval),
		cmocka_unit_test_setup_teardown(slots_are_used_again, setup_small, teardown),
		T(many_come_and_go),
		T(it_is_one_byte_between_the_ports_of_the_sa),
		T(of_ipv6_it_has_a_checksum),
		T(what_found_no_room_is_sent_a_second_later),
		T(a_clock_put_back_silences_none),
		T(none_for_an_sa_of_the_kernel),
		T(very_many_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
