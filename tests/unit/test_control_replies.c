/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The JSON of the control socket's commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xipsec/reasons.h>

#include "control/cachecmd.h"
#include "control/print.h"
#include "control/show.h"
#include "control_bed.h"

static json_t *ask_json(struct fake *f, const char *request)
{
	char *text = ask(f, request);
	json_t *reply = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(reply);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
	free(text);
	return reply;
}

static void assert_json(const json_t *got, const char *want_text)
{
	json_error_t error;
	json_t *want = json_loads(want_text, 0, &error);
	char *a, *b;

	if (!want)
		fail_msg("test's own JSON: %s at %d", error.text, error.position);
	a = json_dumps(got, JSON_SORT_KEYS | JSON_INDENT(1));
	b = json_dumps(want, JSON_SORT_KEYS | JSON_INDENT(1));
	assert_string_equal(a, b);
	free(a);
	free(b);
	json_decref(want);
}

/* What depends on the clock: checked to lie within two seconds of `about`, then set to it. */
static void pin_time(json_t *object, const char *name, json_int_t about)
{
	json_int_t got = json_integer_value(json_object_get(object, name));

	assert_true(json_is_integer(json_object_get(object, name)));
	assert_in_range(got, about, about + 2);
	json_object_set_new(object, name, json_integer(about));
}

static void test_show_has_the_documented_shape(void **state)
{
	struct fake *f = *state;
	struct timespec now;
	json_t *reply, *daemon;

	clock_gettime(CLOCK_MONOTONIC, &now);
	f->src.started = (uint64_t)now.tv_sec - 1;
	reply = ask_json(f, "{\"cmd\":\"show\"}\n");
	daemon = json_object_get(reply, "daemon");
	pin_time(daemon, "uptime", 1);
	pin_time(json_array_get(json_object_get(reply, "sas"), 0), "age", 100);
	pin_time(json_array_get(json_object_get(reply, "sas"), 0), "first_use", 90);
	pin_time(json_array_get(json_object_get(reply, "sas"), 0), "last_use", 4);
	pin_time(json_array_get(json_object_get(reply, "sas"), 1), "age", 100);
	assert_int_equal(json_integer_value(json_object_get(daemon, "pid")), getpid());
	assert_true(json_integer_value(json_object_get(daemon, "netns")) > 0);
	json_object_del(daemon, "pid");
	json_object_del(daemon, "netns");
	json_object_del(daemon, "version");
	assert_json(
		reply,
		"{\"daemon\": {\"uptime\": 1, \"run_dir\": \"/run/xipsec\", \"pin_dir\": "
		"\"/sys/fs/bpf/xipsec\","
		"  \"engine\": \"openssl\", \"workers\": 2, \"ports\": [{\"name\": \"wan0\", "
		"\"role\": \"cipher\","
		"  \"mode\": \"native\", \"attach\": \"netlink\", \"ifindex\": 3, \"slot\": 1, "
		"\"queues\": 2,"
		"  \"mtu\": 1500, \"packet_max\": 3500, \"mac\": \"02:00:00:00:00:aa\"}],"
		"  \"interfaces\": [{\"name\": \"ipsec1\", \"if_id\": 43, \"ifindex\": 7, \"up\": true},"
		"  {\"name\": \"ipsec2\", \"if_id\": 2, \"ifindex\": null, \"up\": false}]},"
		" \"held\": {\"sas\": 2, \"max_sas\": 64, \"policies\": 1, \"max_policies\": 32},"
		" \"waiting\": {\"packets\": 3, \"key_manager\": true},"
		" \"drops\": 14, \"drop_reasons\": {\"replay\": 5, \"unknown_spi\": 10, \"sa_mode\": 9223372036854775807},"
		" \"acquires\": [{\"seq\": 4, \"src\": \"192.0.2.1\", \"dst\": \"192.0.2.2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"reqid\": 7, \"policy\": 9,"
		"  \"flow\": {\"src\": \"10.1.1.2\", \"dst\": \"10.1.2.2\", \"proto\": 17,"
		"  \"sport\": 5000, \"dport\": 53}, \"age\": 2, \"left\": 28}],"
		" \"sas\": [{\"spi\": \"0x00001001\", \"src\": \"198.51.100.2\", \"dst\": "
		"\"192.0.2.1\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"in\", \"handle\": "
		"\"0x00100001\","
		"  \"algorithm\": \"rfc4106(gcm(aes))\", \"key_bits\": 256, \"icv_bits\": 128, "
		"\"esn\": true,"
		"  \"larval\": false, \"replay_window\": 128, \"encap\": {\"type\": \"espinudp\", "
		"\"sport\": 40123, \"dport\": 4500}, \"tfcpad\": 0, \"df\": \"copy\", "
		"\"reqid\": 42, \"mark\": 0, \"mark_mask\": 0, "
		"\"if_id\": 0, \"age\": 100,"
		"  \"cached\": {\"method\": \"fast\", \"slot\": 6}, \"packets\": 12, \"bytes\": "
		"1536,"
		"  \"first_use\": 90, \"last_use\": 4, \"oseq\": 0, \"oseq_limit\": 0, \"top\": 12, \"pmtu\": null,"
		"  \"errors\": {\"replay\": 5, \"integrity\": 0, \"other\": 0}},"
		" {\"spi\": \"0xc0000002\", \"src\": \"2001:db8::1\", \"dst\": \"2001:db8::2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"out\", \"handle\": "
		"\"0x00100002\","
		"  \"algorithm\": \"cbc(aes)\", \"integrity\": \"hmac(sha256)\", \"key_bits\": 128, \"icv_bits\": 128, "
		"\"esn\": false,"
		"  \"larval\": false, \"replay_window\": 0, \"encap\": null, \"tfcpad\": 1300, "
		"\"df\": \"clear\", \"reqid\": 42, \"mark\": 0, \"mark_mask\": 0, "
		"\"if_id\": 0, \"age\": 100,"
		"  \"cached\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"first_use\": null, \"last_use\": null, \"oseq\": 0, \"oseq_limit\": "
		"9223372036854775807,"
		"  \"top\": 0, \"pmtu\": 1400, \"errors\": {\"replay\": 0, \"integrity\": 0, \"other\": 0}}],"
		" \"policies\": [{\"dir\": \"out\", \"action\": \"allow\", \"priority\": 100, "
		"\"index\": 9,"
		"  \"src\": \"10.1.0.0/16\", \"dst\": \"10.2.0.0/16\", \"proto\": 6, \"sport\": "
		"null, \"dport\": 80, \"mark\": 5, \"mark_mask\": 255, \"if_id\": 7,"
		"  \"templates\": [{\"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\", \"proto\": "
		"\"esp\","
		"   \"mode\": \"tunnel\", \"spi\": null, \"reqid\": 42, \"optional\": false}]}],"
		" \"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 3, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 7, \"misses\": 1, \"evictions\": 0, \"entries\": 4, "
		"\"capacity\": 65536},"
		" \"next\": null}");
	json_decref(reply);
}

static void test_a_cached_index_of_an_older_sa_is_not_in_the_cache(void **state)
{
	struct fake *f = *state;
	json_t *reply;

	f->recs[1].sa.id = f->recs[0].sa.id; /* the SA that took the place of the cached one */
	reply = ask_json(f, "{\"cmd\":\"show\"}\n");
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(reply, "sas"), 1), "cached")));
	json_decref(reply);
}

/* As fake_sa_figures() has it. */
#define FIGURES                                                                                    \
	" \"sa_table\": {\"methods\": {\"fast\": 1, \"slow\": 2, \"kernel\": 0, \"drop\": 4},"       \
	"  \"fast_packets\": 300, \"slow_packets\": 100, \"hits_per_million\": 750000,"              \
	"  \"filled\": {\"room\": 0, \"worth\": 8, \"unproven\": 0, \"refused\": 0, \"evicted\": 0,"   \
	"   \"larval\": 0, \"expired\": 0, \"no_key\": 0},"                        \
	"  \"evicted\": {\"admission\": 3, \"kernel\": 16, \"deleted\": 32, \"changed\": 64},"         \
	"  \"lapsed\": 128, \"refused\": 256, \"unproven\": 512},"                                   \
	" \"misses\": {\"sent\": 11, \"lost\": 12, \"repeated\": 13, \"limited\": 14,"                \
	"  \"read\": 2048, \"ring_lost\": 4096, \"stale\": 1024, \"rests\": 9,"                      \
	"  \"latency\": {\"sa\": {\"count\": 3, \"p50_ns\": 40, \"p99_ns\": 40000,"                  \
	"    \"p999_ns\": 40000, \"max_ns\": 40000,"                                               \
	"    \"histogram\": [{\"below_ns\": 32, \"count\": 1}, {\"below_ns\": 64, \"count\": 1},"      \
	"     {\"below_ns\": 65536, \"count\": 1}]},"                                              \
	"   \"flow\": {\"count\": 0, \"p50_ns\": 0, \"p99_ns\": 0, \"p999_ns\": 0, \"max_ns\": 0,"    \
	"    \"histogram\": []}}},"
#define CACHED_SA                                                                                  \
	"{\"spi\": \"0x00001001\", \"dst\": \"192.0.2.1\", \"proto\": \"esp\","                        \
	" \"handle\": \"0x00100001\", \"method\": \"fast\", \"slot\": 6, \"why\": \"worth\","          \
	" \"cached\": true, \"age\": 100, \"hits\": 34, \"uses\": 5, \"misses\": 2}"

static void test_stats_lists_every_reason_and_sums_the_drops(void **state)
{
	struct fake *f = *state;
	json_t *reply = ask_json(f, "{\"cmd\":\"stats\"}\n");
	json_t *reasons = json_object_get(reply, "reasons"), *figures;
	size_t n = 0;

#define X(value, symbol, name, kind, text)                                                         \
	if (value) {                                                                               \
		assert_true(json_is_integer(json_object_get(reasons, name)));                      \
		n++;                                                                               \
	}
	XI_REASONS(X)
#undef X
	assert_int_equal(json_object_size(reasons), n);
	assert_int_equal(json_integer_value(json_object_get(reasons, "replay")), 5);
	assert_int_equal(json_integer_value(json_object_get(reasons, "sa_hit")), 312);
	assert_int_equal(json_integer_value(json_object_get(reasons, "icv_bad")), 0);
	assert_int_equal(json_integer_value(json_object_get(reasons, "sa_mode")),
			 INT64_MAX); /* JSON's bound */
	assert_int_equal(json_integer_value(json_object_get(reply, "drops")),
			 14); /* 5 + 10 + 2^64 - 1 */
	assert_json(json_object_get(reply, "held"),
		    "{\"sas\": 2, \"max_sas\": 64, \"policies\": 1, \"max_policies\": 32}");
	assert_json(json_object_get(reply, "cache"),
		    "{\"hits\": 312, \"misses\": 2, \"evictions\": 3,"
		    " \"entries\": 1, \"capacity\": 1024}");
	assert_json(json_object_get(reply, "flows"),
		    "{\"hits\": 7, \"misses\": 1, \"evictions\": 0,"
		    " \"entries\": 4, \"capacity\": 65536}");
	figures = json_pack("{s:O s:O s:n}", "sa_table", json_object_get(reply, "sa_table"),
			    "misses", json_object_get(reply, "misses"), "end");
	assert_json(figures, "{" FIGURES " \"end\": null}");
	json_decref(figures);
	json_decref(reply);
}

static void test_cache_lists_sas_and_flows(void **state)
{
	struct fake *f = *state;
	json_t *reply = ask_json(f, "{\"cmd\":\"cache\"}\n");

	assert_json(
		reply,
		"{\"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 3, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 7, \"misses\": 1, \"evictions\": 0, \"entries\": 4, "
		"\"capacity\": 65536},"
		FIGURES " \"cached_sas\": [" CACHED_SA "],"
		" \"cached_flows\": [{\"dir\": \"out\", \"src\": \"10.1.0.0/16\", \"dst\": "
		"\"10.2.0.7/32\", \"proto\": 6,"
		"  \"sport\": null, \"dport\": \"0x5000/0xf000\", \"fragment\": false, \"mark\": 5, \"if_id\": 0, "
		"\"verdict\": \"protect\","
		"  \"handle\": \"0x00100002\", \"next_handle\": null, \"slot\": 7, \"next_slot\": "
		"null}],"
		" \"truncated\": false}");
	json_decref(reply);
}

/* Of the table's SAs and of others, by SPI or handle. */
static void test_cache_tells_of_one_sa(void **state)
{
	struct fake *f = *state;
	json_t *reply = ask_json(f, "{\"cmd\":\"cache\",\"sa\":\"0x1001\"}\n");

	assert_json(reply, "{\"cached_sas\": [" CACHED_SA "], \"truncated\": false}");
	json_decref(reply);
	f->states[1].packets += 7;
	f->states[1].packets_asked = f->states[1].packets - 4;
	reply = ask_json(f, "{\"cmd\":\"cache\",\"sa\":\"0x100002\"}\n");
	assert_json(reply, "{\"cached_sas\": [{\"spi\": \"0xc0000002\", \"dst\": \"2001:db8::2\","
			   " \"proto\": \"esp\", \"handle\": \"0x00100002\", \"method\": \"slow\","
			   " \"slot\": null, \"why\": \"not_asked\", \"cached\": false, \"age\": null,"
			   " \"hits\": 0, \"uses\": 4, \"misses\": 0}], \"truncated\": false}");
	json_decref(reply);
	reply = ask_json(f, "{\"cmd\":\"cache\",\"sa\":\"77\"}\n");
	assert_json(reply, "{\"error\": \"no SA has this SPI or handle: `xipsec show` lists them\"}");
	json_decref(reply);
	reply = ask_json(f, "{\"cmd\":\"cache\",\"sa\":\"-1\"}\n");
	assert_json(reply, "{\"error\": \"no SPI and no handle: give one of `xipsec show`, as 0x1001\"}");
	json_decref(reply);
}

#define WAN0                                                                                       \
	"{\"name\": \"wan0\", \"role\": \"cipher\", \"mode\": \"native\", \"attach\": "              \
	"\"netlink\", \"ifindex\": 3, \"slot\": 1, \"queues\": 2, \"mtu\": 1500, "                   \
	"\"packet_max\": 3500, "                                                                   \
	"\"mac\": \"02:00:00:00:00:aa\", "

static void test_port_tells_how_packets_leave(void **state)
{
	struct fake *f = *state;
	json_t *reply = ask_json(f, "{\"cmd\":\"port\"}\n");

	assert_json(reply,
		    "{\"ports\": [" WAN0 "\"tx\": {\"configured\": \"auto\", \"path\": \"burst\","
		    " \"why\": \"the driver has no zero-copy, and the probe passed\","
		    " \"zerocopy\": false, \"paused\": true, \"burst_packets\": 1000,"
		    " \"burst_lost\": 3, \"xsk_packets\": 12, \"pauses\": 2},"
		    " \"device\": {\"xdp_xmit\": 997, \"xdp_xmit_errors\": 3}}]}");
	json_decref(reply);
}

static void test_port_tells_what_was_configured(void **state)
{
	static const struct {
		enum xi_port_tx tx;
		const char *name;
	} cases[] = {
		{ XI_PORT_TX_AUTO, "auto" },
		{ XI_PORT_TX_BURST, "burst" },
		{ XI_PORT_TX_XSK, "xsk" },
	};
	struct fake *f = *state;
	json_t *reply, *port;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->port.config.tx = cases[i].tx;
		reply = ask_json(f, "{\"cmd\":\"port\"}\n");
		port = json_array_get(json_object_get(reply, "ports"), 0);
		assert_string_equal(json_string_value(json_object_get(json_object_get(port, "tx"),
								      "configured")),
				    cases[i].name);
		json_decref(reply);
	}
}

static void test_port_of_a_device_that_does_not_count(void **state)
{
	struct fake *f = *state;
	json_t *reply;

	f->tx = (struct xi_tx_status){ .path = "xsk", .zerocopy = true, .xsk_packets = UINT64_MAX };
	f->xmit.counts_errors = false;
	reply = ask_json(f, "{\"cmd\":\"port\"}\n");
	assert_json(reply,
		    "{\"ports\": [" WAN0 "\"tx\": {\"configured\": \"auto\", \"path\": \"xsk\","
		    " \"why\": \"\", \"zerocopy\": true, \"paused\": false, \"burst_packets\": 0,"
		    " \"burst_lost\": 0, \"xsk_packets\": 9223372036854775807, \"pauses\": 0},"
		    " \"device\": {\"xdp_xmit\": 997, \"xdp_xmit_errors\": null}}]}");
	json_decref(reply);
	f->xmit_err = -EOPNOTSUPP;
	reply = ask_json(f, "{\"cmd\":\"port\"}\n");
	assert_true(json_is_null(json_object_get(
		json_array_get(json_object_get(reply, "ports"), 0), "device")));
	json_decref(reply);
}

static void test_lists_are_bounded_and_say_so(void **state)
{
	struct fake *f = *state;
	json_t *reply;

	f->ncached_flows = XI_CACHE_LIST_MAX + 5;
	reply = ask_json(f, "{\"cmd\":\"cache\"}\n");
	assert_int_equal(json_array_size(json_object_get(reply, "cached_flows")),
			 XI_CACHE_LIST_MAX);
	assert_true(json_is_true(json_object_get(reply, "truncated")));
	json_decref(reply);
}

static void test_many_sas_come_in_pages(void **state)
{
	struct fake *f = *state;
	json_t *reply, *sas;

	f->nsas = XI_SHOW_PAGE + 3;
	reply = ask_json(f, "{\"cmd\":\"show\"}\n");
	assert_int_equal(json_array_size(json_object_get(reply, "sas")), XI_SHOW_PAGE);
	assert_int_equal(json_array_size(json_object_get(reply, "policies")), 1);
	assert_json(json_object_get(reply, "next"), "{\"sa\": 4096, \"policy\": null}");
	json_decref(reply);

	reply = ask_json(f, "{\"cmd\":\"show\",\"from\":{\"sa\":4096,\"policy\":null}}\n");
	sas = json_object_get(reply, "sas");
	assert_int_equal(json_array_size(sas), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(sas, 0), "spi")),
			    "0x00001001");
	assert_int_equal(json_array_size(json_object_get(reply, "policies")), 0);
	assert_true(json_is_null(json_object_get(reply, "next")));
	json_decref(reply);
}

static void assert_no_key(const char *text)
{
	char hex[2 * sizeof(SECRET)] = "";

	for (size_t i = 0; i < 8; i++)
		sprintf(hex + 2 * i, "%02x", SECRET[i]);
	assert_null(strstr(text, "S3cret"));
	assert_null(strcasestr(text, hex));
	assert_null(strstr(text, "UzNjcmV0")); /* base64 of the first six bytes */
}

static void test_keys_are_never_printed(void **state)
{
	static const char *const requests[] = {
		"{\"cmd\":\"show\"}\n",
		"{\"cmd\":\"stats\"}\n",
		"{\"cmd\":\"cache\"}\n",
		"{\"cmd\":\"port\"}\n",
		"{\"cmd\":\"show\",\"keys\":true,\"verbose\":9}\n",
	};
	struct fake *f = *state;
	size_t len;
	char *human;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *text = ask(f, requests[i]);
		json_t *reply = json_loads(text, 0, NULL);
		FILE *out = open_memstream(&human, &len);

		assert_true(strlen(text) > 100);
		assert_no_key(text);
		xi_print_show(out, reply);
		fclose(out);
		assert_no_key(human);
		json_decref(reply);
		free(human);
		free(text);
	}
}

static void test_routes_that_are_not_made(void **state)
{
	struct fake *f = *state;
	json_t *reply = ask_json(f, "{\"cmd\":\"routes\"}\n");

	assert_json(reply, "{\"table\": null, \"routes\": [], \"next\": null}");
	json_decref(reply);
	reply = ask_json(f, "{\"cmd\":\"routes\",\"from\":{\"route\":-1}}\n");
	assert_non_null(json_object_get(reply, "error"));
	json_decref(reply);
	reply = ask_json(f, "{\"cmd\":\"routes\",\"from\":7}\n");
	assert_non_null(json_object_get(reply, "error"));
	json_decref(reply);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, control_setup, control_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_show_has_the_documented_shape),
		WITH_SERVER(test_a_cached_index_of_an_older_sa_is_not_in_the_cache),
		WITH_SERVER(test_stats_lists_every_reason_and_sums_the_drops),
		WITH_SERVER(test_cache_lists_sas_and_flows),
		WITH_SERVER(test_cache_tells_of_one_sa),
		WITH_SERVER(test_port_tells_how_packets_leave),
		WITH_SERVER(test_port_tells_what_was_configured),
		WITH_SERVER(test_port_of_a_device_that_does_not_count),
		WITH_SERVER(test_lists_are_bounded_and_say_so),
		WITH_SERVER(test_many_sas_come_in_pages),
		WITH_SERVER(test_keys_are_never_printed),
		WITH_SERVER(test_routes_that_are_not_made),
	};

	return cmocka_run_group_tests_name("control_replies", tests, NULL, NULL);
}
