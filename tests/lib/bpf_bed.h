/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Test bed of the BPF programs: a network namespace of the process's own with a veth port, the
 * object loaded with small maps, a gateway's configuration in them, and packets run through
 * BPF_PROG_TEST_RUN.
 *
 *   10.1.0.0/16, fd01::/32 --- plain port   gateway   cipher port --- 192.0.2.2, 2001:db8::2
 * --- 10.2.0.0/16, fd02::/32 10.1.0.1               192.0.2.1, 2001:db8::1
 */
#ifndef XI_TEST_BPF_BED_H
#define XI_TEST_BPF_BED_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/origin.h>
#include <xipsec/reasons.h>
#include "bpf_packet.h"
#include "xipsec.skel.h"

#define XI_BED_SPI 0x1001
#define XI_BED_HANDLE XI_SA_INDEX(3, 7)
#define XI_BED_OUT_HANDLE XI_SA_INDEX(5, 8)
#define XI_BED_SLOT 2 /* port slot */
#define XI_BED_GENERATION 9

struct xi_bed {
	struct xipsec_bpf *skel;
	uint32_t ifindex; /* of the port */
	uint8_t mac[6];
	int xsk; /* AF_XDP socket in xsks, -1: none */
};

/* What a program made of a packet. */
struct xi_run {
	int verdict; /* XDP_* or TC_ACT_* */
	uint8_t out[XI_FRAME_MAX + 256];
	uint32_t meta_len; /* metadata come first in out */
	uint32_t len;	   /* packet behind it */
	uint32_t ns;	   /* mean of one run */
};

/* Set before xi_bed_setup: SAs that sad_lookup can hold, entries of sa_cache; 0: as the object has it. */
extern uint32_t xi_bed_known, xi_bed_cached;
/* cmocka group set-up; fails, with a word, without root. */
int xi_bed_setup(void **state);
int xi_bed_teardown(void **state);
/* Maps as drawn above, caches and counters empty, one worker socket on queue 0. */
void xi_bed_reset(struct xi_bed *bed);
void xi_bed_role(struct xi_bed *bed, enum xi_role role);
void xi_bed_worker(struct xi_bed *bed, bool there);
struct xi_config xi_bed_config(void);
void xi_bed_put_config(struct xi_bed *bed, const struct xi_config *config);
void xi_bed_local(struct xi_bed *bed, const char *addr);
/* Guard of dir for prefixes like "10.1.0.0/16"; row in spd_masks. */
void xi_bed_guard(struct xi_bed *bed, uint32_t row, enum xi_dir dir, const char *src,
		  const char *dst);
void xi_bed_sa_known(struct xi_bed *bed, const char *daddr, uint32_t spi, uint32_t handle);
void xi_bed_sa_cached(struct xi_bed *bed, const char *daddr, uint32_t spi, enum xi_method method);
/* The same for AH. */
void xi_bed_ah_known(struct xi_bed *bed, const char *daddr, uint32_t spi, uint32_t handle);
void xi_bed_ah_cached(struct xi_bed *bed, const char *daddr, uint32_t spi, enum xi_method method);
/* As with an SA of UDP encapsulation: XI_CONFIG_ENCAP, and port, if not 0, in encap_ports. */
void xi_bed_encap(struct xi_bed *bed, uint16_t port);
/*
 * Verdict for the one flow that spec describes. XI_IN: cleartext that arrives, for the host or not; its key says which.
 */
void xi_bed_flow(struct xi_bed *bed, const struct xi_spec *spec, enum xi_dir dir,
		 enum xi_verdict verdict, uint32_t generation);
/* The masks that programs look under; of a bed just reset, the whole flow alone. */
void xi_bed_masks(struct xi_bed *bed, enum xi_dir dir, enum xi_family family,
		  const struct xi_flow_mask *rows, uint32_t n);
/* Verdict for all flows that agree with spec's under mask; NULL: as xi_bed_flow(). */
void xi_bed_flow_masked(struct xi_bed *bed, const struct xi_spec *spec, enum xi_dir dir,
			const struct xi_flow_mask *mask, enum xi_verdict verdict,
			uint32_t generation);
uint64_t xi_bed_stat(const struct xi_bed *bed, uint32_t reason);
void xi_bed_stats(const struct xi_bed *bed, uint64_t stats[XI_REASON_MAX]);
uint32_t xi_bed_entries(int map_fd, uint32_t key_size);

/* meta_len bytes of 0xee in front; fails the test when the kernel refuses. */
void xi_bed_run_xdp(struct xi_bed *bed, struct bpf_program *prog, const struct xi_frame *frame,
		    uint32_t meta_len, uint32_t repeat, struct xi_run *run);
void xi_bed_run_tc(struct xi_bed *bed, struct bpf_program *prog, const struct xi_frame *frame,
		   uint32_t repeat, struct xi_run *run);

/* Everything libbpf warned of since set-up. */
const char *xi_bed_warnings(void);

#define XI_CASE_REASONS 5

/*
 * Cases start from a packet of the table's own, change a field or two of it, and leave out what is
 * zero.
 */
#pragma GCC diagnostic ignored "-Woverride-init"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* One packet, and all that may come of it: every counter not listed stays as it is. */
struct xi_case {
	const char *name;
	struct xi_spec spec;
	void (*arrange)(struct xi_bed *bed, const struct xi_spec *spec);
	int verdict;
	enum xi_reason reasons[XI_CASE_REASONS];
	struct xi_meta meta; /* magic 0: none expected, otherwise compared as a whole */
};

/* Ethernet addresses of a frame that the host routed to xipsec0, without mark or if_id: what cases of role HOST have. */
extern const uint8_t xi_bed_origin[XI_ORIGIN_LEN];
/* Runs the table, naming the case that fails. meta_len: metadata the packets arrive with. */
void xi_bed_cases(struct xi_bed *bed, struct bpf_program *prog, enum xi_role role,
		  const struct xi_case *cases, unsigned int n, uint32_t meta_len);

#endif
