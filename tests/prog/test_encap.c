/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP encapsulation (RFC 3948) and fragments for the host, in every program. Addresses: 192.0.2.2
 * and 2001:db8::2 are peers, 10.2.0.9 and fd02::9 are covered by the policy of the bed as well.
 */
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cipher_bed.h"

#define SPI_BYTES(spi) ((spi) >> 24) & 255, ((spi) >> 16) & 255, ((spi) >> 8) & 255, (spi)&255

/* RFC 3948 section 2.1: an ESP header; 2.2: four zero bytes and IKE; 2.3: one byte of 0xff. */
static const uint8_t esp_bytes[] = { SPI_BYTES(XI_BED_SPI), 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef };
static const uint8_t unknown_bytes[] = { SPI_BYTES(0xc0ffee01U), 0, 0, 0, 1 };
static const uint8_t spi_1_bytes[] = { SPI_BYTES(1), 0, 0, 0, 1 };
static const uint8_t spi_255_bytes[] = { SPI_BYTES(255), 0, 0, 0, 1 };
static const uint8_t spi_256_bytes[] = { SPI_BYTES(256), 0, 0, 0, 1 };
static const uint8_t marker_bytes[] = { 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44 };
static const uint8_t keepalive_bytes[] = { 0xff };

#define PORT 4501 /* another port of UDP encapsulation */
#define HOLDS(b) .payload = b, .payload_len = sizeof(b)
#define UDP4                                                                                       \
	.src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_UDP, .sport = 1024, .dport = 4500
#define UDP6                                                                                       \
	.src = "2001:db8::2", .dst = "2001:db8::1", .proto = IPPROTO_UDP, .sport = 1024,           \
	.dport = 4500
#define ESP4 UDP4, .spi = XI_BED_SPI, .proto = IPPROTO_ESP, .payload_len = 40
#define ESP6 UDP6, .spi = XI_BED_SPI, .proto = IPPROTO_ESP, .payload_len = 40
#define AH4 ESP4, .proto = IPPROTO_AH
#define AH6 ESP6, .proto = IPPROTO_AH
/* Covered by policy: what is not exempt is judged. */
#define GUARDED4 UDP4, .src = "10.2.0.9", .dst = "10.1.0.1"

#define HIT                                                                                        \
	XDP_REDIRECT, { XI_SA_HIT, XI_TO_WORKER },                                                 \
	META(.handle = XI_BED_HANDLE, .slot = 11, .flags = XI_META_ENCAP)
#define MISS                                                                                       \
	XDP_REDIRECT, { XI_SA_MISS, XI_MISS_LOST, XI_TO_WORKER },                                  \
	META(.handle = XI_BED_HANDLE, .flags = XI_META_MISS | XI_META_ENCAP)
#define JUDGED                                                                                     \
	XDP_REDIRECT, { XI_FLOW_MISS, XI_MISS_LOST, XI_TO_WORKER },                                \
	META(.flags = XI_META_MISS)
#define COLLECTED                                                                                  \
	XDP_REDIRECT, { XI_TO_WORKER },                                                            \
	META(.flags = XI_META_FRAGMENT)
#define IKE XDP_PASS, { XI_PASS_IKE }
#define FOREIGN XDP_PASS, { XI_PASS_FOREIGN }
#define DROP(reason) XDP_DROP, { reason }

/* The SPI in the payload, whatever it is. */
static void known(struct xi_bed *bed, const struct xi_spec *spec)
{
	const uint8_t *p = spec->payload;

	xi_bed_sa_known(bed, spec->dst, (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3],
			XI_BED_HANDLE);
}

static void larval(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_sa_known(bed, spec->dst, XI_BED_SPI, XI_LARVAL);
}

static void ah_of_the_same_spi(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_ah_cached(bed, spec->dst, XI_BED_SPI, XI_METHOD_FAST);
}

static void encap(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	xi_bed_encap(bed, PORT);
}

static void encap_known(struct xi_bed *bed, const struct xi_spec *spec)
{
	known(bed, spec);
	xi_bed_encap(bed, PORT);
}

/* Only 4500 in use, which needs no place in the map. */
static void encap_no_port(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	xi_bed_encap(bed, 0);
}

/* The map alone: the daemon has not said yet that it counts. */
static void port_not_in_use(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	encap(bed, spec);
	xi_bed_put_config(bed, &cfg);
}

static void encap_port_500(struct xi_bed *bed, const struct xi_spec *spec)
{
	encap(bed, spec);
	xi_bed_encap(bed, 500);
}

/* As an SA without port numbers might have it. */
static void encap_port_0(struct xi_bed *bed, const struct xi_spec *spec)
{
	uint32_t zero = 0, one = 1;

	xi_bed_local(bed, spec->src);
	xi_bed_encap(bed, 0);
	assert_return_code(bpf_map_update_elem(bpf_map__fd(bed->skel->maps.encap_ports), &zero,
					       &one, BPF_ANY),
			   errno);
}

/* clang-format off */
static const struct xi_case arriving[] = {
	{"hit", {UDP4, HOLDS(esp_bytes)}, fast, HIT},
	{"hit, IPv6", {UDP6, HOLDS(esp_bytes)}, fast, HIT},
	{"hit, IPv6, behind extension headers", {UDP6, .ext = "hrd", HOLDS(esp_bytes)}, fast, HIT},
	{"hit, atomic fragment is a whole packet", {UDP6, .atomic = true, HOLDS(esp_bytes)}, encap,
	  HIT},
	{"hit, whatever the peer's port", {UDP4, .sport = 9, HOLDS(esp_bytes)}, fast, HIT},
	{"hit, SPI and sequence number alone", {UDP4, .payload = esp_bytes, .payload_len = 8}, fast,
	  HIT},
	{"hit, slow", {UDP4, HOLDS(esp_bytes)}, slow, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  META(.handle = XI_BED_HANDLE, .flags = XI_META_MISS | XI_META_ENCAP)},
	{"hit, kernel", {UDP4, HOLDS(esp_bytes)}, kernel, XDP_PASS, {XI_SA_HIT, XI_PASS_KERNEL}},
	{"hit, drop", {UDP4, HOLDS(esp_bytes)}, drop, XDP_DROP, {XI_SA_HIT, XI_DROP_SA_METHOD}},
	{"hit, no worker", {UDP4, HOLDS(esp_bytes)}, fast_no_worker, XDP_DROP,
	  {XI_SA_HIT, XI_DROP_NO_WORKER}},
	{"miss", {UDP4, HOLDS(esp_bytes)}, known, MISS},
	{"miss, IPv6", {UDP6, HOLDS(esp_bytes)}, known, MISS},
	{"larval", {UDP4, HOLDS(esp_bytes)}, larval, XDP_REDIRECT, {XI_TO_WORKER},
	  META(.flags = XI_META_LARVAL | XI_META_ENCAP)},
	{"larval, IPv6", {UDP6, HOLDS(esp_bytes)}, larval, XDP_REDIRECT, {XI_TO_WORKER},
	  META(.flags = XI_META_LARVAL | XI_META_ENCAP)},
	{"unknown SPI", {UDP4, HOLDS(unknown_bytes)}, fast, DROP(XI_DROP_UNKNOWN_SPI)},
	{"unknown SPI, IPv6", {UDP6, HOLDS(unknown_bytes)}, fast, DROP(XI_DROP_UNKNOWN_SPI)},
	{"unknown SPI to the kernel", {UDP4, HOLDS(unknown_bytes)}, unknown_to_kernel, XDP_PASS,
	  {XI_PASS_UNKNOWN_SPI}},
	{"the SPI of an AH SA", {UDP4, HOLDS(esp_bytes)}, ah_of_the_same_spi,
	  DROP(XI_DROP_UNKNOWN_SPI)},
	{"reserved SPI 1", {UDP4, HOLDS(spi_1_bytes)}, known, DROP(XI_DROP_RESERVED_SPI)},
	{"reserved SPI 255", {UDP6, HOLDS(spi_255_bytes)}, known, DROP(XI_DROP_RESERVED_SPI)},
	{"SPI 256 is not reserved", {UDP4, HOLDS(spi_256_bytes)}, NULL, DROP(XI_DROP_UNKNOWN_SPI)},
	{"IKE behind the non-ESP marker", {GUARDED4, HOLDS(marker_bytes)}, NULL, IKE},
	{"IKE behind the non-ESP marker, IPv6", {UDP6, HOLDS(marker_bytes)}, NULL, IKE},
	{"marker alone", {GUARDED4, .payload = marker_bytes, .payload_len = 4}, NULL, IKE},
	{"keepalive", {GUARDED4, HOLDS(keepalive_bytes)}, NULL, IKE},
	{"keepalive, IPv6", {UDP6, HOLDS(keepalive_bytes)}, NULL, IKE},
	{"one byte short of SPI and sequence number",
	  {GUARDED4, .payload = esp_bytes, .payload_len = 7}, NULL, IKE},
	{"short, trailing bytes behind the datagram",
	  {GUARDED4, .payload = esp_bytes, .payload_len = 12, .udp_skew = -5}, NULL, IKE},
	{"zero length", {GUARDED4}, NULL, IKE},
	{"zero length, IPv6", {UDP6}, NULL, IKE},
	{"UDP length of no header", {UDP4, HOLDS(esp_bytes), .udp_skew = -13}, fast,
	  DROP(XI_DROP_MALFORMED)},
	{"UDP length beyond the packet", {UDP4, HOLDS(esp_bytes), .udp_skew = 1}, fast,
	  DROP(XI_DROP_MALFORMED)},
	{"trailing bytes behind the datagram", {UDP4, HOLDS(esp_bytes), .udp_skew = -1}, fast, HIT},
	{"to a foreign address", {UDP4, .dst = "192.0.2.77", HOLDS(esp_bytes)}, known, FOREIGN},
	{"to a foreign address, judged",
	  {UDP4, .src = "10.2.0.9", .dst = "10.1.0.9", HOLDS(esp_bytes)}, known, JUDGED},
	{"to a foreign address, length wrong",
	  {UDP4, .dst = "192.0.2.77", HOLDS(esp_bytes), .udp_skew = 1}, known, FOREIGN},
	{"marker to a foreign address, judged",
	  {UDP4, .src = "10.2.0.9", .dst = "10.1.0.9", HOLDS(marker_bytes)}, NULL, JUDGED},
	{"from port 4500 and to another", {GUARDED4, .sport = 4500, .dport = 9, HOLDS(esp_bytes)},
	  known, JUDGED},
	{"TCP to port 4500", {GUARDED4, .proto = IPPROTO_TCP, HOLDS(esp_bytes)}, known, JUDGED},
	{"behind a VLAN tag: a device above", {UDP4, .vlans = 1, HOLDS(esp_bytes)}, fast, FOREIGN},
};

static const struct xi_case other_port[] = {
	{"hit", {UDP4, .dport = PORT, HOLDS(esp_bytes)}, encap, HIT},
	{"hit, IPv6", {UDP6, .dport = PORT, HOLDS(esp_bytes)}, encap, HIT},
	{"hit on 4500 as well", {UDP4, HOLDS(esp_bytes)}, encap, HIT},
	{"miss", {UDP4, .dport = PORT, HOLDS(esp_bytes)}, encap_known, MISS},
	{"unknown SPI", {UDP4, .dport = PORT, HOLDS(unknown_bytes)}, encap,
	  DROP(XI_DROP_UNKNOWN_SPI)},
	{"reserved SPI", {UDP4, .dport = PORT, HOLDS(spi_255_bytes)}, encap_known,
	  DROP(XI_DROP_RESERVED_SPI)},
	{"IKE behind the non-ESP marker", {GUARDED4, .dport = PORT, HOLDS(marker_bytes)}, encap,
	  IKE},
	{"keepalive", {GUARDED4, .dport = PORT, HOLDS(keepalive_bytes)}, encap, IKE},
	{"zero length", {GUARDED4, .dport = PORT}, encap, IKE},
	{"to a foreign address", {UDP4, .dst = "192.0.2.77", .dport = PORT, HOLDS(esp_bytes)},
	  encap, FOREIGN},
	{"to a foreign address, judged",
	  {UDP4, .src = "10.2.0.9", .dst = "10.1.0.9", .dport = PORT, HOLDS(marker_bytes)}, encap,
	  JUDGED},
	{"port of nobody", {GUARDED4, .dport = PORT + 1, HOLDS(esp_bytes)}, encap, JUDGED},
	{"port of nobody, marker", {GUARDED4, .dport = PORT + 1, HOLDS(marker_bytes)}, encap,
	  JUDGED},
	{"no other port in use", {GUARDED4, .dport = PORT, HOLDS(marker_bytes)}, encap_no_port,
	  JUDGED},
	{"map that does not count", {GUARDED4, .dport = PORT, HOLDS(marker_bytes)}, port_not_in_use,
	  JUDGED},
	{"IKE's own port carries no ESP", {GUARDED4, .dport = 500, HOLDS(esp_bytes)},
	  encap_port_500, IKE},
};

/* First and later fragments; of the latter only the protocol is known. */
static const struct xi_case fragments[] = {
	{"ESP, first", {ESP4, .mf = true}, fast, COLLECTED},
	{"ESP, middle", {ESP4, .mf = true, .frag_off = 3}, fast, COLLECTED},
	{"ESP, last", {ESP4, .frag_off = 3}, fast, COLLECTED},
	{"ESP, first, IPv6", {ESP6, .mf = true}, fast, COLLECTED},
	{"ESP, last, IPv6", {ESP6, .frag_off = 3}, fast, COLLECTED},
	{"ESP, first, IPv6, behind extension headers", {ESP6, .ext = "hr", .mf = true}, fast,
	  COLLECTED},
	{"ESP, last, unknown SPI", {ESP4, .frag_off = 3}, NULL, COLLECTED},
	{"ESP, first, reserved SPI", {ESP4, .spi = 3, .mf = true}, NULL, COLLECTED},
	{"ESP, first, SPI cut", {ESP4, .payload_len = 0, .shrink = 4, .mf = true}, fast, COLLECTED},
	{"ESP, no worker", {ESP4, .mf = true}, fast_no_worker, DROP(XI_DROP_NO_WORKER)},
	{"ESP, to a foreign address", {ESP4, .dst = "192.0.2.77", .mf = true}, NULL, FOREIGN},
	{"ESP, last, to a foreign address", {ESP4, .dst = "192.0.2.77", .frag_off = 3}, NULL,
	  FOREIGN},
	{"ESP, behind a VLAN tag", {ESP4, .vlans = 1, .mf = true}, fast, FOREIGN},
	{"AH, first", {AH4, .mf = true}, NULL, COLLECTED},
	{"AH, last", {AH4, .frag_off = 3}, NULL, COLLECTED},
	{"AH, first, IPv6", {AH6, .mf = true}, NULL, COLLECTED},
	{"AH, last, IPv6", {AH6, .frag_off = 3}, NULL, COLLECTED},
	{"AH, first, header cut", {AH4, .payload_len = 0, .mf = true}, NULL, COLLECTED},
	{"AH, to a foreign address", {AH4, .dst = "192.0.2.77", .mf = true}, NULL, FOREIGN},
	{"AH, to a foreign address, judged",
	  {AH4, .src = "10.2.0.9", .dst = "10.1.0.9", .frag_off = 3}, NULL, JUDGED},
	{"UDP, first, ESP", {UDP4, .mf = true, HOLDS(esp_bytes)}, encap, COLLECTED},
	{"UDP, first, of IKE", {UDP4, .mf = true, HOLDS(marker_bytes)}, encap, COLLECTED},
	{"UDP, first, to port 500", {UDP4, .dport = 500, .mf = true, HOLDS(marker_bytes)}, encap,
	  COLLECTED},
	{"UDP, first, to any port", {UDP4, .dport = 53, .mf = true, HOLDS(marker_bytes)}, encap,
	  COLLECTED},
	{"UDP, first, other encapsulation port", {UDP4, .dport = PORT, .mf = true, HOLDS(esp_bytes)},
	  encap, COLLECTED},
	{"UDP, first, no other port in use", {UDP4, .mf = true, HOLDS(esp_bytes)}, encap_no_port,
	  COLLECTED},
	{"UDP, first, ports cut", {UDP4, .mf = true, .shrink = 4}, encap, COLLECTED},
	{"UDP, first, length of the whole", {UDP4, .mf = true, HOLDS(esp_bytes), .udp_skew = 1400},
	  encap, COLLECTED},
	{"UDP, middle", {UDP4, .mf = true, .frag_off = 3, HOLDS(esp_bytes)}, encap, COLLECTED},
	{"UDP, last", {UDP4, .frag_off = 3, HOLDS(esp_bytes)}, encap, COLLECTED},
	{"UDP, last, though policy covers it", {GUARDED4, .frag_off = 3, HOLDS(esp_bytes)}, encap,
	  COLLECTED},
	{"UDP, first, IPv6", {UDP6, .mf = true, HOLDS(esp_bytes)}, encap, COLLECTED},
	{"UDP, last, IPv6", {UDP6, .frag_off = 3, HOLDS(esp_bytes)}, encap, COLLECTED},
	{"UDP, first, to a foreign address",
	  {UDP4, .dst = "192.0.2.77", .mf = true, HOLDS(esp_bytes)}, encap, FOREIGN},
	{"UDP, last, to a foreign address, judged",
	  {UDP4, .src = "10.2.0.9", .dst = "10.1.0.9", .frag_off = 3}, encap, JUDGED},
	{"UDP, first, IKE, no encapsulation",
	  {GUARDED4, .mf = true, HOLDS(marker_bytes), .udp_skew = 1400}, fast, IKE},
	{"UDP, first, header alone, no encapsulation",
	  {GUARDED4, .mf = true, .udp_skew = 1400}, fast, IKE},
	{"UDP, first, ESP, no encapsulation",
	  {GUARDED4, .mf = true, HOLDS(esp_bytes), .udp_skew = 1400}, fast, FOREIGN},
	{"UDP, first, to any port, no encapsulation",
	  {GUARDED4, .dport = 53, .mf = true, HOLDS(marker_bytes)}, fast, JUDGED},
	{"UDP, last, no encapsulation", {GUARDED4, .frag_off = 3}, fast, JUDGED},
	{"UDP, last, no encapsulation, no policy", {UDP4, .frag_off = 3}, fast, FOREIGN},
	{"UDP, behind a VLAN tag", {UDP4, .vlans = 1, .frag_off = 3}, encap, FOREIGN},
	{"TCP, first", {GUARDED4, .proto = IPPROTO_TCP, .mf = true, .payload_len = 12}, encap,
	  JUDGED},
	{"TCP, last", {GUARDED4, .proto = IPPROTO_TCP, .frag_off = 3}, encap, JUDGED},
};
/* clang-format on */

static void local_source(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_local(bed, spec->src);
}

static void encap_local_source(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_local(bed, spec->src);
	xi_bed_encap(bed, PORT);
}

#define OUT4                                                                                       \
	.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_UDP, .sport = 4500, .dport = 9,     \
	HOLDS(esp_bytes)
#define OUT6                                                                                       \
	.src = "fd01::9", .dst = "fd02::9", .proto = IPPROTO_UDP, .sport = 4500, .dport = 9,       \
	HOLDS(esp_bytes)
#define LEFT TC_ACT_UNSPEC, { XI_PASS_FOREIGN }
#define HELD TC_ACT_SHOT, { XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_CLEAR_OUT }

/* clang-format off */
static const struct xi_case leaving[] = {
	{"ESP in UDP of the host", {OUT4}, local_source, LEFT},
	{"ESP in UDP of the host, IPv6", {OUT6}, local_source, LEFT},
	{"from another port", {OUT4, .sport = PORT}, encap_local_source, LEFT},
	{"from another port, IPv6", {OUT6, .sport = PORT}, encap_local_source, LEFT},
	{"IKE from another port", {OUT4, .sport = PORT, HOLDS(marker_bytes)}, encap_local_source,
	  LEFT},
	{"keepalive from another port", {OUT4, .sport = PORT, HOLDS(keepalive_bytes)},
	  encap_local_source, LEFT},
	{"IKE from port 500", {OUT4, .sport = 500, HOLDS(marker_bytes)}, encap_local_source, LEFT},
	{"first fragment", {OUT4, .mf = true}, local_source, LEFT},
	{"later fragment has no ports", {OUT4, .frag_off = 3}, encap_local_source, HELD},
	{"later fragment has no port, not port 0", {OUT4, .frag_off = 3}, encap_port_0, HELD},
	{"of somebody else", {OUT4}, NULL, HELD},
	{"of somebody else, IPv6", {OUT6, .sport = PORT}, encap, HELD},
	{"of somebody else, from another port", {OUT4, .sport = PORT}, encap, HELD},
	{"from a port of nobody", {OUT4, .sport = PORT + 1}, encap_local_source, HELD},
	{"from a port that does not count", {OUT4, .sport = PORT}, local_source, HELD},
	{"to another port and from any", {OUT4, .sport = 9, .dport = PORT}, encap_local_source,
	  HELD},
	{"TCP from another port", {OUT4, .proto = IPPROTO_TCP, .sport = PORT}, encap_local_source,
	  HELD},
	{"AH of the host", {OUT4, .proto = IPPROTO_AH, .spi = 4711}, local_source, LEFT},
	{"first fragment of AH of the host", {OUT6, .proto = IPPROTO_AH, .mf = true}, local_source,
	  LEFT},
	{"later fragment of AH of the host", {OUT4, .proto = IPPROTO_AH, .frag_off = 7},
	  local_source, LEFT},
	{"later fragment of ESP of the host, IPv6", {OUT6, .proto = IPPROTO_ESP, .frag_off = 7},
	  local_source, LEFT},
};

#define WORKER XDP_REDIRECT, { XI_TO_WORKER }, META(.flags = XI_META_MISS, .dir = XI_OUT)
#define ASKED                                                                                      \
	XDP_REDIRECT, { XI_FLOW_MISS, XI_MISS_LOST, XI_TO_WORKER },                                \
	META(.flags = XI_META_MISS, .dir = XI_OUT)

static const struct xi_case of_host[] = {
	{"IKE from 4500: the worker decides", {OUT4, HOLDS(marker_bytes)}, local_source, WORKER},
	{"from another port", {OUT4, .sport = PORT, HOLDS(marker_bytes)}, encap_local_source,
	  WORKER},
	{"from another port, IPv6", {OUT6, .sport = PORT, HOLDS(marker_bytes)}, encap_local_source,
	  WORKER},
	{"of somebody else", {OUT4, .sport = PORT, HOLDS(marker_bytes)}, encap, ASKED},
	{"from a port of nobody", {OUT4, .sport = PORT + 1, HOLDS(marker_bytes)},
	  encap_local_source, ASKED},
	{"from a port that does not count", {OUT4, .sport = PORT, HOLDS(marker_bytes)},
	  local_source, ASKED},
	{"later fragment has no ports", {OUT4, .frag_off = 3}, encap_local_source, ASKED},
};

/* Somebody behind the gateway may run IPsec of his own: traffic like any other. */
static const struct xi_case of_others[] = {
	{"ESP", {OUT4, .proto = IPPROTO_ESP, .spi = XI_BED_SPI}, encap, ASKED},
	{"AH", {OUT4, .proto = IPPROTO_AH, .spi = XI_BED_SPI}, encap, ASKED},
	{"ESP in UDP", {OUT4, .dport = 4500}, encap, ASKED},
	{"ESP in UDP on another port", {OUT6, .sport = PORT, .dport = PORT}, encap, ASKED},
	{"fragment of ESP", {OUT4, .proto = IPPROTO_ESP, .frag_off = 3}, encap, ASKED},
	{"ESP, no policy",
	  {OUT4, .dst = "198.51.100.1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI}, encap, FOREIGN},
	{"IKE for the host", {GUARDED4, HOLDS(marker_bytes)}, NULL, IKE},
	{"IKE for the host, on another port", {GUARDED4, .dport = PORT, HOLDS(marker_bytes)}, encap,
	  IKE},
	{"ESP in UDP for the host: no cipher port", {GUARDED4, HOLDS(esp_bytes)}, NULL, FOREIGN},
	{"UDP for the host, on a port of nobody", {GUARDED4, .dport = PORT + 1}, encap, JUDGED},
	{"fragment of UDP for the host", {GUARDED4, .frag_off = 3}, encap, JUDGED},
};
/* clang-format on */

TABLE(esp_in_udp, arriving, xdp_cipher, XI_ROLE_CIPHER, 0)
TABLE(esp_in_udp_on_another_port, other_port, xdp_cipher, XI_ROLE_CIPHER, 0)
TABLE(fragments_for_the_host, fragments, xdp_cipher, XI_ROLE_CIPHER, 0)
/* meta-untrusted */
TABLE(esp_in_udp_with_forged_metadata, arriving, xdp_cipher, XI_ROLE_CIPHER, 32)
TABLE(fragments_with_forged_metadata, fragments, xdp_cipher, XI_ROLE_CIPHER, 32)
TABLE(protected_may_leave, leaving, tc_guard, XI_ROLE_CIPHER, 0)
TABLE(ike_of_the_host, of_host, xdp_plain, XI_ROLE_HOST, 0)
TABLE(ipsec_of_others, of_others, xdp_plain, XI_ROLE_PLAIN, 0)

/* Every length of a datagram that its headers say is longer: malformed, whatever is cut. */
static void every_truncation(void **state)
{
	const struct xi_spec specs[] = { { UDP4, HOLDS(esp_bytes) },
					 { UDP6, .ext = "h", HOLDS(esp_bytes) },
					 { AH4 },
					 { AH6, .ext = "d" } };
	struct xi_bed *bed = *state;
	struct xi_frame frame;
	static struct xi_run run;

	for (unsigned int i = 0; i < N(specs); i++) {
		xi_bed_reset(bed);
		fast(bed, &specs[i]);
		xi_frame_build(&frame, &specs[i]);
		for (uint32_t whole = frame.len; --frame.len > 14;) {
			xi_bed_run_xdp(bed, bed->skel->progs.xdp_cipher, &frame, 0, 1, &run);
			assert_int_equal(run.verdict, XDP_DROP);
			assert_int_equal(xi_bed_stat(bed, XI_DROP_MALFORMED), whole - frame.len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_in_udp),
		cmocka_unit_test(esp_in_udp_on_another_port),
		cmocka_unit_test(fragments_for_the_host),
		cmocka_unit_test(esp_in_udp_with_forged_metadata),
		cmocka_unit_test(fragments_with_forged_metadata),
		cmocka_unit_test(protected_may_leave),
		cmocka_unit_test(ike_of_the_host),
		cmocka_unit_test(ipsec_of_others),
		cmocka_unit_test(every_truncation),
	};

	return cmocka_run_group_tests_name("encap", tests, xi_bed_setup, xi_bed_teardown);
}
