/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/show.h"

#include <linux/xfrm.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/names.h"
#include "control/portcmd.h"
#include "control/stats.h"
#include "ipsec/pmtu.h"
#include "version.h"

/* Where a page begins, and where the next one does. */
struct cursor {
	uint32_t at;
	bool end;
};

static uint64_t seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec;
}

/* null: never, or in the future because the clock was set back. */
static json_t *seconds_since(uint64_t then, uint64_t now)
{
	return then && then <= now ? xi_json_u64(now - then) : json_null();
}

static void put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static void put_string(json_t *object, const char *name, const char *value)
{
	put(object, name, json_string(value));
}

static void put_u64(json_t *object, const char *name, uint64_t value)
{
	put(object, name, xi_json_u64(value));
}

static void put_counter(json_t *object, const char *name, const __u64 *counter)
{
	put_u64(object, name, __atomic_load_n(counter, __ATOMIC_RELAXED));
}

static json_t *ports_json(const struct xi_control_sources *src)
{
	json_t *ports = json_array();
	const struct xi_port_dev *port;

	for (unsigned int i = 0; (port = src->port(src->arg, i)); i++)
		json_array_append_new(ports, xi_port_json(port));
	return ports;
}

static json_t *interfaces_json(const struct xi_control_sources *src)
{
	json_t *out = json_array(), *one;
	uint32_t ifindex;
	bool up;

	for (uint32_t i = 0; i < src->ninterfaces; i++) {
		ifindex = src->interface_state(src->arg, &src->interfaces[i], &up);
		one = json_object();
		put_string(one, "name", src->interfaces[i].name);
		put_u64(one, "if_id", src->interfaces[i].if_id);
		put(one, "ifindex", ifindex ? xi_json_u64(ifindex) : json_null());
		put(one, "up", json_boolean(up));
		json_array_append_new(out, one);
	}
	return out;
}

static json_t *daemon_json(const struct xi_control_sources *src)
{
	json_t *out = json_object();
	struct stat netns;

	put_string(out, "version", XI_VERSION);
	put_u64(out, "pid", (uint64_t)getpid());
	put_u64(out, "uptime", seconds(CLOCK_MONOTONIC) - src->started);
	put(out, "netns",
	    stat("/proc/self/ns/net", &netns) < 0 ? json_null() : xi_json_u64(netns.st_ino));
	put_string(out, "run_dir", src->run_dir);
	put_string(out, "pin_dir", src->pin_dir);
	put_string(out, "engine", src->engine);
	put_u64(out, "workers", src->workers);
	put(out, "ports", ports_json(src));
	put(out, "interfaces", interfaces_json(src));
	return out;
}

/* XFRM has no direction before XFRMA_SA_DIR (6.10): a local destination means inbound. */
static json_t *sa_direction(const struct xi_control_sources *src, const struct xi_sa *sa)
{
	if (sa->sa_dir)
		return json_string(sa->sa_dir == 1 ? "in" : "out");
	if (src->is_local(src, sa->id.daddr, sa->id.family))
		return json_string("in");
	if (src->is_local(src, sa->saddr, sa->id.family))
		return json_string("out");
	return json_null();
}

static json_t *sa_cached_json(const struct xi_control_sources *src, const struct xi_sa *sa)
{
	struct xi_cached_sa cached;

	if (!src->sa_cached(src->arg, sa->sa_index, &cached) ||
	    (!cached.cached && cached.slot == XI_NO_SLOT))
		return json_null();
	return json_pack("{s:s s:o}", "method", xi_method_name(cached.method), "slot",
			 cached.slot == XI_NO_SLOT ? json_null() : json_integer(cached.slot));
}

static json_t *errors_json(const struct xi_sa_state *state)
{
	json_t *out = json_object();

	put_counter(out, "replay", &state->replay_failed);
	put_counter(out, "integrity", &state->integrity_failed);
	put_counter(out, "other", &state->other_failed);
	return out;
}

static void put_state(json_t *out, const struct xi_sa_state *state, uint64_t now)
{
	uint64_t first = __atomic_load_n(&state->use_time, __ATOMIC_RELAXED);
	uint64_t last = __atomic_load_n(&state->last_use, __ATOMIC_RELAXED);
	uint32_t pmtu = xi_pmtu_learned(state, now);

	put_counter(out, "packets", &state->packets);
	put_counter(out, "bytes", &state->bytes);
	put(out, "first_use", seconds_since(first, now));
	put(out, "last_use", seconds_since(last, now));
	put_counter(out, "oseq", &state->oseq);
	put_counter(out, "oseq_limit", &state->oseq_limit);
	put_counter(out, "top", &state->top);
	put(out, "pmtu", pmtu ? xi_json_u64(pmtu) : json_null());
	put(out, "errors", errors_json(state));
}

static void put_identity(json_t *out, const struct xi_sa *sa)
{
	put(out, "spi", xi_json_spi(sa->id.spi));
	put(out, "src", xi_json_addr(sa->saddr, sa->id.family));
	put(out, "dst", xi_json_addr(sa->id.daddr, sa->id.family));
	put_string(out, "proto", xi_proto_name(sa->id.proto));
	put_string(out, "mode", xi_mode_name(sa->mode));
	put(out, "handle", json_sprintf("0x%08x", sa->sa_index));
}

/* null: not in UDP. The ports of the source's and of the destination's end. */
static json_t *encap_json(const struct xi_sa *sa)
{
	if (sa->encap == XI_ENCAP_NONE)
		return json_null();
	return json_pack("{s:s s:i s:i}", "type", xi_encap_name(sa->encap), "sport",
			 sa->encap_sport, "dport", sa->encap_dport);
}

static void put_outer(json_t *out, const struct xi_sa *sa)
{
	enum xi_df df = sa->flags & XFRM_STATE_NOPMTUDISC ? XI_DF_CLEAR : sa->df;

	put(out, "encap", encap_json(sa));
	put_u64(out, "tfcpad", sa->tfcpad);
	put_string(out, "df", xi_df_name(df));
}

/* Never of rec->key. */
static json_t *sa_json(const struct xi_control_sources *src, const struct xi_sa_rec *rec,
		       uint64_t now)
{
	const struct xi_sa *sa = &rec->sa;
	json_t *out = json_object();

	put_identity(out, sa);
	put(out, "dir", sa_direction(src, sa));
	put_string(out, "algorithm", xi_alg_name(sa->alg));
	put_u64(out, "key_bits", sa->key_bits);
	if (sa->auth != XI_AUTH_NONE)
		put_string(out, "integrity", xi_auth_name(sa->auth));
	put_u64(out, "icv_bits", (uint64_t)sa->icv_len * 8);
	put(out, "esn", json_boolean(sa->flags & XFRM_STATE_ESN));
	if (sa->life & XI_SA_FROM_KERNEL)
		put(out, "kernel", json_true());
	put(out, "larval", json_boolean(sa->life & XI_SA_LARVAL));
	put_u64(out, "replay_window", sa->replay_window);
	put_outer(out, sa);
	put_u64(out, "reqid", sa->reqid);
	put_u64(out, "mark", sa->mark_v);
	put_u64(out, "mark_mask", sa->mark_m);
	put_u64(out, "if_id", sa->if_id);
	put(out, "age", seconds_since(sa->add_time, now));
	put(out, "cached", sa_cached_json(src, sa));
	put_state(out, rec->state, now);
	return out;
}

/* A page at most: the control thread has other work to do between pages. */
static json_t *sas_json(const struct xi_control_sources *src, struct cursor *cursor)
{
	uint64_t now = seconds(CLOCK_REALTIME);
	const struct xi_sa_rec *rec;
	json_t *sas = json_array();

	while (!cursor->end && json_array_size(sas) < XI_SHOW_PAGE) {
		rec = src->next_sa(src, &cursor->at);
		if (rec)
			json_array_append_new(sas, sa_json(src, rec, now));
		cursor->end = !rec;
	}
	return sas;
}

static json_t *tmpl_json(const struct xi_tmpl *tmpl)
{
	json_t *out = json_object();

	put(out, "src", xi_json_addr(tmpl->saddr, tmpl->family));
	put(out, "dst", xi_json_addr(tmpl->id.daddr, tmpl->family));
	put_string(out, "proto", xi_proto_name(tmpl->id.proto));
	put_string(out, "mode", xi_mode_name(tmpl->mode));
	put(out, "spi", tmpl->id.spi ? xi_json_spi(tmpl->id.spi) : json_null());
	put_u64(out, "reqid", tmpl->reqid);
	put(out, "optional", json_boolean(tmpl->optional));
	return out;
}

static json_t *tmpls_json(const struct xi_policy *policy)
{
	json_t *tmpls = json_array();

	for (uint32_t i = 0; i < policy->ntmpls && i < XI_MAX_TMPLS; i++)
		json_array_append_new(tmpls, tmpl_json(&policy->tmpls[i]));
	return tmpls;
}

static json_t *policy_json(const struct xi_policy *policy)
{
	const struct xi_selector *sel = &policy->sel;
	json_t *out = json_object();

	put_string(out, "dir", xi_dir_name(policy->dir));
	put_string(out, "action", xi_action_name(policy->action));
	put_u64(out, "priority", policy->priority);
	put_u64(out, "index", policy->index);
	put(out, "src", xi_json_prefix(sel->saddr, sel->family, sel->prefixlen_s));
	put(out, "dst", xi_json_prefix(sel->daddr, sel->family, sel->prefixlen_d));
	put_u64(out, "proto", sel->proto);
	put(out, "sport", xi_json_match(sel->sport, sel->sport_mask));
	put(out, "dport", xi_json_match(sel->dport, sel->dport_mask));
	put_u64(out, "mark", policy->mark_v);
	put_u64(out, "mark_mask", policy->mark_m);
	put_u64(out, "if_id", policy->if_id);
	if (policy->origin & XI_POLICY_FROM_KERNEL)
		put(out, "kernel", json_true());
	if (policy->origin & XI_POLICY_IN_KERNEL)
		put(out, "left_to_kernel", json_true());
	put(out, "templates", tmpls_json(policy));
	return out;
}

static json_t *policies_json(const struct xi_control_sources *src, struct cursor *cursor)
{
	const struct xi_policy *policy;
	json_t *policies = json_array();

	while (!cursor->end && json_array_size(policies) < XI_SHOW_PAGE) {
		policy = src->next_policy(src, &cursor->at);
		if (policy)
			json_array_append_new(policies, policy_json(policy));
		cursor->end = !policy;
	}
	return policies;
}

static json_t *offload_json(const struct xi_mirror_figures *m)
{
	json_t *out = json_array();

	for (unsigned int i = 0; i < m->noffload; i++) {
		const struct xi_offload_figures *f = &m->offload[i];
		json_t *device = json_object();

		put(device, "name", json_string(f->name));
		put(device, "able", json_boolean(f->able));
		put_u64(device, "sas", f->sas);
		put_u64(device, "others", f->others);
		put_u64(device, "slots", f->slots);
		put_u64(device, "in", f->in);
		put_u64(device, "out", f->out);
		put_u64(device, "refused", f->refused);
		put_u64(device, "kinds_refused", f->kinds);
		put_u64(device, "restored", f->restored);
		json_array_append_new(out, device);
	}
	return out;
}

static json_t *mirror_json(const struct xi_mirror_figures *m)
{
	json_t *out = json_object();

	put(out, "synced", json_boolean(m->synced));
	put_u64(out, "sas", m->sas);
	put_u64(out, "sas_idle", m->sas_idle);
	put_u64(out, "sas_kept", m->sas_kept);
	put_u64(out, "policies", m->policies);
	put_u64(out, "policies_kept", m->policies_kept);
	put_u64(out, "taken", m->taken);
	put_u64(out, "given", m->given);
	put_u64(out, "written", m->written);
	put_u64(out, "strays", m->strays);
	put_u64(out, "resyncs", m->resyncs);
	put_u64(out, "lost", m->lost);
	if (m->noffload)
		put(out, "offload", offload_json(m));
	return out;
}

static json_t *acquire_json(const struct xi_acquire *a, uint64_t now)
{
	const struct xi_flow *flow = &a->flow;
	json_t *out = json_object();

	put_u64(out, "seq", a->seq);
	put(out, "src", xi_json_addr(a->key.saddr, a->key.family));
	put(out, "dst", xi_json_addr(a->key.daddr, a->key.family));
	put_string(out, "proto", xi_proto_name(a->key.proto));
	put_string(out, "mode", xi_mode_name(a->key.mode));
	put_u64(out, "reqid", a->key.reqid);
	put_u64(out, "policy", a->policy_index);
	put(out, "flow", json_pack("{s:o s:o s:i s:i s:i}", "src",
				   xi_json_addr(flow->saddr, flow->family), "dst",
				   xi_json_addr(flow->daddr, flow->family), "proto", flow->proto,
				   "sport", flow->sport, "dport", flow->dport));
	put_u64(out, "age", now - a->since);
	put_u64(out, "left", a->until > now ? a->until - now : 0);
	return out;
}

static json_t *acquires_json(const struct xi_control_sources *src)
{
	struct xi_waiting waiting = { 0 };
	json_t *acquires = json_array();
	const struct xi_acquire *a;

	src->waiting(src->arg, &waiting);
	if (waiting.acquires)
		TAILQ_FOREACH (a, waiting.acquires, age)
			json_array_append_new(acquires, acquire_json(a, waiting.now));
	return acquires;
}

static bool read_cursor(struct cursor *cursor, const json_t *from, const char *name)
{
	const json_t *value = json_object_get(from, name);

	cursor->end = json_is_null(value);
	if (cursor->end || !from)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > UINT32_MAX)
		return false;
	cursor->at = (uint32_t)json_integer_value(value);
	return true;
}

static json_t *cursor_json(const struct cursor *cursor)
{
	return cursor->end ? json_null() : json_integer(cursor->at);
}

static json_t *next_json(const struct cursor *sa, const struct cursor *policy)
{
	json_t *next;

	if (sa->end && policy->end)
		return json_null();
	next = json_object();
	put(next, "sa", cursor_json(sa));
	put(next, "policy", cursor_json(policy));
	return next;
}

static json_t *show(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	const json_t *from = json_object_get(req, "from");
	struct cursor sa = { 0 }, policy = { 0 };
	struct xi_mirror_figures mirror;
	json_t *out;

	if (!read_cursor(&sa, from, "sa") || !read_cursor(&policy, from, "policy")) {
		*error = "from: not what \"next\" of an earlier reply said: send that, or nothing";
		return NULL;
	}
	out = json_object();
	put(out, "daemon", daemon_json(src));
	put(out, "held", xi_held_json(src));
	if (src->mirror && src->mirror(src->arg, &mirror))
		put(out, "mirror", mirror_json(&mirror));
	put(out, "sas", sas_json(src, &sa));
	put(out, "policies", policies_json(src, &policy));
	put(out, "waiting", xi_waiting_json(src));
	if (!from) {
		put(out, "acquires", acquires_json(src));
		xi_drops_put(out, src);
	}
	put(out, "cache", xi_usage_json(src, XI_TABLE_SA));
	put(out, "flows", xi_usage_json(src, XI_TABLE_FLOW));
	put(out, "next", next_json(&sa, &policy));
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_show_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "show", show, (void *)(uintptr_t)src);
}
