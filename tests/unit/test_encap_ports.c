/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which UDP ports XDP looks for ESP in. A real map; skipped where BPF maps cannot be made. */
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem_store.h"
#include "sad/encap_ports.h"

#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"
#define ROOM 4 /* ports that the map holds */

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_encap_ports *ports;
	int fd;
};

static void set_local(struct bed *bed, const char *addr)
{
	struct xi_addr local = {0};

	local.family = sample_addr(local.addr, addr);
	assert_int_equal(xi_spd_set_local(bed->spd, &local, 1), 0);
}

static unsigned int entries(struct bed *bed)
{
	uint32_t port, *prev = NULL;
	unsigned int n = 0;

	while (!bpf_map_get_next_key(bed->fd, prev, &port)) {
		prev = &port;
		n++;
	}
	return n;
}

static void bed_open(struct bed *bed)
{
	struct xi_sad_config config = {0};
	unsigned int n;

	if (bed->fd < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(xi_sad_create(&bed->sad, &config, &bed->m->store), 0);
	assert_int_equal(xi_sad_adopt(bed->sad, &n), 0);
	assert_int_equal(xi_spd_create(&bed->spd, bed->sad, &bed->m->store), 0);
	n = entries(bed);
	assert_int_equal(
		xi_encap_ports_create(&bed->ports, bed->sad, bed->spd, &bed->m->store, bed->fd), 0);
	assert_int_equal(entries(bed), n); /* the host's addresses are not known yet */
	set_local(bed, LOCAL);
}

static void bed_close(struct bed *bed)
{
	xi_spd_destroy(bed->spd);
	xi_sad_destroy(bed->sad);
	xi_encap_ports_destroy(bed->ports);
	bed->spd = NULL;
	bed->sad = NULL;
	bed->ports = NULL;
}

static int setup(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->m = mem_store_new(16, 0);
	bed->fd = bpf_map_create(BPF_MAP_TYPE_HASH, XI_MAP_ENCAP_PORTS, 4, 4, ROOM, &opts);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	bed_close(bed);
	close(bed->fd);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

static struct xi_sa encap_sa(const char *src, uint16_t sport, const char *dst, uint16_t dport,
			     uint32_t spi)
{
	struct xi_sa sa = sample_sa(src, dst, spi);

	sa.encap = XI_ENCAP_ESPINUDP;
	sa.encap_sport = sport;
	sa.encap_dport = dport;
	return sa;
}

static void add(struct bed *bed, const struct xi_sa *sa)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why;

	assert_int_equal(xi_sad_add(bed->sad, sa, &key, NULL, &why), 0);
}

static uint32_t count(struct bed *bed, uint32_t port)
{
	uint32_t n = 0;

	return bpf_map_lookup_elem(bed->fd, &port, &n) ? 0 : n;
}

static bool flagged(const struct bed *bed)
{
	return bed->m->config.flags & XI_CONFIG_ENCAP;
}

/* A peer behind a NAT may have any port: the host's own service on it is none of IPsec's. */
static void only_the_hosts_own_end_counts(void **state)
{
	struct bed *bed = *state;
	struct xi_sa out = encap_sa(LOCAL, 4500, PEER, 53, 0x1000),
		     in = encap_sa(PEER, 53, LOCAL, 4500, 0x1001);
	struct xi_sa other = encap_sa(LOCAL, 14500, PEER, 4500, 0x1002),
		     plain = sample_sa(LOCAL, PEER, 0x1003);
	struct xi_sa through = encap_sa("198.51.100.1", 7, "198.51.100.2", 9, 0x1004);

	bed_open(bed);
	bed->m->config.flags = 1U << 7;
	add(bed, &plain);
	assert_false(flagged(bed));
	assert_int_equal(entries(bed), 0);
	add(bed, &out);
	assert_true(flagged(bed));
	assert_int_equal(count(bed, 4500), 1);
	add(bed, &in);
	add(bed, &other);
	add(bed, &through);
	assert_int_equal(count(bed, 4500), 2);
	assert_int_equal(count(bed, 14500), 1);
	assert_int_equal(entries(bed), 2);
	assert_int_equal(xi_sad_delete(bed->sad, &other.id), 0);
	assert_int_equal(xi_sad_delete(bed->sad, &through.id), 0);
	assert_int_equal(count(bed, 14500), 0);
	assert_int_equal(xi_sad_delete(bed->sad, &out.id), 0);
	assert_true(flagged(bed));
	assert_int_equal(xi_sad_delete(bed->sad, &in.id), 0);
	assert_false(flagged(bed));
	assert_int_equal(entries(bed), 0);
	assert_int_equal(bed->m->config.flags, 1U << 7);
}

static void an_update_moves_the_port(void **state)
{
	struct bed *bed = *state;
	struct xi_sa in = encap_sa(PEER, 4500, LOCAL, 4501, 0x1000);
	struct xi_sa_key key = sample_key(0x1000);
	const char *why;

	bed_open(bed);
	add(bed, &in);
	in.encap_dport = 4502;
	assert_int_equal(xi_sad_update(bed->sad, &in, &key, NULL, &why), 0);
	assert_int_equal(count(bed, 4501), 0);
	assert_int_equal(count(bed, 4502), 1);
	assert_int_equal(xi_sad_update(bed->sad, &in, &key, NULL, &why), 0);
	assert_int_equal(count(bed, 4502), 1);
}

static void the_hosts_addresses_may_change(void **state)
{
	struct bed *bed = *state;
	struct xi_sa in = encap_sa(PEER, 4500, "203.0.113.1", 4501, 0x1000);

	bed_open(bed);
	add(bed, &in);
	assert_true(flagged(bed));
	assert_int_equal(entries(bed), 0);
	set_local(bed, "203.0.113.1");
	assert_int_equal(count(bed, 4501), 1);
	set_local(bed, LOCAL);
	assert_int_equal(entries(bed), 0);
	assert_int_equal(xi_sad_delete(bed->sad, &in.id), 0);
	assert_false(flagged(bed));
}

/* Another daemon takes over: what it adopts counts, what the former one left does not. */
static void a_restart_finds_the_ports_again(void **state)
{
	struct bed *bed = *state;
	struct xi_sa in = encap_sa(PEER, 4500, LOCAL, 4501, 0x1000);
	uint32_t stale = 777, n = 3;

	bed_open(bed);
	add(bed, &in);
	bed_close(bed);
	assert_int_equal(bpf_map_update_elem(bed->fd, &stale, &n, BPF_ANY), 0);
	bed_open(bed);
	assert_int_equal(count(bed, 4501), 1);
	assert_int_equal(entries(bed), 1);
	assert_true(flagged(bed));
	assert_int_equal(xi_sad_delete(bed->sad, &in.id), 0);
	assert_int_equal(entries(bed), 0);
	bed_close(bed);
	bed->m->config.flags = XI_CONFIG_ENCAP;
	bed_open(bed);
	assert_false(flagged(bed));
}

/* A write that failed is made good with the next change. */
static void a_full_map_is_tried_again(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sas[ROOM + 1];
	unsigned int i;

	bed_open(bed);
	for (i = 0; i <= ROOM; i++) {
		sas[i] = encap_sa(PEER, 4500, LOCAL, 5000 + i, 0x1000 + i);
		add(bed, &sas[i]);
	}
	assert_int_equal(entries(bed), ROOM);
	assert_int_equal(count(bed, 5000 + ROOM), 0);
	assert_int_equal(xi_sad_delete(bed->sad, &sas[0].id), 0);
	assert_int_equal(count(bed, 5000 + ROOM), 1);
	assert_int_equal(entries(bed), ROOM);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(only_the_hosts_own_end_counts),  T(an_update_moves_the_port),
		T(the_hosts_addresses_may_change), T(a_restart_finds_the_ports_again),
		T(a_full_map_is_tried_again),
	};

	return cmocka_run_group_tests_name("encap_ports", tests, NULL, NULL);
}
