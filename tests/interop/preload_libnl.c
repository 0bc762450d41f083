/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_libnl
 *
 * A program of libnl-xfrm: adds an SA, reads the SAD, deletes the SA, and deletes it once more.
 */
#include <arpa/inet.h>
#include <netlink/cache.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <netlink/xfrm/lifetime.h>
#include <netlink/xfrm/sa.h>
#include <netlink/xfrm/selector.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPI 0xabcd
#define AEAD "rfc4106(gcm(aes))"
#define KEY "\x5f\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13"

static struct nl_addr *addr(const char *text)
{
	struct nl_addr *a = NULL;

	return nl_addr_parse(text, AF_INET, &a) ? NULL : a;
}

static struct xfrmnl_sa *sa_new(void)
{
	struct xfrmnl_sa *sa = xfrmnl_sa_alloc();
	struct xfrmnl_sel *sel = xfrmnl_sel_alloc();
	struct xfrmnl_ltime_cfg *limits = xfrmnl_ltime_cfg_alloc();

	xfrmnl_sel_set_family(sel, AF_INET);
	xfrmnl_sel_set_daddr(sel, addr("0.0.0.0/0"));
	xfrmnl_sel_set_saddr(sel, addr("0.0.0.0/0"));
	xfrmnl_sa_set_sel(sa, sel);
	xfrmnl_ltime_cfg_set_soft_bytelimit(limits, ~0ULL);
	xfrmnl_ltime_cfg_set_hard_bytelimit(limits, ~0ULL);
	xfrmnl_ltime_cfg_set_soft_packetlimit(limits, ~0ULL);
	xfrmnl_ltime_cfg_set_hard_packetlimit(limits, ~0ULL);
	xfrmnl_sa_set_lifetime_cfg(sa, limits);
	xfrmnl_sa_set_saddr(sa, addr("192.0.2.1"));
	xfrmnl_sa_set_daddr(sa, addr("192.0.2.7"));
	xfrmnl_sa_set_proto(sa, IPPROTO_ESP);
	xfrmnl_sa_set_spi(sa, SPI);
	xfrmnl_sa_set_family(sa, AF_INET);
	xfrmnl_sa_set_mode(sa, XFRM_MODE_TUNNEL);
	xfrmnl_sa_set_reqid(sa, 9);
	xfrmnl_sa_set_aead_params(sa, AEAD, 160, 128, KEY);
	return sa;
}

static void say(const char *what, int err)
{
	printf("%s: %s\n", what, err < 0 ? nl_geterror(err) : "ok");
}

static void read_sad(struct nl_sock *sk)
{
	struct nl_cache *cache = NULL;
	int err = xfrmnl_sa_alloc_cache(sk, &cache);
	struct nl_object *o;

	say("read", err);
	if (err < 0)
		return;
	for (o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct xfrmnl_sa *sa = (struct xfrmnl_sa *)o;
		unsigned int bits = 0, icv = 0;
		char alg[64] = "", key[64];

		xfrmnl_sa_get_aead_params(sa, alg, &bits, &icv, key);
		printf("sa %x reqid %u %s %u %u\n", xfrmnl_sa_get_spi(sa), xfrmnl_sa_get_reqid(sa), alg,
		       bits, icv);
	}
	nl_cache_free(cache);
}

int main(void)
{
	struct nl_sock *sk = nl_socket_alloc();
	int err = nl_connect(sk, NETLINK_XFRM);

	say("connect", err);
	if (err < 0)
		return 1;
	nl_socket_set_passcred(sk, 1);
	nl_socket_recv_pktinfo(sk, 1);
	say("add", xfrmnl_sa_add(sk, sa_new(), NLM_F_CREATE | NLM_F_EXCL));
	read_sad(sk);
	say("delete", xfrmnl_sa_delete(sk, sa_new(), 0));
	say("delete again", xfrmnl_sa_delete(sk, sa_new(), 0));
	read_sad(sk);
	nl_socket_free(sk);
	return 0;
}
