/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xipsec.conf(5) and the command line of xipsecd(8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "options.h"

struct messages {
	unsigned int n;
	char text[64][768];
};

static void collect(void *arg, const char *text)
{
	struct messages *m = arg;

	assert_true(m->n < 64);
	snprintf(m->text[m->n++], sizeof(m->text[0]), "%s", text);
}

static int parse_bytes(struct xi_config_file **out, const char *text, size_t len,
		       struct messages *m)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, len, "r");
	int err;

	assert_non_null(file);
	m->n = 0;
	err = xi_config_parse(out, file, "xipsec.conf", collect, m);
	fclose(file);
	return err;
}

static int parse(struct xi_config_file **out, const char *text, struct messages *m)
{
	return parse_bytes(out, text, strlen(text), m);
}

static void test_smallest_file_gets_the_documented_defaults(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, "[port wan0]\nrole = cipher\n", &m), 0);
	assert_int_equal(m.n, 0);
	assert_string_equal(c->run_dir, "/run/xipsec");
	assert_string_equal(c->pin_dir, "/sys/fs/bpf/xipsec");
	assert_string_equal(c->state_dir, "/var/lib/xipsec");
	assert_string_equal(c->group, "xipsec");
	assert_string_equal(c->engine, "auto");
	assert_null(c->sas);
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->spin_us, 0);
	assert_int_equal(c->df, XI_DF_COPY);
	assert_int_equal(c->fragment, XI_FRAGMENT_BEFORE);
	assert_int_equal(c->max_sas, 65536);
	assert_int_equal(c->max_policies, 16384);
	assert_int_equal(c->sa_entries, 1024);
	assert_int_equal(c->flow_entries, 65536);
	assert_null(c->admission);
	assert_int_equal(c->misses, 5000);
	assert_int_equal(c->unknown_spi, XI_METHOD_DROP);
	assert_int_equal(c->mirror, 0);
	assert_int_equal(c->routes_table, 0);
	assert_int_equal(c->nports, 1);
	assert_string_equal(c->ports[0].name, "wan0");
	assert_int_equal(c->ports[0].role, XI_ROLE_CIPHER);
	assert_int_equal(c->ports[0].mode, XI_PORT_NATIVE);
	assert_int_equal(c->ports[0].attach, XI_ATTACH_NETLINK);
	assert_int_equal(c->ports[0].tx, XI_PORT_TX_AUTO);
	assert_int_equal(c->ports[0].line, 1);
	xi_config_free(c);
}

static void test_routes_go_to_a_table_that_nobody_else_has(void **state)
{
	static const char *const bad[] = {"0", "220", "253", "254", "255", "4294967296", "-1", "main", ""};
	struct xi_config_file *c;
	struct messages m;
	char text[128];

	assert_int_equal(parse(&c, "[daemon]\nroutes = yes\n[port a]\nrole = cipher\n", &m), 0);
	assert_int_equal(c->routes_table, 50051);
	xi_config_free(c);
	assert_int_equal(parse(&c, "[daemon]\nroutes = no\n[port a]\nrole = cipher\n", &m), 0);
	assert_int_equal(c->routes_table, 0);
	xi_config_free(c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "[daemon]\nroutes = %s\n[port a]\nrole = cipher\n", bad[i]);
		assert_int_equal(parse(&c, text, &m), -EINVAL);
		assert_int_equal(m.n, 1);
		assert_non_null(strstr(m.text[0], "xipsec.conf:2: routes = "));
	}
}

/* Who may look must not get at keys by it. */
static void test_key_managers_have_a_group_of_their_own(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, "[daemon]\n[port a]\nrole = cipher\n", &m), 0);
	assert_null(c->xfrm_group);
	xi_config_free(c);
	assert_int_equal(parse(&c, "[daemon]\nxfrm-group = xipsec\n[port a]\nrole = cipher\n", &m), -EINVAL);
	assert_int_equal(m.n, 1);
	assert_non_null(strstr(m.text[0], "may only look"));
}

static void test_every_key_is_read(void **state)
{
	static const char text[] = "\xef\xbb\xbf# comment\n"
				   "[daemon]\n"
				   "run-dir = /run/a\n"
				   "  pin-dir=/sys/fs/bpf/a\n"
				   "state-dir: /var/lib/a ; comment\n"
				   "sas = /etc/xipsec/sas\n"
				   "group = net\n"
				   "xfrm-group = ike\n"
				   "engine = openssl\n"
				   "workers = 4\r\n"
				   "spin = 10000\n"
				   "routes = 4294967295\n"
				   "hold = 256\n"
				   "hold-time = 3600\n"
				   "df = clear\n"
				   "fragment = after\n"
				   "max-sas = 1048576\n"
				   "max-policies = 131072\n"
				   "unknown-spi = pass\n"
				   "mirror = yes\n"
				   "[cache]\n"
				   "sa-entries = 16\n"
				   "flow-entries = 4194304\n"
				   "admission = lru\n"
				   "misses = 1000000\n"
				   "\n"
				   "[ port  wan0 ]\n"
				   "role = cipher\nmode = skb\nattach = none\ntx = xsk\noffload = yes\noffload-slots = 33\n"
				   "[port lan-of-15-bytes]\n"
				   "role = plain\ntx = burst\nattach = link\n"
				   "[interface ipsec-of-15-chr]\nif-id = 0xFFFFFFFF\n"
				   "[ interface ipsec2]\nif-id = 42\n"
				   "[port lan1]\n"
				   "role = plain\ntx = auto";
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, text, &m), 0);
	assert_string_equal(c->run_dir, "/run/a");
	assert_string_equal(c->pin_dir, "/sys/fs/bpf/a");
	assert_string_equal(c->state_dir, "/var/lib/a");
	assert_string_equal(c->sas, "/etc/xipsec/sas");
	assert_string_equal(c->group, "net");
	assert_string_equal(c->xfrm_group, "ike");
	assert_int_equal(c->routes_table, 4294967295U);
	assert_string_equal(c->engine, "openssl");
	assert_int_equal(c->workers, 4);
	assert_int_equal(c->spin_us, 10000);
	assert_int_equal(c->hold, 256);
	assert_int_equal(c->hold_s, 3600);
	assert_int_equal(c->df, XI_DF_CLEAR);
	assert_int_equal(c->fragment, XI_FRAGMENT_AFTER);
	assert_int_equal(c->max_sas, 1048576);
	assert_int_equal(c->max_policies, 131072);
	assert_int_equal(c->unknown_spi, XI_METHOD_KERNEL);
	assert_int_equal(c->mirror, 1);
	assert_int_equal(c->sa_entries, 16);
	assert_int_equal(c->flow_entries, 4194304);
	assert_string_equal(c->admission, "lru");
	assert_int_equal(c->misses, 1000000);
	assert_int_equal(c->nports, 3);
	assert_string_equal(c->ports[0].name, "wan0");
	assert_int_equal(c->ports[0].mode, XI_PORT_SKB);
	assert_int_equal(c->ports[0].attach, XI_ATTACH_NONE);
	assert_int_equal(c->ports[0].tx, XI_PORT_TX_XSK);
	assert_int_equal(c->ports[0].offload, 1);
	assert_int_equal(c->ports[0].offload_slots, 33);
	assert_int_equal(c->ports[1].offload, 0);
	assert_string_equal(c->ports[1].name, "lan-of-15-bytes");
	assert_int_equal(c->ports[1].role, XI_ROLE_PLAIN);
	assert_int_equal(c->ports[1].attach, XI_ATTACH_LINK);
	assert_int_equal(c->ports[1].tx, XI_PORT_TX_BURST);
	assert_int_equal(c->ports[2].tx, XI_PORT_TX_AUTO);
	assert_int_equal(c->ninterfaces, 2);
	assert_string_equal(c->interfaces[0].name, "ipsec-of-15-chr");
	assert_int_equal(c->interfaces[0].if_id, 0xffffffff);
	assert_string_equal(c->interfaces[1].name, "ipsec2");
	assert_int_equal(c->interfaces[1].if_id, 42);
	xi_config_free(c);
}

#define CIPHER "[port wan0]\nrole = cipher\n"

static const struct {
	const char *text, *message;
} bad[] = {
	{ "[port a]\nrole = foo\n", "xipsec.conf:2: role = foo: a port is cipher or plain" },
	{ CIPHER "mode = fast\n", "xipsec.conf:3: mode = fast: a mode is native or skb" },
	{ CIPHER "attach = glue\n",
	  "xipsec.conf:3: attach = glue: attach by netlink, link or none" },
	{ CIPHER "[daemon]\ndf = on\n", "xipsec.conf:4: df = on: df is copy, set or clear" },
	{ CIPHER "[daemon]\nfragment = never\n",
	  "xipsec.conf:4: fragment = never: fragment before or after" },
	{ CIPHER "tx = fast\n", "xipsec.conf:3: tx = fast: tx is auto, burst or xsk" },
	{ CIPHER "tx = Burst\n", "xipsec.conf:3: tx = Burst: tx is auto, burst or xsk" },
	{ CIPHER "tx =\n", "xipsec.conf:3: tx = : tx is auto, burst or xsk" },
	{ CIPHER "tx = xsk\ntx = xsk\n",
	  "xipsec.conf:4: tx is given twice: keep one of the two" },
	{ CIPHER "[daemon]\ntx = xsk\n",
	  "xipsec.conf:4: tx: not a key of this section: put it below [port IFNAME]" },
	{ CIPHER "[daemon]\nsa-entries = 64\n",
	  "xipsec.conf:4: sa-entries: not a key of this section: put it below [cache]" },
	{ CIPHER "[cache]\nmax-sas = 64\n",
	  "xipsec.conf:4: max-sas: not a key of this section: put it below [daemon]" },
	{ CIPHER "[cache]\nsa-entrys = 64\n",
	  "xipsec.conf:4: sa-entrys: unknown key: did you mean sa-entries? see xipsec.conf(5)" },
	{ CIPHER "[daemon]\nWrokers = 2\n",
	  "xipsec.conf:4: Wrokers: unknown key: did you mean workers? see xipsec.conf(5)" },
	{ CIPHER "[daemon]\nmax_sas = 64\n",
	  "xipsec.conf:4: max_sas: unknown key: did you mean max-sas? see xipsec.conf(5)" },
	{ CIPHER "[daemon]\nxfrmgroup = ike\n",
	  "xipsec.conf:4: xfrmgroup: unknown key: did you mean xfrm-group? see xipsec.conf(5)" },
	{ CIPHER "xt = xsk\n",
	  "xipsec.conf:3: xt: unknown key: did you mean tx? see xipsec.conf(5)" },
	{ CIPHER "tf = xsk\n", /* df of [daemon] is as near */
	  "xipsec.conf:3: tf: unknown key: did you mean tx? see xipsec.conf(5)" },
	{ CIPHER "misess = 3\n",
	  "xipsec.conf:3: misess: unknown key: did you mean misses, below [cache]? see xipsec.conf(5)" },
	{ CIPHER "[interface a]\nif-id = 7\nif_id = 7\n",
	  "xipsec.conf:5: if_id: unknown key: did you mean if-id? see xipsec.conf(5)" },
	{ CIPHER "a-name-longer-than-any-key-that-there-is = 3\n",
	  "xipsec.conf:3: a-name-longer-than-any-key-that-there-is: unknown key: see xipsec.conf(5) for those of [port IFNAME]" },
	{ CIPHER "role = plain\n", "xipsec.conf:3: role is given twice: keep one of the two" },
	{ CIPHER "colour = red\n",
	  "xipsec.conf:3: colour: unknown key: see xipsec.conf(5) for those of [port IFNAME]" },
	{ CIPHER "role\n",
	  "xipsec.conf:3: neither [section], key = value, nor a comment: correct the line" },
	{ CIPHER "[daemon\n",
	  "xipsec.conf:3: neither [section], key = value, nor a comment: correct the line" },
	{ CIPHER "[daemon\nworkers = 3\n",
	  "xipsec.conf:3: neither [section], key = value, nor a comment: correct the line" },
	{ "[port wan0\nrole = cipher\n",
	  "xipsec.conf:1: neither [section], key = value, nor a comment: correct the line" },
	{ "[prot wan0]\nrole = cipher\n",
	  "xipsec.conf:1: [prot wan0]: unknown section: there are [daemon], [cache], [port "
	  "IFNAME] and [interface NAME]" },
	{ CIPHER "[daemon] workers = 3\n",
	  "xipsec.conf:3: text behind a section's heading: put it on a line of its own" },
	{ CIPHER "[deamon]\nworkers = x\n",
	  "xipsec.conf:3: [deamon]: unknown section: there are [daemon], [cache], [port "
	  "IFNAME] and [interface NAME]" },
	{ CIPHER "[interface a]\n",
	  "xipsec.conf:3: [interface a] has no number: add if-id, as SAs and policies have it" },
	{ CIPHER "[interface a]\nif-id = 0\n",
	  "xipsec.conf:4: if-id = 0: an if-id is a number from 1 to 0xffffffff" },
	{ CIPHER "[interface a]\nif-id = 0x100000000\n",
	  "xipsec.conf:4: if-id = 0x100000000: an if-id is a number from 1 to 0xffffffff" },
	{ CIPHER "[interface a]\nif-id = 0x\n",
	  "xipsec.conf:4: if-id = 0x: an if-id is a number from 1 to 0xffffffff" },
	{ CIPHER "[interface a]\nif-id = -1\n",
	  "xipsec.conf:4: if-id = -1: an if-id is a number from 1 to 0xffffffff" },
	{ CIPHER "[interface a]\nif-id = 7\n[interface b]\nif-id = 0x7\n",
	  "xipsec.conf:6: if-id = 0x7: another interface has this number: give each its own" },
	{ CIPHER "[interface a]\nif-id = 7\n[interface a]\nif-id = 8\n",
	  "xipsec.conf:5: [interface a]: given already: keep one of the two" },
	{ CIPHER "[interface wan0]\nif-id = 7\n",
	  "xipsec.conf:3: [interface wan0]: this is a port: give the interface a name of its own" },
	{ CIPHER "[interface xipsec0]\nif-id = 7\n",
	  "xipsec.conf:3: [interface xipsec0]: this device is the daemon's own: name a network card, or an interface to make" },
	{ CIPHER "[interface xipsec-2a]\nif-id = 7\n",
	  "xipsec.conf:3: [interface xipsec-2a]: this device is the daemon's own: name a network card, or an interface to make" },
	{ CIPHER "[interface]\nif-id = 7\n",
	  "xipsec.conf:3: [interface ]: give it a name: [interface NAME]" },
	{ CIPHER "[portal]\n",
	  "xipsec.conf:3: [portal]: unknown section: there are [daemon], [cache], [port "
	  "IFNAME] and [interface NAME]" },
	{ CIPHER "[port wan0]\nrole = plain\n",
	  "xipsec.conf:3: [port wan0] was given in line 1 already: keep one of the two" },
	{ CIPHER "[port]\nrole = plain\n",
	  "xipsec.conf:3: [port ]: give the device's name: [port IFNAME]" },
	{ CIPHER "[port sixteen-letters1]\n",
	  "xipsec.conf:3: [port sixteen-letters1]: a device name has at most 15 characters" },
	{ CIPHER "[port a/b]\n",
	  "xipsec.conf:3: [port a/b]: a device name has no '/', ':' or space" },
	{ CIPHER "[port a b]\n",
	  "xipsec.conf:3: [port a b]: a device name has no '/', ':' or space" },
	{ CIPHER "[port ..]\n", "xipsec.conf:3: [port ..]: this is no device name" },
	{ CIPHER "[port xipsec0]\nrole = plain\n",
	  "xipsec.conf:3: [port xipsec0]: this device is the daemon's own: name a network card, or an interface to make" },
	{ CIPHER "\n[port lan0]\n",
	  "xipsec.conf:4: [port lan0] has no role: add role = cipher or role = plain" },
	{ "[port lan0]\nrole = plain\n",
	  "xipsec.conf: no cipher port: add a [port IFNAME] with role = cipher" },
	{ "", "xipsec.conf: no cipher port: add a [port IFNAME] with role = cipher" },
	{ "workers = 3\n" CIPHER,
	  "xipsec.conf:1: workers stands before the first section: put it below [daemon]" },
	{ "sa-entries = 64\n" CIPHER,
	  "xipsec.conf:1: sa-entries stands before the first section: put it below [cache]" },
	{ "speed = 3\n" CIPHER,
	  "xipsec.conf:1: speed stands before the first section: put it below [daemon], "
	  "[cache], [port IFNAME] or [interface NAME]" },
	{ CIPHER "[daemon]\nworkers = 17\n", "xipsec.conf:4: workers = 17: give auto, or 1 to 16" },
	{ CIPHER "[daemon]\nworkers = -1\n", "xipsec.conf:4: workers = -1: give auto, or 1 to 16" },
	{ CIPHER "[daemon]\nworkers =\n", "xipsec.conf:4: workers = : give auto, or 1 to 16" },
	{ CIPHER "[daemon]\nworkers = 4# four\n",
	  "xipsec.conf:4: workers = 4# four: give auto, or 1 to 16" },
	{ CIPHER "[daemon]\nworkers = # four\n",
	  "xipsec.conf:4: workers = : give auto, or 1 to 16" },
	{ CIPHER "[daemon]\nsas = \"/etc/sas\n",
	  "xipsec.conf:4: sas = \"/etc/sas: a quote that nothing closes: add the other one, or remove it; "
	  "a space and ';' begin a comment anywhere" },
	{ CIPHER "[daemon]\nsas = \"/etc/a ;b\"\n",
	  "xipsec.conf:4: sas = \"/etc/a: a quote that nothing closes: add the other one, or remove it; "
	  "a space and ';' begin a comment anywhere" },
	{ CIPHER "[daemon]\nsas = \"\n",
	  "xipsec.conf:4: sas = \": a quote that nothing closes: add the other one, or remove it; "
	  "a space and ';' begin a comment anywhere" },
	{ CIPHER "[daemon]\nsas = '/etc/sas' too\n",
	  "xipsec.conf:4: sas = '/etc/sas' too: text behind the closing quote: remove it, or the quotes" },
	{ CIPHER "[daemon]\nsas = \"sas\"\n",
	  "xipsec.conf:4: sas = sas: give the absolute path of an ip -batch file" },
	{ CIPHER "[daemon]\nsas = \"\"\n",
	  "xipsec.conf:4: sas = : give the absolute path of an ip -batch file" },
	{ CIPHER "[port \"lan0\"]\nrole = plain\n",
	  "xipsec.conf:3: [port \"lan0\"]: a device name stands without quotes: remove them" },
	{ CIPHER "[interface 'ipsec0']\nif-id = 7\n",
	  "xipsec.conf:3: [interface 'ipsec0']: a device name stands without quotes: remove them" },
	{ CIPHER "[daemon]\nspin = 10001\n", "xipsec.conf:4: spin = 10001: give microseconds, 0 to 10000" },
	{ CIPHER "[daemon]\nhold = 257\n", "xipsec.conf:4: hold = 257: give packets of one flow, 0 to 256" },
	{ CIPHER "[daemon]\nhold-time = 0\n",
	  "xipsec.conf:4: hold-time = 0: give auto, or seconds, 1 to 3600" },
	{ CIPHER "[port xipsec-tx3]\nrole = plain\n",
	  "xipsec.conf:3: [port xipsec-tx3]: this device is the daemon's own: name a network card, or an interface to make" },
	{ CIPHER "[daemon]\nmax-sas = 1048577\n",
	  "xipsec.conf:4: max-sas = 1048577: give a number of SAs, 16 to 1048576" },
	{ CIPHER "[daemon]\nmax-sas = 18446744073709551632\n",
	  "xipsec.conf:4: max-sas = 18446744073709551632: give a number of SAs, 16 to 1048576" },
	{ CIPHER "[daemon]\nmax-policies = 131073\n",
	  "xipsec.conf:4: max-policies = 131073: give a number of policies, 16 to 131072" },
	{ CIPHER "[daemon]\nmax-sas = 0x100\n",
	  "xipsec.conf:4: max-sas = 0x100: give a number of SAs, 16 to 1048576" },
	{ CIPHER "[cache]\nsa-entries = 0\n",
	  "xipsec.conf:4: sa-entries = 0: give a number of SAs, 1 to 1048576" },
	{ CIPHER "[cache]\nflow-entries = 4194305\n",
	  "xipsec.conf:4: flow-entries = 4194305: give a number of flows, 1 to 4194304" },
	{ CIPHER "[cache]\nadmission = fifo\n",
	  "xipsec.conf:4: admission = fifo: admission is by rate or lru" },
	{ CIPHER "[cache]\nmisses = 0\n",
	  "xipsec.conf:4: misses = 0: give messages a second and CPU, 1 to 1000000" },
	{ CIPHER "[daemon]\nmax-sas = 100\n[cache]\nsa-entries = 1024\n",
	  "xipsec.conf: sa-entries = 1024 is more than max-sas = 100: lower it or raise "
	  "max-sas" },
	{ CIPHER "[daemon]\nengine = qat\n",
	  "xipsec.conf:4: engine = qat: an engine is auto, ipsec-mb or openssl" },
	{ CIPHER "[daemon]\nmirror = 1\n", "xipsec.conf:4: mirror = 1: mirror is yes or no" },
	{ CIPHER "offload = 1\n", "xipsec.conf:3: offload = 1: offload is yes or no" },
	{ CIPHER "offload = yes\n",
	  "xipsec.conf:1: [port wan0] offload = yes puts SAs that a mirror has into a device by which ESP leaves: it wants mirror = yes and role = cipher" },
	{ CIPHER "[port lan0]\nrole = plain\noffload = yes\n[daemon]\nmirror = yes\n",
	  "xipsec.conf:3: [port lan0] offload = yes puts SAs that a mirror has into a device by which ESP leaves: it wants mirror = yes and role = cipher" },
	{ CIPHER "offload-slots = 33\n",
	  "xipsec.conf:1: [port wan0] offload-slots without offload = yes: add that, or remove it" },
	{ CIPHER "[daemon]\nunknown-spi = maybe\n",
	  "xipsec.conf:4: unknown-spi = maybe: ESP of an unknown SPI is drop or pass" },
	{ CIPHER "[daemon]\nrun-dir = run\n",
	  "xipsec.conf:4: run-dir = run: give an absolute path of at most 90 bytes" },
	{ CIPHER
	  "[daemon]\nrun-dir = "
	  "/0123456789012345678901234567890123456789012345678901234567890123456789"
	  "01234567890123456789\n",
	  "xipsec.conf:4: run-dir = "
	  "/0123456789012345678901234567890123456789012345678901234567890123456789"
	  "01234567890123456789: give an absolute path of at most 90 bytes" },
	{ CIPHER "[daemon]\nsas = sas.batch\n",
	  "xipsec.conf:4: sas = sas.batch: give the absolute path of an ip -batch file" },
	{ CIPHER "[daemon]\nrole = cipher\n",
	  "xipsec.conf:4: role: not a key of this section: put it below [port IFNAME]" },
	{ CIPHER "[daemon]\nspeed = 3\n",
	  "xipsec.conf:4: speed: unknown key: see xipsec.conf(5) for those of [daemon]" },
};

static void test_each_error_names_file_line_and_remedy(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = NULL;
		assert_int_equal(parse(&c, bad[i].text, &m), -EINVAL);
		assert_null(c);
		assert_string_equal(m.text[0], bad[i].message);
		assert_int_equal(m.n, 1);
	}
}

static void test_few_sas_may_all_be_fast(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, CIPHER "[daemon]\nmax-sas = 100\n", &m), 0);
	assert_int_equal(c->sa_entries, 100);
	xi_config_free(c);
}

static void test_comments_and_quotes_are_no_part_of_a_value(void **state)
{
	static const struct {
		const char *text, *sas;
	} files[] = {
		{ "sas = /etc/sas # theirs", "/etc/sas" },
		{ "sas = /etc/sas\t#theirs", "/etc/sas" },
		{ "sas = /etc/sas ; theirs # and ours", "/etc/sas" },
		{ "sas = /etc/sas # theirs ; and ours", "/etc/sas" },
		{ "sas = /etc/sas#1", "/etc/sas#1" },
		{ "sas = /etc/sas;1", "/etc/sas;1" },
		{ "sas = /etc/my sas", "/etc/my sas" },
		{ "sas = \"/etc/sas\"", "/etc/sas" },
		{ "sas = '/etc/my sas'", "/etc/my sas" },
		{ "sas = \"/etc/sas #1\" # theirs", "/etc/sas #1" },
		{ "sas = \"/etc/sas\" ; theirs", "/etc/sas" },
		{ "sas = \"/etc/o'sas\"", "/etc/o'sas" },
		{ "sas = /etc/\"sas\"", "/etc/\"sas\"" },
	};
	struct xi_config_file *c;
	struct messages m;
	char text[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(text, sizeof(text), "[daemon] # all of it\n%s\n[port a] # wan\nrole = cipher # out\n",
			 files[i].text);
		assert_int_equal(parse(&c, text, &m), 0);
		assert_string_equal(c->sas, files[i].sas);
		assert_string_equal(c->ports[0].name, "a");
		xi_config_free(c);
	}
}

static void test_a_key_of_the_daemon_has_its_line(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, CIPHER "[daemon]\n\nxfrm-group = ike\n", &m), 0);
	assert_int_equal(xi_config_line(c, "xfrm-group"), 5);
	assert_int_equal(xi_config_line(c, "group"), 0);
	assert_int_equal(xi_config_line(c, "role"), 0); /* each port has its own */
	xi_config_free(c);
}

static void test_all_errors_are_reported_at_once(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(
		parse(&c, "[daemon]\nworkers = x\nspeed = 3\n[port a]\n[port b]\nrole = c\n", &m),
		-EINVAL);
	assert_int_equal(m.n, 4);
	assert_string_equal(m.text[0], "xipsec.conf:2: workers = x: give auto, or 1 to 16");
	assert_string_equal(m.text[1],
			    "xipsec.conf:3: speed: unknown key: see xipsec.conf(5) for those of [daemon]");
	assert_string_equal(m.text[2], "xipsec.conf:6: role = c: a port is cipher or plain");
	assert_string_equal(
		m.text[3],
		"xipsec.conf:4: [port a] has no role: add role = cipher or role = plain");
}

static void test_more_ports_than_slots(void **state)
{
	char text[2048] = "";
	struct xi_config_file *c;
	struct messages m;

	for (int i = 0; i < XI_MAX_PORTS - 1; i++)
		sprintf(text + strlen(text), "[port p%d]\nrole = cipher\n", i);
	assert_int_equal(parse(&c, text, &m), 0);
	assert_int_equal(c->nports, XI_MAX_PORTS - 1);
	xi_config_free(c);
	strcat(text, "[port last]\nrole = cipher\n");
	assert_int_equal(parse(&c, text, &m), -EINVAL);
	assert_int_equal(m.n, 1);
	assert_string_equal(m.text[0],
			    "xipsec.conf:31: [port last]: more than 15 ports: remove one");
}

static void test_hostile_files_are_refused(void **state)
{
	static const char zero[] = "[port wan0]\nrole = cip\0her\n";
	struct xi_config_file *c = NULL;
	struct messages m;
	char *text = malloc(1 << 20);

	assert_int_equal(parse_bytes(&c, zero, sizeof(zero) - 1, &m), -EINVAL);
	assert_string_equal(m.text[0], "xipsec.conf:2: zero byte: this is no text file");

	memset(text, 'x', 1 << 20);
	assert_int_equal(parse_bytes(&c, text, 1 << 20, &m), -EINVAL);
	assert_string_equal(m.text[0], "xipsec.conf:1: line of more than 199 bytes: shorten it");

	for (int i = 0; i < (1 << 20); i += 4)
		memcpy(text + i, "[x]\n", 4);
	assert_int_equal(parse_bytes(&c, text, 1 << 20, &m), -EINVAL);
	assert_int_equal(m.n, 51); /* a bound on what is printed */
	assert_string_equal(m.text[50], "... and more errors");
	assert_null(c);
	free(text);
}

static void test_a_line_that_starts_with_space_is_no_continuation(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, "[port wan0]\nrole = cipher\n [port lan0]\n role = plain\n", &m),
			 0);
	assert_int_equal(c->nports, 2);
	assert_int_equal(c->ports[1].role, XI_ROLE_PLAIN);
	xi_config_free(c);
}

static void test_a_missing_file_is_an_error(void **state)
{
	struct xi_config_file *c = NULL;

	assert_int_equal(xi_config_load(&c, "/nonexistent/xipsec.conf"), -ENOENT);
	assert_true(xi_config_load(&c, "/") < 0);
	assert_null(c);
}

static void test_options_override_directories(void **state)
{
	struct xi_config_file *c;
	struct messages m;

	assert_int_equal(parse(&c, CIPHER, &m), 0);
	assert_int_equal(xi_config_override(c, NULL, NULL), 0);
	assert_string_equal(c->run_dir, "/run/xipsec");
	assert_int_equal(xi_config_override(c, "/run/b", "/sys/fs/bpf/b"), 0);
	assert_string_equal(c->run_dir, "/run/b");
	assert_string_equal(c->pin_dir, "/sys/fs/bpf/b");
	assert_int_equal(xi_config_override(c, "b", NULL), -EINVAL);
	assert_string_equal(c->run_dir, "/run/b");
	xi_config_free(c);
}

#define ARGS(...)                                                                                  \
	(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)), (char *[])                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void test_command_line(void **state)
{
	struct xi_options o;

	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd")), XI_OPTIONS_RUN);
	assert_string_equal(o.config, "/etc/xipsec/xipsec.conf");
	assert_false(o.check);
	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd", "-nvc", "f", "--run-dir=/a",
						   "--pin-dir", "/b")),
			 XI_OPTIONS_RUN);
	assert_string_equal(o.config, "f");
	assert_string_equal(o.run_dir, "/a");
	assert_string_equal(o.pin_dir, "/b");
	assert_true(o.check);
	assert_int_equal(o.verbose, 1);
	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd", "--version")), XI_OPTIONS_DONE);
	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd", "file.conf")), XI_OPTIONS_BAD);
	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd", "--wat")), XI_OPTIONS_BAD);
	assert_int_equal(xi_options_parse(&o, ARGS("xipsecd", "-c")), XI_OPTIONS_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest_file_gets_the_documented_defaults),
		cmocka_unit_test(test_routes_go_to_a_table_that_nobody_else_has),
		cmocka_unit_test(test_every_key_is_read),
		cmocka_unit_test(test_key_managers_have_a_group_of_their_own),
		cmocka_unit_test(test_few_sas_may_all_be_fast),
		cmocka_unit_test(test_each_error_names_file_line_and_remedy),
		cmocka_unit_test(test_comments_and_quotes_are_no_part_of_a_value),
		cmocka_unit_test(test_a_key_of_the_daemon_has_its_line),
		cmocka_unit_test(test_all_errors_are_reported_at_once),
		cmocka_unit_test(test_more_ports_than_slots),
		cmocka_unit_test(test_hostile_files_are_refused),
		cmocka_unit_test(test_a_line_that_starts_with_space_is_no_continuation),
		cmocka_unit_test(test_a_missing_file_is_an_error),
		cmocka_unit_test(test_options_override_directories),
		cmocka_unit_test(test_command_line),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
