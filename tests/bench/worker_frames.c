/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets as XDP hands them to a worker. */
#include "worker_bed.h"

#include <netinet/in.h>
#include <string.h>

#include "ipsec/bytes.h"

#define DATA_MAX 1664

/* Host i behind the other gateway, which has an SA of its own. */
static void remote_addr(uint8_t addr[16], uint32_t i)
{
	memset(addr, 0, 16);
	xi_put32(addr, 0x0a100000 + i);
}

/* UDP between host `sa` there and one here. */
static void inner_write(uint8_t *ip, uint32_t sa)
{
	uint8_t here[16], there[16];
	uint32_t i, sum = 0;

	memset(ip, 0, bed.opt.len);
	worker_local_addr(here, sa);
	remote_addr(there, sa);
	ip[0] = 0x45;
	xi_put16(ip + 2, bed.opt.len);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, bed.opt.in ? there : here, 4);
	memcpy(ip + 16, bed.opt.in ? here : there, 4);
	for (i = 0; i < 20; i += 2)
		sum += xi_get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	xi_put16(ip + 10, ~(sum + (sum >> 16)));
	xi_put16(ip + 20, 1000);
	xi_put16(ip + 22, 2000);
	xi_put16(ip + 24, bed.opt.len - 20);
}

static void sa_context(struct xi_sa_ctx *ctx, uint32_t sa)
{
	const struct xi_sa_rec *rec = xi_sad_rec(bed.sad, bed.handles[sa]);

	if (xi_sa_ctx_init(ctx, &rec->sa, &rec->key, rec->state, rec->words, rec->nwords))
		die("SA %u is not carried", sa);
}

/* Seals a template's packet, for the other direction to open. */
static void template_seal(struct template *t, uint32_t sa)
{
	uint8_t buf[256 + DATA_MAX + 256];
	struct xi_pkt pkt = { .data = buf + 256, .len = bed.opt.len, .headroom = 256,
			      .tailroom = DATA_MAX };
	struct xi_sa_ctx ctx;
	struct xi_frame frame;
	struct xi_aead_job job;
	enum xi_reason why;
	uint64_t seq;

	sa_context(&ctx, sa);
	memcpy(pkt.data, t->data + ETH, pkt.len);
	if (xi_seq_take(&ctx, 1, &seq, &why) != 1 ||
	    xi_esp_frame(&ctx, seq, UINT32_MAX, &pkt, &frame))
		die("cannot make an ESP packet");
	xi_esp_out_job(&ctx, &frame, &job);
	real_engine->seal(bed.w->crypto, &job, 1);
	memcpy(t->data + ETH, pkt.data, pkt.len);
	t->len = ETH + pkt.len;
}

struct template *worker_template(uint32_t packet)
{
	return (void *)(bed.templates + packet % bed.ntemplates * bed.template_size);
}

void worker_templates_make(void)
{
	uint32_t i, sa;

	for (i = 0; i < bed.ntemplates; i++) {
		struct template *t = worker_template(i);

		sa = bed.sa_of[i];
		memset(t, 0, bed.template_size);
		inner_write(t->data + ETH, sa);
		t->len = ETH + bed.opt.len;
		t->meta = (struct xi_meta){
			.magic = XI_META_MAGIC,
			.handle = bed.handles[sa],
			.slot = bed.slot_of[sa],
			.dir = bed.opt.in ? XI_IN : XI_OUT,
			.l3_offset = ETH,
			.port = bed.opt.in ? CIPHER_PORT : PLAIN_PORT,
		};
		if (bed.opt.in)
			template_seal(t, sa);
	}
}

void worker_frames_fill(unsigned int round)
{
	uint32_t i;

	for (i = 0; i < bed.opt.frames; i++) {
		const struct template *t = worker_template((round - 1) * bed.opt.frames + i);
		uint8_t *data = bed.w->frames.base + (size_t)i * XI_FRAME_SIZE + XDP_ROOM;

		memcpy(data - sizeof(t->meta), &t->meta, sizeof(t->meta));
		memcpy(data, t->data, t->len);
	}
}
