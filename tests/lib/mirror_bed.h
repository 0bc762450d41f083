/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A mirror, and SAs and policies of the model's: what the mirror's tests share. */
#ifndef XI_TEST_MIRROR_BED_H
#define XI_TEST_MIRROR_BED_H

#include "mirror_ground.h"

#define PEER "192.0.2.2"
#define BORN 1700000000 /* add_time of the model's SAs */

struct mirror_bed {
	struct mirror_ground g;
	int fenced;
	unsigned int sent_ours, sent_kernel;
	bool strict, told_first;
	unsigned int early, late; /* inbound SAs that were here without their policy */
};

int mirror_setup(void **state);
int mirror_teardown(void **state);
void mirror_start(struct mirror_bed *f);

/* The model's side: these tell the mirror, if they are to. */
struct kernel_sa *sa_add_key(struct mirror_bed *f, const char *src, const char *dst, uint32_t spi, uint32_t reqid,
			     uint8_t key, bool news);
struct kernel_sa *sa_out(struct mirror_bed *f, uint32_t spi);
struct kernel_sa *sa_in(struct mirror_bed *f, uint32_t spi);
void sa_news(struct mirror_bed *f, const struct kernel_sa *sa, uint16_t type);
void sa_del(struct mirror_bed *f, struct kernel_sa *sa, bool news);
struct kernel_policy *policy_add(struct mirror_bed *f, int dir, const char *src, const char *dst, bool news);
struct kernel_policy *policy_out(struct mirror_bed *f);
void policy_del(struct mirror_bed *f, struct kernel_policy *p);
void news_lost(struct mirror_bed *f);

/* Until the mirror has seen to all that it was told. */
void settle(struct mirror_bed *f);
/* The kernel has the outbound policy; the mirror starts, and settles. */
void mirror_start_with_policy(struct mirror_bed *f);
void turns_until(struct mirror_bed *f, const uint64_t *figure, uint64_t value);
/* So many times what waits to be tried again is tried, and settles. */
void retries(struct mirror_bed *f, unsigned int n);
int unread(int fd);
struct xi_mirror_figures figures(const struct mirror_bed *f);
struct xi_sa_id id_of(const struct kernel_sa *sa);
/* Its record in the SAD, if it has one. */
const struct xi_sa_rec *ours(const struct mirror_bed *f, const struct kernel_sa *sa);
/* On the flow of policy_out(). */
enum xi_verdict verdict(const struct mirror_bed *f);

#endif
