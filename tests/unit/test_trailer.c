// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The end of an ESP packet, right and wrong: padding, pad length, next header, TFC padding, dummies,
 * nothing at all; of every kind of SA.
 */
#include "sa_kinds.h"

/* A packet whose trailer is written anew before it is sealed. pad < 0, next < 0: left as they are.
 */
static void trailer_packet(uint64_t seq, uint32_t payload, int pad, int next, struct test_pkt *p)
{
	struct xi_aead_job job;
	uint8_t ip[512];
	uint32_t len = inner_make(ip, payload, current.v6);

	test_pkt_set(p, ip, len);
	check(!seal_start(&sa, seq, &p->pkt, &job));
	if (pad >= 0)
		job.data[job.len - 2] = (uint8_t)pad;
	if (next >= 0)
		job.data[job.len - 1] = (uint8_t)next;
	seal_end(&sa, &job);
}

static void pad_too_much(void)
{
	uint32_t protected = 14 + (current.transport ? 0 : current.v6 ? 40 : 20);
	uint32_t align = current.t.alg == XI_ALG_AES_CBC ? 16 : 4;
	uint32_t n = (protected + 2 + align - 1) / align * align;
	uint64_t failed = 0;
	static struct test_pkt p;

	/* n bytes, two of them no padding */
	for (uint32_t pad = n - 1; pad <= 255; pad++) {
		trailer_packet(pad, 14, (int)pad, -1, &p);
		check(open_packet(&sa, &p.pkt) == XI_DROP_PADDING);
		check(last_status == XI_CRYPTO_INVALID_PACKET_SYNTAX);
		check(sa.state.other_failed == ++failed && sa.state.packets == failed);
	}
}

static void pad_length_beyond_the_packet(void **state)
{
	each_sa(pad_too_much, false);
}

static void padding_wrong(void)
{
	struct xi_aead_job job;
	static struct test_pkt p;
	uint64_t seq = 1;
	uint8_t ip[512], pad;
	uint32_t len;

	do {
		/* 1, 5, 9 or 13 bytes of padding; one of them, or the length by one, is changed */
		len = inner_make(ip, 3, current.v6);
		test_pkt_set(&p, ip, len);
		check(!seal_start(&sa, seq, &p.pkt, &job));
		pad = job.data[job.len - 2];
		check(pad > 0);
		if (seq <= pad)
			job.data[job.len - 2 - seq] ^= 0x40;
		else if (seq == pad + 1U)
			job.data[job.len - 2]++;
		else
			job.data[job.len - 2]--;
		seal_end(&sa, &job);
		/* none instead of one: what was padding is payload */
		if (seq == 3 && pad == 1)
			check(open_packet(&sa, &p.pkt) == XI_NONE);
		else
			check(open_packet(&sa, &p.pkt) == XI_DROP_PADDING);
	} while (seq++ < pad + 2U);
}

static void padding_bytes_are_checked(void **state)
{
	each_sa(padding_wrong, false);
}

static void next_header_wrong(void)
{
	static struct test_pkt p;

	for (int next = 0; next < 256; next++) {
		int right = current.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP,
		    other = IPPROTO_IPV6 + IPPROTO_IPIP - right;
		enum xi_reason why;

		trailer_packet((uint64_t)next + 1, 32, -1, next, &p);
		why = open_packet(&sa, &p.pkt);
		if (next == IPPROTO_NONE) {
			check(why == XI_DUMMY);
		} else if (current.transport) {
			check(!why && p.pkt.data[current.v6 ? 6 : 9] == next);
		} else if (next == right) {
			check(!why);
		} else {
			check(why == XI_DROP_INNER);
			check(last_status == (next == other ? XI_CRYPTO_INVALID_PACKET_SYNTAX
							    : XI_CRYPTO_INVALID_PROTOCOL));
		}
	}
}

static void next_header_is_not_confused(void **state)
{
	each_sa(next_header_wrong, false);
}

static void carry_nothing(void)
{
	static struct test_pkt p;
	uint8_t ip[64];
	uint32_t len = inner_make(ip, 0, current.v6);

	test_pkt_set(&p, ip, len);
	check(!seal(&sa, 1, &p.pkt));
	check(!open_packet(&sa, &p.pkt));
	check(p.pkt.len == len && !memcmp(p.pkt.data, ip, len));
	/* both ways: bytes are the payload's, in tunnel mode the inner packet's */
	check(sa.state.packets == 2 && sa.state.bytes == (current.transport ? 0 : 2 * len));
	if (current.t.ah)
		return;
	/* a ciphertext without anything: not even a trailer */
	wire_make(&sa, 2, 0, &p);
	p.pkt.len = frame.offset + 8U + sa.ctx.iv_len + sa.ctx.icv_len;
	p.pkt.data[current.v6 ? 4 : 2] = 0;
	p.pkt.data[current.v6 ? 5 : 3] = (uint8_t)(p.pkt.len - (current.v6 ? 40 : 0));
	if (current.encap)
		p.pkt.data[frame.offset - 3] = (uint8_t)(p.pkt.len - frame.offset + 8);
	check(open_packet(&sa, &p.pkt) == XI_DROP_SHORT);
}

static void zero_length_payloads_are_carried(void **state)
{
	each_sa(carry_nothing, true);
}

static void strip_tfc(void)
{
	static struct test_pkt p;
	uint8_t ip[512];
	uint32_t len;

	if (current.transport)
		return;
	sa.ctx.tfcpad = 300;
	for (uint32_t payload = 0; payload <= 280; payload += 40) {
		len = inner_make(ip, payload, current.v6);
		test_pkt_set(&p, ip, len);
		check(!seal(&sa, payload + 1, &p.pkt));
		/* all that are shorter have one length (RFC 4303 section 2.7) */
		check(len > 300 ||
		      p.pkt.len == xi_esp_front(&sa.ctx) + sa.ctx.outer_len + sa.ctx.icv_len +
					   (302U + sa.ctx.pad_align - 1) / sa.ctx.pad_align *
						   sa.ctx.pad_align);
		check(!open_packet(&sa, &p.pkt));
		check(p.pkt.len == len && !memcmp(p.pkt.data, ip, len));
	}
}

static void tfc_padding_is_stripped(void **state)
{
	each_sa(strip_tfc, false);
}

static void swallow(void)
{
	static struct test_pkt p, again;

	trailer_packet(9, 30, -1, IPPROTO_NONE, &p);
	again = p;
	again.pkt.data = again.buf + (p.pkt.data - p.buf);
	sa.state.packets = sa.state.bytes = 0;
	check(open_packet(&sa, &p.pkt) == XI_DUMMY && last_status == XI_CRYPTO_SUCCESS);
	/* it is a packet of the peer, with a number; and it is no error (RFC 4303 section 2.6) */
	check(sa.state.top == 9 && sa.state.packets == 0 && sa.state.bytes == 0);
	check(!sa.state.other_failed && !sa.state.integrity_failed);
	check(open_packet(&sa, &again.pkt) == XI_DROP_REPLAY);
	/* a wrong ICV makes it none */
	trailer_packet(10, 30, -1, IPPROTO_NONE, &p);
	p.pkt.data[p.pkt.len - 1] ^= 1;
	check(open_packet(&sa, &p.pkt) == XI_DROP_ICV && sa.state.top == 9);
}

static void dummy_packets_are_swallowed(void **state)
{
	each_sa(swallow, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pad_length_beyond_the_packet),
		cmocka_unit_test(padding_bytes_are_checked),
		cmocka_unit_test(next_header_is_not_confused),
		cmocka_unit_test(zero_length_payloads_are_carried),
		cmocka_unit_test(tfc_padding_is_stripped),
		cmocka_unit_test(dummy_packets_are_swallowed),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
