/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Netlink messages as bytes: reading attributes of a request that may be hostile, building
 * replies that fit any client's buffer, and translating addresses, selectors and lifetimes.
 */
#ifndef XI_XFRM_ATTR_H
#define XI_XFRM_ATTR_H

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "source/proto.h"

/* Attributes that <linux/xfrm.h> of Linux 6.1 does not know (6.10 and later). */
enum {
	XI_XFRMA_SA_DIR = 33,
	XI_XFRMA_NAT_KEEPALIVE = 34,
	XI_XFRMA_SA_PCPU = 35,
	XI_XFRMA_IPTFS_FIRST = 36,
	XI_XFRMA_IPTFS_LAST = 41,
	XI_XFRMA_MAX = XI_XFRMA_IPTFS_LAST,
};

enum { XI_SA_DIR_IN = 1, XI_SA_DIR_OUT = 2 };

enum { XI_XFRM_MODE_IPTFS = 5 }; /* Linux 6.14 */

/* Extended acknowledgement: what is wrong with a request, in words, and where. */
struct xi_extack {
	char text[160];
	uint32_t offset;             /* of the attribute in the request, 0 = not about one */
};

/* Notes the text and returns err. */
int xi_refuse(struct xi_extack *ack, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The message is shorter than `need` bytes. */
int xi_refuse_length(struct xi_extack *ack, const struct nlmsghdr *nlh, size_t need);

/*
 * Attributes of one request. Duplicates: the last wins. Payloads are aligned to 4 only: copy, do
 * not cast.
 */
struct xi_attrs {
	const struct nlmsghdr *nlh;
	const struct nlattr *tb[XI_XFRMA_MAX + 1];
};

/*
 * Checks the lengths of header, body and every attribute; nlh->nlmsg_len bytes must be readable.
 * body: size of the fixed struct. -ERANGE for an attribute that is too short, -EINVAL for anything
 * else that is cut short or too long, or of a type that no kernel knows.
 */
int xi_attrs_parse(struct xi_attrs *attrs, const struct nlmsghdr *nlh, size_t body,
		   struct xi_extack *ack);

static inline bool xi_attr_has(const struct xi_attrs *attrs, int type)
{
	return attrs->tb[type];
}

const void *xi_attr_data(const struct nlattr *nla);
size_t xi_attr_len(const struct nlattr *nla);
uint32_t xi_attr_u32(const struct xi_attrs *attrs, int type); /* 0 when absent */
/* Copies n bytes of an attribute whose length was checked. False: absent, out untouched. */
bool xi_attr_copy(const struct xi_attrs *attrs, int type, void *out, size_t n);
/* Says which attribute a refusal is about. */
void xi_attr_blame(const struct xi_attrs *attrs, int type, struct xi_extack *ack);

/* A message under construction. nlmsg_len is always a multiple of 4: iproute2 dies of any other. */
struct xi_nlmsg {
	union {
		uint64_t align;      /* bodies hold 64-bit fields */
		struct nlmsghdr hdr;
		uint8_t buf[XI_XFRM_REPLY_MAX];
	};
	bool full;                   /* something did not fit; the message is of no use */
};

/* Starts a message with a zeroed body of n bytes and returns the body. */
void *xi_nlmsg_begin(struct xi_nlmsg *msg, uint16_t type, uint16_t flags, uint32_t seq,
		     uint32_t portid, size_t n);
/* Adds an attribute and returns its zeroed payload; NULL: does not fit. */
void *xi_nlmsg_reserve(struct xi_nlmsg *msg, uint16_t type, size_t n);
void xi_nlmsg_put(struct xi_nlmsg *msg, uint16_t type, const void *data, size_t n);
void xi_nlmsg_put_u32(struct xi_nlmsg *msg, uint16_t type, uint32_t value);

bool xi_family_known(unsigned int family);
unsigned int xi_family_bits(unsigned int family);

/* Addresses: only the bytes of the family are taken, the rest is zero. */
void xi_addr_from_xfrm(uint8_t out[16], const xfrm_address_t *in, unsigned int family);
void xi_addr_to_xfrm(xfrm_address_t *out, const uint8_t in[16]);

/*
 * family: what a selector without one is about (0: nothing). -EINVAL: unknown family, or prefix
 * too long.
 */
int xi_selector_from_xfrm(struct xi_selector *out, const struct xfrm_selector *in,
			  unsigned int family, struct xi_extack *ack);
void xi_selector_to_xfrm(struct xfrm_selector *out, const struct xi_selector *in);
void xi_limits_from_xfrm(struct xi_limits *out, const struct xfrm_lifetime_cfg *in);
void xi_limits_to_xfrm(struct xfrm_lifetime_cfg *out, const struct xi_limits *in);

#endif
