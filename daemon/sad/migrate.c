/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An SA that moves keeps its slot, and with it the state that workers count in: whoever still sends
 * by the record of before takes his numbers from the same counter. Tables that workers read without
 * a lock get a new node; the old one is freed when nobody can be looking at it.
 */
#include "sad/migrate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sad/sad_priv.h"

static bool is_meant(const struct xi_sa *sa, const struct xi_migrate *m, uint32_t if_id)
{
	return sa->id.proto == (enum xi_proto)m->proto && sa->mode == (enum xi_mode)m->mode &&
	       sa->id.family == m->old_family && (!m->reqid || sa->reqid == m->reqid) &&
	       (!if_id || sa->if_id == if_id) && !memcmp(sa->saddr, m->old_saddr, 16) &&
	       !memcmp(sa->id.daddr, m->old_daddr, 16);
}

const struct xi_sa_rec *xi_sad_migrate_find(const struct xi_sad *sad, const struct xi_migrate *m,
					    uint32_t if_id)
{
	static const uint8_t zero[16];
	struct xi_tmpl tmpl = {.reqid = m->reqid, .family = m->old_family};
	const struct xi_sad_node *node;
	enum xi_chain chain;

	if (!memcmp(m->old_daddr, zero, 16))
		return NULL;         /* to a template it would mean any */
	memcpy(tmpl.id.daddr, m->old_daddr, 16);
	node = xi_peers_newest(sad, &tmpl, &chain);
	while (node && !is_meant(&node->rec->sa, m, if_id))
		node = node->links[chain].older;
	return node ? node->rec : NULL;
}

void xi_sa_migrate(struct xi_sa *sa, const struct xi_migrate *m,
		   const struct xi_migrate_encap *encap)
{
	sa->id.family = m->new_family;
	memcpy(sa->id.daddr, m->new_daddr, 16);
	memcpy(sa->saddr, m->new_saddr, 16);
	if (!encap->given)
		return;
	sa->encap = encap->type;
	sa->encap_sport = encap->sport;
	sa->encap_dport = encap->dport;
	memcpy(sa->encap_oa, encap->oa, sizeof(sa->encap_oa));
}

/* As when it is added: from its new source address too, nobody else may count this key's nonces. */
static int move_check(const struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *to,
		      const char **why)
{
	const struct xi_sa_rec *other;
	const struct xi_sad_node *at;

	*why = "the datapath does not carry this kind of SA";
	if (sad->carries && !sad->carries(to, why))
		return -EPROTONOSUPPORT;
	at = xi_sad_node(sad, &to->id);
	if (at && at != node) {
		*why = "an SA with the new destination and the same SPI and protocol exists";
		return -EEXIST;
	}
	if (!node->key_named)
		xi_node_name_key(sad, node, &node->rec->key);
	if (!xi_alg_counts_nonces(to->alg) || to->sa_dir == XI_SA_DIR_IN)
		return 0;
	other = xi_sender_find(sad, node, to);
	if (!other || other->sa.sa_index == to->sa_index ||
	    (to->life & other->sa.life & XI_SA_FROM_FILE && to->alg == other->sa.alg &&
	     to->auth == other->sa.auth))
		return 0;
	*why = "another SA from the new source address has the same key, so its cipher would use nonces twice";
	return -EINVAL;
}

/* XDP finds it by the new id, and no longer by the old one. A store that fails is as before. */
static int store_move(struct xi_sad *sad, const struct xi_sa *old, const struct xi_sa *to)
{
	const struct xi_store *store = &sad->store;
	bool same_id = !memcmp(&old->id, &to->id, sizeof(old->id));
	int err;

	err = store->ops->sa_put(store->s, to->sa_index, to, NULL);
	if (err || same_id)
		return err;
	err = store->ops->lookup_put(store->s, &to->id, to->sa_index);
	if (!err) {
		err = store->ops->lookup_del(store->s, &old->id);
		if (!err || err == -ENOENT)
			return 0;
	}
	store->ops->lookup_del(store->s, &to->id);
	store->ops->sa_put(store->s, old->sa_index, old, NULL);
	return err;
}

/* The node in the other one's place, which has the same slot and the same state. */
static struct xi_sad_node *node_copy(const struct xi_sad_node *old, const struct xi_sa *to)
{
	struct xi_sad_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->id = to->id;
	node->sa_index = old->sa_index;
	node->key_named = old->key_named;
	node->key_name = old->key_name;
	return node;
}

static struct xi_sa_rec *rec_copy(struct xi_sad *sad, const struct xi_sa_rec *old,
				  const struct xi_sa *to, uint32_t under)
{
	struct xi_sa_rec *rec = xi_rec_new(sad);

	if (!rec)
		return NULL;
	*rec = *old;
	rec->sa = *to;
	rec->sa.moved_under = under;
	rec->sa.generation = old->sa.generation + 1;
	xi_rec_ready(rec);
	return rec;
}

/* Both nodes are in all tables for a moment, and both lead to the SA. */
static void node_replace(struct xi_sad *sad, struct xi_sad_node *old, struct xi_sad_node *node)
{
	struct xi_sad_round *round = &sad->round;
	struct xi_sa_rec *rec = node->rec;

	node->chosen = old->chosen;
	node->reserve = old->reserve;
	old->reserve = NULL;
	xi_sad_supplant(sad, old, node, rec);
	xi_table_add(sad, node);
	xi_table_del(sad, old);
	xi_peers_del(sad, old);
	/* the path is another */
	__atomic_store_n(&rec->state->pmtu, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&rec->state->pmtu_until, 0, __ATOMIC_RELAXED);
	round->replaced[round->nreplaced++] = old->rec;
	old->moved = true;
	old->doomed = round->doomed;
	round->doomed = old;
	xi_sad_changed(sad, old->rec, rec);
}

static int move(struct xi_sad *sad, struct xi_sad_node *old, const struct xi_sa *to,
		uint32_t under)
{
	struct xi_sad_node *node = node_copy(old, to);
	struct xi_sa_rec *rec = rec_copy(sad, old->rec, to, under);
	int err = node && rec ? xi_sad_round_reserve(sad) : -ENOMEM;

	if (err)
		goto fail;
	node->rec = rec;
	err = store_move(sad, &old->rec->sa, &rec->sa);
	if (err)
		goto fail;
	err = xi_peers_add(sad, node);
	if (!err) {
		node_replace(sad, old, node);
		return 0;
	}
	if (store_move(sad, &rec->sa, &old->rec->sa))
		log_warnx("an SA with SPI 0x%08x was not moved, and the store does not have it back",
			  old->id.spi);
fail:
	xi_rec_free(rec);
	free(node);
	return err;
}

int xi_sad_move(struct xi_sad *sad, uint32_t sa_index, const struct xi_sa *to, uint32_t under,
		const char **why)
{
	struct xi_sad_node *node;
	int err;

	*why = "there is no such SA";
	if (!xi_sad_rec(sad, sa_index) || xi_sad_rec(sad, sa_index)->sa.life & XI_SA_LARVAL)
		return -ESRCH;
	node = sad->slots.nodes[XI_SA_SLOT(sa_index)];
	xi_sad_hold(sad);
	err = move_check(sad, node, to, why);
	if (!err) {
		*why = "the SA could not be stored; see the log";
		err = move(sad, node, to, under);
	}
	xi_sad_release(sad);
	return err;
}

/* The kernel's migrate_tmpl_match(): in transport mode a template has no addresses of its own. */
static bool tmpl_is_meant(const struct xi_tmpl *tmpl, const struct xi_migrate *m)
{
	if (tmpl->mode != (enum xi_mode)m->mode || tmpl->id.proto != (enum xi_proto)m->proto ||
	    (m->reqid && tmpl->reqid != m->reqid))
		return false;
	return tmpl->mode == XI_TRANSPORT ||
	       (tmpl->family == m->old_family && !memcmp(tmpl->id.daddr, m->old_daddr, 16) &&
		!memcmp(tmpl->saddr, m->old_saddr, 16));
}

unsigned int xi_policy_migrate(struct xi_policy *policy, const struct xi_migrate *m, unsigned int n)
{
	unsigned int i, j, meant = 0;

	for (i = 0; i < policy->ntmpls; i++) {
		struct xi_tmpl *tmpl = &policy->tmpls[i];

		for (j = 0; j < n; j++) {
			if (!tmpl_is_meant(tmpl, &m[j]))
				continue;
			meant++;
			if (tmpl->mode != XI_TUNNEL)
				continue;
			memcpy(tmpl->id.daddr, m[j].new_daddr, 16);
			memcpy(tmpl->saddr, m[j].new_saddr, 16);
			tmpl->id.family = tmpl->family = m[j].new_family;
		}
	}
	return meant;
}
