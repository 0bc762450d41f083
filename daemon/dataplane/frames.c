/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/frames.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"

static int frames_alloc(struct xi_frames *frames, uint32_t n, uint32_t nlong)
{
	uint32_t i;

	frames->free = calloc(n, sizeof(*frames->free));
	frames->longs = calloc(nlong + 1, sizeof(*frames->longs));
	if (!frames->free || !frames->longs)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		xi_frame_put(frames, (uint64_t)(n - 1 - i) * XI_FRAME_SIZE);
	frames->long_base = (uint64_t)n * XI_FRAME_SIZE;
	frames->long_size = (uint64_t)nlong * XI_LONG_SIZE;
	frames->long_free = nlong ? 0 : XI_NO_LONG;
	for (i = 0; i < nlong; i++)
		frames->longs[i].next = i + 1 < nlong ? i + 1 : XI_NO_LONG;
	return 0;
}

int xi_frames_create(struct xi_frames *frames, uint32_t n, uint32_t nlong)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t size;
	int err;

	n = (n + 63) & ~63U;
	memset(frames, 0, sizeof(*frames));
	frames->n = n + nlong * XI_LONG_FRAMES;
	size = (size_t)frames->n * XI_FRAME_SIZE;
	frames->map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "frames", 4, XI_FRAME_SIZE, frames->n,
					&opts);
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
	err = frames_alloc(frames, n, nlong);
	if (!err)
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
	free(frames->longs);
	memset(frames, 0, sizeof(*frames));
	frames->map_fd = -1;
}

bool xi_long_get(struct xi_frames *frames, uint64_t *addr)
{
	uint32_t i = frames->long_free;

	if (i == XI_NO_LONG)
		return false;
	frames->long_free = frames->longs[i].next;
	frames->longs[i].parts = 1;
	*addr = frames->long_base + (uint64_t)i * XI_LONG_SIZE;
	return true;
}

void xi_long_split(struct xi_frames *frames, uint64_t addr, uint32_t parts)
{
	frames->longs[xi_long_number(frames, addr)].parts = parts;
}

void xi_long_put(struct xi_frames *frames, uint64_t addr)
{
	uint32_t i = xi_long_number(frames, addr);

	assert(frames->longs[i].parts);
	if (--frames->longs[i].parts)
		return;
	frames->longs[i].next = frames->long_free;
	frames->long_free = i;
}
