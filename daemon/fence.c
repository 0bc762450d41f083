/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "fence.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static int sysctl_open(unsigned int version, const char *device, const char *name, int flags)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%u/conf/%s/%s", version, device, name);
	return open(path, flags | O_CLOEXEC);
}

/* -1: nobody knows. */
static int sysctl_get(unsigned int version, const char *device, const char *name)
{
	int fd = sysctl_open(version, device, name, O_RDONLY);
	char value = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, &value, 1);
	close(fd);
	return n == 1 ? value - '0' : -1;
}

static int sysctl_set(unsigned int version, const char *device, const char *name, bool on)
{
	int fd = sysctl_open(version, device, name, O_WRONLY), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, on ? "1" : "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static void note_path(char path[PATH_MAX], const char *run_dir)
{
	snprintf(path, PATH_MAX, "%s/fence", run_dir);
}

/* The names of devices that are to be set back are on disk before one is changed. */
static int note_write(const struct xi_config_file *config)
{
	char path[PATH_MAX];
	uint32_t i;
	FILE *file;
	int err = 0;

	note_path(path, config->run_dir);
	file = fopen(path, "ae");
	if (!file)
		return -errno;
	for (i = 0; i < config->nports; i++)
		if (config->ports[i].role == XI_ROLE_CIPHER &&
		    sysctl_get(4, config->ports[i].name, "disable_xfrm") == 0)
			fprintf(file, "%s\n", config->ports[i].name);
	if (ferror(file))
		err = -EIO;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

void xi_fence_up(const struct xi_config_file *config)
{
	int err = note_write(config);
	uint32_t i;

	for (i = 0; i < config->nports && !err; i++)
		if (config->ports[i].role == XI_ROLE_CIPHER)
			err = sysctl_set(4, config->ports[i].name, "disable_xfrm", true);
	if (err)
		log_warnx("mirror: disable_xfrm cannot be set on the cipher ports: %s; packets of "
			  "the host itself stay with the kernel",
			  strerror(-err));
}

void xi_fence_down(const char *run_dir)
{
	char path[PATH_MAX], name[IFNAMSIZ + 1];
	FILE *file;
	int err;

	note_path(path, run_dir);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = '\0';
		if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		err = sysctl_set(4, name, "disable_xfrm", false);
		if (err && err != -ENOENT)
			log_warnx("mirror: net.ipv4.conf.%s.disable_xfrm cannot be set back to 0: %s; set it by hand, or the kernel protects no packet of the host there",
				  name, strerror(-err));
	}
	fclose(file);
	unlink(path);
}
