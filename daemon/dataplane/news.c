// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dataplane/news.h"

#include <string.h>

#define NEWS_A_ROUND 64

/*
 * Neighbours in the SAD, kinds of one SA, and ports between which a peer goes to and fro have places
 * of their own.
 */
void xi_news_push(struct xi_mailbox *box, unsigned int worker, const struct xi_news *news)
{
	xi_mailbox_push(box, worker, news->sa_index * 3ULL + news->kind + news->port, news);
}

static void desk_mapping(const struct xi_sad *sad, const struct xi_news_desk *desk,
			 const struct xi_news *news)
{
	const struct xi_sa_rec *rec = xi_sad_rec(sad, news->sa_index);

	if (!desk->mapping || !rec || rec->sa.encap == XI_ENCAP_NONE ||
	    rec->sa.id.family != news->addr.family)
		return;
	if (rec->sa.encap_sport == news->port &&
	    !memcmp(rec->sa.saddr, news->addr.addr, sizeof(rec->sa.saddr)))
		return;
	desk->mapping(desk->arg, rec, news->addr.addr, news->port);
}

bool xi_news_read(struct xi_mailbox *box, const struct xi_sad *sad,
		  const struct xi_news_desk *desk)
{
	struct xi_news news;
	int i;

	xi_mailbox_ack(box);
	for (i = 0; i < NEWS_A_ROUND && xi_mailbox_pop(box, &news); i++) {
		if (news.kind == XI_NEWS_MAPPING)
			desk_mapping(sad, desk, &news);
		else if (desk->expire && xi_sad_rec(sad, news.sa_index))
			desk->expire(desk->arg, news.sa_index);
	}
	return i == NEWS_A_ROUND;
}
