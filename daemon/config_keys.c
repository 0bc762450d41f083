/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys of the configuration file: what they may be, and where it goes. */
#include "config_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cache/admit.h"
#include "dataplane/await.h"
#include "dataplane/routes_table.h"

#define PATH_MAX_BYTES 255
#define NEAR_MAX 31                  /* letters of a name that may be a misspelled key */
#define RUN_DIR_MAX 90               /* a socket's name below it must fit sockaddr_un.sun_path */
#define SPIN_MAX_US 10000
#define HOLD_MAX_S 3600
#define SAD_SIZE_MAX XI_SAS_MAX
#define SPD_SIZE_MAX 131072
#define FLOW_ENTRIES_MAX (1U << 22)
#define MISSES_MAX 1000000

int xi_config_replace(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static const char *set_string(struct xi_config_parser *p, const struct xi_config_key *key,
			      void *field, const char *value)
{
	if (!*value || strlen(value) > key->max)
		return key->remedy;
	if (xi_config_replace(field, value) < 0)
		p->err = -ENOMEM;
	return NULL;
}

static const char *set_path(struct xi_config_parser *p, const struct xi_config_key *key,
			    void *field, const char *value)
{
	if (value[0] != '/')
		return key->remedy;
	return set_string(p, key, field, value);
}

static const char *set_number(struct xi_config_parser *p, const struct xi_config_key *key,
			      void *field, const char *value)
{
	uint64_t n = 0;

	if (!*value)
		return key->remedy;
	for (const char *c = value; *c; c++) {
		if (!isdigit((unsigned char)*c))
			return key->remedy;
		n = n * 10 + (uint64_t)(*c - '0');
		if (n > key->max)
			return key->remedy;
	}
	if (n < key->min)
		return key->remedy;
	*(uint32_t *)field = (uint32_t)n;
	return NULL;
}

/* Decimal, or hexadecimal behind 0x, as ip and IKE daemons write them. */
static const char *set_if_id(struct xi_config_parser *p, const struct xi_config_key *key,
			     void *field, const char *value)
{
	bool hex = !strncmp(value, "0x", 2);
	unsigned long n;
	char *end;

	if (!isxdigit((unsigned char)value[hex ? 2 : 0]))
		return key->remedy;
	errno = 0;
	n = strtoul(value, &end, hex ? 16 : 10);
	if (*end || errno || !n || n > UINT32_MAX)
		return key->remedy;
	for (uint32_t i = 0; i < p->config->ninterfaces; i++)
		if (p->config->interfaces[i].if_id == n)
			return "another interface has this number: give each its own";
	*(uint32_t *)field = (uint32_t)n;
	return NULL;
}

/* The kernel's own tables, and strongSwan's, have routes that are not ours to judge. */
static const char *set_routes(struct xi_config_parser *p, const struct xi_config_key *key,
			      void *field, const char *value)
{
	static const uint32_t others[] = { 220, 253, 254, 255 };
	uint32_t table = XI_ROUTES_TABLE;

	if (!strcmp(value, "no"))
		table = 0;
	else if (strcmp(value, "yes") && set_number(p, key, &table, value))
		return key->remedy;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (table == others[i])
			return key->remedy;
	*(uint32_t *)field = table;
	return NULL;
}

/* A number, or auto, which is 0. */
static const char *set_auto(struct xi_config_parser *p, const struct xi_config_key *key,
			    void *field, const char *value)
{
	if (strcmp(value, "auto"))
		return set_number(p, key, field, value);
	*(uint32_t *)field = 0;
	return NULL;
}

static const struct xi_config_choice *find_choice(const struct xi_config_key *key,
						  const char *value)
{
	for (const struct xi_config_choice *c = key->choices; c->name; c++)
		if (!strcmp(c->name, value))
			return c;
	return NULL;
}

static const char *set_choice(struct xi_config_parser *p, const struct xi_config_key *key,
			      void *field, const char *value)
{
	const struct xi_config_choice *c = find_choice(key, value);

	if (!c)
		return key->remedy;
	*(int *)field = c->value;
	return NULL;
}

static const char *set_engine(struct xi_config_parser *p, const struct xi_config_key *key,
			      void *field, const char *value)
{
	const struct xi_config_choice *c = find_choice(key, value);

	if (!c)
		return key->remedy;
	*(const char **)field = c->name;
	return NULL;
}

static const char *set_admission(struct xi_config_parser *p, const struct xi_config_key *key,
				 void *field, const char *value)
{
	for (const char *const *name = xi_admit_policies(); *name; name++)
		if (!strcmp(*name, value)) {
			*(const char **)field = *name;
			return NULL;
		}
	return key->remedy;
}

static const struct xi_config_choice engines[] = {
	{ "auto", 0 }, { "ipsec-mb", 0 }, { "openssl", 0 }, { NULL, 0 },
};
static const struct xi_config_choice unknown_spi[] = {
	{ "drop", XI_METHOD_DROP }, { "pass", XI_METHOD_KERNEL }, { NULL, 0 },
};
static const struct xi_config_choice yes_no[] = { { "no", 0 }, { "yes", 1 }, { NULL, 0 } };
static const struct xi_config_choice roles[] = {
	{ "cipher", XI_ROLE_CIPHER }, { "plain", XI_ROLE_PLAIN }, { NULL, 0 },
};
static const struct xi_config_choice modes[] = {
	{ "native", XI_PORT_NATIVE }, { "skb", XI_PORT_SKB }, { NULL, 0 },
};
static const struct xi_config_choice attaches[] = {
	{ "netlink", XI_ATTACH_NETLINK },
	{ "link", XI_ATTACH_LINK },
	{ "none", XI_ATTACH_NONE },
	{ NULL, 0 },
};
static const struct xi_config_choice txs[] = {
	{ "auto", XI_PORT_TX_AUTO },
	{ "burst", XI_PORT_TX_BURST },
	{ "xsk", XI_PORT_TX_XSK },
	{ NULL, 0 },
};

static const struct xi_config_choice dfs[] = {
	{ "copy", XI_DF_COPY },
	{ "set", XI_DF_SET },
	{ "clear", XI_DF_CLEAR },
	{ NULL, 0 },
};
static const struct xi_config_choice fragments[] = {
	{ "before", XI_FRAGMENT_BEFORE },
	{ "after", XI_FRAGMENT_AFTER },
	{ NULL, 0 },
};

XI_ASSERT(sizeof(enum xi_df) == sizeof(int) && sizeof(enum xi_fragment) == sizeof(int));
XI_ASSERT(sizeof(enum xi_role) == sizeof(int) && sizeof(enum xi_port_mode) == sizeof(int) &&
	  sizeof(enum xi_port_attach) == sizeof(int) && sizeof(enum xi_port_tx) == sizeof(int) &&
	  sizeof(enum xi_method) == sizeof(int));

#define DAEMON(name, field) XI_SECTION_DAEMON, name, offsetof(struct xi_config_file, field)
#define CACHE(name, field) XI_SECTION_CACHE, name, offsetof(struct xi_config_file, field)
#define PORT(name, field) XI_SECTION_PORT, name, offsetof(struct xi_port_config, field)
#define INTERFACE(name, field)                                                                     \
	XI_SECTION_INTERFACE, name, offsetof(struct xi_interface_config, field)

static const struct xi_config_key keys[] = {
	{ DAEMON("run-dir", run_dir), set_path, .max = RUN_DIR_MAX,
	  .remedy = "give an absolute path of at most 90 bytes" },
	{ DAEMON("pin-dir", pin_dir), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give an absolute path below a bpffs, as /sys/fs/bpf/xipsec" },
	{ DAEMON("state-dir", state_dir), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give an absolute path of a directory that survives reboots" },
	{ DAEMON("sas", sas), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give the absolute path of an ip -batch file" },
	{ DAEMON("group", group), set_string, .max = 32, .remedy = "give the name of a group" },
	{ DAEMON("xfrm-group", xfrm_group), set_string, .max = 32,
	  .remedy = "give the name of a group" },
	{ DAEMON("engine", engine), set_engine, .choices = engines,
	  .remedy = "an engine is auto, ipsec-mb or openssl" },
	{ DAEMON("workers", workers), set_auto, .min = 0, .max = XI_MAX_WORKERS,
	  .remedy = "give auto, or 1 to 16" },
	{ DAEMON("spin", spin_us), set_number, .min = 0, .max = SPIN_MAX_US,
	  .remedy = "give microseconds, 0 to 10000" },
	{ DAEMON("hold", hold), set_number, .min = 0, .max = XI_AWAIT_SHARE,
	  .remedy = "give packets of one flow, 0 to 256" },
	{ DAEMON("hold-time", hold_s), set_auto, .min = 1, .max = HOLD_MAX_S,
	  .remedy = "give auto, or seconds, 1 to 3600" },
	{ DAEMON("max-sas", max_sas), set_number, .min = 16, .max = SAD_SIZE_MAX,
	  .remedy = "give a number of SAs, 16 to 1048576" },
	{ DAEMON("max-policies", max_policies), set_number, .min = 16, .max = SPD_SIZE_MAX,
	  .remedy = "give a number of policies, 16 to 131072" },
	{ DAEMON("routes", routes_table), set_routes, .min = 1, .max = UINT32_MAX,
	  .remedy = "give no, yes, or the number of a routing table that nobody else uses, not 220 or 253 to 255" },
	{ DAEMON("df", df), set_choice, .choices = dfs, .remedy = "df is copy, set or clear" },
	{ DAEMON("fragment", fragment), set_choice, .choices = fragments,
	  .remedy = "fragment before or after" },
	{ DAEMON("unknown-spi", unknown_spi), set_choice, .choices = unknown_spi,
	  .remedy = "ESP of an unknown SPI is drop or pass" },
	{ DAEMON("mirror", mirror), set_choice, .choices = yes_no, .remedy = "mirror is yes or no" },
	{ CACHE("sa-entries", sa_entries), set_number, .min = 1, .max = SAD_SIZE_MAX,
	  .remedy = "give a number of SAs, 1 to 1048576" },
	{ CACHE("flow-entries", flow_entries), set_number, .min = 1, .max = FLOW_ENTRIES_MAX,
	  .remedy = "give a number of flows, 1 to 4194304" },
	{ CACHE("admission", admission), set_admission, .remedy = "admission is by rate or lru" },
	{ CACHE("misses", misses), set_number, .min = 1, .max = MISSES_MAX,
	  .remedy = "give messages a second and CPU, 1 to 1000000" },
	{ PORT("role", role), set_choice, .choices = roles, .remedy = "a port is cipher or plain" },
	{ PORT("mode", mode), set_choice, .choices = modes, .remedy = "a mode is native or skb" },
	{ PORT("attach", attach), set_choice, .choices = attaches,
	  .remedy = "attach by netlink, link or none" },
	{ PORT("tx", tx), set_choice, .choices = txs, .remedy = "tx is auto, burst or xsk" },
	{ PORT("offload", offload), set_choice, .choices = yes_no,
	  .remedy = "offload is yes or no" },
	{ PORT("offload-slots", offload_slots), set_number, .min = 1, .max = SAD_SIZE_MAX,
	  .remedy = "give a number of SAs, 1 to 1048576" },
	{ INTERFACE("if-id", if_id), set_if_id, .remedy = "an if-id is a number from 1 to 0xffffffff" },
};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))
XI_ASSERT(NKEYS <= XI_CONFIG_KEYS);
/* the remedies above say so */
XI_ASSERT(XI_MAX_WORKERS == 16 && SPIN_MAX_US == 10000);
XI_ASSERT(XI_AWAIT_SHARE == 256 && HOLD_MAX_S == 3600);
XI_ASSERT(SAD_SIZE_MAX == 1048576 && SPD_SIZE_MAX == 131072 &&
	  FLOW_ENTRIES_MAX == 4194304);

const struct xi_config_key *xi_config_key_find(enum xi_section section, const char *name)
{
	for (size_t i = 0; i < NKEYS; i++)
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

const char *xi_config_section_name(enum xi_section section)
{
	static const char *const names[] = {
		[XI_SECTION_DAEMON] = "[daemon]",
		[XI_SECTION_CACHE] = "[cache]",
		[XI_SECTION_PORT] = "[port IFNAME]",
		[XI_SECTION_INTERFACE] = "[interface NAME]",
	};

	return names[section];
}

const char *xi_config_key_home(const char *name)
{
	for (size_t i = 0; i < NKEYS; i++)
		if (!strcmp(keys[i].name, name))
			return xi_config_section_name(keys[i].section);
	return NULL;
}

uint32_t xi_config_key_bit(const struct xi_config_key *key)
{
	return 1U << (key - keys);
}

uint32_t *xi_config_key_line(struct xi_config_file *config, const struct xi_config_key *key)
{
	return &config->lines[key - keys];
}

uint32_t xi_config_line(const struct xi_config_file *config, const char *name)
{
	const struct xi_config_key *key = xi_config_key_find(XI_SECTION_DAEMON, name);

	return key ? config->lines[key - keys] : 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Letters to insert, remove, replace or exchange with the next one to make b of a; both of at most NEAR_MAX. */
static uint32_t edit_distance(const char *a, const char *b)
{
	uint32_t rows[3][NEAR_MAX + 1], n = (uint32_t)strlen(b);
	uint32_t *two = rows[0], *one = rows[1], *row = rows[2], *spare;

	for (uint32_t j = 0; j <= n; j++)
		row[j] = j;
	for (uint32_t i = 1; a[i - 1]; i++) {
		spare = two, two = one, one = row, row = spare;
		row[0] = i;
		for (uint32_t j = 1; j <= n; j++) {
			row[j] = least(least(one[j], row[j - 1]) + 1,
				       one[j - 1] + (tolower((unsigned char)a[i - 1]) != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], two[j - 2] + 1);
		}
	}
	return row[n];
}

const struct xi_config_key *xi_config_key_near(enum xi_section section, const char *name)
{
	const struct xi_config_key *near = NULL;
	uint32_t best = 2 * (1 + (uint32_t)strlen(name) / 4) + 2, distance;

	if (strlen(name) > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < NKEYS; i++) {
		distance = 2 * edit_distance(name, keys[i].name) + (keys[i].section != section);
		if (distance < best) {
			best = distance;
			near = &keys[i];
		}
	}
	return near;
}
