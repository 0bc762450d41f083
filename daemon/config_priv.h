/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parser of the configuration file and its table of keys share. */
#ifndef XI_CONFIG_PRIV_H
#define XI_CONFIG_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"

enum xi_section {
	XI_SECTION_NONE,
	XI_SECTION_BAD,
	XI_SECTION_DAEMON,
	XI_SECTION_CACHE,
	XI_SECTION_PORT,
	XI_SECTION_INTERFACE
};

struct xi_config_parser {
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
	enum xi_section section;
	bool lost_section;           /* a heading was reported: what is missing may stand below it */
	struct xi_port_config *port;
	struct xi_interface_config *interface;
	uint32_t seen;               /* bit n: keys[n] was given */
	uint32_t seen_port[XI_CONFIG_PORTS];
	uint32_t seen_interface[XI_MAX_INTERFACES];
};

struct xi_config_choice {
	const char *name;
	int value;
};

struct xi_config_key {
	enum xi_section section;
	const char *name;
	size_t offset;
	/* NULL or the reason why `value` will not do; field: where it goes */
	const char *(*set)(struct xi_config_parser *p, const struct xi_config_key *key, void *field, const char *value);
	const char *remedy;
	const struct xi_config_choice *choices;
	uint32_t min, max;
};

/* NULL: this section has none of that name. */
const struct xi_config_key *xi_config_key_find(enum xi_section section, const char *name);
/* Its bit in the masks of what was given. */
uint32_t xi_config_key_bit(const struct xi_config_key *key);
/* Where the line that gave it is noted. */
uint32_t *xi_config_key_line(struct xi_config_file *config, const struct xi_config_key *key);
/* Its heading; of a section that has keys. */
const char *xi_config_section_name(enum xi_section section);
/* The heading of the section whose key this is; NULL: of none. */
const char *xi_config_key_home(const char *name);
/* The key that a misspelled name is most likely to mean, this section's before others'; NULL: none is near. */
const struct xi_config_key *xi_config_key_near(enum xi_section section, const char *name);
/* *field is freed, and becomes a copy. -ENOMEM. */
int xi_config_replace(char **field, const char *value);

#endif
