/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/cachecmd.h"
#include "control/portcmd.h"
#include "control/routescmd.h"
#include "control/show.h"
#include "control/stats.h"
#include "control_bed.h"

/* --- a daemon of fixed data --- */

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

json_t *cmd_fail(void *arg, const json_t *req, const char **error)
{
	*error = "nothing to see: look elsewhere";
	return NULL;
}

int control_start(void **state, unsigned int request_ms, unsigned int reply_ms)
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

int control_setup(void **state)
{
	return control_start(state, 0, 0);
}

int control_teardown(void **state)
{
	struct fake *f = *state;

	xi_control_destroy(f->ctl);
	event_base_free(f->base);
	assert_int_equal(rmdir(f->dir), 0); /* so the socket is gone */
	free(f);
	return 0;
}

/* --- a client on the server's own thread --- */

void socket_name(struct sockaddr_un *sun, const char *dir)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/control.sock", dir);
}

int dial(struct fake *f)
{
	struct sockaddr_un sun;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	socket_name(&sun, f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

char *drain(struct fake *f, int fd)
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

char *ask_bytes(struct fake *f, const char *bytes, size_t len)
{
	int fd = dial(f);

	send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return drain(f, fd);
}

char *ask(struct fake *f, const char *request)
{
	return ask_bytes(f, request, strlen(request));
}
