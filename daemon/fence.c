/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/*
 * A directory below the pin directory, for bpffs holds no files: for each device that is to be set
 * back, one of its name. Names there have no dot, and those of devices no colon (dev_valid_name()).
 */
static int note_path(char path[PATH_MAX], const char *pin_dir, const char *device)
{
	int n = snprintf(path, PATH_MAX, "%s/fence/", pin_dir), base = n;

	if (n < PATH_MAX)
		n += snprintf(path + n, PATH_MAX - n, "%s", device);
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *at = path + base; *at; at++)
		if (*at == '.')
			*at = ':';
	return 0;
}

static int note_make(const char *pin_dir, const char *device)
{
	char path[PATH_MAX];
	int err = note_path(path, pin_dir, device);

	if (err)
		return err;
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* Whatever kills the daemon in between: a device is noted before it is changed. */
static int notes_make(const struct xi_config_file *config)
{
	int err = note_make(config->pin_dir, "");

	for (uint32_t i = 0; i < config->nports && !err; i++)
		if (config->ports[i].role == XI_ROLE_CIPHER &&
		    sysctl_get(4, config->ports[i].name, "disable_xfrm") == 0)
			err = note_make(config->pin_dir, config->ports[i].name);
	return err;
}

void xi_fence_up(const struct xi_config_file *config)
{
	int err = notes_make(config);
	uint32_t i;

	for (i = 0; i < config->nports && !err; i++)
		if (config->ports[i].role == XI_ROLE_CIPHER)
			err = sysctl_set(4, config->ports[i].name, "disable_xfrm", true);
	if (err)
		log_warnx("mirror: disable_xfrm cannot be set on the cipher ports: %s; packets of "
			  "the host itself stay with the kernel",
			  strerror(-err));
}

static void device_down(const char *note)
{
	char name[IFNAMSIZ];
	int err;

	if (strlen(note) >= sizeof(name))
		return;
	strcpy(name, note);
	for (char *at = name; *at; at++)
		if (*at == ':')
			*at = '.';
	err = sysctl_set(4, name, "disable_xfrm", false);
	if (err && err != -ENOENT)
		log_warnx("mirror: net.ipv4.conf.%s.disable_xfrm cannot be set back to 0: %s; set "
			  "it by hand, or the kernel protects no packet of the host there",
			  name, strerror(-err));
}

void xi_fence_down(const char *pin_dir)
{
	char path[PATH_MAX];
	struct dirent *note;
	DIR *dir;

	if (note_path(path, pin_dir, ""))
		return;
	dir = opendir(path);
	if (!dir)
		return;
	while ((note = readdir(dir))) {
		if (note->d_name[0] == '.')
			continue;
		device_down(note->d_name);
		unlinkat(dirfd(dir), note->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	rmdir(path);
}
