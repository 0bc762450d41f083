/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"

int xi_frames_create(struct xi_frames *frames, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t size;
	uint32_t i;
	int err;

	n = (n + 63) & ~63U;
	size = (size_t)n * XI_FRAME_SIZE;
	memset(frames, 0, sizeof(*frames));
	frames->map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "frames", 4, XI_FRAME_SIZE, n, &opts);
	if (frames->map_fd < 0) {
		err = -errno;
		log_warn("frames: cannot make a map of %zu MiB", size >> 20);
		return err;
	}
	frames->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, frames->map_fd, 0);
	if (frames->base == MAP_FAILED) {
		err = -errno;
		frames->base = NULL;
		log_warn("frames: cannot map packet memory");
		goto fail;
	}
	frames->free = calloc(n, sizeof(*frames->free));
	if (!frames->free) {
		err = -ENOMEM;
		goto fail;
	}
	frames->n = n;
	for (i = 0; i < n; i++)
		xi_frame_put(frames, (uint64_t)(n - 1 - i) * XI_FRAME_SIZE);
	return 0;
fail:
	xi_frames_destroy(frames);
	return err;
}

void xi_frames_destroy(struct xi_frames *frames)
{
	if (frames->base)
		munmap(frames->base, (size_t)frames->n * XI_FRAME_SIZE);
	if (frames->map_fd >= 0)
		close(frames->map_fd);
	free(frames->free);
	memset(frames, 0, sizeof(*frames));
	frames->map_fd = -1;
}
