/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/keepalive.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/hostpath.h"
#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "log.h"

#define TTL 64
#define UDP_LEN 9                /* header, and the byte */
#define PACKET_MAX (40 + UDP_LEN)

struct place {
	uint32_t slot;
	uint32_t sa_index;           /* whose; the slot may have another SA by now */
	uint64_t next;               /* not before */
};

struct xi_keepalives {
	struct xi_keepalive_config config;
	struct xi_rawout rawout;
	struct place *places;
	uint32_t n, room;
	uint32_t at;
	uint8_t *listed;             /* a bit a slot */
	uint64_t ticked;
	uint32_t left;               /* looks of that second */
};

/* The kernel sends those of its own SAs itself. */
static bool wants(const struct xi_sa_rec *rec)
{
	return rec && rec->sa.nat_keepalive &&
	       !(rec->sa.life & (XI_SA_LARVAL | XI_SA_FROM_KERNEL));
}

static int send_raw(void *arg, const uint8_t *packet, uint32_t len, uint32_t mark)
{
	struct xi_keepalives *k = arg;

	return xi_rawout_send(&k->rawout, packet, len, mark);
}

static int place_add(struct xi_keepalives *k, uint32_t slot)
{
	uint32_t room = k->room ? 2 * k->room : 16;
	void *grown;

	if (!k->listed)
		k->listed = calloc(xi_sad_capacity(k->config.sad) / 8 + 1, 1);
	if (!k->listed)
		return -ENOMEM;
	if (k->n == k->room) {
		grown = realloc(k->places, room * sizeof(*k->places));
		if (!grown)
			return -ENOMEM;
		k->places = grown;
		k->room = room;
	}
	k->places[k->n++] = (struct place){.slot = slot};
	k->listed[slot / 8] |= 1U << slot % 8;
	return 0;
}

static void place_drop(struct xi_keepalives *k, uint32_t i)
{
	uint32_t slot = k->places[i].slot;

	k->listed[slot / 8] &= ~(1U << slot % 8);
	k->places[i] = k->places[--k->n];
}

/* What has no place any more loses it with the next look. */
static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct xi_keepalives *k = arg;
	uint32_t slot;

	if (!wants(new))
		return;
	slot = XI_SA_SLOT(new->sa.sa_index);
	if (k->listed && k->listed[slot / 8] & 1U << slot % 8)
		return;
	if (place_add(k, slot))
		log_warnx("SA with SPI 0x%08x: no memory to send its NAT keepalives",
			  new->sa.id.spi);
}

static void udp_make(uint8_t *udp, const struct xi_sa *sa)
{
	xi_put16(udp, sa->encap_sport);
	xi_put16(udp + 2, sa->encap_dport);
	xi_put16(udp + 4, UDP_LEN);
	udp[8] = 0xff;
}

/* Without a checksum in IPv4, as the ESP beside it (RFC 3948 section 2.3). */
static uint32_t packet_make(uint8_t packet[PACKET_MAX], const struct xi_sa *sa)
{
	bool v6 = sa->id.family == XI_IPV6;
	uint32_t head = v6 ? 40 : 20;

	memset(packet, 0, PACKET_MAX);
	udp_make(packet + head, sa);
	if (v6) {
		packet[0] = 0x60;
		xi_put16(packet + 4, UDP_LEN);
		packet[6] = IPPROTO_UDP;
		packet[7] = TTL;
		memcpy(packet + 8, sa->saddr, 16);
		memcpy(packet + 24, sa->id.daddr, 16);
		xi_l4_checksum(packet, packet + head, UDP_LEN, IPPROTO_UDP);
	} else {
		packet[0] = 0x45;
		packet[8] = TTL;
		packet[9] = IPPROTO_UDP;
		memcpy(packet + 12, sa->saddr, 4);
		memcpy(packet + 16, sa->id.daddr, 4);
		xi_ip4_finish(packet, (uint16_t)(head + UDP_LEN));
	}
	return head + UDP_LEN;
}

/* False: there was no room for it, as when many are due at once; an interval later the NAT may have forgotten the mapping. */
static bool keepalive_send(struct xi_keepalives *k, const struct xi_sa *sa)
{
	uint8_t packet[PACKET_MAX];
	uint32_t len = packet_make(packet, sa);
	int err = k->config.send(k->config.arg, packet, len, sa->output_mark & sa->output_mark_mask);

	if (err)
		log_debug("SA with SPI 0x%08x: NAT keepalive not sent: %s", sa->id.spi,
			  strerror(-err));
	return err != -EAGAIN && err != -ENOBUFS && err != -ENOMEM;
}

/* False: it wants none any more. */
static bool place_look(struct xi_keepalives *k, struct place *place, uint64_t now)
{
	const struct xi_sa_rec *rec = xi_sad_at(k->config.sad, place->slot);
	uint64_t used, interval;

	if (!wants(rec))
		return false;
	if (place->sa_index != rec->sa.sa_index)
		*place = (struct place){.slot = place->slot, .sa_index = rec->sa.sa_index};
	interval = rec->sa.nat_keepalive;
	/* further ahead than that it is of before the clock was put back */
	if (now < place->next && place->next - now <= interval)
		return true;
	used = __atomic_load_n(&rec->state->last_use, __ATOMIC_RELAXED);
	if (used <= now && now - used < interval) {
		place->next = used + interval;
		return true;
	}
	place->next = now + (keepalive_send(k, &rec->sa) ? interval : 1);
	return true;
}

void xi_keepalives_tick(struct xi_keepalives *k, uint64_t now)
{
	uint32_t looks;

	if (now != k->ticked)
		k->left = k->n < XI_KEEPALIVE_LOOKS ? k->n : XI_KEEPALIVE_LOOKS;
	k->ticked = now;
	looks = k->left < XI_KEEPALIVE_TURN ? k->left : XI_KEEPALIVE_TURN;
	k->left -= looks;
	for (; looks && k->n; looks--) {
		if (k->at >= k->n)
			k->at = 0;
		if (place_look(k, &k->places[k->at], now))
			k->at++;
		else
			place_drop(k, k->at);
	}
}

int xi_keepalives_create(struct xi_keepalives **out, const struct xi_keepalive_config *config)
{
	struct xi_keepalives *k = calloc(1, sizeof(*k));
	const struct xi_sa_rec *rec;
	uint32_t slot = 0;
	int err;

	if (!k)
		return -ENOMEM;
	k->config = *config;
	k->rawout = (struct xi_rawout){.fd4 = -1, .fd6 = -1};
	if (!config->send) {
		err = xi_rawout_open(&k->rawout);
		if (err) {
			free(k);
			return err;
		}
		k->config.send = send_raw;
		k->config.arg = k;
	}
	xi_sad_listen(config->sad, &(struct xi_sad_listener){.changed = sa_changed, .arg = k});
	while ((rec = xi_sad_next(config->sad, &slot)))
		sa_changed(k, NULL, rec);
	*out = k;
	return 0;
}

void xi_keepalives_destroy(struct xi_keepalives *k)
{
	if (!k)
		return;
	xi_sad_unlisten(k->config.sad, k);
	xi_rawout_close(&k->rawout);
	free(k->places);
	free(k->listed);
	free(k);
}
