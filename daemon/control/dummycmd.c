/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/dummycmd.h"

#include <arpa/inet.h>
#include <string.h>

#include "control/names.h"
#include "dataplane/dummy.h"

#define DIR_OUT 2 /* xi_sa.sa_dir */

struct request {
	uint32_t spi;
	bool has_dst;
	struct xi_addr dst;
	unsigned int count;
	uint32_t size;
};

static bool parse_addr(const json_t *value, struct xi_addr *addr)
{
	const char *text = json_string_value(value);

	*addr = (struct xi_addr){0};
	if (!text)
		return false;
	addr->family = strchr(text, ':') ? XI_IPV6 : XI_IPV4;
	return inet_pton(addr->family == XI_IPV6 ? AF_INET6 : AF_INET, text, addr->addr) == 1;
}

/* Absent: n stays. False: no number, or not within the bounds. */
static bool parse_number(const json_t *value, json_int_t least, json_int_t most, uint32_t *n)
{
	if (!value)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < least ||
	    json_integer_value(value) > most)
		return false;
	*n = (uint32_t)json_integer_value(value);
	return true;
}

/* NULL, or what is wrong. */
static const char *request_parse(const json_t *json, struct request *req)
{
	const json_t *dst = json_object_get(json, "dst");

	*req = (struct request){.count = 1, .size = XI_DUMMY_SIZE_RANDOM, .has_dst = dst != NULL};
	if (!xi_json_get_id(json_object_get(json, "spi"), &req->spi))
		return "no SPI: give one of `xipsec show`, as 0x1001";
	if (dst && !parse_addr(dst, &req->dst))
		return "the destination is no IP address";
	if (!parse_number(json_object_get(json, "count"), 1, XI_DUMMY_COUNT_MAX, &req->count))
		return "the count is no number from 1 to 1000: ask again for more";
	if (!parse_number(json_object_get(json, "size"), 0, XI_DUMMY_SIZE_MAX, &req->size))
		return "the size is no number of bytes from 0 to 65535";
	return NULL;
}

static bool sa_matches(const struct request *req, const struct xi_sa *sa)
{
	return sa->id.spi == req->spi &&
	       (!req->has_dst || (sa->id.family == req->dst.family &&
				  !memcmp(sa->id.daddr, req->dst.addr, sizeof(req->dst.addr))));
}

/* XFRM has no direction before XFRMA_SA_DIR (6.10). */
static bool sa_sends(const struct xi_control_sources *src, const struct xi_sa *sa)
{
	if (sa->sa_dir)
		return sa->sa_dir == DIR_OUT;
	return src->is_local(src, sa->saddr, sa->id.family);
}

/* NULL, or why there are no dummy packets on this SA. */
static const char *sa_refused(const struct xi_control_sources *src, const struct xi_sa *sa)
{
	if (sa->id.proto != XI_ESP)
		return "an SA of AH has no dummy packets: they are ESP's (RFC 4303 section 2.6)";
	if (sa->life & XI_SA_LARVAL)
		return "the SA is larval, it has no keys yet: wait for the key manager";
	if (!sa_sends(src, sa))
		return "the SA sends nothing, it is inbound: name the outbound one of the pair";
	if (src->wraps(src, sa))
		return "a policy puts another SA around this one: send on that SA";
	return NULL;
}

/*
 * The SA that was asked for: of several with this SPI the one that can send. NULL with *error set.
 */
static const struct xi_sa_rec *find_sa(const struct xi_control_sources *src,
				       const struct request *req, const char **error)
{
	const struct xi_sa_rec *rec, *found = NULL;
	uint32_t slot = 0;

	*error = "no SA of this SPI and destination: see `xipsec show`";
	while ((rec = src->next_sa(src, &slot))) {
		const char *refused;

		if (!sa_matches(req, &rec->sa))
			continue;
		refused = sa_refused(src, &rec->sa);
		if (found && !refused) {
			*error = "more than one SA has this SPI: name the destination, too";
			return NULL;
		}
		if (!refused)
			found = rec;
		else if (!found)
			*error = refused;
	}
	return found;
}

static json_t *dummy(void *arg, const json_t *json, const char **error)
{
	const struct xi_control_sources *src = arg;
	const struct xi_sa_rec *rec;
	const char *why = NULL;
	struct request req;
	unsigned int sent;
	json_t *out;

	*error = request_parse(json, &req);
	if (*error)
		return NULL;
	rec = find_sa(src, &req, error);
	if (!rec)
		return NULL;
	out = json_pack("{s:o s:o s:i}", "spi", xi_json_spi(rec->sa.id.spi), "dst",
			xi_json_addr(rec->sa.id.daddr, rec->sa.id.family), "asked", (int)req.count);
	sent = src->dummy(src->arg, rec, req.count, req.size, &why);
	json_object_set_new(out, "sent", json_integer(sent));
	json_object_set_new(out, "why", sent < req.count && why ? json_string(why) : json_null());
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_dummycmd_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register_admin(ctl, "dummy", dummy, (void *)(uintptr_t)src);
}
