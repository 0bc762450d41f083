/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MIGRATE (RFC 6275; the kernel's xfrm_do_migrate()): the request, and what the group hears of it. */
#ifndef XI_XFRM_MIGRATE_H
#define XI_XFRM_MIGRATE_H

#include "sad/migrate.h"
#include "source/xfrm_msg.h"

struct xi_migrate_request {
	struct xi_policy key;        /* of the policy; if_id 0 with SAs: any */
	struct xi_migrate items[XI_MAX_TMPLS];
	unsigned int n;              /* 1 to XI_MAX_TMPLS, no two of them meaning the same */
	struct xi_migrate_encap encap;
	bool has_kmaddress;
	struct xfrm_user_kmaddress kmaddress;
};

int xi_xfrm_get_migrate(struct xi_migrate_request *req, const struct nlmsghdr *nlh,
			struct xi_extack *ack);
void xi_xfrm_put_migrate(struct xi_nlmsg *msg, const struct xi_migrate_request *req);

#endif
