/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/show.h"

#include <linux/xfrm.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/names.h"
#include "control/stats.h"
#include "version.h"

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

static uint64_t load(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static json_t *port_json(const struct xi_port_dev *port)
{
	static const char *const attaches[] = {
		[XI_ATTACH_NETLINK] = "netlink", [XI_ATTACH_LINK] = "link", [XI_ATTACH_NONE] = "none",
	};
	const uint8_t *mac = port->mac;

	return json_pack("{s:s s:s s:s s:s s:I s:I s:I s:I s:o}", "name", port->config.name,
			 "role", xi_role_name(port->config.role),
			 "mode", port->config.mode == XI_PORT_SKB ? "skb" : "native",
			 "attach", attaches[port->config.attach],
			 "ifindex", (json_int_t)port->ifindex, "slot", (json_int_t)port->slot,
			 "queues", (json_int_t)port->queues, "mtu", (json_int_t)port->mtu,
			 "mac", json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
					     mac[4], mac[5]));
}

static json_t *ports_json(const struct xi_control_sources *src)
{
	json_t *ports = json_array();
	const struct xi_port_dev *port;

	for (unsigned int i = 0; (port = src->port(src->arg, i)); i++)
		json_array_append_new(ports, port_json(port));
	return ports;
}

static json_t *daemon_json(const struct xi_control_sources *src)
{
	struct stat netns;

	if (stat("/proc/self/ns/net", &netns) < 0)
		netns.st_ino = 0;
	return json_pack("{s:s s:I s:I s:I s:s s:s s:s s:I s:o}", "version", XI_VERSION, "pid", (json_int_t)getpid(),
			 "uptime", (json_int_t)(seconds(CLOCK_MONOTONIC) - src->started),
			 "netns", (json_int_t)netns.st_ino, "run_dir", src->run_dir, "pin_dir", src->pin_dir,
			 "engine", src->engine, "workers", (json_int_t)src->workers, "ports", ports_json(src));
}

/* XFRM has no direction of its own before XFRMA_SA_DIR (6.10): a local destination means inbound. */
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
	struct xi_sa_cached cached;

	if (!src->sa_cached(src->arg, &sa->id, &cached) || cached.sa_index != sa->sa_index)
		return json_null();
	return json_pack("{s:s s:o}", "method", xi_method_name(cached.method), "slot",
			 cached.slot == XI_NO_SLOT ? json_null() : json_integer(cached.slot));
}

static json_t *sa_state_json(const struct xi_sa_state *state, uint64_t now)
{
	return json_pack("{s:o s:o s:o s:o s:o s:o s:o s:{s:o s:o s:o}}", "packets", xi_json_u64(load(&state->packets)),
			 "bytes", xi_json_u64(load(&state->bytes)),
			 "first_use", seconds_since(load(&state->use_time), now),
			 "last_use", seconds_since(load(&state->last_use), now),
			 "oseq", xi_json_u64(load(&state->oseq)),
			 "oseq_limit", xi_json_u64(load(&state->oseq_limit)), "top", xi_json_u64(load(&state->top)),
			 "errors", "replay", xi_json_u64(load(&state->replay_failed)),
			 "integrity", xi_json_u64(load(&state->integrity_failed)),
			 "other", xi_json_u64(load(&state->other_failed)));
}

/* Never of rec->key. */
static json_t *sa_json(const struct xi_control_sources *src, const struct xi_sa_rec *rec, uint64_t now)
{
	const struct xi_sa *sa = &rec->sa;
	json_t *out = json_pack("{s:o s:o s:o s:s s:s s:o s:o}", "spi", xi_json_spi(sa->id.spi),
				"src", xi_json_addr(sa->saddr, sa->id.family),
				"dst", xi_json_addr(sa->id.daddr, sa->id.family),
				"proto", xi_proto_name(sa->id.proto), "mode", xi_mode_name(sa->mode),
				"dir", sa_direction(src, sa), "handle", json_sprintf("0x%08x", sa->sa_index));
	json_t *more = json_pack("{s:s s:I s:I s:b s:b s:I s:I s:I s:I s:o s:o}", "algorithm", xi_alg_name(sa->alg),
				 "key_bits", (json_int_t)sa->key_bits, "icv_bits", (json_int_t)sa->icv_len * 8,
				 "esn", !!(sa->flags & XFRM_STATE_ESN), "larval", !!(sa->life & XI_SA_LARVAL),
				 "replay_window", (json_int_t)sa->replay_window, "reqid", (json_int_t)sa->reqid,
				 "mark", (json_int_t)sa->mark_v, "if_id", (json_int_t)sa->if_id,
				 "age", seconds_since(sa->add_time, now), "cached", sa_cached_json(src, sa));
	json_t *state = sa_state_json(rec->state, now);

	json_object_update_missing(out, more);
	json_object_update_missing(out, state);
	json_decref(more);
	json_decref(state);
	return out;
}

static json_t *sas_json(const struct xi_control_sources *src, bool *truncated)
{
	uint64_t now = seconds(CLOCK_REALTIME);
	json_t *sas = json_array();
	const struct xi_sa_rec *rec;
	uint32_t slot = 0;

	while ((rec = src->next_sa(src, &slot))) {
		if (json_array_size(sas) == XI_SHOW_MAX) {
			*truncated = true;
			break;
		}
		json_array_append_new(sas, sa_json(src, rec, now));
	}
	return sas;
}

/* null: any; a number; or "value/mask" */
static json_t *match_json(uint16_t value, uint16_t mask)
{
	if (!mask)
		return json_null();
	return mask == 0xffff ? json_integer(value) : json_sprintf("0x%x/0x%x", value, mask);
}

static json_t *tmpls_json(const struct xi_policy *policy)
{
	json_t *tmpls = json_array();

	for (uint32_t i = 0; i < policy->ntmpls && i < XI_MAX_TMPLS; i++) {
		const struct xi_tmpl *t = &policy->tmpls[i];

		json_array_append_new(tmpls, json_pack("{s:o s:o s:s s:s s:o s:I s:b}",
						       "src", xi_json_addr(t->saddr, t->family),
						       "dst", xi_json_addr(t->id.daddr, t->family),
						       "proto", xi_proto_name(t->id.proto),
						       "mode", xi_mode_name(t->mode),
						       "spi", t->id.spi ? xi_json_spi(t->id.spi) : json_null(),
						       "reqid", (json_int_t)t->reqid, "optional", !!t->optional));
	}
	return tmpls;
}

static json_t *policy_json(const struct xi_policy *policy)
{
	const struct xi_selector *sel = &policy->sel;

	return json_pack("{s:s s:s s:I s:I s:o s:o s:I s:o s:o s:o}", "dir", xi_dir_name(policy->dir),
			 "action", xi_action_name(policy->action), "priority", (json_int_t)policy->priority,
			 "index", (json_int_t)policy->index,
			 "src", xi_json_prefix(sel->saddr, sel->family, sel->prefixlen_s),
			 "dst", xi_json_prefix(sel->daddr, sel->family, sel->prefixlen_d),
			 "proto", (json_int_t)sel->proto, "sport", match_json(sel->sport, sel->sport_mask),
			 "dport", match_json(sel->dport, sel->dport_mask), "templates", tmpls_json(policy));
}

static json_t *policies_json(const struct xi_control_sources *src, bool *truncated)
{
	json_t *policies = json_array();
	const struct xi_policy *policy;
	uint32_t index = 0;

	while ((policy = src->next_policy(src, &index))) {
		if (json_array_size(policies) == XI_SHOW_MAX) {
			*truncated = true;
			break;
		}
		json_array_append_new(policies, policy_json(policy));
	}
	return policies;
}

static json_t *show(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	bool truncated = false;
	json_t *sas = sas_json(src, &truncated);
	json_t *policies = policies_json(src, &truncated);
	json_t *reply = json_pack("{s:o s:o s:o s:o s:o s:b}", "daemon", daemon_json(src), "sas", sas,
				  "policies", policies, "cache", xi_usage_json(src, XI_TABLE_SA),
				  "flows", xi_usage_json(src, XI_TABLE_FLOW), "truncated", truncated);

	if (!reply)
		*error = "out of memory: try again later";
	return reply;
}

int xi_show_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "show", show, (void *)(uintptr_t)src);
}
