/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules: few, so that what is there is compared with what shall be, each time. */
#include "dataplane/routes_table.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#define RULES_ROOM 256           /* more of ours than there can be */

struct rule {
	uint32_t priority;
	uint32_t mark;               /* 0: any */
	uint32_t table;
	uint32_t target;             /* of goto */
	uint16_t sport;              /* 0: any */
	uint8_t family;
	uint8_t action;              /* FR_ACT_* */
	uint8_t proto;               /* 0: any */
	uint8_t local;               /* iif lo */
	uint8_t has_from;
	uint8_t from[16];
	uint8_t pad;
};

struct rules {
	struct rule list[RULES_ROOM];
	uint32_t n;
};

static struct nl_msg *rule_message(int type, int flags, const struct rule *rule)
{
	size_t len = rule->family == AF_INET6 ? 16 : 4;
	struct fib_rule_hdr frh = {
		.family = rule->family,
		.action = rule->action,
		.src_len = rule->has_from ? (uint8_t)(8 * len) : 0,
	};
	struct fib_rule_port_range sport = { rule->sport, rule->sport };
	struct nl_msg *msg = xi_rtnl_message(type, flags, &frh, sizeof(frh));
	uint8_t proto = XI_ROUTES_PROTO;

	xi_rtnl_put_u32(msg, FRA_PRIORITY, rule->priority);
	xi_rtnl_put(msg, FRA_PROTOCOL, &proto, sizeof(proto));
	if (rule->mark) {
		xi_rtnl_put_u32(msg, FRA_FWMARK, rule->mark);
		xi_rtnl_put_u32(msg, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->action == FR_ACT_TO_TBL)
		xi_rtnl_put_u32(msg, FRA_TABLE, rule->table);
	if (rule->action == FR_ACT_GOTO)
		xi_rtnl_put_u32(msg, FRA_GOTO, rule->target);
	if (rule->proto)
		xi_rtnl_put(msg, FRA_IP_PROTO, &rule->proto, sizeof(rule->proto));
	if (rule->sport)
		xi_rtnl_put(msg, FRA_SPORT_RANGE, &sport, sizeof(sport));
	if (rule->local)
		xi_rtnl_put_str(msg, FRA_IIFNAME, "lo");
	if (rule->has_from)
		xi_rtnl_put(msg, FRA_SRC, rule->from, len);
	return msg;
}

static uint32_t rule_u32(const struct nlattr *attr)
{
	return attr && nla_len(attr) == 4 ? nla_get_u32(attr) : 0;
}

/* False: not ours. */
static bool rule_parse(const struct nlmsghdr *nlh, struct rule *rule)
{
	const struct fib_rule_hdr *frh = nlmsg_data(nlh);
	struct nlattr *tb[FRA_MAX + 1];
	struct fib_rule_port_range sport;

	if ((nlh->nlmsg_type != RTM_NEWRULE && nlh->nlmsg_type != RTM_DELRULE) ||
	    xi_rtnl_parse(nlh, sizeof(*frh), tb, FRA_MAX))
		return false;
	if (!tb[FRA_PROTOCOL] || nla_len(tb[FRA_PROTOCOL]) != 1 ||
	    *(const uint8_t *)nla_data(tb[FRA_PROTOCOL]) != XI_ROUTES_PROTO)
		return false;
	memset(rule, 0, sizeof(*rule));
	rule->family = frh->family;
	rule->action = frh->action;
	rule->priority = rule_u32(tb[FRA_PRIORITY]);
	rule->mark = rule_u32(tb[FRA_FWMARK]);
	rule->target = frh->action == FR_ACT_GOTO ? rule_u32(tb[FRA_GOTO]) : 0;
	if (frh->action == FR_ACT_TO_TBL)
		rule->table = tb[FRA_TABLE] ? rule_u32(tb[FRA_TABLE]) : frh->table;
	if (tb[FRA_IP_PROTO] && nla_len(tb[FRA_IP_PROTO]) == 1)
		rule->proto = *(const uint8_t *)nla_data(tb[FRA_IP_PROTO]);
	if (tb[FRA_SPORT_RANGE] && nla_len(tb[FRA_SPORT_RANGE]) == sizeof(sport)) {
		memcpy(&sport, nla_data(tb[FRA_SPORT_RANGE]), sizeof(sport));
		rule->sport = sport.start;
	}
	rule->local = tb[FRA_IIFNAME] != NULL;
	rule->has_from = tb[FRA_SRC] && nla_len(tb[FRA_SRC]) <= 16;
	if (rule->has_from)
		memcpy(rule->from, nla_data(tb[FRA_SRC]), (size_t)nla_len(tb[FRA_SRC]));
	return true;
}

bool xi_rules_parse(const struct nlmsghdr *nlh)
{
	struct rule rule;

	return rule_parse(nlh, &rule);
}

static int rules_take(void *arg, const struct nlmsghdr *nlh)
{
	struct rules *rules = arg;

	if (nlh->nlmsg_type == RTM_NEWRULE && rules->n < RULES_ROOM &&
	    rule_parse(nlh, &rules->list[rules->n]))
		rules->n++;
	return 0;
}

static void rules_restart(void *arg)
{
	((struct rules *)arg)->n = 0;
}

static void rules_put(struct rules *rules, struct rule rule)
{
	rules->list[rules->n++] = rule;
}

/* The way around the table first, the way into it last. */
static void rules_wanted(struct rules *rules, uint8_t family, const struct xi_route_table *table,
			 const struct xi_addr *plain, uint32_t nplain)
{
	const uint32_t end = XI_ROUTES_PRIORITY + 2;
	struct rule skip = { .family = family, .priority = XI_ROUTES_PRIORITY,
			     .action = FR_ACT_GOTO, .target = end }, rule;
	static const uint16_t ike[] = { 500, 4500 };

	rules->n = 0;
	rules_put(rules, (struct rule){ .family = family, .priority = end, .action = FR_ACT_NOP });
	rule = skip;
	rule.mark = XI_ROUTES_MARK;
	rules_put(rules, rule);
	rule = skip;
	rule.proto = IPPROTO_RAW;
	rules_put(rules, rule);
	for (int i = 0; i < 2; i++) {
		rule = skip;
		rule.proto = IPPROTO_UDP;
		rule.sport = ike[i];
		rules_put(rules, rule);
	}
	for (uint32_t i = 0; i < nplain && i < XI_ROUTES_PLAIN; i++) {
		if (plain[i].family != family)
			continue;
		rule = skip;
		rule.has_from = true;
		memcpy(rule.from, plain[i].addr, sizeof(rule.from));
		rules_put(rules, rule);
	}
	rules_put(rules, (struct rule){ .family = family, .priority = XI_ROUTES_PRIORITY + 1,
					.action = FR_ACT_TO_TBL, .table = table->table,
					.local = true });
}

static bool rules_have(const struct rules *rules, const struct rule *rule)
{
	for (uint32_t i = 0; i < rules->n; i++)
		if (!memcmp(&rules->list[i], rule, sizeof(*rule)))
			return true;
	return false;
}

struct removal {
	struct xi_rtnl rt;           /* another socket than the one that lists them */
	const struct xi_route_table *table;
};

static int remove_route(void *arg, const struct xi_route *route)
{
	struct removal *removal = arg;
	const struct xi_route_change change = { .was = *route, .now = { .dst = route->dst } };
	int err = xi_rtnl_request(&removal->rt, xi_table_change(removal->table, &change), NULL, NULL);

	return err == -ESRCH ? 0 : err;
}

static int table_empty(struct xi_rtnl *rt, uint32_t number)
{
	const struct xi_route_table table = { .table = number };
	struct removal removal = { .table = &table };
	int err = xi_rtnl_open(&removal.rt);

	if (err)
		return err;
	err = xi_table_dump(rt, &table, remove_route, &removal);
	xi_rtnl_close(&removal.rt);
	return err;
}

static int rules_set_family(struct xi_rtnl *rt, uint8_t family, struct rules *have,
			    const struct rules *wanted, uint32_t table)
{
	int err = xi_rtnl_dump(rt, RTM_GETRULE, family, rules_take, rules_restart, have);

	if (err)
		return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
	for (uint32_t i = have->n; i-- > 0 && !err;) {
		const struct rule *rule = &have->list[i];

		if (rules_have(wanted, rule))
			continue;
		err = xi_rtnl_request(rt, rule_message(RTM_DELRULE, 0, rule), NULL, NULL);
		if (err == -ENOENT)
			err = 0;
		if (!err && rule->table && rule->table != table)
			err = table_empty(rt, rule->table);
	}
	for (uint32_t i = 0; i < wanted->n && !err; i++) {
		if (rules_have(have, &wanted->list[i]))
			continue;
		err = xi_rtnl_request(rt, rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL,
						       &wanted->list[i]), NULL, NULL);
		if (err == -EEXIST)
			err = 0;
	}
	return err == -EAFNOSUPPORT ? 0 : err;
}

int xi_rules_set(struct xi_rtnl *rt, const struct xi_route_table *table, const struct xi_addr *plain,
		 uint32_t nplain)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct rules *have = calloc(2, sizeof(*have)), *wanted = have + 1;
	int err = have ? 0 : -ENOMEM;

	for (int i = 0; i < 2 && !err; i++) {
		if (table)
			rules_wanted(wanted, families[i], table, plain, nplain);
		err = rules_set_family(rt, families[i], have, wanted, table ? table->table : 0);
	}
	free(have);
	return err;
}

int xi_routes_remove(void)
{
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	if (!err)
		err = xi_rules_set(&rt, NULL, NULL, 0);
	xi_rtnl_close(&rt);
	return err;
}
