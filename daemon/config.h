/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration file, xipsec.conf(5). Parsed whole before anything is done, so a bad file
 * changes nothing; every error is reported, each with file, line and remedy.
 */
#ifndef XI_CONFIG_H
#define XI_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include <xipsec/abi.h>
#include "dataplane/interface.h"
#include "dataplane/port.h"

#define XI_CONFIG_PATH "/etc/xipsec/xipsec.conf"
#define XI_RUN_DIR "/run/xipsec"
#define XI_PIN_DIR "/sys/fs/bpf/xipsec"
#define XI_STATE_DIR "/var/lib/xipsec"
#define XI_GROUP "xipsec"

#define XI_CONFIG_PORTS (XI_MAX_PORTS - 1)   /* one slot is xipsec0's */
#define XI_CONFIG_KEYS 32                    /* a bit each in the masks of what was given */

/* When a packet too long for the path is cut: before ESP, or after it. */
enum xi_fragment { XI_FRAGMENT_BEFORE, XI_FRAGMENT_AFTER };

struct xi_config_file {
	char *run_dir;               /* control.sock, packet memory's files; made when absent */
	char *pin_dir;               /* below a bpffs */
	char *state_dir;             /* sequence reserves of SAs from `sas` */
	char *sas;                   /* `ip -batch` file of SAs and policies; NULL: none */
	char *group;                 /* may read the control socket */
	char *xfrm_group;            /* may do by XFRM what root may; NULL: none */
	const char *engine;          /* for xi_engine_find(): "auto", "ipsec-mb", "openssl" */
	uint32_t workers;            /* 0: one a queue */
	uint32_t spin_us;            /* how long a worker looks for more packets before it sleeps */
	uint32_t hold;               /* packets of one flow held until its SA comes; 0: none */
	uint32_t hold_s;             /* for how long; 0: as long as an ACQUIRE is pending */
	uint32_t max_sas;           /* SAs */
	uint32_t max_policies;           /* policies */
	uint32_t sa_entries;         /* SAs that sa_cache must hold */
	uint32_t flow_entries;       /* flows that flow_cache must hold */
	const char *admission;       /* for xi_admit_create(); NULL: the default */
	uint32_t misses;             /* messages a second and CPU, of each source */
	uint32_t routes_table;       /* where routes for policies go; 0: none are made */
	enum xi_df df;               /* of outer headers, unless an SA says otherwise */
	enum xi_fragment fragment;
	enum xi_method unknown_spi;  /* XI_METHOD_DROP, or XI_METHOD_KERNEL: pass */
	int mirror;                  /* take over what the kernel's XFRM has */
	uint32_t nports;
	struct xi_port_config ports[XI_CONFIG_PORTS];
	uint32_t ninterfaces;
	struct xi_interface_config interfaces[XI_MAX_INTERFACES];
	uint32_t lines[XI_CONFIG_KEYS]; /* see xi_config_line() */
};

/* Told of each error, whole line without newline. */
typedef void (*xi_config_report_fn)(void *arg, const char *text);

/* Errors go to the log. 0, -EINVAL for a file with errors, or another -errno (logged as well). */
int xi_config_load(struct xi_config_file **out, const char *path);
/* The same on an open file; `name` is what messages call it. */
int xi_config_parse(struct xi_config_file **out, FILE *file, const char *name,
		    xi_config_report_fn report, void *arg);
/* --run-dir, --pin-dir: NULL leaves what the file said. 0, -EINVAL (logged), -ENOMEM. */
int xi_config_override(struct xi_config_file *config, const char *run_dir, const char *pin_dir);
/* The line that gave a key of [daemon]; 0: none did. */
uint32_t xi_config_line(const struct xi_config_file *config, const char *name);
void xi_config_free(struct xi_config_file *config);

#endif
