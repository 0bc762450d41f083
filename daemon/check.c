/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "check.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "crypto/crypto.h"
#include "dataplane/interface.h"
#include "dataplane/port.h"
#include "log.h"
#include "source/kernel_esp.h"

static int check_ports(const struct xi_config_file *config, const char *name)
{
	char why[XI_PORT_WHY];
	struct xi_port_dev port;
	int err = 0, one;

	for (uint32_t i = 0; i < config->nports; i++) {
		one = xi_port_look(&port, &config->ports[i], why);
		if (!one)
			continue;
		log_warnx("%s:%u: [port %s]: %s", name, config->ports[i].line,
			  config->ports[i].name, why);
		err = err ? err : one;
	}
	return err;
}

static int check_interfaces(const struct xi_config_file *config, const char *name)
{
	struct xi_rtnl rt;
	const char *why;
	int err = xi_rtnl_open(&rt);

	if (err) {
		log_warnx("%s: cannot ask for devices: no netlink socket: %s", name, strerror(-err));
		return err;
	}
	for (uint32_t i = 0; i < config->ninterfaces; i++) {
		why = xi_interface_objection(&rt, &config->interfaces[i]);
		if (!why)
			continue;
		log_warnx("%s:%u: [interface %s]: %s", name, config->interfaces[i].line,
			  config->interfaces[i].name, why);
		err = -EEXIST;
	}
	xi_rtnl_close(&rt);
	return err;
}

static int check_engine(const struct xi_config_file *config, const char *name)
{
	if (xi_engine_find(config->engine))
		return 0;
	log_warnx("%s:%u: engine = %s: this CPU cannot run it; use engine = auto or openssl", name,
		  xi_config_line(config, "engine"), config->engine);
	return -ENOTSUP;
}

/* A start goes on without them. Of the default's absence nobody need hear: the log of a start says what it means. */
static void check_group(const struct xi_config_file *config, const char *name, const char *key,
			const char *group, const char *served)
{
	uint32_t line = xi_config_line(config, key);

	if (line && !getgrnam(group))
		log_warnx("%s:%u: warning: %s = %s: there is no such group: %s; groupadd %s", name,
			  line, key, group, served, group);
}

/* As a start judges it, which mounts /sys/fs/bpf itself. What this user may not look at is left to that. */
static int check_pin_dir(const struct xi_config_file *config, const char *name)
{
	char parent[PATH_MAX];
	struct statfs fs;
	int err = 0;

	if (!strncmp(config->pin_dir, "/sys/fs/bpf/", 12))
		return 0;
	snprintf(parent, sizeof(parent), "%s", config->pin_dir);
	if (statfs(config->pin_dir, &fs) && (errno != ENOENT || statfs(dirname(parent), &fs)))
		err = -errno;
	if (err == -EACCES || (!err && fs.f_type == BPF_FS_MAGIC))
		return 0;
	log_warnx("%s: pin-dir = %s: not on a bpf file system; mount one with `mount -t bpf bpf /sys/fs/bpf`, or set pin-dir",
		  name, config->pin_dir);
	return err ? err : -EINVAL;
}

static void check_mirror(const struct xi_config_file *config, const char *name)
{
	struct utsname kernel = { 0 };

	if (!config->mirror)
		return;
	uname(&kernel);
	if (xi_kernel_esp("", kernel.release) == XI_KERNEL_ESP_NONE)
		log_warnx("%s:%u: warning: mirror = yes: this kernel has XFRM and no ESP, so no SAs will come; run the IKE daemon against xipsecd itself (xipsec run)",
			  name, xi_config_line(config, "mirror"));
}

int xi_check_host(const struct xi_config_file *config, const char *name)
{
	int ports = check_ports(config, name), interfaces = check_interfaces(config, name);
	int engine = check_engine(config, name), pins = check_pin_dir(config, name);

	check_group(config, name, "group", config->group, "only root may use the control socket");
	check_group(config, name, "xfrm-group", config->xfrm_group, "the XFRM socket serves root alone");
	check_mirror(config, name);
	if (ports || interfaces)
		return ports ? ports : interfaces;
	return engine ? engine : pins;
}
