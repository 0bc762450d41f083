// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Bugs that other IPsec stacks had, one test for each class of them, of every kind of SA. Those about
 * trailers are in test_trailer.c, and those of batches in test_mixed_batch.c.
 */
#include <stdlib.h>
#include <arpa/inet.h>

#include "ipsec/sa_id.h"
#include "mem_store.h"
#include "sa_kinds.h"
#include "sad/sad.h"

#define GUARD 32
#define GUARD_BYTE 0xa7

/* 1: output growth past the buffer */

/* What RFC 4302 section 3.1.2 and 4303 section 3.1.2 put in front of and behind a packet. */
static void growth(uint32_t payload, uint32_t inner_len, uint32_t *front, uint32_t *back)
{
	static const uint8_t ivs[] = {
		[XI_ALG_AES_GCM] = 8, [XI_ALG_AES_CBC] = 16, [XI_ALG_NULL] = 0,
		[XI_ALG_AES_CTR] = 8, [XI_ALG_AES_CCM] = 8,  [XI_ALG_CHACHA20_POLY1305] = 8,
		[XI_ALG_AES_GMAC] = 8};
	uint32_t outer = current.transport ? 0 : current.v6 ? 40 : 20;
	uint32_t align = current.t.alg == XI_ALG_AES_CBC ? 16 : 4;
	uint32_t protected = current.transport ? payload : inner_len;

	*front = outer + (current.encap ? 8 : 0) + 8 + ivs[current.t.alg];
	*back = (align - (protected + 2) % align) % align + 2 + current.t.icv_len;
	if (current.t.ah) {
		*front = outer + (12 + ivs[current.t.alg] + current.t.icv_len + 7) / 8 * 8;
		*back = current.esn ? 4 : 0; /* the high half on its way to the ICV, put back */
	}
}

static enum xi_reason seal_in(const uint8_t *ip, uint32_t len, uint32_t front, uint32_t back)
{
	size_t room = front + len + back;
	uint8_t *mem = malloc(GUARD + room + GUARD), *buf = mem + GUARD, *before = malloc(room);
	struct xi_pkt pkt = {buf + front, len, front, back}, was = pkt;
	enum xi_reason why;

	assert_true(mem && before);
	memset(mem, GUARD_BYTE, GUARD + room + GUARD);
	memcpy(pkt.data, ip, len);
	memcpy(before, buf, room);
	why = seal(&sa, 1, &pkt);
	for (size_t i = 0; i < GUARD; i++)
		check(mem[i] == GUARD_BYTE && buf[room + i] == GUARD_BYTE);
	if (why) {
		check(!memcmp(&pkt, &was, sizeof(pkt)));
		check(!memcmp(before, buf, room));
	} else {
		check(pkt.data == buf && pkt.headroom == 0);
		check(pkt.len + pkt.tailroom == room);
		check(current.t.ah || pkt.tailroom == 0);
		check(!open_packet(&sa, &pkt));
		check(pkt.len == len && !memcmp(pkt.data, ip, len));
		memset(sa.words, 0, sizeof(sa.words));
		sa.state.top = 0;
	}
	free(mem);
	free(before);
	return why;
}

static void grow_exactly(void)
{
	static const uint32_t payloads[] = {0, 1, 2, 3, 4, 5, 13, 14, 15, 16, 17, 200};
	uint32_t front, back, len;
	uint8_t ip[512];

	for (size_t i = 0; i < COUNT(payloads); i++) {
		len = inner_make(ip, payloads[i], current.v6);
		growth(payloads[i], len, &front, &back);
		check(seal_in(ip, len, front, back) == XI_NONE);
		check(seal_in(ip, len, front - 1, back) == XI_DROP_TOO_BIG);
		check(!back || seal_in(ip, len, front, back - 1) == XI_DROP_TOO_BIG);
		check(seal_in(ip, len, 0, 0) == XI_DROP_TOO_BIG);
	}
}

static void output_does_not_grow_past_the_buffer(void **state)
{
	each_sa(grow_exactly, true);
}

/* 2: replay state moved by a bad ICV; 3: plaintext visible after it */

static bool holds(const uint8_t *mem, size_t len, const uint8_t *text, size_t text_len)
{
	return memmem(mem, len, text, text_len);
}

static void refuse_icv(void)
{
	static const char text[] = "nobody may see this plaintext!!!";
	uint32_t hdr = current.v6 ? 40 : 20, len = hdr + sizeof(text), at;
	static struct test_pkt p, good;
	struct xi_sa_state before;
	uint64_t words[XI_WINDOW_WORDS];
	uint8_t ip[512];

	wire_make(&sa, 5, 64, &p);
	check(!open_packet(&sa, &p.pkt));
	inner_make(ip, sizeof(text), current.v6);
	memcpy(ip + hdr, text, sizeof(text));
	test_pkt_set(&good, ip, len);
	check(!seal(&sa, 1000, &good.pkt));
	before = sa.state;
	memcpy(words, sa.words, sizeof(words));
	/* the first byte of what is protected, and the last byte of the ICV */
	for (int i = 0; i < 2; i++) {
		p = good;
		p.pkt.data = p.buf + (good.pkt.data - good.buf);
		at = frame.offset +
		     (current.t.ah
			      ? 12U + sa.ctx.iv_len + (i ? 0U : sa.ctx.ah_len - 12U - sa.ctx.iv_len)
		      : i ? p.pkt.len - frame.offset - 1
			  : 8U + sa.ctx.iv_len);
		p.pkt.data[at] ^= 1;
		check(open_packet(&sa, &p.pkt) == XI_DROP_ICV);
		check(last_status >= XI_CRYPTO_TRANSPORT_AH_AUTH_FAILED &&
		      last_status <= XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED);
		before.integrity_failed++;
		/* nothing but that it was there */
		check(!memcmp(&before, &sa.state, sizeof(before)));
		check(!memcmp(words, sa.words, sizeof(words)));
		check(current.t.ah || !holds(p.buf, sizeof(p.buf), (const uint8_t *)text, 8));
	}
	check(!open_packet(&sa, &good.pkt) && sa.state.top == 1000);
	check(good.pkt.len == len &&
	      holds(good.pkt.data, good.pkt.len, (const uint8_t *)text, sizeof(text)));
}

static void a_bad_icv_moves_nothing_and_shows_nothing(void **state)
{
	each_sa(refuse_icv, true);
}

/* 4: ESN advanced twice */

#define EPOCH (1ULL << 32)

static void cross_once(void)
{
	static const uint64_t order[] = {EPOCH - 2, EPOCH + 1, EPOCH - 1,
					 EPOCH,	    EPOCH + 2, EPOCH + 3};
	static struct test_pkt p, forged;
	uint64_t top = 0;

	if (!current.esn)
		return;
	xi_replay_import(&sa.ctx.replay, EPOCH - 3, NULL, 0);
	for (size_t i = 0; i < COUNT(order); i++) {
		/* one with a wrong ICV first: the same number, and one beyond 2^32 */
		wire_make(&sa, order[i], 20, &forged);
		forged.pkt.data[forged.pkt.len - 1 - (current.t.ah ? 0 : sa.ctx.icv_len)] ^= 4;
		check(open_packet(&sa, &forged.pkt) == XI_DROP_ICV);
		/* a high half that is one too far never verifies */
		wire_make(&sa, order[i] + EPOCH, 20, &forged);
		check(open_packet(&sa, &forged.pkt) == XI_DROP_ICV);
		wire_make(&sa, order[i], 20, &p);
		forged = p;
		forged.pkt.data = forged.buf + (p.pkt.data - p.buf);
		check(!open_packet(&sa, &p.pkt));
		top = order[i] > top ? order[i] : top;
		check(sa.state.top == top);
		check(open_packet(&sa, &forged.pkt) == XI_DROP_REPLAY);
		check(sa.state.top == top);
	}
}

static void esn_is_advanced_once(void **state)
{
	each_sa(cross_once, true);
}

/* 5: SPI 0 and reserved SPIs */

static uint32_t bare_packet(uint8_t *ip, bool v6, uint8_t proto, uint32_t spi)
{
	uint32_t hdr = v6 ? 40 : 20, at = hdr, be = htonl(spi);

	if (v6)
		test_inner6(ip, 100, 0);
	else
		test_inner4(ip, 100, 0);
	ip[v6 ? 6 : 9] = proto;
	at += proto == IPPROTO_AH ? 4 : proto == IPPROTO_UDP ? 8 : 0;
	if (proto == IPPROTO_UDP) {
		ip[hdr] = ip[hdr + 2] = 4500 >> 8;
		ip[hdr + 1] = ip[hdr + 3] = 4500 & 0xff;
		ip[hdr + 5] = (uint8_t)(100 - hdr);
	}
	memcpy(ip + at, &be, 4);
	return 100;
}

static bool carries_all(const struct xi_sa *asked, const char **why)
{
	return true;
}

static struct xi_sad *sad_open(struct mem_store *m)
{
	const struct xi_sad_config config = {.carries = carries_all};
	struct xi_sad *sad;

	assert_int_equal(xi_sad_create(&sad, &config, &m->store), 0);
	return sad;
}

static void reserved_spis_name_no_sa(void **state)
{
	static const uint8_t protos[] = {IPPROTO_ESP, IPPROTO_AH, IPPROTO_UDP};
	struct mem_store *m = mem_store_new(64, 4);
	struct xi_sad *sad = sad_open(m);
	struct xi_sa_key key = sample_key(1);
	const char *why = NULL;
	struct xi_sa_id id;
	uint8_t ip[100];

	for (uint32_t spi = 0; spi <= 256; spi++) {
		struct xi_sa asked = sample_sa("192.0.2.1", "192.0.2.2", spi);

		for (int i = 0; i < 6; i++) {
			uint32_t len = bare_packet(ip, i & 1, protos[i / 2], spi);

			assert_int_equal(xi_sa_id_parse(&id, ip, len, true), spi == 256);
		}
		assert_int_equal(!xi_sad_add(sad, &asked, &key, NULL, &why), spi == 256);
	}
	assert_int_equal(xi_sad_count(sad), 1);
	xi_sad_destroy(sad);
	mem_store_free(m);
}

/* 6: the same SPI for another destination */

static uint32_t sad_name(struct xi_sad *sad, const struct xi_pkt *pkt)
{
	struct xi_sa_id id;

	assert_true(xi_sa_id_parse(&id, pkt->data, pkt->len, false));
	return xi_sad_lookup(sad, &id);
}

static void the_same_spi_for_another_destination_is_another_sa(void **state)
{
	static const char *const dsts[] = {"192.0.2.2", "192.0.2.3", "2001:db8::2"};
	struct mem_store *m = mem_store_new(64, 4);
	struct xi_sad *sad = sad_open(m);
	static struct test_sa sas[3];
	struct test_pkt p;
	const char *why;

	for (int i = 0; i < 3; i++) {
		struct choice c = {.t = {XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 16, false},
				   .v6 = i == 2};

		sa_open(&sas[i], &c, &alg_engines[0]);
		sa_close(&sas[i]);
		sample_addr(sas[i].sa.id.daddr, dsts[i]);
		key_fill(&sas[i].raw, &c.t, (uint8_t)(i + 50));
		test_sa_start(&sas[i], alg_engines[0].e);
		assert_int_equal(xi_sad_add(sad, &sas[i].sa, &sas[i].raw, NULL, &why), 0);
	}
	for (int from = 0; from < 3; from++) {
		uint32_t mine = xi_sad_lookup(sad, &sas[from].sa.id);

		assert_int_not_equal(mine, 0);
		for (int to = 0; to < 3; to++) {
			enum xi_reason want = from == to ? XI_NONE : XI_DROP_ICV;

			if ((from == 2) != (to == 2))
				want = XI_DROP_SA_GONE; /* of the other family */
			current.v6 = from == 2;
			wire_make(&sas[from], (uint64_t)(10 + 3 * from + to), 40, &p);
			assert_int_equal(sad_name(sad, &p.pkt), mine);
			assert_memory_equal(xi_sad_rec(sad, mine)->key.key, sas[from].raw.key, 20);
			assert_int_equal(open_packet(&sas[to], &p.pkt), want);
		}
	}
	for (int i = 0; i < 3; i++)
		test_sa_stop(&sas[i]);
	xi_sad_destroy(sad);
	mem_store_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_does_not_grow_past_the_buffer),
		cmocka_unit_test(a_bad_icv_moves_nothing_and_shows_nothing),
		cmocka_unit_test(esn_is_advanced_once),
		cmocka_unit_test(reserved_spis_name_no_sa),
		cmocka_unit_test(the_same_spi_for_another_destination_is_another_sa),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
