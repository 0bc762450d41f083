/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/down.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/hostif.h"
#include "dataplane/interface.h"
#include "dataplane/park.h"
#include "dataplane/port.h"
#include "dataplane/routes_table.h"
#include "log.h"

/* A directory that no daemon pinned into keeps its files, whatever was given as --pin-dir. */
static int down_check(const char *pin_dir)
{
	static const char *const ours[] = { XI_MAP_SAD, XI_MAP_SAD_KEYS, XI_MAP_SPD, XI_MAP_CONFIG };
	char path[PATH_MAX];
	struct statfs fs;
	unsigned int i;

	if (statfs(pin_dir, &fs))
		return errno == ENOENT ? 0 : -errno;
	for (i = 0; fs.f_type == BPF_FS_MAGIC && i < sizeof(ours) / sizeof(ours[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", pin_dir, ours[i]);
		if (!access(path, F_OK))
			return 0;
	}
	log_warnx("%s: no xipsecd has pinned anything here; name its pin directory with --pin-dir",
		  pin_dir);
	return -EINVAL;
}

static int down_device(const struct if_nameindex *device, const char *pin_dir)
{
	struct xi_port_dev port = { .ifindex = device->if_index };
	int err, guard;

	memcpy(port.config.name, device->if_name, strnlen(device->if_name, IFNAMSIZ - 1));
	guard = xi_port_guard_detach(&port);
	err = xi_port_find(&port, pin_dir) ? xi_port_detach(&port, pin_dir) : 0;
	return err ? err : guard;
}

/*
 * Every device, and not those in the map of ports alone: a program left behind on one that was a
 * port in an earlier configuration would go on to drop.
 */
static int down_devices(const char *pin_dir)
{
	struct if_nameindex *devices = if_nameindex(), *device;
	int one, err = 0;

	if (!devices)
		return -errno;
	for (device = devices; device->if_index; device++) {
		one = down_device(device, pin_dir);
		err = err ? err : one;
	}
	if_freenameindex(devices);
	return err;
}

/* Keys do not stay behind in a map that somebody else still holds open. */
static void down_wipe_keys(const char *pin_dir)
{
	struct xi_sa_key zero = { 0 };
	char path[PATH_MAX];
	uint32_t key, next;
	bool more;
	int fd;

	snprintf(path, sizeof(path), "%s/" XI_MAP_SAD_KEYS, pin_dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	/* from key to key: to begin anew would look at all that is empty by then, each time */
	more = !bpf_map_get_next_key(fd, NULL, &key);
	while (more) {
		more = !bpf_map_get_next_key(fd, &key, &next);
		/* twice: the second update overwrites the element that the first one freed */
		bpf_map_update_elem(fd, &key, &zero, BPF_EXIST);
		bpf_map_update_elem(fd, &key, &zero, BPF_EXIST);
		bpf_map_delete_elem(fd, &key);
		key = next;
	}
	close(fd);
}

static int down_unpin(const char *pin_dir)
{
	struct dirent *de;
	int err = 0;
	DIR *dir = opendir(pin_dir);

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), de->d_name, 0)) {
			err = -errno;
			log_warn("%s/%s: cannot unpin", pin_dir, de->d_name);
		}
	}
	closedir(dir);
	if (!err && rmdir(pin_dir))
		err = -errno;
	return err;
}

int xi_down(const char *pin_dir)
{
	int err, one;

	err = down_check(pin_dir);
	if (err)
		return err;
	/* the guards outlive the routes into xipsec0 and interfaces */
	err = xi_interfaces_down();
	one = xi_hostif_down();
	err = err ? err : one;
	one = xi_routes_remove();
	err = err ? err : one;
	one = xi_park_remove_all();
	err = err ? err : one;
	one = down_devices(pin_dir);
	err = err ? err : one;
	down_wipe_keys(pin_dir);
	one = down_unpin(pin_dir);
	return err ? err : one;
}
