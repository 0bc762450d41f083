/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of a driver's counters tell of frames that XDP redirected to the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "dataplane/link.h"

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

/* drivers/net/veth.c */
static void test_veth_counts_by_queue(void **state)
{
	static const char names[][32] = {
		"peer_ifindex",
		"rx_queue_0_xdp_packets",
		"rx_queue_0_xdp_tx",
		"rx_queue_0_xdp_tx_errors",
		"tx_queue_0_xdp_xmit",
		"tx_queue_0_xdp_xmit_errors",
		"tx_queue_1_xdp_xmit",
		"tx_queue_1_xdp_xmit_errors",
	};
	const uint64_t values[] = { 7, 1000, 2000, 3000, 40, 5, 600, 7 };
	struct xi_link_xmit xmit;

	assert_int_equal(xi_link_xmit_sum(names, values, COUNT(names), &xmit), 0);
	assert_int_equal(xmit.packets, 640);
	assert_int_equal(xmit.errors, 12);
	assert_true(xmit.counts_errors);
}

/* Documentation/networking/device_drivers/ethernet/mellanox/mlx5/counters.rst */
static void test_a_total_is_not_added_to_its_parts(void **state)
{
	static const char names[][32] = {
		"tx_xdp_xmit", "tx_xdp_err", "rx_xdp_tx_xmit", "tx0_xdp_xmit", "tx1_xdp_xmit",
	};
	const uint64_t values[] = { 300, 9, 50, 100, 200 };
	struct xi_link_xmit xmit;

	assert_int_equal(xi_link_xmit_sum(names, values, COUNT(names), &xmit), 0);
	assert_int_equal(xmit.packets, 300);
	assert_false(xmit.counts_errors);
}

/* drivers/net/ethernet/marvell/mvneta.c */
static void test_a_driver_with_totals_only(void **state)
{
	static const char names[][32] = { "rx_xdp_redirect", "tx_xdp_xmit", "tx_xdp_xmit_errors" };
	const uint64_t values[] = { 1, 20, 3 };
	struct xi_link_xmit xmit;

	assert_int_equal(xi_link_xmit_sum(names, values, COUNT(names), &xmit), 0);
	assert_int_equal(xmit.packets, 20);
	assert_int_equal(xmit.errors, 3);
	assert_true(xmit.counts_errors);
}

static void test_a_driver_without_such_counters(void **state)
{
	/* the last one fills its 32 bytes */
	static const char names[][32] = { "rx_packets", { "a_name_of_32_bytes_with_xdp_xmit" } };
	const uint64_t values[] = { 1, 2 };
	struct xi_link_xmit xmit;

	assert_int_equal(xi_link_xmit_sum(names, values, 0, &xmit), -EOPNOTSUPP);
	assert_int_equal(xi_link_xmit_sum(names, values, 1, &xmit), -EOPNOTSUPP);
	assert_int_equal(xi_link_xmit_sum(names, values, 2, &xmit), 0);
	assert_int_equal(xmit.packets, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_veth_counts_by_queue),
		cmocka_unit_test(test_a_total_is_not_added_to_its_parts),
		cmocka_unit_test(test_a_driver_with_totals_only),
		cmocka_unit_test(test_a_driver_without_such_counters),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
