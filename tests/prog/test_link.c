/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A veth's own counters of what XDP redirected to it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <net/if.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>

#include "dataplane/link.h"
#include "testns.h"

/* Sends frames through an XDP program that redirects them to a device (kernel 5.18). */
static void redirect(const char *device, uint32_t len, uint32_t frames)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K,
		 .dst_reg = BPF_REG_1,
		 .imm = (int)if_nametoindex(device)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "redirect", "Dual BSD/GPL", insns, 4, NULL);
	uint8_t frame[2048] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len,
		    .repeat = (int)frames, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	assert_true(fd >= 0);
	assert_int_equal(bpf_prog_test_run_opts(fd, &opts), 0);
	close(fd);
}

/* A receiver without NAPI takes no frames: gro on. */
static void veth(void)
{
	testns_enter();
	testns_run("ip link add va numtxqueues 2 numrxqueues 2 type veth peer name vb numtxqueues 2 "
		   "numrxqueues 2 && ethtool -K vb gro on && ip link set va up && ip link set vb up");
}

static void counts_what_the_peer_took(void **state)
{
	struct xi_link_xmit xmit;

	veth();
	assert_int_equal(xi_link_xmit("va", &xmit), 0);
	assert_int_equal(xmit.packets, 0);
	redirect("va", 100, 48);
	assert_int_equal(xi_link_xmit("va", &xmit), 0);
	assert_int_equal(xmit.packets, 48);
	assert_int_equal(xmit.errors, 0);
	assert_true(xmit.counts_errors);
	assert_int_equal(xi_link_xmit("vb", &xmit), 0);
	assert_int_equal(xmit.packets, 0);
}

static void counts_what_the_peer_did_not_take(void **state)
{
	struct xi_link_xmit xmit;

	veth();
	testns_run("ip link set vb mtu 500");
	redirect("va", 1000, 48);
	assert_int_equal(xi_link_xmit("va", &xmit), 0);
	assert_int_equal(xmit.packets, 0);
	assert_int_equal(xmit.errors, 48);
}

static void says_where_there_is_no_such_counter(void **state)
{
	struct xi_link_xmit xmit;

	testns_enter();
	testns_run("ip link add br0 type bridge");
	assert_int_equal(xi_link_xmit("br0", &xmit), -EOPNOTSUPP);
	assert_int_equal(xi_link_xmit("lo", &xmit), -EOPNOTSUPP);
	assert_int_equal(xi_link_xmit("none0", &xmit), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_what_the_peer_took),
		cmocka_unit_test(counts_what_the_peer_did_not_take),
		cmocka_unit_test(says_where_there_is_no_such_counter),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
