/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device that is set down loses its SAs: Linux deletes them (xfrm_dev_down()) and tells nobody,
 * so a key manager goes on believing in them. Those that were put there by us are made again, in
 * software, from what GETSA told of them last.
 *
 * Numbers: the device may have sent since, as many as the time allows and no more; they are left
 * out. What was received since nobody knows, and the time says nothing of it, for a sender may
 * leave numbers out: so an inbound SA comes back with a window that accepts nothing, and a soft
 * EXPIRE makes the key manager replace it, with its outbound twin.
 */
#include "source/offload_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"


struct xi_offload_copy {
	uint64_t at; /* xi_mirror_now(), after it was told */
	size_t len;
	union {
		struct nlmsghdr hdr;
		uint8_t bytes[0];
	};
};

void xi_offload_copy_free(struct xi_mirror_sa *sa)
{
	struct xi_offload_copy *copy = sa->offload.copy;

	if (copy)
		explicit_bzero(copy, sizeof(*copy) + copy->len); /* keys */
	free(copy);
	sa->offload.copy = NULL;
}

void xi_offload_copy(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	size_t len = m->answer.hdr.nlmsg_len;
	struct xi_offload_copy *copy = sa->offload.copy;

	if (m->answer.hdr.nlmsg_type != XFRM_MSG_NEWSA)
		return;
	if (!copy || copy->len != len) {
		xi_offload_copy_free(sa);
		copy = calloc(1, sizeof(*copy) + len);
		if (!copy)
			return;
		copy->len = len;
		sa->offload.copy = copy;
	}
	copy->at = xi_mirror_now(m);
	memcpy(copy->bytes, m->answer.buf, len);
}

/*
 * Linux tells of the link first, and deletes the SAs then. So what is found to be there when the
 * news are read may go yet, and what was found before the device is up again is lost, if it is not
 * there.
 */
static void device_link(struct xi_mirror *m, struct xi_offload_device *dev, bool up)
{
	struct xi_offload_resident *r;

	dev->down = !up;
	dev->down_at = xi_mirror_now(m);
	TAILQ_FOREACH(r, &dev->residents, next)
	xi_mirror_sa_touch(m, r->sa);
}

void xi_offload_link(struct xi_mirror *m, uint32_t ifindex, bool up)
{
	struct xi_offload *o = m->offload;

	for (unsigned int i = 0; i < o->ndevices; i++) {
		struct xi_offload_device *dev = &o->devices[i];

		if (!ifindex || (dev->link == ifindex && (!up || dev->down)))
			device_link(m, dev, up);
	}
}

static void on_links(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;

	xi_offload_net_links(m->offload->net, m);
}

int xi_offload_listen(struct xi_mirror *m)
{
	struct xi_offload *o = m->offload;

	if (!o || !o->net)
		return 0;
	o->on_links = event_new(m->config.base, xi_offload_net_fd(o->net), EV_READ | EV_PERSIST,
				on_links, m);
	return o->on_links && !event_add(o->on_links, NULL) ? 0 : -ENOMEM;
}

/* All that was told so far is known. */
static void news_read(struct xi_mirror *m)
{
	if (m->offload->net)
		xi_offload_net_links(m->offload->net, m);
	xi_mirror_on_news(m->news_fd, 0, m);
}

static bool is_lost(struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	const struct xi_offload_device *dev = xi_offload_device_of(m, sa);
	const struct xi_offload_copy *copy = sa->offload.copy;

	if (!copy || !dev ||
	    (sa->offload.where != XI_OFFLOAD_THERE && sa->offload.where != XI_OFFLOAD_OUT))
		return false;
	news_read(m);
	return !sa->told_gone && (dev->down || copy->at <= dev->down_at);
}

static int restore(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_offload_copy *copy = sa->offload.copy;
	struct xi_offload_made made;
	struct xi_nlmsg msg;
	int err = xi_offload_told(&made, &copy->hdr);

	made.inbound = made.shut = !sa->outbound;
	if (!err && sa->outbound)
		err = xi_offload_skip(&made, XI_OFFLOAD_GAP + (xi_mirror_now(m) - copy->at) /
								      XI_MIRROR_NS_A_PACKET);
	if (err)
		return err;
	xi_offload_newsa(&msg, &made, 0);
	err = xi_mirror_ask(m, &msg);
	explicit_bzero(msg.buf, sizeof(msg.buf));
	if (!err && made.shut) {
		xi_mirror_replace(m, &sa->id);
		sa->replaced = true;
	}
	return err;
}

bool xi_offload_restore(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct xi_offload_device *dev;
	int err;

	if (!m->offload || !is_lost(m, sa))
		return false;
	dev = xi_offload_device_of(m, sa);
	err = restore(m, sa);
	if (err && err != -EEXIST) {
		log_warnx("mirror: SA with SPI 0x%08x was lost when %s was set down: %s; the key "
			  "manager has "
			  "to make another",
			  sa->id.spi, dev->port.name, strerror(-err));
		return false;
	}
	log_info("mirror: SA with SPI 0x%08x, which %s lost when it was set down, is there again%s",
		 sa->id.spi, dev->port.name,
		 sa->outbound ? "" : "; it accepts nothing until the key manager replaces it");
	dev->restored++;
	xi_mirror_hold_end(m, sa);
	xi_offload_forget(m, sa);
	xi_mirror_sa_keep(m, sa, false);
	return true;
}
