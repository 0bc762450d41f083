/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/pathmtu.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <xipsec/reasons.h>
#include "ipsec/pmtu.h"
#include "log.h"

#define READS 32                 /* messages a wake-up; after so many ... */
#define PAUSE_MS 20              /* ... the socket waits, and overflows when it must */
#define WALKS_PER_SECOND 5       /* through the whole SAD, for quotes without an SPI */
#define MESSAGE_MAX 2048         /* RFC 1812 section 4.3.2.3: 576, RFC 4443 section 2.4c: 1280 */
#define SEQ_IN_FLIGHT (1U << 22) /* packets: a second at 4 million a second */
#define FRAG_NEEDED (ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED)
#define DIR_IN 1                 /* xi_sa.sa_dir */
#define FLOOR_DEFAULT 552        /* Linux's min_pmtu: 512 and headers */
#define FLOOR_LEAST 68           /* RFC 1191 section 3 */
#define FLOOR_UNSURE 1280        /* by quotes without an SPI: addresses and ports can be guessed */
#define AGE_DEFAULT 600          /* RFC 1191 section 6.3 */

struct listener {
	struct xi_pathmtu *pm;
	enum xi_family family;
	int fd;
	struct event *on_message;
	struct event *on_pause;
};

struct xi_pathmtu {
	struct xi_pathmtu_config config;
	struct listener listeners[2];
	uint64_t walk_second;        /* in which `walks` walks were made */
	unsigned int walks;
};

/* Was a packet of this number sent, and not long ago? Workers count oseq up before they send. */
static bool seq_plausible(const struct xi_sa_state *state, uint32_t seq)
{
	uint64_t oseq = __atomic_load_n(&state->oseq, __ATOMIC_RELAXED);
	uint32_t back = (uint32_t)oseq - seq;

	return back < SEQ_IN_FLIGHT && back < oseq;
}

/* RFC 4301 section 8.2: the SA that we sent the quoted packet by. */
static bool quote_fits(const struct xi_quote *q, const struct xi_sa_rec *rec)
{
	const struct xi_sa *sa = &rec->sa;

	if (sa->id.proto != q->proto || sa->id.family != q->family || sa->sa_dir == DIR_IN ||
	    (sa->life & XI_SA_LARVAL))
		return false;
	if (memcmp(sa->saddr, q->saddr, sizeof(q->saddr)) ||
	    memcmp(sa->id.daddr, q->daddr, sizeof(q->daddr)))
		return false;
	if ((sa->encap != XI_ENCAP_NONE) != q->encap ||
	    (q->encap && (sa->encap_sport != q->sport || sa->encap_dport != q->dport)))
		return false;
	if (q->has_seq)
		return seq_plausible(rec->state, q->seq);
	return __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED) != 0;
}

static bool sa_lower(const struct xi_sa_rec *rec, uint32_t mtu, uint32_t age, uint64_t now)
{
	struct xi_sa_state *state = rec->state;

	if (mtu >= xi_path_mtu(state, UINT32_MAX, now))
		return false;
	xi_pmtu_learn(state, mtu, now + age);
	log_debug("path MTU of SPI 0x%08x is %" PRIu32 " for %" PRIu32 " s", rec->sa.id.spi, mtu,
		  age);
	return true;
}

unsigned int xi_pathmtu_apply(const struct xi_sad *sad, const struct xi_quote *quote,
			      const struct xi_pathmtu_rules *rules, uint64_t now)
{
	struct xi_sa_id id = { .spi = quote->spi, .proto = quote->proto, .family = quote->family };
	uint32_t mtu = quote->mtu, slot = 0;
	const struct xi_sa_rec *rec;
	unsigned int n = 0;

	if (quote->family == XI_IPV4 && mtu < rules->floor)
		mtu = rules->floor;
	if (!quote->has_spi && mtu < FLOOR_UNSURE)
		mtu = FLOOR_UNSURE;
	if (mtu >= quote->len)
		return 0;
	if (quote->has_spi) {
		memcpy(id.daddr, quote->daddr, sizeof(id.daddr));
		rec = xi_sad_find(sad, &id);
		return rec && quote_fits(quote, rec) && sa_lower(rec, mtu, rules->age, now);
	}
	while ((rec = xi_sad_next(sad, &slot)))
		n += quote_fits(quote, rec) && sa_lower(rec, mtu, rules->age, now);
	return n;
}

static uint32_t sysctl_read(const char *path, uint32_t otherwise)
{
	FILE *f = fopen(path, "re");
	uint32_t value;

	if (!f)
		return otherwise;
	if (fscanf(f, "%" SCNu32, &value) != 1)
		value = otherwise;
	fclose(f);
	return value;
}

/* Read anew for each message, so that a change holds at once; few come so far. */
static struct xi_pathmtu_rules rules_read(enum xi_family family)
{
	struct xi_pathmtu_rules rules = {
		.floor = sysctl_read("/proc/sys/net/ipv4/route/min_pmtu", FLOOR_DEFAULT),
		.age = sysctl_read(family == XI_IPV6 ? "/proc/sys/net/ipv6/route/mtu_expires" :
						       "/proc/sys/net/ipv4/route/mtu_expires",
				   AGE_DEFAULT),
	};

	if (rules.floor < FLOOR_LEAST)
		rules.floor = FLOOR_LEAST;
	if (rules.age > XI_PMTU_AGE_MAX)
		rules.age = XI_PMTU_AGE_MAX;
	return rules;
}

/* A quote without an SPI is easy to forge and costs a walk: only so many. */
static bool may_walk(struct xi_pathmtu *pm, uint64_t now)
{
	if (pm->walk_second != now) {
		pm->walk_second = now;
		pm->walks = 0;
	}
	return pm->walks++ < WALKS_PER_SECOND;
}

static void message_take(struct listener *l, const uint8_t *icmp, uint32_t len)
{
	struct xi_pathmtu *pm = l->pm;
	uint64_t now = (uint64_t)time(NULL);
	struct xi_pathmtu_rules rules;
	struct xi_quote quote;
	unsigned int n;

	if (xi_quote_parse(&quote, l->family, icmp, len) ||
	    !xi_spd_is_local(xi_spd_snapshot(pm->config.spd), quote.saddr, quote.family) ||
	    (!quote.has_spi && !may_walk(pm, now)))
		return;
	rules = rules_read(quote.family);
	n = xi_pathmtu_apply(pm->config.sad, &quote, &rules, now);
	if (n && pm->config.counts)
		__atomic_fetch_add(&pm->config.counts[XI_PATH_MTU], n, __ATOMIC_RELAXED);
}

/* A raw IPv4 socket gives the IP header as well, an ICMPv6 one does not (RFC 3542 section 3). */
static void packet_take(struct listener *l, const uint8_t *p, uint32_t len)
{
	uint32_t hlen = 0;

	if (l->family == XI_IPV4) {
		if (len < sizeof(struct iphdr))
			return;
		hlen = ((const struct iphdr *)(const void *)p)->ihl * 4U;
		if (hlen < sizeof(struct iphdr) || hlen > len)
			return;
	}
	message_take(l, p + hlen, len - hlen);
}

static void listener_read(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { .tv_usec = PAUSE_MS * 1000 };
	_Alignas(8) uint8_t buf[MESSAGE_MAX];
	struct listener *l = arg;
	ssize_t n;
	int i;

	for (i = 0; i < READS; i++) {
		/* MSG_TRUNC: the true length, so that none is taken for complete that is not */
		n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && n <= (ssize_t)sizeof(buf))
			packet_take(l, buf, (uint32_t)n);
	}
	if (i < READS || event_add(l->on_pause, &pause))
		return;
	event_del(l->on_message);
}

static void listener_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	event_add(l->on_message, NULL);
}

/*
 * Nothing else wakes this thread: a host may see much ICMP. The IPv4 filter sees the IP header first,
 * and looks into the quoted one for the protocol; in IPv6 extension headers may be in between.
 */
static int filter_v4(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FRAG_NEEDED, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 8 + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ESP, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_AH, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	const struct icmp_filter types = {.data = ~(1U << ICMP_DEST_UNREACH)};

	if (setsockopt(fd, SOL_RAW, ICMP_FILTER, &types, sizeof(types)) ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		return -errno;
	return 0;
}

static int filter_v6(int fd)
{
	struct icmp6_filter types;

	ICMP6_FILTER_SETBLOCKALL(&types);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &types);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &types, sizeof(types)) ? -errno : 0;
}

static int listener_socket(struct listener *l)
{
	bool v4 = l->family == XI_IPV4;
	int err;

	l->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (l->fd < 0)
		return -errno;
	err = v4 ? filter_v4(l->fd) : filter_v6(l->fd);
	if (err) {
		close(l->fd);
		l->fd = -1;
	}
	return err;
}

static int listener_open(struct listener *l, struct event_base *base)
{
	int err = listener_socket(l);

	if (err == -EAFNOSUPPORT && l->family == XI_IPV6)
		return 0;
	if (err) {
		errno = -err;
		log_warn("cannot open the ICMP socket of path MTUs: CAP_NET_RAW is needed");
		return err;
	}
	l->on_message = event_new(base, l->fd, EV_READ | EV_PERSIST, listener_read, l);
	l->on_pause = event_new(base, -1, 0, listener_resume, l);
	return l->on_message && l->on_pause && !event_add(l->on_message, NULL) ? 0 : -ENOMEM;
}

int xi_pathmtu_create(struct xi_pathmtu **out, const struct xi_pathmtu_config *config)
{
	static const enum xi_family families[2] = {XI_IPV4, XI_IPV6};
	struct xi_pathmtu *pm = calloc(1, sizeof(*pm));
	int i, err = 0;

	if (!pm)
		return -ENOMEM;
	pm->config = *config;
	for (i = 0; i < 2; i++)
		pm->listeners[i] = (struct listener){.pm = pm, .family = families[i], .fd = -1};
	for (i = 0; i < 2 && !err; i++)
		err = listener_open(&pm->listeners[i], config->base);
	if (err) {
		xi_pathmtu_destroy(pm);
		return err;
	}
	*out = pm;
	return 0;
}

void xi_pathmtu_destroy(struct xi_pathmtu *pm)
{
	if (!pm)
		return;
	for (int i = 0; i < 2; i++) {
		struct listener *l = &pm->listeners[i];

		if (l->on_message)
			event_free(l->on_message);
		if (l->on_pause)
			event_free(l->on_pause);
		if (l->fd >= 0)
			close(l->fd);
	}
	free(pm);
}
