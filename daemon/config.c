/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cache/admit.h"
#include "dataplane/await.h"
#include "dataplane/hostif.h"
#include "dataplane/park.h"
#include "dataplane/routes_table.h"
#include "log.h"

#define ERRORS_SHOWN 50
#define PATH_MAX_BYTES 255
#define RUN_DIR_MAX 90               /* a socket's name below it must fit sockaddr_un.sun_path */
#define SPIN_MAX_US 10000
#define HOLD_DEFAULT 64
#define HOLD_MAX_S 3600
#define SAD_SIZE_MAX XI_SAS_MAX
#define SPD_SIZE_MAX 131072
#define FLOW_ENTRIES_MAX (1U << 22)
#define MISSES_MAX 1000000
#define SA_ENTRIES_DEFAULT 1024U

enum section {
	SECTION_NONE,
	SECTION_BAD,
	SECTION_DAEMON,
	SECTION_CACHE,
	SECTION_PORT,
	SECTION_INTERFACE
};

struct parser {
	struct xi_config_file *config;
	FILE *file;
	const char *name;
	xi_config_report_fn report;
	void *arg;
	char *line;                  /* getline()'s buffer */
	size_t line_size;
	unsigned int lineno;
	unsigned int errors;
	int err;                     /* -ENOMEM, -EIO */
	enum section section;
	bool lost_section;           /* a heading was reported: what is missing may stand below it */
	struct xi_port_config *port;
	struct xi_interface_config *interface;
	uint32_t seen;               /* bit n: keys[n] was given */
	uint32_t seen_port[XI_CONFIG_PORTS];
	uint32_t seen_interface[XI_MAX_INTERFACES];
};

struct choice {
	const char *name;
	int value;
};

struct key {
	enum section section;
	const char *name;
	size_t offset;
	/* NULL or the reason why `value` will not do; field: where it goes */
	const char *(*set)(struct parser *p, const struct key *key, void *field, const char *value);
	const char *remedy;
	const struct choice *choices;
	uint32_t min, max;
};

static void report(struct parser *p, unsigned int line, const char *fmt, ...) XI_PRINTF(3, 4);

static void report(struct parser *p, unsigned int line, const char *fmt, ...)
{
	char text[768];
	int len;
	va_list ap;

	if (p->errors++ >= ERRORS_SHOWN)
		return;
	if (line)
		len = snprintf(text, sizeof(text), "%s:%u: ", p->name, line);
	else
		len = snprintf(text, sizeof(text), "%s: ", p->name);
	if (len < 0 || (size_t)len >= sizeof(text))
		len = 0;
	va_start(ap, fmt);
	vsnprintf(text + len, sizeof(text) - (size_t)len, fmt, ap);
	va_end(ap);
	p->report(p->arg, text);
}

static int replace_string(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static const char *set_string(struct parser *p, const struct key *key, void *field,
			      const char *value)
{
	if (!*value || strlen(value) > key->max)
		return key->remedy;
	if (replace_string(field, value) < 0)
		p->err = -ENOMEM;
	return NULL;
}

static const char *set_path(struct parser *p, const struct key *key, void *field,
			    const char *value)
{
	if (value[0] != '/')
		return key->remedy;
	return set_string(p, key, field, value);
}

static const char *set_number(struct parser *p, const struct key *key, void *field,
			      const char *value)
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
static const char *set_if_id(struct parser *p, const struct key *key, void *field,
			     const char *value)
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
static const char *set_routes(struct parser *p, const struct key *key, void *field,
			      const char *value)
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
static const char *set_auto(struct parser *p, const struct key *key, void *field,
			    const char *value)
{
	if (strcmp(value, "auto"))
		return set_number(p, key, field, value);
	*(uint32_t *)field = 0;
	return NULL;
}

static const struct choice *find_choice(const struct key *key, const char *value)
{
	for (const struct choice *c = key->choices; c->name; c++)
		if (!strcmp(c->name, value))
			return c;
	return NULL;
}

static const char *set_choice(struct parser *p, const struct key *key, void *field,
			      const char *value)
{
	const struct choice *c = find_choice(key, value);

	if (!c)
		return key->remedy;
	*(int *)field = c->value;
	return NULL;
}

static const char *set_engine(struct parser *p, const struct key *key, void *field,
			      const char *value)
{
	const struct choice *c = find_choice(key, value);

	if (!c)
		return key->remedy;
	*(const char **)field = c->name;
	return NULL;
}

static const char *set_admission(struct parser *p, const struct key *key, void *field,
				 const char *value)
{
	for (const char *const *name = xi_admit_policies(); *name; name++)
		if (!strcmp(*name, value)) {
			*(const char **)field = *name;
			return NULL;
		}
	return key->remedy;
}

static const struct choice engines[] = {
	{ "auto", 0 }, { "ipsec-mb", 0 }, { "openssl", 0 }, { NULL, 0 },
};
static const struct choice unknown_spi[] = {
	{ "drop", XI_METHOD_DROP }, { "pass", XI_METHOD_KERNEL }, { NULL, 0 },
};
static const struct choice yes_no[] = { { "no", 0 }, { "yes", 1 }, { NULL, 0 } };
static const struct choice roles[] = {
	{ "cipher", XI_ROLE_CIPHER }, { "plain", XI_ROLE_PLAIN }, { NULL, 0 },
};
static const struct choice modes[] = {
	{ "native", XI_PORT_NATIVE }, { "skb", XI_PORT_SKB }, { NULL, 0 },
};
static const struct choice attaches[] = {
	{ "netlink", XI_ATTACH_NETLINK },
	{ "link", XI_ATTACH_LINK },
	{ "none", XI_ATTACH_NONE },
	{ NULL, 0 },
};
static const struct choice txs[] = {
	{ "auto", XI_PORT_TX_AUTO },
	{ "burst", XI_PORT_TX_BURST },
	{ "xsk", XI_PORT_TX_XSK },
	{ NULL, 0 },
};

static const struct choice dfs[] = {
	{ "copy", XI_DF_COPY },
	{ "set", XI_DF_SET },
	{ "clear", XI_DF_CLEAR },
	{ NULL, 0 },
};
static const struct choice fragments[] = {
	{ "before", XI_FRAGMENT_BEFORE },
	{ "after", XI_FRAGMENT_AFTER },
	{ NULL, 0 },
};

XI_ASSERT(sizeof(enum xi_df) == sizeof(int) && sizeof(enum xi_fragment) == sizeof(int));
XI_ASSERT(sizeof(enum xi_role) == sizeof(int) && sizeof(enum xi_port_mode) == sizeof(int) &&
	  sizeof(enum xi_port_attach) == sizeof(int) && sizeof(enum xi_port_tx) == sizeof(int) &&
	  sizeof(enum xi_method) == sizeof(int));

#define DAEMON(name, field) SECTION_DAEMON, name, offsetof(struct xi_config_file, field)
#define CACHE(name, field) SECTION_CACHE, name, offsetof(struct xi_config_file, field)
#define PORT(name, field) SECTION_PORT, name, offsetof(struct xi_port_config, field)
#define INTERFACE(name, field) SECTION_INTERFACE, name, offsetof(struct xi_interface_config, field)

static const struct key keys[] = {
	{ DAEMON("run-dir", run_dir), set_path, .max = RUN_DIR_MAX,
	  .remedy = "give an absolute path of at most 90 bytes" },
	{ DAEMON("pin-dir", pin_dir), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give an absolute path below a bpffs, as /sys/fs/bpf/xipsec" },
	{ DAEMON("state-dir", state_dir), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give an absolute path of a directory that survives reboots" },
	{ DAEMON("sas", sas), set_path, .max = PATH_MAX_BYTES,
	  .remedy = "give the absolute path of an ip -batch file" },
	{ DAEMON("group", group), set_string, .max = 32, .remedy = "give the name of a group" },
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
	{ INTERFACE("if-id", if_id), set_if_id, .remedy = "an if-id is a number from 1 to 0xffffffff" },
};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))
XI_ASSERT(NKEYS <= 32);
/* the remedies above say so */
XI_ASSERT(XI_MAX_WORKERS == 16 && SPIN_MAX_US == 10000);
XI_ASSERT(XI_AWAIT_SHARE == 256 && HOLD_MAX_S == 3600);
XI_ASSERT(SAD_SIZE_MAX == 1048576 && SPD_SIZE_MAX == 131072 &&
	  FLOW_ENTRIES_MAX == 4194304);

/* As the kernel's dev_valid_name(), and none of our own devices. NULL, or what is wrong. */
static const char *device_name_error(const char *name)
{
	if (!*name)
		return "give the device's name: [port IFNAME]";
	if (strlen(name) >= IFNAMSIZ)
		return "a device name has at most 15 characters";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "this is no device name";
	for (const char *c = name; *c; c++)
		if (*c == '/' || *c == ':' || isspace((unsigned char)*c))
			return "a device name has no '/', ':' or space";
	if (!strcmp(name, XI_HOSTIF_NAME) || !strcmp(name, XI_HOSTIF_PEER) ||
	    !strncmp(name, XI_PARK_NAME, strlen(XI_PARK_NAME)) || xi_interface_is_peer(name))
		return "this device is the daemon's own: name a network card, or an interface to make";
	return NULL;
}

static struct xi_port_config *find_port(struct xi_config_file *config, const char *name)
{
	for (uint32_t i = 0; i < config->nports; i++)
		if (!strcmp(config->ports[i].name, name))
			return &config->ports[i];
	return NULL;
}

static enum section open_port(struct parser *p, const char *name)
{
	const char *why = device_name_error(name);
	struct xi_port_config *port;

	if (why) {
		report(p, p->lineno, "[port %s]: %s", name, why);
		return SECTION_BAD;
	}
	port = find_port(p->config, name);
	if (port) {
		report(p, p->lineno, "[port %s] was given in line %u already: keep one of the two",
		       name, port->line);
		return SECTION_BAD;
	}
	if (p->config->nports == XI_CONFIG_PORTS) {
		report(p, p->lineno, "[port %s]: more than %d ports: remove one", name,
		       XI_CONFIG_PORTS);
		return SECTION_BAD;
	}
	port = &p->config->ports[p->config->nports++];
	memset(port, 0, sizeof(*port));
	memcpy(port->name, name, strlen(name) + 1);
	port->line = p->lineno;
	p->port = port;
	return SECTION_PORT;
}

static enum section open_interface(struct parser *p, const char *name)
{
	const char *why = *name ? device_name_error(name) : "give it a name: [interface NAME]";
	struct xi_interface_config *interface;

	for (uint32_t i = 0; i < p->config->ninterfaces && !why; i++)
		if (!strcmp(p->config->interfaces[i].name, name))
			why = "given already: keep one of the two";
	if (!why && p->config->ninterfaces == XI_MAX_INTERFACES)
		why = "more than 256 interfaces: remove one";
	if (why) {
		report(p, p->lineno, "[interface %s]: %s", name, why);
		return SECTION_BAD;
	}
	interface = &p->config->interfaces[p->config->ninterfaces++];
	memset(interface, 0, sizeof(*interface));
	memcpy(interface->name, name, strlen(name) + 1);
	interface->line = p->lineno;
	p->interface = interface;
	return SECTION_INTERFACE;
}

/* What stands behind the word that a heading begins with; NULL: it begins otherwise. */
static const char *heading_rest(const char *heading, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(heading, word, len) || (heading[len] && !isspace((unsigned char)heading[len])))
		return NULL;
	for (heading += len; isspace((unsigned char)*heading);)
		heading++;
	return heading;
}

static enum section open_section(struct parser *p, const char *heading)
{
	const char *name;

	if (!strcmp(heading, "daemon"))
		return SECTION_DAEMON;
	if (!strcmp(heading, "cache"))
		return SECTION_CACHE;
	name = heading_rest(heading, "port");
	if (name)
		return open_port(p, name);
	name = heading_rest(heading, "interface");
	if (name)
		return open_interface(p, name);
	report(p, p->lineno,
	       "[%s]: unknown section: there are [daemon], [cache], [port IFNAME] and [interface NAME]",
	       heading);
	return SECTION_BAD;
}

static const struct key *find_key(enum section section, const char *name)
{
	for (size_t i = 0; i < NKEYS; i++)
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* The heading of the section whose key this is; NULL: of none. */
static const char *home_of(const char *name)
{
	if (find_key(SECTION_DAEMON, name))
		return "[daemon]";
	if (find_key(SECTION_CACHE, name))
		return "[cache]";
	if (find_key(SECTION_INTERFACE, name))
		return "[interface NAME]";
	return find_key(SECTION_PORT, name) ? "[port IFNAME]" : NULL;
}

static void unknown_key(struct parser *p, const char *name)
{
	const char *home = home_of(name);
	char known[256] = "";

	if (home) {
		report(p, p->lineno, "%s: not a key of this section: put it below %s", name, home);
		return;
	}
	for (size_t i = 0; i < NKEYS; i++) {
		if (keys[i].section != p->section)
			continue;
		if (*known)
			strncat(known, ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, keys[i].name, sizeof(known) - strlen(known) - 1);
	}
	report(p, p->lineno, "%s: unknown key: here are %s", name, known);
}

/* The struct that a section's keys fill, and which of them it has. */
static char *section_base(struct parser *p, enum section section, uint32_t **seen)
{
	switch (section) {
	case SECTION_PORT:
		*seen = &p->seen_port[p->port - p->config->ports];
		return (char *)p->port;
	case SECTION_INTERFACE:
		*seen = &p->seen_interface[p->interface - p->config->interfaces];
		return (char *)p->interface;
	default:
		*seen = &p->seen;
		return (char *)p->config;
	}
}

static void set_key(struct parser *p, const struct key *key, const char *value)
{
	uint32_t *seen;
	char *base = section_base(p, key->section, &seen);
	uint32_t bit = 1U << (key - keys);
	const char *why;

	if (*seen & bit) {
		report(p, p->lineno, "%s is given twice: keep one of the two", key->name);
		return;
	}
	*seen |= bit;
	why = key->set(p, key, base + key->offset, value);
	if (why)
		report(p, p->lineno, "%s = %s: %s", key->name, value, why);
}

/* inih's handler. read_line() follows the sections: inih tells of no empty or repeated one. */
static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct parser *p = arg;
	const struct key *key;

	if (p->section == SECTION_BAD)
		return 1; /* its heading was reported */
	if (p->section == SECTION_NONE) {
		const char *home = home_of(name);

		report(p, p->lineno, "%s stands before the first section: put it below %s", name,
		       home ? home : "[daemon], [cache], [port IFNAME] or [interface NAME]");
		return 1;
	}
	key = find_key(p->section, name);
	if (key)
		set_key(p, key, value);
	else
		unknown_key(p, name);
	return 1;
}

static void follow_section(struct parser *p, const char *line)
{
	const char *end = strchr(line, ']');
	const char *rest;
	char heading[128];
	size_t len;

	if (line[0] != '[')
		return;
	if (!end) {
		p->section = SECTION_BAD; /* inih reports a heading without ']' */
		p->lost_section = true;
		return;
	}
	for (rest = end + 1; isspace((unsigned char)*rest);)
		rest++;
	if (*rest && *rest != ';' && *rest != '#')
		report(p, p->lineno,
		       "text behind a section's heading: put it on a line of its own");
	line++;
	while (line < end && isspace((unsigned char)*line))
		line++;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	len = (size_t)(end - line);
	if (len >= sizeof(heading))
		len = sizeof(heading) - 1;
	memcpy(heading, line, len);
	heading[len] = 0;
	p->section = open_section(p, heading);
	p->lost_section |= p->section == SECTION_BAD;
}

/*
 * inih's reader: one call a line. Counts lines, which a packaged inih does not hand to the handler;
 * strips leading space, which inih would take for a continuation; replaces a line that inih would
 * cut into pieces.
 */
static char *read_line(char *buf, int size, void *arg)
{
	struct parser *p = arg;
	ssize_t len = getline(&p->line, &p->line_size, p->file);
	char *s = p->line;

	if (len < 0) {
		if (ferror(p->file))
			p->err = errno == ENOMEM || errno == EISDIR ? -errno : -EIO;
		return NULL;
	}
	p->lineno++;
	if (p->lineno == 1 && !strncmp(s, "\xef\xbb\xbf", 3))
		s += 3;
	if (memchr(p->line, 0, (size_t)len)) {
		report(p, p->lineno, "zero byte: this is no text file");
		s = strcpy(p->line, "");
	}
	while (isspace((unsigned char)*s))
		s++;
	if (strlen(s) >= (size_t)size) {
		if (*s != '#' && *s != ';')
			report(p, p->lineno, "line of more than %d bytes: shorten it", size - 1);
		s = strcpy(p->line, "");
	}
	follow_section(p, s);
	memcpy(buf, s, strlen(s) + 1);
	return buf;
}

/* What no single line shows. */
static void check_whole(struct parser *p)
{
	struct xi_config_file *config = p->config;
	const struct key *role = find_key(SECTION_PORT, "role");
	unsigned int ncipher = 0, norole = 0;

	for (uint32_t i = 0; i < config->nports; i++) {
		struct xi_port_config *port = &config->ports[i];

		ncipher += port->role == XI_ROLE_CIPHER;
		if (port->role != XI_ROLE_NONE)
			continue;
		norole++;
		if (p->seen_port[i] & 1U << (role - keys))
			continue; /* its value was reported */
		report(p, port->line,
		       "[port %s] has no role: add role = cipher or role = plain", port->name);
	}
	for (uint32_t i = 0; i < config->ninterfaces; i++) {
		const struct xi_interface_config *interface = &config->interfaces[i];

		if (!interface->if_id && !p->seen_interface[i])
			report(p, interface->line,
			       "[interface %s] has no number: add if-id, as SAs and policies have it",
			       interface->name);
		if (find_port(config, interface->name))
			report(p, interface->line,
			       "[interface %s]: this is a port: give the interface a name of its own",
			       interface->name);
	}
	if (!ncipher && !norole && !p->lost_section)
		report(p, 0, "no cipher port: add a [port IFNAME] with role = cipher");
	if (!config->sa_entries)
		config->sa_entries = config->max_sas < SA_ENTRIES_DEFAULT ? config->max_sas
									  : SA_ENTRIES_DEFAULT;
	else if (config->sa_entries > config->max_sas)
		report(p, 0,
		       "sa-entries = %u is more than max-sas = %u: lower it or raise max-sas",
		       config->sa_entries, config->max_sas);
}

static struct xi_config_file *config_new(void)
{
	struct xi_config_file *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->run_dir = strdup(XI_RUN_DIR);
	config->pin_dir = strdup(XI_PIN_DIR);
	config->state_dir = strdup(XI_STATE_DIR);
	config->group = strdup(XI_GROUP);
	config->engine = "auto";
	config->hold = HOLD_DEFAULT;
	config->max_sas = 65536;
	config->max_policies = 16384;
	config->flow_entries = 65536;
	config->misses = 5000;
	config->unknown_spi = XI_METHOD_DROP;
	if (!config->run_dir || !config->pin_dir || !config->state_dir || !config->group) {
		xi_config_free(config);
		return NULL;
	}
	return config;
}

void xi_config_free(struct xi_config_file *config)
{
	if (!config)
		return;
	free(config->run_dir);
	free(config->pin_dir);
	free(config->state_dir);
	free(config->sas);
	free(config->group);
	free(config);
}

int xi_config_parse(struct xi_config_file **out, FILE *file, const char *name,
		    xi_config_report_fn report_fn, void *arg)
{
	struct parser p = { .file = file, .name = name, .report = report_fn, .arg = arg };
	int line;

	p.config = config_new();
	if (!p.config)
		return -ENOMEM;
	line = ini_parse_stream(read_line, &p, on_pair, &p);
	free(p.line);
	if (line < 0 && !p.err)
		p.err = -ENOMEM;
	if (line > 0)
		report(&p, (unsigned int)line,
		       "neither [section], key = value, nor a comment: correct the line");
	if (!p.err)
		check_whole(&p);
	if (p.errors > ERRORS_SHOWN)
		p.report(p.arg, "... and more errors");
	if (p.errors && !p.err)
		p.err = -EINVAL;
	if (p.err) {
		xi_config_free(p.config);
		return p.err;
	}
	*out = p.config;
	return 0;
}

static void report_to_log(void *arg, const char *text)
{
	log_warnx("%s", text);
}

int xi_config_load(struct xi_config_file **out, const char *path)
{
	FILE *file = fopen(path, "re");
	int err;

	if (!file) {
		err = -errno;
		log_warn("%s: cannot open the configuration; name another one with -c", path);
		return err;
	}
	err = xi_config_parse(out, file, path, report_to_log, NULL);
	fclose(file);
	if (err && err != -EINVAL)
		log_warnx("%s: cannot read the configuration; name another one with -c: %s", path,
			  strerror(-err));
	return err;
}

static int override_path(char **field, const char *option, const char *key_name, const char *value)
{
	const struct key *key = find_key(SECTION_DAEMON, key_name);

	if (!value)
		return 0;
	if (value[0] != '/' || strlen(value) > key->max) {
		log_warnx("%s %s: %s", option, value, key->remedy);
		return -EINVAL;
	}
	return replace_string(field, value);
}

int xi_config_override(struct xi_config_file *config, const char *run_dir, const char *pin_dir)
{
	int err = override_path(&config->run_dir, "--run-dir", "run-dir", run_dir);

	return err ? err : override_path(&config->pin_dir, "--pin-dir", "pin-dir", pin_dir);
}
