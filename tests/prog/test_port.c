/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ports on veth devices: what is read of a device, and who may replace whose program. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "dataplane/port.h"
#include "testns.h"

#define PIN_DIR "/run"

/* A program that passes everything. */
static int load(enum bpf_prog_type type, const char *name)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, name, "Dual BSD/GPL", insns, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

static uint32_t attached(const struct xi_port_dev *port)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id((int)port->ifindex, 0, &id), 0);
	return id;
}

static struct xi_port_config config(const char *name, enum xi_port_mode mode,
				    enum xi_port_attach attach)
{
	struct xi_port_config c = {.role = XI_ROLE_CIPHER, .mode = mode, .attach = attach};

	strcpy(c.name, name);
	return c;
}

static void open_port(struct xi_port_dev *port, const char *name, enum xi_port_mode mode,
		      enum xi_port_attach attach)
{
	struct xi_port_config c = config(name, mode, attach);

	assert_int_equal(xi_port_open(port, &c, 3), 0);
}

static void enter_with_veth(void)
{
	testns_enter();
	testns_run(
		"ip link add wan0 numrxqueues 4 numtxqueues 2 address 02:00:00:00:0a:01 mtu 1420 type veth peer name far0 numrxqueues 2");
	testns_run("ip link set wan0 up && ip link set far0 up");
	/* A pin directory of this test's own. */
	assert_int_equal(mount("bpf", PIN_DIR, "bpf", 0, NULL), 0);
}

static void open_reads_the_device(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0x0a, 1};
	struct xi_port_dev port;

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(port.ifindex, if_nametoindex("wan0"));
	assert_int_equal(port.slot, 3);
	assert_int_equal(port.queues, 4);
	assert_int_equal(port.mtu, 1420);
	assert_memory_equal(port.mac, mac, 6);
}

static void open_counts_queues_in_use(void **state)
{
	struct xi_port_dev port;

	enter_with_veth();
	testns_run("ethtool -L wan0 rx 3");
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(port.queues, 3);
	testns_run("ip link add mac0 link wan0 numrxqueues 2 type macvlan");
	open_port(&port, "mac0", XI_PORT_SKB, XI_ATTACH_NETLINK);
	assert_int_equal(port.queues, 2);
}

static void open_refuses_what_cannot_be_a_port(void **state)
{
	struct xi_port_config none = config("none0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	struct xi_port_config lo = config("lo", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	struct xi_port_config many = config("many0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	struct xi_port_dev port;

	testns_enter();
	testns_run("ip link add many0 numrxqueues 17 type veth peer name far0");
	assert_int_equal(xi_port_open(&port, &none, 0), -ENODEV);
	assert_int_equal(xi_port_open(&port, &lo, 0), -EOPNOTSUPP);
	assert_int_equal(xi_port_open(&port, &many, 0), -E2BIG);
}

static void attach_replaces_ours(enum xi_port_mode mode)
{
	struct xi_port_dev port;
	int first = load(BPF_PROG_TYPE_XDP, "xdp_cipher"),
	    second = load(BPF_PROG_TYPE_XDP, "xdp_plain");

	enter_with_veth();
	open_port(&port, "wan0", mode, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_attach(&port, first, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(first));
	assert_int_equal(xi_port_attach(&port, second, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(second));
	assert_int_equal(xi_port_detach(&port, PIN_DIR), 0);
	assert_int_equal(attached(&port), 0);
	assert_int_equal(xi_port_detach(&port, PIN_DIR), 0);
	close(first);
	close(second);
}

static void netlink_attach_replaces_ours(void **state)
{
	attach_replaces_ours(XI_PORT_NATIVE);
}

static void skb_attach_replaces_ours(void **state)
{
	attach_replaces_ours(XI_PORT_SKB);
}

static void attached_program_outlives_its_loader(void **state)
{
	struct xi_port_dev port;
	int fd = load(BPF_PROG_TYPE_XDP, "xdp_cipher");
	uint32_t id = program_id(fd);

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	close(fd);
	assert_int_equal(attached(&port), id);
}

static void foreign_program_is_left_alone(void **state)
{
	int foreign = load(BPF_PROG_TYPE_XDP, "lb_main"),
	    ours = load(BPF_PROG_TYPE_XDP, "xdp_cipher");
	static const enum xi_port_attach ways[] = {XI_ATTACH_NETLINK, XI_ATTACH_LINK};

	enter_with_veth();
	for (int i = 0; i < 2; i++) {
		struct xi_port_dev port;

		open_port(&port, "wan0", XI_PORT_NATIVE, ways[i]);
		if (!i)
			assert_int_equal(bpf_xdp_attach((int)port.ifindex, foreign, 0, NULL), 0);
		assert_int_equal(xi_port_attach(&port, ours, PIN_DIR), -EBUSY);
		assert_int_equal(attached(&port), program_id(foreign));
		assert_int_equal(xi_port_detach(&port, PIN_DIR), 0);
		assert_int_equal(attached(&port), program_id(foreign));
	}
	close(foreign);
	close(ours);
}

static void another_mode_is_refused(void **state)
{
	struct xi_port_dev port;
	int fd = load(BPF_PROG_TYPE_XDP, "xdp_cipher");

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	open_port(&port, "wan0", XI_PORT_SKB, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), -EBUSY);
	assert_int_equal(attached(&port), program_id(fd));
	close(fd);
}

static void link_is_pinned_and_updated(void **state)
{
	struct xi_port_dev port;
	int first = load(BPF_PROG_TYPE_XDP, "xdp_cipher"),
	    second = load(BPF_PROG_TYPE_XDP, "xdp_cipher");

	enter_with_veth();
	testns_run("ip link set wan0 name wan0.7");
	open_port(&port, "wan0.7", XI_PORT_NATIVE, XI_ATTACH_LINK);
	assert_int_equal(xi_port_attach(&port, first, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(first));
	assert_int_equal(access(PIN_DIR "/link_wan0:7", F_OK), 0);
	assert_int_equal(xi_port_attach(&port, second, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(second));

	port.config.attach = XI_ATTACH_NETLINK;
	assert_int_equal(xi_port_attach(&port, first, PIN_DIR), -EBUSY);
	port.config.attach = XI_ATTACH_LINK;
	assert_int_equal(xi_port_detach(&port, PIN_DIR), 0);
	assert_int_equal(attached(&port), 0);
	assert_int_equal(access(PIN_DIR "/link_wan0:7", F_OK), -1);
	close(first);
	close(second);
}

static void link_of_a_vanished_device_is_remade(void **state)
{
	struct xi_port_dev port;
	int fd = load(BPF_PROG_TYPE_XDP, "xdp_cipher");

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_LINK);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	testns_run("ip link del wan0 && ip link add wan0 type veth peer name far0");
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_LINK);
	assert_int_equal(attached(&port), 0);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(fd));
	close(fd);
}

static void attach_none_leaves_it_to_the_operator(void **state)
{
	struct xi_port_dev port;
	int fd = load(BPF_PROG_TYPE_XDP, "xdp_cipher");

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NONE);
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	assert_int_equal(attached(&port), 0);
	/* The command that the log tells. */
	assert_int_equal(bpf_obj_pin(fd, PIN_DIR "/xdp_cipher"), 0);
	testns_run("ip link set dev wan0 xdpdrv pinned %s/xdp_cipher", PIN_DIR);
	assert_int_equal(attached(&port), program_id(fd));
	assert_int_equal(xi_port_attach(&port, fd, PIN_DIR), 0);
	assert_int_equal(xi_port_detach(&port, PIN_DIR), 0);
	assert_int_equal(attached(&port), program_id(fd));
	close(fd);
}

static void guard_is_one_filter_and_goes_with_its_clsact(void **state)
{
	struct xi_port_dev port;
	int first = load(BPF_PROG_TYPE_SCHED_CLS, "tc_guard"),
	    second = load(BPF_PROG_TYPE_SCHED_CLS, "tc_guard");

	enter_with_veth();
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_guard_detach(&port), 0);
	assert_int_equal(xi_port_guard_attach(&port, first), 0);
	assert_int_equal(xi_port_guard_attach(&port, second), 0);
	testns_run("test $(tc filter show dev wan0 egress | grep -c 'handle 0x7869') = 1");
	testns_run("tc filter show dev wan0 egress | grep -q 'id %u '", program_id(second));
	assert_int_equal(xi_port_guard_detach(&port), 0);
	testns_run("! tc qdisc show dev wan0 | grep -q clsact");
	assert_int_equal(xi_port_guard_detach(&port), 0);
	close(first);
	close(second);
}

static void guard_leaves_other_filters(void **state)
{
	struct xi_port_dev port;
	int fd = load(BPF_PROG_TYPE_SCHED_CLS, "tc_guard");

	enter_with_veth();
	testns_run("tc qdisc add dev wan0 clsact");
	assert_int_equal(bpf_obj_pin(fd, PIN_DIR "/other"), 0);
	testns_run("tc filter add dev wan0 ingress prio 9 bpf da pinned %s/other", PIN_DIR);
	open_port(&port, "wan0", XI_PORT_NATIVE, XI_ATTACH_NETLINK);
	assert_int_equal(xi_port_guard_attach(&port, fd), 0);
	assert_int_equal(xi_port_guard_detach(&port), 0);
	testns_run("tc filter show dev wan0 ingress | grep -q 'pref 9 bpf'");
	testns_run("! tc filter show dev wan0 egress | grep -q bpf");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_reads_the_device),
		cmocka_unit_test(open_counts_queues_in_use),
		cmocka_unit_test(open_refuses_what_cannot_be_a_port),
		cmocka_unit_test(netlink_attach_replaces_ours),
		cmocka_unit_test(skb_attach_replaces_ours),
		cmocka_unit_test(attached_program_outlives_its_loader),
		cmocka_unit_test(foreign_program_is_left_alone),
		cmocka_unit_test(another_mode_is_refused),
		cmocka_unit_test(link_is_pinned_and_updated),
		cmocka_unit_test(link_of_a_vanished_device_is_remade),
		cmocka_unit_test(attach_none_leaves_it_to_the_operator),
		cmocka_unit_test(guard_is_one_filter_and_goes_with_its_clsact),
		cmocka_unit_test(guard_leaves_other_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
