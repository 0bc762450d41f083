/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet memory of one worker: the mmapable BPF map `frames`, mapped here and registered as the AF_XDP umem, so that
 * a packet lives in one place, whoever touches it. It holds cleartext: it is not pinned and dies with the daemon.
 * One owner thread; no locks.
 *
 * Behind the frames lie long buffers, of XI_LONG_FRAMES frames in a row, for packets that one frame does not hold. A
 * packet in one may be with the kernel in several parts: the buffer is free when each has been put back.
 */
#ifndef XI_FRAMES_H
#define XI_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/burst.h>

#define XI_FRAME_HEADROOM 256    /* in front of a packet that XDP hands on */
#define XI_LONG_FRAMES 3
#define XI_LONG_SIZE (XI_LONG_FRAMES * XI_FRAME_SIZE)

struct xi_long {
	uint32_t next;               /* free: the one below it on the stack */
	uint32_t parts;              /* in use: to be put back before it is free */
};

struct xi_frames {
	int map_fd;
	uint8_t *base;
	uint32_t n;                  /* in the map, those of long buffers included */
	uint32_t nfree;
	uint64_t *free;              /* stack of offsets: the frame used last is the warmest */
	uint64_t long_base;          /* offset of the long buffers, */
	uint64_t long_size;          /* and the size of all of them; 0: there are none */
	uint32_t long_free;          /* number of the first free one, XI_NO_LONG: none is free */
	struct xi_long *longs;
};

#define XI_NO_LONG UINT32_MAX

/* n frames, rounded up to a multiple of 64, and nlong long buffers. 0 or -errno, logged. */
int xi_frames_create(struct xi_frames *frames, uint32_t n, uint32_t nlong);
void xi_frames_destroy(struct xi_frames *frames);

static inline bool xi_frame_is_long(const struct xi_frames *frames, uint64_t addr)
{
	return __builtin_expect(addr - frames->long_base < frames->long_size, 0);
}

static inline uint32_t xi_long_number(const struct xi_frames *frames, uint64_t addr)
{
	return (uint32_t)(addr - frames->long_base) / XI_LONG_SIZE;
}

/* The buffer that holds addr: where it begins, and its size. */
static inline uint64_t xi_frame_of(const struct xi_frames *frames, uint64_t addr)
{
	if (xi_frame_is_long(frames, addr))
		return frames->long_base + (uint64_t)xi_long_number(frames, addr) * XI_LONG_SIZE;
	return addr & ~(uint64_t)(XI_FRAME_SIZE - 1);
}

static inline uint32_t xi_frame_size(const struct xi_frames *frames, uint64_t addr)
{
	return xi_frame_is_long(frames, addr) ? XI_LONG_SIZE : XI_FRAME_SIZE;
}

/* One part of a long buffer comes back. */
void xi_long_put(struct xi_frames *frames, uint64_t addr);

static inline void xi_frame_put(struct xi_frames *frames, uint64_t addr)
{
	if (xi_frame_is_long(frames, addr))
		xi_long_put(frames, addr);
	else
		frames->free[frames->nfree++] = addr & ~(uint64_t)(XI_FRAME_SIZE - 1);
}

/* The caller has checked nfree. */
static inline uint64_t xi_frame_get(struct xi_frames *frames)
{
	return frames->free[--frames->nfree];
}

/* A long buffer, of one part. False: none is free. */
bool xi_long_get(struct xi_frames *frames, uint64_t *addr);
/* The packet in the long buffer of addr goes to the kernel in so many parts. */
void xi_long_split(struct xi_frames *frames, uint64_t addr, uint32_t parts);

#endif
