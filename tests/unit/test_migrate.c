/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs and policies whose endpoints move, and what MIGRATE says of it. What the kernel does: net/xfrm of Linux 6.1 to 6.12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipsec/sa_ctx.h"
#include "sad/migrate.h"
#include "server_bed.h"

#define OLD "192.0.2.1"
#define NEW "198.51.100.7"
#define PEER "192.0.2.2"
#define ID_SIZE sizeof(struct xfrm_userpolicy_id)

static xfrm_address_t addr(const char *text)
{
	xfrm_address_t a;
	uint8_t bytes[16];

	sample_addr(bytes, text);
	memcpy(&a, bytes, sizeof(a));
	return a;
}

static struct xfrm_user_migrate item(const char *old_src, const char *old_dst, const char *new_src,
				     const char *new_dst, uint32_t reqid)
{
	struct xfrm_user_migrate m = {
		.old_saddr = addr(old_src), .old_daddr = addr(old_dst),
		.new_saddr = addr(new_src), .new_daddr = addr(new_dst),
		.proto = IPPROTO_ESP, .mode = XFRM_MODE_TUNNEL, .reqid = reqid,
	};
	uint8_t bytes[16];

	m.old_family = sample_addr(bytes, old_src);
	m.new_family = sample_addr(bytes, new_src);
	return m;
}

static void request_of(struct bed_msg *m, const struct xi_policy *policy,
		       const struct xfrm_user_migrate *items, size_t n)
{
	struct xfrm_userpolicy_id *id = bed_begin(m, XFRM_MSG_MIGRATE, 0, sizeof(*id));

	xi_selector_to_xfrm(&id->sel, &policy->sel);
	id->dir = policy->dir;
	bed_attr(m, XFRMA_MIGRATE, items, n * sizeof(*items));
}

static int migrate(struct bed *b, const struct xi_policy *policy, struct xfrm_user_migrate one)
{
	struct bed_msg m;

	request_of(&m, policy, &one, 1);
	return bed_do(b, &m);
}

static struct xi_policy out_policy(struct bed *b)
{
	struct xi_policy p = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 16);

	bed_tmpl(&p, OLD, PEER, XI_TUNNEL, 7);
	bed_policy_add(b, &p);
	return p;
}

static const struct xi_sa_rec *by_id(struct bed *b, const char *daddr, uint32_t spi)
{
	struct xi_sa_id id = {.spi = spi, .proto = XI_ESP};

	id.family = sample_addr(id.daddr, daddr);
	return xi_sad_find(b->sad, &id);
}

static enum xi_verdict judge(struct bed *b, uint32_t *handle)
{
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17};
	struct xi_flow_verdict verdict;

	flow.family = sample_addr(flow.saddr, "10.1.0.5");
	sample_addr(flow.daddr, "10.2.0.5");
	xi_spd_judge_out(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL);
	*handle = verdict.handle;
	return verdict.verdict;
}

/* Invariant nonce-unique: the counter is the same memory, so a worker that still has the old record takes from it too. */
static void an_sa_that_moves_keeps_all_but_its_addresses(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b);
	struct xi_sa was = bed_add(b, OLD, PEER, 0x1001, 7);
	const struct xi_sa_rec *rec = by_id(b, PEER, 0x1001);
	struct xi_sa_state *counters = rec->state;
	struct xi_sa_key key = rec->key;
	struct xi_sa expected = was;
	uint32_t handle, generation = xi_spd_snapshot(b->spd)->generation;

	counters->oseq = 4711;
	counters->packets = 4711;
	counters->bytes = 1 << 20;
	counters->use_time = 1234;
	counters->top = 99;
	counters->pmtu = 1280;
	assert_int_equal(judge(b, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, NEW, PEER, 7)), 0);

	rec = by_id(b, PEER, 0x1001);
	sample_addr(expected.saddr, NEW);
	expected.generation++;
	expected.moved_under = generation;
	assert_memory_equal(&rec->sa, &expected, sizeof(expected));
	assert_memory_equal(&rec->key, &key, sizeof(key));
	assert_ptr_equal(rec->state, counters);
	assert_int_equal(counters->oseq, 4711);
	assert_int_equal(counters->packets, 4711);
	assert_int_equal(counters->use_time, 1234);
	assert_int_equal(counters->top, 99);
	assert_int_equal(counters->sa_index, was.sa_index);
	assert_int_equal(counters->pmtu, 0); /* another path */
	assert_memory_equal(xi_sad_context(b->sad, was.sa_index)->hdr + 12, expected.saddr, 4);
	assert_memory_equal(mem_store_sa(b->m, was.sa_index)->sa.saddr, expected.saddr, 16);
	assert_memory_equal(&mem_store_sa(b->m, was.sa_index)->key, &key, sizeof(key));
	assert_int_equal(judge(b, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, was.sa_index);
	assert_int_equal(xi_sad_count(b->sad), 1);
}

/* Of several to one peer, newer ones among them, the one that is named. */
static void none_but_the_one_that_is_meant_moves(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 16);
	struct xfrm_user_migrate one = item(OLD, PEER, NEW, PEER, 7);
	struct xi_sa sa = sample_sa(OLD, PEER, 0x1001);
	struct xi_sa_key key = sample_key(100);
	const char *why;
	struct bed_msg m;
	uint8_t to[16];

	sa.reqid = 7;
	sa.if_id = 5;
	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	bed_add(b, OLD, PEER, 0x1002, 7);           /* no if_id */
	bed_add(b, "192.0.2.33", PEER, 0x1003, 7);  /* another source */
	bed_add(b, OLD, PEER, 0x1004, 8);           /* another reqid */
	bed_tmpl(&policy, OLD, PEER, XI_TUNNEL, 7);
	policy.if_id = 5;
	bed_policy_add(b, &policy);
	request_of(&m, &policy, &one, 1);
	bed_attr_u32(&m, XFRMA_IF_ID, 5);
	assert_int_equal(bed_do(b, &m), 0);
	sample_addr(to, NEW);
	assert_memory_equal(by_id(b, PEER, 0x1001)->sa.saddr, to, 16);
	for (uint32_t spi = 0x1002; spi < 0x1005; spi++)
		assert_memory_not_equal(by_id(b, PEER, spi)->sa.saddr, to, 16);
	/* without an if_id the newest of that source and reqid */
	policy.if_id = 0;
	bed_policy_add(b, &policy);
	assert_int_equal(migrate(b, &policy, one), 0);
	assert_memory_equal(by_id(b, PEER, 0x1002)->sa.saddr, to, 16);
	assert_memory_not_equal(by_id(b, PEER, 0x1003)->sa.saddr, to, 16);
	assert_memory_not_equal(by_id(b, PEER, 0x1004)->sa.saddr, to, 16);
}

/* Its id changes: packets find it by the new one alone. */
static void an_inbound_sa_is_found_where_it_went(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_IN, "10.2.0.0", "10.1.0.0", 16);
	struct xi_sa was = bed_add(b, PEER, OLD, 0x2001, 7);
	struct xi_sa_id id = was.id;
	const struct xi_policy *moved;
	uint8_t expected[16];

	bed_tmpl(&policy, PEER, OLD, XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	assert_int_equal(migrate(b, &policy, item(PEER, OLD, PEER, NEW, 7)), 0);
	assert_null(by_id(b, OLD, 0x2001));
	assert_int_equal(xi_sad_lookup(b->sad, &was.id), 0);
	assert_int_equal(mem_store_lookup(b->m, &was.id), 0);
	sample_addr(id.daddr, NEW);
	assert_int_equal(xi_sad_lookup(b->sad, &id), was.sa_index);
	assert_int_equal(mem_store_lookup(b->m, &id), was.sa_index);
	assert_int_equal(mem_store_count_sas(b->m), 1);
	assert_int_equal(mem_store_count_lookups(b->m), 1);
	moved = xi_spd_find(b->spd, &policy);
	sample_addr(expected, NEW);
	assert_memory_equal(moved->tmpls[0].id.daddr, expected, 16);
	/* and back again */
	assert_int_equal(migrate(b, &policy, item(PEER, NEW, PEER, OLD, 7)), 0);
	assert_int_equal(xi_sad_lookup(b->sad, &was.id), was.sa_index);
	assert_int_equal(xi_sad_delete(b->sad, &was.id), 0);
	assert_int_equal(mem_store_count_sas(b->m), 0);
	assert_int_equal(mem_store_count_lookups(b->m), 0);
}

static void the_family_of_a_tunnel_may_change(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b);
	struct xi_sa was = bed_add(b, OLD, PEER, 0x1001, 7);
	uint32_t handle;

	assert_int_equal(migrate(b, &policy, item(OLD, PEER, "2001:db8::1", "2001:db8::2", 7)), 0);
	assert_int_equal(by_id(b, "2001:db8::2", 0x1001)->sa.sa_index, was.sa_index);
	assert_int_equal(xi_sad_context(b->sad, was.sa_index)->outer_len, 40);
	assert_int_equal(xi_spd_find(b->spd, &policy)->tmpls[0].family, XI_IPV6);
	assert_int_equal(judge(b, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, was.sa_index);
}

/* As in the kernel, which copies the SA and its encapsulation, unless the message has another. */
static void encapsulation_is_kept_or_replaced(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b);
	struct xfrm_user_migrate one = item(OLD, PEER, NEW, PEER, 7);
	struct xfrm_encap_tmpl encap = {.encap_type = 2, .encap_sport = __builtin_bswap16(4500), .encap_dport = __builtin_bswap16(61000)};
	struct bed_msg m, news;

	bed_add(b, OLD, PEER, 0x1001, 7);
	bed_join(b, XFRMNLGRP_MIGRATE);
	request_of(&m, &policy, &one, 1);
	bed_attr(&m, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(by_id(b, PEER, 0x1001)->sa.encap, XI_ENCAP_ESPINUDP);
	assert_int_equal(by_id(b, PEER, 0x1001)->sa.encap_sport, 4500);
	assert_int_equal(by_id(b, PEER, 0x1001)->sa.encap_dport, 61000);
	assert_true(bed_receive(b->listener, &news));
	assert_memory_equal(bed_find(&news, ID_SIZE, XFRMA_ENCAP, 0), &encap, sizeof(encap));
	assert_int_equal(migrate(b, &policy, item(NEW, PEER, OLD, PEER, 7)), 0);
	assert_int_equal(by_id(b, PEER, 0x1001)->sa.encap_dport, 61000);
	encap.encap_type = 7; /* TCP, RFC 9329 */
	request_of(&m, &policy, &one, 1);
	bed_attr(&m, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(bed_do(b, &m), -EINVAL);
}

/* The kernel's build_migrate(). */
static void the_group_hears_of_it(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b);
	struct xfrm_user_migrate items[2] = {item(OLD, PEER, NEW, PEER, 7), item(NEW, PEER, OLD, PEER, 9)};
	struct xfrm_user_kmaddress km = {.family = AF_INET, .local = addr(NEW), .remote = addr(PEER)};
	const struct xfrm_userpolicy_id *id;
	struct bed_msg m, news;

	bed_join(b, XFRMNLGRP_MIGRATE);
	request_of(&m, &policy, items, 2);
	bed_attr(&m, XFRMA_KMADDRESS, &km, sizeof(km));
	assert_int_equal(bed_do(b, &m), 0);
	assert_true(bed_receive(b->listener, &news));
	assert_int_equal(news.hdr.nlmsg_type, XFRM_MSG_MIGRATE);
	assert_int_equal(news.hdr.nlmsg_seq, 0);
	assert_int_equal(news.hdr.nlmsg_pid, 0);
	id = (const void *)(news.buf + NLMSG_HDRLEN);
	assert_int_equal(id->dir, XFRM_POLICY_OUT);
	assert_int_equal(id->index, 0);
	assert_int_equal(id->sel.prefixlen_s, 16);
	assert_memory_equal(bed_find(&news, ID_SIZE, XFRMA_KMADDRESS, 0), &km, sizeof(km));
	assert_non_null(bed_find(&news, ID_SIZE, XFRMA_POLICY_TYPE, 0));
	assert_null(bed_find(&news, ID_SIZE, XFRMA_ENCAP, 0));
	for (int i = 0; i < 2; i++)
		assert_memory_equal(bed_find(&news, ID_SIZE, XFRMA_MIGRATE, i), &items[i], sizeof(items[i]));
	assert_null(bed_find(&news, ID_SIZE, XFRMA_MIGRATE, 2));
	assert_false(bed_receive(b->listener, &news));
}

static void policy_and_order_stay(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b), before;

	before = *xi_spd_find(b->spd, &policy);
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, NEW, PEER, 7)), 0);
	sample_addr(before.tmpls[0].saddr, NEW);
	assert_memory_equal(xi_spd_find(b->spd, &policy), &before, sizeof(before));
}

/* xfrm_migrate_check(), xfrm_migrate() and xfrm_do_migrate(): errors, in their order. */
static void bad_requests_are_refused_as_the_kernel_does(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b), other = bed_policy(XI_OUT, "10.9.0.0", "10.8.0.0", 16);
	struct xi_sa was = bed_add(b, OLD, PEER, 0x1001, 7);
	struct xi_policy policy_was = *xi_spd_find(b->spd, &policy);
	struct xfrm_user_migrate items[7], good = item(OLD, PEER, NEW, PEER, 7), bad;
	struct bed_msg m, news;

	bed_join(b, XFRMNLGRP_MIGRATE);
	bed_begin(&m, XFRM_MSG_MIGRATE, 0, ID_SIZE);
	assert_int_equal(bed_do(b, &m), -EINVAL); /* "Missing required MIGRATE attribute" */
	for (int i = 0; i < 7; i++)
		items[i] = item(OLD, PEER, NEW, PEER, 100 + i);
	request_of(&m, &policy, items, 7);
	assert_int_equal(bed_do(b, &m), -EINVAL);
	items[0] = items[1] = good;
	request_of(&m, &policy, items, 2);
	assert_int_equal(bed_do(b, &m), -EINVAL); /* "must be unique" */
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, "0.0.0.0", PEER, 7)), -EINVAL);
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, NEW, "0.0.0.0", 7)), -EINVAL);
	bad = good;
	bad.new_family = 3;
	assert_int_equal(migrate(b, &policy, bad), -EINVAL);
	assert_int_equal(migrate(b, &other, good), -ENOENT); /* "Target policy not found" */
	other = policy;
	other.dir = XI_IN;
	assert_int_equal(migrate(b, &other, good), -ENOENT);
	/* no template is meant: -ENODATA, and the SA that was is where it was */
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, NEW, PEER, 8)), -ENODATA);
	bad = good;
	bad.mode = XFRM_MODE_TRANSPORT;
	assert_int_equal(migrate(b, &policy, bad), -ENODATA);
	bad = good;
	bad.proto = IPPROTO_AH;
	assert_int_equal(migrate(b, &policy, bad), -ENODATA);
	assert_memory_equal(&xi_sad_find(b->sad, &was.id)->sa, &was, sizeof(was));
	assert_memory_equal(xi_spd_find(b->spd, &policy), &policy_was, sizeof(policy_was));
	assert_false(bed_receive(b->listener, &news));
}

/* libreswan asks at its start whether there is MIGRATE: by a message without what it needs, and takes ENOPROTOOPT for a no. */
static void the_probe_of_a_key_manager_is_answered_yes(void **state)
{
	struct bed *b = *state;
	struct bed_msg m;

	bed_begin(&m, XFRM_MSG_MIGRATE, 0, ID_SIZE);
	assert_int_equal(bed_do(b, &m), -EINVAL);
	bed_begin(&m, XFRM_MSG_MIGRATE, 0, ID_SIZE);
	bed_attr(&m, XFRMA_MIGRATE, NULL, 0);
	assert_int_not_equal(bed_do(b, &m), -ENOPROTOOPT);
	bed_begin(&m, XFRM_MSG_MIGRATE, 0, ID_SIZE);
	m.hdr.nlmsg_len = NLMSG_HDRLEN + 8;
	assert_int_equal(bed_do(b, &m), -EINVAL);
}

/* All or none: an id that is taken, or a key that the new source address has already. */
static void what_cannot_move_leaves_all_as_it_was(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_IN, "10.2.0.0", "10.1.0.0", 16), policy_was;
	struct xfrm_user_migrate items[2] = {item(PEER, OLD, PEER, NEW, 7), item(PEER, OLD, PEER, NEW, 8)};
	struct xi_sa first = bed_add(b, PEER, OLD, 0x2001, 7), second = bed_add(b, PEER, OLD, 0x2002, 8);
	struct xi_sa_state *state_of_first = xi_sad_find(b->sad, &first.id)->state;
	struct bed_msg m;

	bed_add(b, PEER, NEW, 0x2002, 9);
	bed_tmpl(&policy, PEER, OLD, XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	policy_was = *xi_spd_find(b->spd, &policy);
	state_of_first->oseq = 17;
	request_of(&m, &policy, items, 2);
	assert_int_equal(bed_do(b, &m), -ENODATA);
	assert_memory_equal(xi_sad_find(b->sad, &first.id)->sa.saddr, first.saddr, 16);
	assert_int_equal(xi_sad_lookup(b->sad, &first.id), first.sa_index);
	assert_int_equal(xi_sad_lookup(b->sad, &second.id), second.sa_index);
	assert_ptr_equal(xi_sad_find(b->sad, &first.id)->state, state_of_first);
	assert_int_equal(state_of_first->oseq, 17);
	assert_null(by_id(b, NEW, 0x2001));
	assert_memory_equal(xi_spd_find(b->spd, &policy), &policy_was, sizeof(policy_was));
	assert_int_equal(mem_store_count_lookups(b->m), 3);
}

static void two_senders_with_one_key_do_not_meet(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = out_policy(b);
	struct xi_sa mine = bed_add(b, OLD, PEER, 0x1001, 7), sa = sample_sa(NEW, PEER, 0x1002);
	struct xi_sa_key key = xi_sad_find(b->sad, &mine.id)->key;
	const char *why;

	/* a peer of ours may use the key of what it sends us: two addresses, two senders */
	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(migrate(b, &policy, item(OLD, PEER, NEW, PEER, 7)), -ENODATA);
	assert_memory_equal(xi_sad_find(b->sad, &mine.id)->sa.saddr, mine.saddr, 16);
}

/* Each write of the store in turn fails; then all is as before, in memory and in the store. */
static void a_store_that_fails_changes_nothing(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_IN, "10.2.0.0", "10.1.0.0", 16), policy_was;
	struct xi_sa was = bed_add(b, PEER, OLD, 0x2001, 7);
	struct xi_sa_id id = was.id;
	unsigned int k;
	int err = -1;

	sample_addr(id.daddr, NEW);
	bed_tmpl(&policy, PEER, OLD, XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	policy_was = *xi_spd_find(b->spd, &policy);
	for (k = 1; k < 20; k++) {
		mem_store_fail(b->m, k, 1);
		err = migrate(b, &policy, item(PEER, OLD, PEER, NEW, 7));
		mem_store_fail(b->m, 0, 0);
		if (!err)
			break;
		assert_int_equal(xi_sad_lookup(b->sad, &was.id), was.sa_index);
		assert_int_equal(xi_sad_lookup(b->sad, &id), 0);
		assert_int_equal(mem_store_lookup(b->m, &was.id), was.sa_index);
		assert_int_equal(mem_store_lookup(b->m, &id), 0);
		assert_memory_equal(&mem_store_sa(b->m, was.sa_index)->sa.id, &was.id, sizeof(was.id));
		assert_memory_equal(xi_spd_find(b->spd, &policy)->tmpls, policy_was.tmpls,
				    sizeof(policy_was.tmpls));
	}
	assert_true(k > 4);
	assert_int_equal(err, 0);
	assert_int_equal(xi_sad_lookup(b->sad, &id), was.sa_index);
}

/* Invariant state-survives: the daemon dies after any write; the next one finds the SA once, with its counters. */
static void another_daemon_finds_it_whole(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_IN, "10.2.0.0", "10.1.0.0", 16);
	struct xi_sad_config config = {0};
	struct xi_sa was;
	unsigned int k, n;

	bed_tmpl(&policy, PEER, OLD, XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	for (k = 1; k < 8; k++) {
		struct xi_sad *next = NULL;
		const struct xi_sa_rec *rec;
		uint32_t slot = 0;

		was = bed_add(b, PEER, OLD, 0x2000 + k, 7);
		xi_sad_find(b->sad, &was.id)->state->top = 100 + k;
		mem_store_fail(b->m, k, 1000);
		migrate(b, &policy, item(PEER, OLD, PEER, NEW, 7));
		mem_store_fail(b->m, 0, 0);
		assert_int_equal(xi_sad_create(&next, &config, &b->m->store), 0);
		assert_int_equal(xi_sad_adopt(next, &n), 0);
		assert_int_equal(n, 1);
		rec = xi_sad_next(next, &slot);
		assert_int_equal(rec->sa.id.spi, was.id.spi);
		assert_int_equal(rec->state->top, 100 + k);
		/* its policy may be as before, and of the same generation: it takes it no longer */
		assert_int_equal(rec->sa.moved_under, 0);
		assert_int_equal(mem_store_count_lookups(b->m), 1);
		assert_int_equal(mem_store_lookup(b->m, &rec->sa.id), rec->sa.sa_index);
		xi_sad_destroy(next);
		/* this daemon's own view again */
		slot = 0;
		while ((rec = xi_sad_next(b->sad, &slot))) {
			struct xi_sa_id id = rec->sa.id;

			assert_int_equal(xi_sad_delete(b->sad, &id), 0);
		}
		for (n = 0; n < MEM_STORE_SAS; n++)
			b->m->lookups[n].used = b->m->sas[n].used = false;
		policy.index = 0;
		xi_spd_flush(b->spd, &n);
		bed_policy_add(b, &policy);
	}
}

static bool accepts(struct bed *b, const struct xi_sa *sa)
{
	const struct xi_sa_path path = {.n = 1, .sas = {sa}};
	struct xi_flow flow = {.dir = XI_FWD, .proto = 17};

	flow.family = sample_addr(flow.saddr, "10.2.0.5");
	sample_addr(flow.daddr, "10.1.0.5");
	return xi_spd_allows_protected(xi_spd_snapshot(b->spd), &flow, &path);
}

/*
 * Workers meet the SA at its new place while they still have the policies of before: no packet is lost. Once they have those
 * of after, an SA at another place than the policy says is refused as ever.
 */
static void policies_of_before_take_an_sa_that_moved(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_FWD, "10.2.0.0", "10.1.0.0", 16);
	struct xi_sa was = bed_add(b, PEER, OLD, 0x2001, 7), to = was;
	const char *why;

	bed_tmpl(&policy, PEER, OLD, XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	assert_true(accepts(b, &was));
	xi_sad_hold(b->sad);
	xi_spd_hold(b->spd);
	sample_addr(to.id.daddr, NEW);
	assert_int_equal(xi_sad_move(b->sad, was.sa_index, &to, xi_spd_snapshot(b->spd)->generation, &why), 0);
	assert_true(accepts(b, &was)); /* who has it as it was */
	assert_true(accepts(b, &by_id(b, NEW, 0x2001)->sa));
	to.reqid = 8;
	assert_false(accepts(b, &to));
	xi_spd_disturb(b->spd);
	xi_sad_release(b->sad);
	assert_int_equal(xi_spd_release(b->spd), 0);
	assert_false(accepts(b, &by_id(b, NEW, 0x2001)->sa));
	assert_true(accepts(b, &was));
}

/* In transport mode the policy has no addresses; packets to the old address have no SA any more. */
static void in_transport_mode_flows_are_judged_again(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_OUT, "192.0.2.0", "192.0.0.0", 8);
	struct xfrm_user_migrate one = item(OLD, PEER, OLD, "192.0.2.99", 7);
	struct xi_sa sa = sample_sa(OLD, PEER, 0x3001);
	struct xi_sa_key key = sample_key(1);
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17};
	struct xi_flow_verdict verdict;
	const char *why;
	uint32_t before;

	sa.mode = XI_TRANSPORT;
	sa.reqid = 7;
	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	bed_tmpl(&policy, "0.0.0.0", "0.0.0.0", XI_TRANSPORT, 7);
	bed_policy_add(b, &policy);
	flow.family = sample_addr(flow.saddr, OLD);
	sample_addr(flow.daddr, PEER);
	before = xi_spd_snapshot(b->spd)->generation;
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL),
			 XI_VERDICT_PROTECT);
	one.mode = XFRM_MODE_TRANSPORT;
	assert_int_equal(migrate(b, &policy, one), 0);
	assert_int_not_equal(xi_spd_snapshot(b->spd)->generation, before);
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL),
			 XI_VERDICT_NONE);
	sample_addr(flow.daddr, "192.0.2.99");
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL),
			 XI_VERDICT_PROTECT);
	assert_int_equal(xi_spd_find(b->spd, &policy)->tmpls[0].id.daddr[0], 0);
	/* a rekey there takes its flows over, as if it had always been there */
	before = verdict.handle;
	assert_false(xi_sad_superseded(b->sad, before));
	sample_addr(sa.id.daddr, "192.0.2.99");
	sa.id.spi = 0x3002;
	key = sample_key(2);
	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	assert_true(xi_sad_superseded(b->sad, before));
}

#define SAS 16
#define SPIS 8

struct moving {
	bool used;
	uint32_t place;
	struct xi_sa sa;
};

static bool place_is_taken(const struct moving *list, uint32_t i, uint32_t place)
{
	uint32_t j;

	for (j = 0; j < SAS; j++)
		if (j != i && list[j].used && j % SPIS == i % SPIS && list[j].place == place)
			return true;
	return false;
}

/* SAs that come, go and move at random, two of each SPI: the SAD and a naive list agree. */
static void many_moves_against_a_list(void **state)
{
	static const char *const places[] = {OLD, NEW, "203.0.113.4", "2001:db8::5"};
	struct bed *b = *state;
	struct moving list[SAS] = {0};
	const char *why;
	uint32_t i, step, moved = 0, refused = 0;

	srand(1);
	for (step = 0; step < 5000; step++) {
		uint32_t place = rand() % 4;
		struct moving *m;
		bool taken;

		i = rand() % SAS;
		m = &list[i];
		taken = place_is_taken(list, i, place);
		if (!m->used && !taken) {
			m->sa = bed_add(b, PEER, places[place], 0x4000 + i % SPIS, i);
			m->place = place;
			m->used = true;
		} else if (m->used && rand() % 4 == 0) {
			assert_int_equal(xi_sad_delete(b->sad, &m->sa.id), 0);
			m->used = false;
		} else if (m->used) {
			struct xi_sa to = xi_sad_find(b->sad, &m->sa.id)->sa;
			uint64_t oseq = ++xi_sad_find(b->sad, &m->sa.id)->state->oseq;

			to.id.family = sample_addr(to.id.daddr, places[place]);
			assert_int_equal(xi_sad_move(b->sad, to.sa_index, &to, 0, &why),
					 taken ? -EEXIST : 0);
			moved += !taken;
			refused += taken;
			if (!taken) {
				m->place = place;
				m->sa.id = to.id;
			}
			assert_int_equal(xi_sad_find(b->sad, &m->sa.id)->state->oseq, oseq);
		}
		for (i = 0; i < SAS; i++)
			assert_true(!list[i].used || xi_sad_lookup(b->sad, &list[i].sa.id) ==
							     list[i].sa.sa_index);
	}
	assert_true(moved > 500 && refused > 100);
	assert_int_equal(xi_sad_count(b->sad), mem_store_count_sas(b->m));
	assert_int_equal(xi_sad_count(b->sad), mem_store_count_lookups(b->m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_sa_that_moves_keeps_all_but_its_addresses, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(none_but_the_one_that_is_meant_moves, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_inbound_sa_is_found_where_it_went, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(the_family_of_a_tunnel_may_change, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(encapsulation_is_kept_or_replaced, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(the_group_hears_of_it, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(policy_and_order_stay, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(bad_requests_are_refused_as_the_kernel_does, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(the_probe_of_a_key_manager_is_answered_yes, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_move_leaves_all_as_it_was, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(two_senders_with_one_key_do_not_meet, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_store_that_fails_changes_nothing, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(another_daemon_finds_it_whole, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(policies_of_before_take_an_sa_that_moved, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(in_transport_mode_flows_are_judged_again, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(many_moves_against_a_list, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
