/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control socket, its commands' JSON, and how the tool prints it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xipsec/reasons.h>

#include "control/cachecmd.h"
#include "control/client.h"
#include "control/control.h"
#include "control/portcmd.h"
#include "control/routescmd.h"
#include "control/print.h"
#include "control/show.h"
#include "control/stats.h"

#define SECRET "S3cretKeyBytes!?"

/* --- a daemon of fixed data --- */

struct fake {
	struct event_base *base;
	struct xi_control *ctl;
	struct xi_control_sources src;
	struct xi_sa_state states[2];
	struct xi_sa_rec recs[2];
	struct xi_policy policy;
	struct xi_port_dev port;
	char dir[32];
	struct xi_tx_status tx;
	struct xi_link_xmit xmit;
	int xmit_err;
	bool cached;
	unsigned int ncached_flows;
	unsigned int nsas;
};

static const struct xi_interface_config fake_interfaces[] = {
	{ .name = "ipsec1", .if_id = 43 }, { .name = "ipsec2", .if_id = 2 },
};

static uint32_t fake_interface_state(void *arg, const struct xi_interface_config *config, bool *up)
{
	*up = config->if_id == 43;
	return *up ? 7 : 0;
}

static const struct xi_sa_rec *fake_next_sa(const struct xi_control_sources *src, uint32_t *slot)
{
	struct fake *f = src->arg;

	return *slot < f->nsas ? &f->recs[(*slot)++ & 1] : NULL;
}

static const struct xi_policy *fake_next_policy(const struct xi_control_sources *src,
						uint32_t *index)
{
	struct fake *f = src->arg;

	return (*index)++ ? NULL : &f->policy;
}

static void fake_held(const struct xi_control_sources *src, struct xi_held *held)
{
	*held = (struct xi_held){ .sas = 2, .max_sas = 64, .policies = 1, .max_policies = 32 };
}

/* 192.0.2.1 is this gateway's. */
static bool fake_is_local(const struct xi_control_sources *src, const uint8_t addr[16],
			  enum xi_family family)
{
	static const uint8_t local[16] = { 192, 0, 2, 1 };

	return family == XI_IPV4 && !memcmp(addr, local, 16);
}

static const struct xi_port_dev *fake_port(void *arg, unsigned int i)
{
	struct fake *f = arg;

	return i ? NULL : &f->port;
}

static void fake_port_tx(void *arg, uint32_t slot, struct xi_tx_status *status)
{
	struct fake *f = arg;

	assert_int_equal(slot, f->port.slot);
	*status = f->tx;
}

static int fake_port_xmit(void *arg, uint32_t slot, struct xi_link_xmit *xmit)
{
	struct fake *f = arg;

	assert_int_equal(slot, f->port.slot);
	*xmit = f->xmit;
	return f->xmit_err;
}

static uint64_t fake_reason(void *arg, unsigned int reason)
{
	switch (reason) {
	case XI_SA_HIT:
		return 312;
	case XI_SA_MISS:
		return 2;
	case XI_FLOW_HIT:
		return 7;
	case XI_FLOW_MISS:
		return 1;
	case XI_FAST_IN:
		return 300;
	case XI_SLOW_OUT:
		return 100;
	case XI_MISS_SENT:
		return 11;
	case XI_MISS_LOST:
		return 12;
	case XI_MISS_DEDUP:
		return 13;
	case XI_MISS_LIMITED:
		return 14;
	case XI_DROP_REPLAY:
		return 5;
	case XI_DROP_UNKNOWN_SPI:
		return 10;
	case XI_DROP_SA_MODE:
		return UINT64_MAX;
	}
	return 0;
}

/* One ACQUIRE, asked for two seconds ago, and three packets that wait. */
static void fake_waiting(void *arg, struct xi_waiting *waiting)
{
	static struct xi_acquire_list list;
	static struct xi_acquire a = {
		.key = { .family = XI_IPV4, .proto = XI_ESP, .mode = XI_TUNNEL, .reqid = 7,
			 .saddr = { 192, 0, 2, 1 }, .daddr = { 192, 0, 2, 2 } },
		.flow = { .family = XI_IPV4, .saddr = { 10, 1, 1, 2 }, .daddr = { 10, 1, 2, 2 },
			  .proto = 17, .sport = 5000, .dport = 53 },
		.policy_index = 9,
		.seq = 4,
		.since = 100,
		.until = 130,
	};

	TAILQ_INIT(&list);
	TAILQ_INSERT_TAIL(&list, &a, age);
	*waiting = (struct xi_waiting){
		.packets = 3, .key_manager = true, .now = 102, .acquires = &list,
	};
}

static void fake_usage(void *arg, enum xi_table table, struct xi_table_usage *usage)
{
	*usage = table == XI_TABLE_SA ? (struct xi_table_usage){ 1, 1024, 3 }
				      : (struct xi_table_usage){ 4, 65536, 0 };
}

static bool fake_sa_cached(void *arg, uint32_t handle, struct xi_cached_sa *sa)
{
	struct fake *f = arg;

	if (!f->cached || handle != f->recs[0].sa.sa_index)
		return false;
	*sa = (struct xi_cached_sa){
		.id = f->recs[0].sa.id,
		.handle = handle,
		.method = XI_METHOD_FAST,
		.why = xi_choice_name(XI_CHOICE_WORTH),
		.slot = 6,
		.cached = true,
		.age = 100,
		.hits = 34,
		.uses = 5,
		.misses = 2,
	};
	return true;
}

static void fake_sa_figures(void *arg, struct xi_sa_figures *figures)
{
	static const uint64_t ns[] = { 21, 40, 40000 };

	*figures = (struct xi_sa_figures){
		.methods = { [XI_METHOD_FAST] = 1, [XI_METHOD_SLOW] = 2, [XI_METHOD_DROP] = 4 },
		.table = { .filled = { [XI_CHOICE_WORTH] = 8 },
			   .evicted_admission = 3, .evicted_kernel = 16, .evicted_deleted = 32,
			   .evicted_changed = 64, .lapsed = 128, .refused = 256, .unproven = 512,
			   .stale = 1024 },
		.misses = { .messages = 2048, .lost = 4096, .rests = 9 },
	};
	for (int i = 0; i < 3; i++)
		xi_latency_add(&figures->misses.sa, ns[i]);
}

static int fake_each_cached_sa(void *arg, xi_cached_sa_fn fn, void *ctx)
{
	struct fake *f = arg;
	struct xi_cached_sa sa;

	return fake_sa_cached(arg, f->recs[0].sa.sa_index, &sa) ? fn(ctx, &sa) : 0;
}

static int fake_each_cached_flow(void *arg, xi_cached_flow_fn fn, void *ctx)
{
	struct xi_flow_key key = { .saddr = { 10, 1 },
				   .daddr = { 10, 2, 0, 7 },
				   .dport = 0x5000,
				   .proto = 6,
				   .dport_mask = 0xf000,
				   .prefixlen_s = 16,
				   .prefixlen_d = 32,
				   .bits = XI_OUT | XI_KEY_LOOKS_FRAGMENT | XI_KEY_LOOKS_PROTO,
				   .mark = 5 };
	struct xi_flow_verdict verdict = { XI_VERDICT_PROTECT, 0x00100002, 0, 7, XI_NO_SLOT, 9 };
	struct fake *f = arg;
	int err = 0;

	for (unsigned int i = 0; i < f->ncached_flows && !err; i++)
		err = fn(ctx, &key, &verdict);
	return err;
}

static void fake_sas(struct fake *f)
{
	uint64_t now = (uint64_t)time(NULL);
	struct xi_sa_rec *in = &f->recs[0], *out = &f->recs[1];

	in->sa = (struct xi_sa){
		.id = { { 192, 0, 2, 1 }, 0x1001, XI_ESP, XI_IPV4 },
		.saddr = { 198, 51, 100, 2 },
		.sa_index = 0x00100001,
		.mode = XI_TUNNEL,
		.alg = XI_ALG_AES_GCM,
		.key_bits = 256,
		.icv_len = 16,
		.replay_window = 128,
		.reqid = 42,
		.flags = XFRM_STATE_ESN,
		.encap = XI_ENCAP_ESPINUDP,
		.encap_sport = 40123,
		.encap_dport = 4500,
		.add_time = now - 100,
	};
	out->sa = in->sa;
	out->sa.id = (struct xi_sa_id){
		{ 0x20, 0x01, 0x0d, 0xb8, [15] = 2 }, 0xc0000002, XI_ESP, XI_IPV6
	};
	memcpy(out->sa.saddr, (uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, 16);
	out->sa.sa_index = 0x00100002;
	out->sa.flags = XFRM_STATE_NOPMTUDISC;
	out->sa.encap = XI_ENCAP_NONE;
	out->sa.tfcpad = 1300;
	out->sa.key_bits = 128;
	out->sa.alg = XI_ALG_AES_CBC;
	out->sa.auth = XI_AUTH_HMAC_SHA256;
	out->sa.sa_dir = 2;
	out->sa.replay_window = 0;
	for (int i = 0; i < 2; i++) {
		f->recs[i].key = (struct xi_sa_key){ .alg = XI_ALG_AES_GCM, .len = 20 };
		memcpy(f->recs[i].key.key, SECRET, sizeof(SECRET));
		f->recs[i].state = &f->states[i];
	}
	f->states[0] = (struct xi_sa_state){ .bytes = 1536,
					     .packets = 12,
					     .use_time = now - 90,
					     .last_use = now - 4,
					     .replay_failed = 5,
					     .top = 12 };
	f->states[1] = (struct xi_sa_state){
		.oseq_limit = UINT64_MAX, .pmtu = 1400, .pmtu_until = (uint32_t)now + 600,
	};
}

static void fake_policy(struct fake *f)
{
	f->policy = (struct xi_policy){
		.sel = { .saddr = { 10, 1 },
			 .daddr = { 10, 2 },
			 .dport = 80,
			 .dport_mask = 0xffff,
			 .prefixlen_s = 16,
			 .prefixlen_d = 16,
			 .proto = 6,
			 .family = XI_IPV4 },
		.index = 9,
		.priority = 100,
		.dir = XI_OUT,
		.action = XI_ALLOW,
		.mark_v = 5,
		.mark_m = 0xff,
		.if_id = 7,
		.ntmpls = 1,
		.tmpls[0] = { .id = { { 198, 51, 100, 2 }, 0, XI_ESP, XI_IPV4 },
			      .saddr = { 192, 0, 2, 1 },
			      .mode = XI_TUNNEL,
			      .reqid = 42,
			      .family = XI_IPV4 },
	};
	f->port = (struct xi_port_dev){
		.config = { .name = "wan0", .role = XI_ROLE_CIPHER, .line = 1 },
		.ifindex = 3,
		.slot = 1,
		.queues = 2,
		.mtu = 1500,
		.packet_max = XI_PACKET_ONE,
		.mac = { 2, 0, 0, 0, 0, 0xaa },
	};
	f->tx = (struct xi_tx_status){
		.path = "burst",
		.why = "the driver has no zero-copy, and the probe passed",
		.paused = true,
		.burst_packets = 1000,
		.burst_lost = 3,
		.xsk_packets = 12,
		.pauses = 2,
	};
	f->xmit = (struct xi_link_xmit){ 997, 3, true };
}

static json_t *cmd_stop(void *arg, const json_t *req, const char **error)
{
	event_base_loopbreak(arg);
	return json_pack("{s:b}", "ok", 1);
}

static json_t *cmd_big(void *arg, const json_t *req, const char **error)
{
	char *text = malloc(16 << 20);
	json_t *reply;

	memset(text, 'x', 16 << 20);
	reply = json_pack("{s:o}", "text", json_stringn_nocheck(text, 16 << 20));
	free(text);
	return reply;
}

static json_t *cmd_fail(void *arg, const json_t *req, const char **error)
{
	*error = "nothing to see: look elsewhere";
	return NULL;
}

static int start(void **state, unsigned int request_ms, unsigned int reply_ms)
{
	struct xi_control_config config = { .request_ms = request_ms, .reply_ms = reply_ms };
	struct fake *f = calloc(1, sizeof(*f));

	alarm(60);
	strcpy(f->dir, "/tmp/xi-control-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->base = config.base = event_base_new();
	config.run_dir = f->dir;
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
	fake_sas(f);
	fake_policy(f);
	f->cached = true;
	f->ncached_flows = 1;
	f->nsas = 2;
	f->src = (struct xi_control_sources){
		.interfaces = fake_interfaces,
		.ninterfaces = 2,
		.interface_state = fake_interface_state,
		.run_dir = "/run/xipsec",
		.pin_dir = "/sys/fs/bpf/xipsec",
		.engine = "openssl",
		.workers = 2,
		.held = fake_held,
		.next_sa = fake_next_sa,
		.next_policy = fake_next_policy,
		.is_local = fake_is_local,
		.port = fake_port,
		.port_tx = fake_port_tx,
		.port_xmit = fake_port_xmit,
		.reason = fake_reason,
		.usage = fake_usage,
		.waiting = fake_waiting,
		.sa_figures = fake_sa_figures,
		.sa_cached = fake_sa_cached,
		.each_cached_sa = fake_each_cached_sa,
		.each_cached_flow = fake_each_cached_flow,
		.arg = f,
	};
	assert_int_equal(xi_show_register(f->ctl, &f->src), 0);
	assert_int_equal(xi_stats_register(f->ctl, &f->src), 0);
	assert_int_equal(xi_cachecmd_register(f->ctl, &f->src), 0);
	assert_int_equal(xi_portcmd_register(f->ctl, &f->src), 0);
	assert_int_equal(xi_routescmd_register(f->ctl, &f->src), 0);
	assert_int_equal(xi_control_register_admin(f->ctl, "stop", cmd_stop, f->base), 0);
	assert_int_equal(xi_control_register(f->ctl, "big", cmd_big, NULL), 0);
	assert_int_equal(xi_control_register(f->ctl, "fail", cmd_fail, NULL), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return start(state, 0, 0);
}

static int setup_hasty(void **state)
{
	return start(state, 50, 50);
}

static int teardown(void **state)
{
	struct fake *f = *state;

	xi_control_destroy(f->ctl);
	event_base_free(f->base);
	assert_int_equal(rmdir(f->dir), 0); /* so the socket is gone */
	free(f);
	return 0;
}

/* --- a client on the server's own thread --- */

static void socket_name(struct sockaddr_un *sun, const char *dir)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/control.sock", dir);
}

static int dial(struct fake *f)
{
	struct sockaddr_un sun;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	socket_name(&sun, f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* All until the server closes; the event loop runs while there is nothing. For free(). */
static char *drain(struct fake *f, int fd)
{
	size_t len = 0, size = 1 << 16;
	char *text = malloc(size);
	ssize_t n;

	while ((n = recv(fd, text + len, size - len - 1, MSG_DONTWAIT)) != 0) {
		if (n < 0 && errno == ECONNRESET)
			break; /* it closed with bytes of ours unread */
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			event_base_loop(f->base, EVLOOP_ONCE);
			continue;
		}
		len += (size_t)n;
		if (size - len < 4096)
			text = realloc(text, size *= 2);
	}
	text[len] = 0;
	close(fd);
	return text;
}

static char *ask_bytes(struct fake *f, const char *bytes, size_t len)
{
	int fd = dial(f);

	send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return drain(f, fd);
}

static char *ask(struct fake *f, const char *request)
{
	return ask_bytes(f, request, strlen(request));
}

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

/* --- shapes --- */

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

/* --- hostile and slow clients --- */

static void assert_error(struct fake *f, const char *request, size_t len, const char *want)
{
	char *text = ask_bytes(f, request, len);
	json_t *reply = json_loads(text, 0, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));

	assert_non_null(error);
	assert_int_equal(json_object_size(reply), 1);
	if (!strstr(error, want))
		fail_msg("\"%s\" lacks \"%s\"", error, want);
	json_decref(reply);
	free(text);
}

static void test_hostile_requests_get_an_error(void **state)
{
	static const struct {
		const char *request, *want;
	} cases[] = {
		{ "\n", "not a JSON object" },
		{ "{\n", "not a JSON object" },
		{ "{\"cmd\":\"show\"\n", "not a JSON object" },
		{ "show\n", "not a JSON object" },
		{ "\"show\"\n", "not a JSON object" },
		{ "\xff\xfe{}\n", "not a JSON object" },
		{ "{\"cmd\":\"sh\xc3\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"show\"} {\"cmd\":\"stop\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"show\",\"cmd\":\"stop\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"sh\\u0000ow\"}\n", "not a JSON object" },
		{ "[]\n", "no command" },
		{ "[\"cmd\",\"show\"]\n", "no command" },
		{ "{}\n", "no command" },
		{ "{\"cmd\":7}\n", "no command" },
		{ "{\"cmd\":null}\n", "no command" },
		{ "{\"cmd\":{\"cmd\":\"show\"}}\n", "no command" },
		{ "{\"cmd\":\"\"}\n", "unknown command" },
		{ "{\"cmd\":\"SHOW\"}\n", "unknown command" },
		{ "{\"cmd\":\"show\\n\"}\n", "unknown command" },
		{ "{\"cmd\":\"fail\"}\n", "nothing to see: look elsewhere" },
		{ "{\"cmd\":\"show\",\"from\":7}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":null}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":0}}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":-1,\"policy\":0}}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":4294967296,\"policy\":0}}\n",
		  "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":\"0\",\"policy\":0}}\n", "from: not what" },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_error(f, cases[i].request, strlen(cases[i].request), cases[i].want);
	assert_error(f, "{\"cmd\":\"show\0\"}\n", 16, "not a JSON object");
}

static void test_huge_and_deep_requests_get_an_error(void **state)
{
	struct fake *f = *state;
	char *text = malloc(1 << 17);

	memset(text, '[', 1 << 17);
	text[4095] = '\n';
	assert_error(f, text, 4096, "not a JSON object");
	text[4095] = '[';
	assert_error(f, text, 1 << 17, "longer than 4096 bytes");
	memset(text, ' ', 1 << 17);
	memcpy(text, "{\"cmd\":\"fail\"}", 14);
	text[4096] = '\n';
	assert_error(f, text, 4097, "nothing to see"); /* the longest one that is taken */
	text[4096] = ' ';
	text[4097] = '\n';
	assert_error(f, text, 4098, "longer than 4096 bytes");
	free(text);
}

static void test_a_truncated_request_ends_with_the_connection(void **state)
{
	struct fake *f = *state;
	char *text;
	int fd;

	fd = dial(f);
	assert_int_equal(send(fd, "{\"cmd\":", 7, 0), 7);
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_non_null(strstr(text, "not a JSON object"));
	free(text);

	fd = dial(f);
	assert_int_equal(send(fd, "{\"cmd\":\"fail\"}", 14, 0),
			 14); /* whole, without its newline */
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_non_null(strstr(text, "nothing to see"));
	free(text);

	fd = dial(f);
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_string_equal(text, "");
	free(text);
}

static void test_a_client_that_vanishes_harms_nobody(void **state)
{
	struct fake *f = *state;
	int fd = dial(f);

	assert_int_equal(send(fd, "{\"cmd\":\"big\"}\n", 14, 0), 14);
	close(fd);
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15, "nothing to see");
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15, "nothing to see");
}

static void test_a_slow_request_is_cut_off(void **state)
{
	struct fake *f = *state;

	assert_error(f, "{\"cmd\":\"show\"", 13, "no complete request in time");
}

static void test_a_client_that_does_not_read_is_cut_off(void **state)
{
	struct fake *f = *state;
	struct pollfd p = { .fd = dial(f) };
	char *text;

	assert_int_equal(send(p.fd, "{\"cmd\":\"big\"}\n", 14, 0), 14);
	while (poll(&p, 1, 0) == 0 || !(p.revents & POLLHUP))
		event_base_loop(f->base, EVLOOP_ONCE);
	text = drain(f, p.fd);
	assert_true(strlen(text) > 0 && strlen(text) < (16 << 20));
	free(text);
}

static void test_a_large_reply_arrives_whole(void **state)
{
	struct fake *f = *state;
	char *text = ask(f, "{\"cmd\":\"big\"}\n");

	assert_int_equal(strlen(text), (16 << 20) + strlen("{\"text\":\"\"}\n"));
	free(text);
}

static void test_clients_beyond_the_bound_wait(void **state)
{
	int fds[XI_CONTROL_CLIENTS], one_more;
	struct fake *f = *state;
	char *text;

	for (int i = 0; i < XI_CONTROL_CLIENTS; i++)
		fds[i] = dial(f);
	one_more = dial(f);
	assert_int_equal(send(one_more, "{\"cmd\":\"fail\"}\n", 15, 0), 15);
	text = drain(f, one_more); /* after the others' time for a request is over */
	assert_non_null(strstr(text, "nothing to see"));
	free(text);
	for (int i = 0; i < XI_CONTROL_CLIENTS; i++) {
		text = drain(f, fds[i]);
		assert_non_null(strstr(text, "no complete request in time"));
		free(text);
	}
}

static void test_commands_have_one_owner(void **state)
{
	struct fake *f = *state;

	assert_int_equal(xi_control_register(f->ctl, "show", cmd_fail, NULL), -EEXIST);
}

/* --- the socket --- */

/* The server in a thread of its own. */
static void *serve(void *arg)
{
	struct fake *f = arg;

	event_base_dispatch(f->base);
	xi_control_destroy(f->ctl); /* with the reply to "stop" not sent yet */
	f->ctl = NULL;
	return NULL;
}

static mode_t socket_mode(const char *dir)
{
	struct sockaddr_un sun;
	struct stat st;

	socket_name(&sun, dir);
	assert_int_equal(stat(sun.sun_path, &st), 0);
	return st.st_mode & 07777;
}

static void test_only_the_group_may_connect(void **state)
{
	struct fake *f = *state;
	const struct group *own = getgrgid(getegid());
	struct xi_control_config config = { .base = f->base, .run_dir = f->dir };

	assert_int_equal(socket_mode(f->dir), 0600); /* no group configured */
	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	config.group = "no-such-group-here";
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
	assert_int_equal(socket_mode(f->dir), 0600);
	if (!own)
		skip();
	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	config.group = own->gr_name;
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
	assert_int_equal(socket_mode(f->dir), 0660);
}

static void test_the_group_may_look_but_not_act(void **state)
{
	struct fake *f = *state;
	struct sockaddr_un sun;
	pthread_t thread;
	json_t *reply;
	int status;
	pid_t pid;

	if (geteuid())
		skip(); /* needs two users */
	socket_name(&sun, f->dir);
	assert_int_equal(chmod(f->dir, 0755) | chmod(sun.sun_path, 0666), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	pid = fork();
	if (!pid) {
		if (setuid(65534) || xi_control_call(f->dir, "fail", &reply) ||
		    strcmp(json_string_value(json_object_get(reply, "error")),
			   "nothing to see: look elsewhere"))
			_exit(1);
		if (xi_control_call(f->dir, "stop", &reply) ||
		    strcmp(json_string_value(json_object_get(reply, "error")),
			   "permission denied: this command is for root"))
			_exit(2);
		if (chmod(sun.sun_path, 0600) == 0)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(xi_control_call(f->dir, "stop", &reply), 0);
	json_decref(reply);
	pthread_join(thread, NULL);
}

static void test_a_second_daemon_is_refused_and_a_stale_socket_replaced(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base, .run_dir = f->dir };
	struct xi_control *second = NULL;
	struct sockaddr_un sun;
	int fd;

	assert_int_equal(xi_control_create(&second, &config), -EADDRINUSE);
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15,
		     "nothing to see"); /* the first one still serves */

	xi_control_destroy(f->ctl);
	socket_name(&sun, f->dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* as kill -9 leaves it */
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
}

static void test_a_run_dir_is_made_for_all_to_enter(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base };
	struct xi_control *ctl;
	mode_t mask = umask(0077);
	char dir[64];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/run", f->dir);
	config.run_dir = dir;
	assert_int_equal(xi_control_create(&ctl, &config), 0);
	umask(mask);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(socket_mode(dir), 0600);
	xi_control_destroy(ctl);
	assert_int_equal(rmdir(dir), 0);
}

static void test_a_run_dir_that_cannot_be_is_refused(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base, .run_dir = "/nonexistent/a" };
	struct xi_control *ctl = NULL;
	char longest[200];

	assert_int_equal(xi_control_create(&ctl, &config), -ENOENT);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = 0;
	config.run_dir = longest;
	assert_int_equal(xi_control_create(&ctl, &config), -ENAMETOOLONG);
	assert_null(ctl);
}

/* --- the tool's end --- */

static void test_the_tools_calls(void **state)
{
	struct fake *f = *state;
	pthread_t thread;
	json_t *reply;

	f->nsas = 2 * XI_SHOW_PAGE + 3;
	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	assert_int_equal(xi_control_call(f->dir, "show", &reply), 0);
	assert_int_equal(json_array_size(json_object_get(reply, "sas")), 2 * XI_SHOW_PAGE + 3);
	assert_int_equal(json_array_size(json_object_get(reply, "policies")), 1);
	assert_null(json_object_get(reply, "next"));
	json_decref(reply);
	assert_int_equal(xi_control_call(f->dir, "what", &reply), 0);
	assert_non_null(json_object_get(reply, "error"));
	json_decref(reply);
	assert_int_equal(xi_control_call(f->dir, "stop", &reply), 0);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	pthread_join(thread, NULL);
	assert_int_equal(xi_control_call(f->dir, "show", &reply), -ENOENT);
	assert_int_equal(xi_control_call("/nonexistent", "show", &reply), -ENOENT);
}

static void test_a_call_to_something_else_fails(void **state)
{
	static const char *const answers[] = { "", "\n", "[]\n", "hello\n", "{\"sas\":[\n" };
	struct sockaddr_un sun;
	struct fake *f = *state;
	json_t *reply;
	int fd, peer;

	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	socket_name(&sun, f->dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(xi_control_call(f->dir, "show", &reply),
			 -ECONNREFUSED); /* nobody listens */
	assert_int_equal(listen(fd, 8), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(xi_control_call(f->dir, "show", &reply) == -EPROTO ? 0 : 1);
		peer = accept(fd, NULL, NULL);
		if (*answers[i])
			assert_true(send(peer, answers[i], strlen(answers[i]), 0) > 0);
		shutdown(peer, SHUT_WR);
		{
			char request[64];
			int status;

			assert_true(recv(peer, request, sizeof(request), MSG_WAITALL) > 0);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_int_equal(status, 0);
		}
		close(peer);
	}
	close(fd);
	unlink(sun.sun_path);
}

static void assert_explained(int err, const char *want)
{
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	xi_control_explain(out, "/run/xipsec", err);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void test_a_failed_call_says_what_to_do(void **state)
{
	static const char not_running[] =
		"xipsecd is not running (no socket at /run/xipsec/control.sock): "
		"start it with `xipsecd -c /etc/xipsec/xipsec.conf`\n";

	assert_explained(-ENOENT, not_running);
	assert_explained(-ECONNREFUSED, not_running);
	assert_explained(-EACCES, "permission denied: join group xipsec, or run this as root\n");
	assert_explained(-ETIMEDOUT,
			 "xipsecd does not answer at /run/xipsec/control.sock: see its log\n");
	assert_explained(-EPROTO, "/run/xipsec/control.sock: Protocol error\n");
}

/* --- what people read --- */

static void assert_printed(void (*print)(FILE *, const json_t *), const char *json,
			   const char *want)
{
	json_error_t error;
	json_t *reply = json_loads(json, 0, &error);
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	if (!reply)
		fail_msg("test's own JSON: %s at %d", error.text, error.position);
	print(out, reply);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
	json_decref(reply);
}

static void print_what_waits(FILE *out, const json_t *reply)
{
	xi_print_waiting(out, reply, "");
	xi_print_acquires(out, reply);
}

static void test_show_for_people(void **state)
{
	assert_printed(
		xi_print_show,
		"{\"daemon\": {\"version\": \"1.2\", \"pid\": 77, \"uptime\": 7500, \"engine\": "
		"\"ipsec-mb\","
		"  \"workers\": 1, \"ports\": [{\"name\": \"wan0\", \"role\": \"cipher\", "
		"\"mode\": \"native\","
		"  \"queues\": 1}, {\"name\": \"lan0\", \"role\": \"plain\", \"mode\": \"skb\", "
		"\"ifindex\": 0, \"queues\": 4}], \"interfaces\": ["
		"{\"name\": \"ipsec1\", \"if_id\": 43, \"ifindex\": 7, \"up\": true},"
		"{\"name\": \"ipsec2\", \"if_id\": 2, \"ifindex\": 8, \"up\": false},"
		"{\"name\": \"ipsec3\", \"if_id\": 3, \"ifindex\": null, \"up\": false}]},"
		" \"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 1, \"misses\": 1, \"evictions\": 1, \"entries\": 4, "
		"\"capacity\": 65536},"
		" \"sas\": [{\"spi\": \"0xc0000001\", \"src\": \"192.0.2.1\", \"dst\": "
		"\"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"out\", \"algorithm\": "
		"\"rfc4106(gcm(aes))\","
		"  \"key_bits\": 128, \"if_id\": 43, \"esn\": true, \"age\": 61, \"last_use\": 2, \"packets\": "
		"12, \"bytes\": 1536,"
		"  \"oseq\": 12, \"top\": 0, \"replay_window\": 0, \"cached\": null},"
		"  {\"spi\": \"0xc0000002\", \"src\": \"198.51.100.2\", \"dst\": \"192.0.2.1\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"in\", \"algorithm\": "
		"\"cbc(aes)\", \"integrity\": \"hmac(sha384)\", \"icv_bits\": 192,"
		"  \"key_bits\": 256, \"mark\": 5, \"mark_mask\": 4294967295, \"esn\": false, \"age\": 0, \"last_use\": null, "
		"\"packets\": 1, \"bytes\": 84,"
		"  \"oseq\": 0, \"top\": 1, \"replay_window\": 32, \"cached\": {\"method\": "
		"\"fast\", \"slot\": 3},"
		"  \"errors\": {\"replay\": 1, \"integrity\": 2, \"other\": 0}},"
		"  {\"spi\": \"0xc0000004\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"ah\", \"mode\": \"transport\", \"dir\": \"out\", \"algorithm\": "
		"\"none\", \"integrity\": \"cmac(aes)\", \"icv_bits\": 96, \"key_bits\": 0,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"encap\": null, \"cached\": null},"
		"  {\"spi\": \"0xc0000005\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"out\", \"algorithm\": "
		"\"ecb(cipher_null)\", \"integrity\": \"hmac(sha256)\", \"icv_bits\": 128, \"key_bits\": 0,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"encap\": {\"type\": \"espinudp\", \"sport\": 4500, \"dport\": 40123},"
		"  \"tfcpad\": 1300, \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"cached\": null},"
		"  {\"spi\": \"0xc0000006\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"transport\", \"dir\": \"out\", \"algorithm\": "
		"\"rfc4309(ccm(aes))\", \"icv_bits\": 64, \"key_bits\": 256,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"cached\": null},"
		"  {\"spi\": \"0xc0000003\", \"src\": \"198.51.100.2\", \"dst\": \"192.0.2.1\", "
		"\"proto\": \"esp\","
		"  \"dir\": null, \"larval\": true}],"
		" \"policies\": [{\"dir\": \"out\", \"action\": \"allow\", \"priority\": 100,"
		"  \"src\": \"10.1.0.0/16\", \"dst\": \"10.2.0.0/16\", \"proto\": 6, \"sport\": "
		"null, \"dport\": 80, \"mark\": 5, \"mark_mask\": 255, \"if_id\": 43,"
		"  \"templates\": [{\"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\", \"proto\": "
		"\"esp\","
		"  \"mode\": \"tunnel\", \"spi\": null, \"reqid\": 42, \"optional\": false}]},"
		"  {\"dir\": \"in\", \"action\": \"block\", \"priority\": 0, \"src\": \"any\", "
		"\"dst\": \"any\","
		"  \"proto\": 0, \"sport\": null, \"dport\": null, \"templates\": []}],"
		" \"held\": {\"sas\": 3, \"max_sas\": 65536, \"policies\": 2, \"max_policies\": 16384}}",
		"daemon: xipsecd 1.2, process 77, up 2 hours, 5 minutes\n"
		"  engine: ipsec-mb, 1 worker\n"
		"  port: wan0, cipher, native, 1 queue\n"
		"  port: lan0, plain, skb, 4 queues, the device is gone\n"
		"  interface: ipsec1, if_id 0x2b, up\n"
		"  interface: ipsec2, if_id 0x2, down\n"
		"  interface: ipsec3, if_id 0x3, the device is gone\n"
		"  held: 3 of 65536 SAs, 2 of 16384 policies\n"
		"  sa cache: 1 of 1024 SAs, 312 hits, 2 misses, 0 evictions\n"
		"  flow cache: 4 of 65536 flows, 1 hit, 1 miss, 1 eviction\n"
		"\n"
		"sa: esp 0xc0000001 out, 192.0.2.1 -> 198.51.100.2, if_id 0x2b\n"
		"  algorithm: rfc4106(gcm(aes)) 128, tunnel mode, esn\n"
		"  age: 1 minute, 1 second, last used 2 seconds ago\n"
		"  traffic: 12 packets, 1.50 KiB, sent up to number 12\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000002 in, 198.51.100.2 -> 192.0.2.1, mark 0x5\n"
		"  algorithm: cbc(aes) 256 with hmac(sha384) 192, tunnel mode, replay window 32\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 1 packet, 84 B, received up to number 1\n"
		"  cache: in the cache, fast, slot 3\n"
		"  refused: 1 replayed, 2 bad ICV, 0 other\n"
		"\n"
		"sa: ah 0xc0000004 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: cmac(aes) 96, transport mode\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000005 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: ecb(cipher_null) with hmac(sha256) 128, tunnel mode, espinudp 4500 -> 40123, padded up to 1300 bytes\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000006 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: rfc4309(ccm(aes)) 256 with an ICV of 64, transport mode\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000003, 198.51.100.2 -> 192.0.2.1\n"
		"  larval: SPI allotted, no keys yet\n"
		"\n"
		"policy: out, 10.1.0.0/16 -> 10.2.0.0/16, tcp, dport 80, mark 0x5/0xff, if_id 0x2b: allow, priority 100\n"
		"  protect: esp tunnel, 192.0.2.1 -> 198.51.100.2, reqid 42\n"
		"\n"
		"policy: in, any -> any: block, priority 0\n");
}

static void test_what_waits_for_people(void **state)
{
	assert_printed(
		print_what_waits,
		"{\"waiting\": {\"packets\": 1, \"key_manager\": true}, \"acquires\": [{\"seq\": 4,"
		"  \"src\": \"192.0.2.1\", \"dst\": \"192.0.2.2\", \"proto\": \"esp\","
		"  \"mode\": \"tunnel\", \"reqid\": 7, \"policy\": 9, \"flow\": {"
		"  \"src\": \"10.1.1.2\", \"dst\": \"10.1.2.2\", \"proto\": 17,"
		"  \"sport\": 5000, \"dport\": 53}, \"age\": 2, \"left\": 28}]}",
		"waiting: 1 packet for an SA; a key manager listens\n"
		"\n"
		"acquire: esp tunnel, 192.0.2.1 -> 192.0.2.2, reqid 7\n"
		"  for: 10.1.1.2 -> 10.1.2.2, udp\n"
		"  asked: 2 seconds ago, again in 28 seconds\n");
	assert_printed(print_what_waits,
		       "{\"waiting\": {\"packets\": 0, \"key_manager\": false}, \"acquires\": []}",
		       "waiting: 0 packets for an SA; no key manager listens\n");
}

static void test_stats_for_people_lists_only_what_happened(void **state)
{
	assert_printed(
		xi_print_stats,
		"{\"reasons\": {\"sa_hit\": 312, \"unknown_spi\": 10, \"icv_bad\": 0, "
		"\"from_tomorrow\": 1},"
		" \"drops\": 10,"
		" \"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 0, \"misses\": 0, \"evictions\": 0, \"entries\": 0, "
		"\"capacity\": 64},"
		" \"sa_table\": {\"methods\": {\"fast\": 3, \"slow\": 4, \"kernel\": 0, \"drop\": 1},"
		" \"hits_per_million\": 987654, \"evicted\": {\"admission\": 5, \"kernel\": 6,"
		" \"deleted\": 7, \"changed\": 8}, \"refused\": 9, \"unproven\": 10},"
		" \"misses\": {\"sent\": 20, \"lost\": 1, \"repeated\": 2, \"limited\": 3, \"stale\": 4,"
		" \"latency\": {\"sa\": {\"count\": 9, \"p50_ns\": 999, \"p99_ns\": 39000,"
		" \"p999_ns\": 1250000, \"max_ns\": 2000000000}, \"flow\": {\"count\": 0}}}}",
		"sa cache: 1 of 1024 SAs, 312 hits, 2 misses, 0 evictions\n"
		"flow cache: 0 of 64 flows, 0 hits, 0 misses, 0 evictions\n"
		"sa methods: 3 fast, 4 slow, 0 kernel, 1 drop; 98.77 % of packets fast\n"
		"sa evictions: 5 for others, 6 by the kernel, 7 deleted, 8 changed; 9 refused, 10 unproven\n"
		"miss messages: 20 sent, 1 lost, 5 held back, 4 stale\n"
		"  SAs: half answered in 999 ns, 99 % in 39.0 us, 99.9 % in 1.2 ms, all in 2.0 s\n"
		"dropped: 10\n"
		"            10  unknown_spi        no SA for this destination and SPI\n"
		"events:\n"
		"           312  sa_hit             inbound packet whose SA was in sa_cache\n"
		"             1  from_tomorrow      (this tool does not know it)\n");
}

static void test_cache_for_people(void **state)
{
	assert_printed(
		xi_print_cache,
		"{\"cache\": {\"hits\": 3, \"misses\": 1, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 16},"
		" \"flows\": {\"hits\": 0, \"misses\": 1, \"evictions\": 0, \"entries\": 2, "
		"\"capacity\": 64},"
		" \"cached_sas\": [{\"spi\": \"0x00001001\", \"dst\": \"192.0.2.1\", \"proto\": "
		"\"esp\","
		"  \"handle\": \"0x00100001\", \"method\": \"fast\", \"slot\": 6},"
		"  {\"spi\": \"0x00001002\", \"dst\": \"192.0.2.1\", \"proto\": \"ah\","
		"  \"handle\": \"0x00100002\", \"method\": \"drop\", \"slot\": null, \"why\": \"larval\","
		"  \"cached\": true, \"age\": 100, \"hits\": 34, \"uses\": 5, \"misses\": 2},"
		"  {\"spi\": \"0x00001003\", \"dst\": \"192.0.2.1\", \"proto\": \"esp\","
		"  \"handle\": \"0x00100003\", \"method\": \"slow\", \"slot\": null, \"why\": \"refused\","
		"  \"cached\": true, \"age\": 1, \"hits\": 1, \"uses\": 1, \"misses\": 1},"
		"  {\"spi\": \"0x00001004\", \"dst\": \"192.0.2.1\", \"proto\": \"esp\","
		"  \"handle\": \"0x00100004\", \"method\": \"slow\", \"slot\": null, \"why\": \"not_asked\","
		"  \"cached\": false, \"age\": null, \"hits\": 0, \"uses\": 0, \"misses\": 0}],"
		" \"cached_flows\": [{\"dir\": \"out\", \"src\": \"10.1.0.0/16\", \"dst\": "
		"\"10.2.0.7/32\", \"proto\": 17,"
		"  \"sport\": \"0x400/0xfc00\", \"dport\": 53, \"fragment\": false, "
		"\"verdict\": \"protect\","
		"  \"handle\": \"0x00100002\", \"next_handle\": null, \"slot\": 7, \"next_slot\": "
		"null},"
		"  {\"dir\": \"out\", \"src\": \"10.1.0.5/32\", \"dst\": \"0.0.0.0/0\", \"proto\": 0, "
		"\"sport\": null,"
		"  \"dport\": null, \"fragment\": true, \"verdict\": \"bypass\", \"handle\": null}],"
		" \"truncated\": true}",
		"sa cache: 1 of 16 SAs, 3 hits, 1 miss, 0 evictions\n"
		"  esp 0x00001001 to 192.0.2.1, handle 0x00100001: fast, slot 6\n"
		"  ah 0x00001002 to 192.0.2.1, handle 0x00100002: drop for 1 minute, 40 seconds, "
		"34 packets, 5 of them not counted yet, asked 2 times; has no keys yet\n"
		"  esp 0x00001003 to 192.0.2.1, handle 0x00100003: slow for 1 second, "
		"1 packet, 1 of them not counted yet, asked 1 time; used less than the SAs that have a slot\n"
		"  esp 0x00001004 to 192.0.2.1, handle 0x00100004: slow; "
		"no packet of late has asked for it\n"
		"flow cache: 2 of 64 flows, 0 hits, 1 miss, 0 evictions\n"
		"  out 10.1.0.0/16 -> 10.2.0.7/32, udp, sport 0x400/0xfc00, dport 53: "
		"protect by 0x00100002, slot 7\n"
		"  out 10.1.0.5/32 -> 0.0.0.0/0, any, fragment: bypass\n"
		"(more of them not listed)\n");
}

static void test_port_for_people(void **state)
{
	assert_printed(
		xi_print_port,
		"{\"ports\": ["
		"{\"name\": \"wan0\", \"role\": \"cipher\", \"mode\": \"native\", \"attach\": "
		"\"netlink\", \"queues\": 2, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"auto\", \"path\": \"burst\", \"why\": \"the driver has "
		"no zero-copy, and the probe passed\", \"zerocopy\": false, \"paused\": true,"
		" \"burst_packets\": 1000, \"burst_lost\": 3, \"xsk_packets\": 12, \"pauses\": 1},"
		" \"device\": {\"xdp_xmit\": 997, \"xdp_xmit_errors\": 3}},"
		"{\"name\": \"lan0\", \"role\": \"plain\", \"mode\": \"skb\", \"attach\": "
		"\"link\", \"queues\": 1, \"mtu\": 9000, \"packet_max\": 9600,"
		" \"tx\": {\"configured\": \"xsk\", \"path\": \"xsk\", \"why\": \"\","
		" \"zerocopy\": false, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 5, \"pauses\": 0},"
		" \"device\": {\"xdp_xmit\": 4, \"xdp_xmit_errors\": null}},"
		"{\"name\": \"lan1\", \"role\": \"plain\", \"mode\": \"native\", \"attach\": "
		"\"none\", \"ifindex\": 7, \"queues\": 1, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"burst\", \"path\": \"xsk\", \"why\": \"as it is\","
		" \"zerocopy\": true, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 0, \"pauses\": 0},"
		" \"device\": null},"
		"{\"name\": \"lan2\", \"role\": \"plain\", \"mode\": \"native\", \"attach\": "
		"\"none\", \"ifindex\": 0, \"queues\": 1, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"burst\", \"path\": \"xsk\", \"why\": \"as it is\","
		" \"zerocopy\": true, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 9, \"pauses\": 0},"
		" \"device\": null}]}",
		"port: wan0, cipher, native, attach netlink, 2 queues, mtu 1500, packets up to 3500\n"
		"  transmit: burst, configured auto, paused: xsk sends for now\n"
		"  why: the driver has no zero-copy, and the probe passed\n"
		"  sent: 1000 by burst, 3 of them lost, 12 by xsk, 1 pause\n"
		"  device: 997 xdp_xmit, 3 xdp_xmit_errors\n"
		"\n"
		"port: lan0, plain, skb, attach link, 1 queue, mtu 9000, packets up to 9600\n"
		"  transmit: xsk, copying, configured xsk\n"
		"  sent: 0 by burst, 0 of them lost, 5 by xsk, 0 pauses\n"
		"  device: 4 xdp_xmit\n"
		"\n"
		"port: lan1, plain, native, attach none, 1 queue, mtu 1500, packets up to 3500\n"
		"  transmit: xsk, zero-copy, configured burst\n"
		"  why: as it is\n"
		"  sent: 0 by burst, 0 of them lost, 0 by xsk, 0 pauses\n"
		"\n"
		"port: lan2, plain, native, attach none, 1 queue, mtu 1500, packets up to 3500\n"
		"  the device is gone: nothing goes that way until there is one of this name\n"
		"  sent: 0 by burst, 0 of them lost, 9 by xsk, 0 pauses\n");
}

static void test_printing_survives_a_reply_of_another_shape(void **state)
{
	static const char *const replies[] = {
		"{}",
		"{\"sas\": 7, \"daemon\": [], \"policies\": {}, \"reasons\": [1], \"cached_sas\": "
		"\"x\"}",
		"{\"sas\": [1, null, {}], \"policies\": [[], {\"templates\": [3]}], \"reasons\": "
		"{\"a\": \"b\"},"
		" \"cached_sas\": [{}], \"cached_flows\": [null, {}], \"daemon\": {\"ports\": "
		"[null]}, \"ports\": [null, {\"tx\": 7, \"device\": {}}]}",
	};
	size_t len;
	char *text;

	for (size_t i = 0; i < 3; i++) {
		json_t *reply = json_loads(replies[i], 0, NULL);
		FILE *out = open_memstream(&text, &len);

		xi_print_show(out, reply);
		xi_print_stats(out, reply);
		xi_print_cache(out, reply);
		xi_print_port(out, reply);
		xi_print_routes(out, reply);
		fclose(out);
		assert_true(len > 0);
		free(text);
		json_decref(reply);
	}
}

static void test_routes_for_people(void **state)
{
	assert_printed(
		xi_print_routes,
		"{\"table\": 50051, \"priority\": 210, \"via\": 2, \"thrown\": 1, \"waiting\": 1, \"changes\": 9,"
		" \"refused\": 3, \"restored\": 2, \"busy\": true, \"routes\": ["
		"{\"dst\": \"10.1.2.0/24\", \"type\": \"xipsec0\", \"src\": \"10.1.1.1\"},"
		"{\"dst\": \"::/0\", \"type\": \"xipsec0\", \"src\": null},"
		"{\"dst\": \"192.0.2.2/32\", \"type\": \"throw\", \"src\": null},"
		"{\"dst\": \"10.9.0.0/16\", \"type\": \"waiting\", \"src\": null}]}",
		"table: 50051, rules of priority 210 to 212\n"
		"  2 routes to xipsec0, 1 thrown back to other tables, 1 waiting; changes are under way\n"
		"  3 refused by the kernel and tried again, 2 removed by others and put back\n"
		"10.1.2.0/24 dev xipsec0 src 10.1.1.1\n"
		"::/0 dev xipsec0\n"
		"throw 192.0.2.2/32\n"
		"10.9.0.0/16 waits: no address of this host is in the source of its policies\n");
	assert_printed(xi_print_routes, "{\"table\": null, \"routes\": []}",
		       "none are made: set routes = yes in [daemon]\n");
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

static void test_durations_and_bytes(void **state)
{
	char text[XI_TEXT_MAX];

	assert_string_equal(xi_text_duration(text, 0), "0 seconds");
	assert_string_equal(xi_text_duration(text, 1), "1 second");
	assert_string_equal(xi_text_duration(text, 3600), "1 hour");
	assert_string_equal(xi_text_duration(text, 3601), "1 hour");
	assert_string_equal(xi_text_duration(text, 86400 + 7200), "1 day, 2 hours");
	assert_string_equal(xi_text_duration(text, UINT64_MAX), "213503982334601 days, 7 hours");
	assert_string_equal(xi_text_bytes(text, 1023), "1023 B");
	assert_string_equal(xi_text_bytes(text, 1024), "1.00 KiB");
	assert_string_equal(xi_text_bytes(text, 5ULL << 30), "5.00 GiB");
	assert_string_equal(xi_text_bytes(text, UINT64_MAX), "16.00 EiB");
}

#define WITH_HASTY_SERVER(test) cmocka_unit_test_setup_teardown(test, setup_hasty, teardown)
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
		WITH_SERVER(test_hostile_requests_get_an_error),
		WITH_SERVER(test_huge_and_deep_requests_get_an_error),
		WITH_SERVER(test_a_truncated_request_ends_with_the_connection),
		WITH_SERVER(test_a_client_that_vanishes_harms_nobody),
		WITH_HASTY_SERVER(test_a_slow_request_is_cut_off),
		WITH_HASTY_SERVER(test_a_client_that_does_not_read_is_cut_off),
		WITH_SERVER(test_a_large_reply_arrives_whole),
		WITH_HASTY_SERVER(test_clients_beyond_the_bound_wait),
		WITH_SERVER(test_commands_have_one_owner),
		WITH_SERVER(test_only_the_group_may_connect),
		WITH_SERVER(test_the_group_may_look_but_not_act),
		WITH_SERVER(test_a_second_daemon_is_refused_and_a_stale_socket_replaced),
		WITH_SERVER(test_a_run_dir_is_made_for_all_to_enter),
		WITH_SERVER(test_a_run_dir_that_cannot_be_is_refused),
		WITH_SERVER(test_the_tools_calls),
		WITH_SERVER(test_a_call_to_something_else_fails),
		cmocka_unit_test(test_a_failed_call_says_what_to_do),
		cmocka_unit_test(test_show_for_people),
		cmocka_unit_test(test_what_waits_for_people),
		cmocka_unit_test(test_stats_for_people_lists_only_what_happened),
		cmocka_unit_test(test_cache_for_people),
		cmocka_unit_test(test_port_for_people),
		cmocka_unit_test(test_routes_for_people),
		WITH_SERVER(test_routes_that_are_not_made),
		cmocka_unit_test(test_printing_survives_a_reply_of_another_shape),
		cmocka_unit_test(test_durations_and_bytes),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
