/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config_priv.h"
#include "dataplane/hostif.h"
#include "dataplane/park.h"
#include "log.h"

#define ERRORS_SHOWN 50
#define HOLD_DEFAULT 64
#define SA_ENTRIES_DEFAULT 1024U
#define LINE_BYTES 512                       /* more than inih takes of a line */

static void report(struct xi_config_parser *p, unsigned int line, const char *fmt, ...)
	XI_PRINTF(3, 4);

static void report(struct xi_config_parser *p, unsigned int line, const char *fmt, ...)
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

/* As the kernel's dev_valid_name(), and none of our own devices. NULL, or what is wrong. */
static const char *device_name_error(const char *name)
{
	if (!*name)
		return "give the device's name: [port IFNAME]";
	if (strlen(name) >= IFNAMSIZ)
		return "a device name has at most 15 characters";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "this is no device name";
	if (*name == '"' || *name == '\'')
		return "a device name stands without quotes: remove them";
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

static enum xi_section open_port(struct xi_config_parser *p, const char *name)
{
	const char *why = device_name_error(name);
	struct xi_port_config *port;

	if (why) {
		report(p, p->lineno, "[port %s]: %s", name, why);
		return XI_SECTION_BAD;
	}
	port = find_port(p->config, name);
	if (port) {
		report(p, p->lineno, "[port %s] was given in line %u already: keep one of the two",
		       name, port->line);
		return XI_SECTION_BAD;
	}
	if (p->config->nports == XI_CONFIG_PORTS) {
		report(p, p->lineno, "[port %s]: more than %d ports: remove one", name,
		       XI_CONFIG_PORTS);
		return XI_SECTION_BAD;
	}
	port = &p->config->ports[p->config->nports++];
	memset(port, 0, sizeof(*port));
	memcpy(port->name, name, strlen(name) + 1);
	port->line = p->lineno;
	p->port = port;
	return XI_SECTION_PORT;
}

static enum xi_section open_interface(struct xi_config_parser *p, const char *name)
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
		return XI_SECTION_BAD;
	}
	interface = &p->config->interfaces[p->config->ninterfaces++];
	memset(interface, 0, sizeof(*interface));
	memcpy(interface->name, name, strlen(name) + 1);
	interface->line = p->lineno;
	p->interface = interface;
	return XI_SECTION_INTERFACE;
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

static enum xi_section open_section(struct xi_config_parser *p, const char *heading)
{
	const char *name;

	if (!strcmp(heading, "daemon"))
		return XI_SECTION_DAEMON;
	if (!strcmp(heading, "cache"))
		return XI_SECTION_CACHE;
	name = heading_rest(heading, "port");
	if (name)
		return open_port(p, name);
	name = heading_rest(heading, "interface");
	if (name)
		return open_interface(p, name);
	report(p, p->lineno,
	       "[%s]: unknown section: there are [daemon], [cache], [port IFNAME] and [interface NAME]",
	       heading);
	return XI_SECTION_BAD;
}

static void unknown_key(struct xi_config_parser *p, const char *name)
{
	const char *home = xi_config_key_home(name), *here = xi_config_section_name(p->section);
	const struct xi_config_key *near;

	if (home) {
		report(p, p->lineno, "%s: not a key of this section: put it below %s", name, home);
		return;
	}
	near = xi_config_key_near(p->section, name);
	if (!near)
		report(p, p->lineno, "%s: unknown key: see xipsec.conf(5) for those of %s", name, here);
	else if (near->section == p->section)
		report(p, p->lineno, "%s: unknown key: did you mean %s? see xipsec.conf(5)", name,
		       near->name);
	else
		report(p, p->lineno, "%s: unknown key: did you mean %s, below %s? see xipsec.conf(5)",
		       name, near->name, xi_config_section_name(near->section));
}

/* The struct that a section's keys fill, and which of them it has. */
static char *section_base(struct xi_config_parser *p, enum xi_section section, uint32_t **seen)
{
	switch (section) {
	case XI_SECTION_PORT:
		*seen = &p->seen_port[p->port - p->config->ports];
		return (char *)p->port;
	case XI_SECTION_INTERFACE:
		*seen = &p->seen_interface[p->interface - p->config->interfaces];
		return (char *)p->interface;
	default:
		*seen = &p->seen;
		return (char *)p->config;
	}
}

/*
 * A value without its quotes and the comment behind it, in place. inih has cut at a space and ';' already, and leaves
 * '#' alone. NULL, or what is wrong.
 */
static const char *value_plain(char *value)
{
	char quote = *value, *end;

	if (quote == '"' || quote == '\'') {
		end = strchr(value + 1, quote);
		if (!end)
			return "a quote that nothing closes: add the other one, or remove it; a space and ';' begin a comment anywhere";
		*end++ = 0;
		memmove(value, value + 1, strlen(value + 1) + 1);
		while (isspace((unsigned char)*end))
			end++;
		return !*end || *end == '#' || *end == ';'
			       ? NULL : "text behind the closing quote: remove it, or the quotes";
	}
	for (end = value; *end; end++)
		if (*end == '#' && (end == value || isspace((unsigned char)end[-1])))
			break;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return NULL;
}

static void set_key(struct xi_config_parser *p, const struct xi_config_key *key, const char *value)
{
	uint32_t *seen;
	char *base = section_base(p, key->section, &seen);
	uint32_t bit = xi_config_key_bit(key);
	char plain[LINE_BYTES];
	const char *why;

	if (*seen & bit) {
		report(p, p->lineno, "%s is given twice: keep one of the two", key->name);
		return;
	}
	*seen |= bit;
	*xi_config_key_line(p->config, key) = p->lineno;
	snprintf(plain, sizeof(plain), "%s", value);
	why = value_plain(plain);
	if (why) {
		report(p, p->lineno, "%s = %s: %s", key->name, value, why);
		return;
	}
	why = key->set(p, key, base + key->offset, plain);
	if (why)
		report(p, p->lineno, "%s = %s: %s", key->name, plain, why);
}

/* inih's handler. read_line() follows the sections: inih tells of no empty or repeated one. */
static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct xi_config_parser *p = arg;
	const struct xi_config_key *key;

	if (p->section == XI_SECTION_BAD)
		return 1; /* its heading was reported */
	if (p->section == XI_SECTION_NONE) {
		const char *home = xi_config_key_home(name);

		report(p, p->lineno, "%s stands before the first section: put it below %s", name,
		       home ? home : "[daemon], [cache], [port IFNAME] or [interface NAME]");
		return 1;
	}
	key = xi_config_key_find(p->section, name);
	if (key)
		set_key(p, key, value);
	else
		unknown_key(p, name);
	return 1;
}

static void follow_section(struct xi_config_parser *p, const char *line)
{
	const char *end = strchr(line, ']');
	const char *rest;
	char heading[128];
	size_t len;

	if (line[0] != '[')
		return;
	if (!end) {
		p->section = XI_SECTION_BAD; /* inih reports a heading without ']' */
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
	p->lost_section |= p->section == XI_SECTION_BAD;
}

/*
 * inih's reader: one call a line. Counts lines, which a packaged inih does not hand to the handler;
 * strips leading space, which inih would take for a continuation; replaces a line that inih would
 * cut into pieces.
 */
static char *read_line(char *buf, int size, void *arg)
{
	struct xi_config_parser *p = arg;
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
static void check_whole(struct xi_config_parser *p)
{
	struct xi_config_file *config = p->config;
	const struct xi_config_key *role = xi_config_key_find(XI_SECTION_PORT, "role");
	unsigned int ncipher = 0, norole = 0;

	for (uint32_t i = 0; i < config->nports; i++) {
		struct xi_port_config *port = &config->ports[i];

		ncipher += port->role == XI_ROLE_CIPHER;
		if (port->offload && (!config->mirror || port->role == XI_ROLE_PLAIN))
			report(p, port->line,
			       "[port %s] offload = yes puts SAs that a mirror has into a device by which ESP leaves: it wants mirror = yes and role = cipher",
			       port->name);
		if (port->offload_slots && !port->offload)
			report(p, port->line,
			       "[port %s] offload-slots without offload = yes: add that, or remove it",
			       port->name);
		if (port->role != XI_ROLE_NONE)
			continue;
		norole++;
		if (p->seen_port[i] & xi_config_key_bit(role))
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
	if (config->xfrm_group && !strcmp(config->xfrm_group, config->group))
		report(p, 0,
		       "xfrm-group = %s is the group whose members may only look: make a group for key managers",
		       config->xfrm_group);
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
	free(config->xfrm_group);
	free(config);
}

int xi_config_parse(struct xi_config_file **out, FILE *file, const char *name,
		    xi_config_report_fn report_fn, void *arg)
{
	struct xi_config_parser p = { .file = file, .name = name, .report = report_fn, .arg = arg };
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
	const struct xi_config_key *key = xi_config_key_find(XI_SECTION_DAEMON, key_name);

	if (!value)
		return 0;
	if (value[0] != '/' || strlen(value) > key->max) {
		log_warnx("%s %s: %s", option, value, key->remedy);
		return -EINVAL;
	}
	return xi_config_replace(field, value);
}

int xi_config_override(struct xi_config_file *config, const char *run_dir, const char *pin_dir)
{
	int err = override_path(&config->run_dir, "--run-dir", "run-dir", run_dir);

	return err ? err : override_path(&config->pin_dir, "--pin-dir", "pin-dir", pin_dir);
}
