/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet memory of one worker: the mmapable BPF map `frames`, mapped here and registered as the AF_XDP umem, so that
 * a packet lives in one place, whoever touches it. It holds cleartext: it is not pinned and dies with the daemon.
 * One owner thread; no locks.
 */
#ifndef XI_FRAMES_H
#define XI_FRAMES_H

#include <stdint.h>

#include <xipsec/burst.h>

struct xi_frames {
	int map_fd;
	uint8_t *base;
	uint32_t n;
	uint32_t nfree;
	uint64_t *free;              /* stack of offsets: the frame used last is the warmest */
};

/* n frames, rounded up to a multiple of 64. 0 or -errno, logged. */
int xi_frames_create(struct xi_frames *frames, uint32_t n);
void xi_frames_destroy(struct xi_frames *frames);

static inline uint64_t xi_frame_of(uint64_t addr)
{
	return addr & ~(uint64_t)(XI_FRAME_SIZE - 1);
}

static inline void xi_frame_put(struct xi_frames *frames, uint64_t addr)
{
	frames->free[frames->nfree++] = xi_frame_of(addr);
}

/* The caller has checked nfree. */
static inline uint64_t xi_frame_get(struct xi_frames *frames)
{
	return frames->free[--frames->nfree];
}

#endif
