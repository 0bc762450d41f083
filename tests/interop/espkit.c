// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The pure transforms as a filter, for other people's implementations to be compared with: a packet a line in, one out.
 *
 *   espkit ENGINE < LINES          ENGINE: as in xipsec.conf
 *
 * A line is a JSON object:
 *   op: "seal" or "open"    packet: hex    seq: 64 bits (open: the highest one received is the one before)
 *   proto: "esp" or "ah"    mode: "tunnel" or "transport"    src, dst: of the SA    spi
 *   alg, auth: names as in `ip xfrm`, either may be absent    icv: bits
 *   key: cipher key and salt, hex    auth_key: hex
 *   esn, align4: true or absent    encap: [source port, destination port], or absent
 * The answer is {"packet": hex}, or {"refused": "sa"} when there is no such SA, or {"dropped": reason}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <linux/xfrm.h>

#include "crypto/algs.h"
#include "ipsec/transform.h"

#define ROOM 256
#define PACKET_MAX 65536

struct kit {
	const struct xi_engine *engine;
	struct xi_crypto *crypto;
	struct xi_sa sa;
	struct xi_sa_key raw;
	struct xi_sa_state state;
	uint64_t words[XI_WINDOW_INLINE_WORDS];
	struct xi_sa_ctx ctx;
	struct xi_pkt pkt;
	uint8_t buf[ROOM + PACKET_MAX + ROOM];
};

static const char *const reasons[] = {
#define X(value, symbol, name, kind, text) [value] = name,
	XI_REASONS(X)
#undef X
};

static const char *text(const json_t *line, const char *key)
{
	const char *s = json_string_value(json_object_get(line, key));

	return s ? s : "";
}

static uint64_t number(const json_t *line, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(line, key));
}

static bool unhex(const char *hex, uint8_t *buf, size_t max, uint32_t *len)
{
	size_t n = strlen(hex);
	unsigned int byte;

	if (n % 2 || n / 2 > max)
		return false;
	for (size_t i = 0; i < n / 2; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		buf[i] = (uint8_t)byte;
	}
	*len = (uint32_t)(n / 2);
	return true;
}

static bool read_keys(struct kit *k, const json_t *line)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(k->sa.alg);
	uint32_t len, auth_len;

	if (!unhex(text(line, "key"), k->raw.key, XI_KEY_MAX, &len) ||
	    !unhex(text(line, "auth_key"), k->raw.key + len, XI_KEY_MAX - len, &auth_len))
		return false;
	k->raw.alg = k->sa.alg;
	k->raw.auth = k->sa.auth;
	k->raw.auth_len = auth_len;
	k->raw.len = len + auth_len;
	k->sa.auth_bits = auth_len * 8;
	k->sa.key_bits = (len - (cipher ? cipher->salt_len : 0)) * 8;
	return true;
}

static bool read_sa(struct kit *k, const json_t *line)
{
	const json_t *encap = json_object_get(line, "encap");
	int family = strchr(text(line, "src"), ':') ? XI_IPV6 : XI_IPV4;
	const char *alg = text(line, "alg");

	memset(&k->sa, 0, sizeof(k->sa));
	k->sa.id.proto = strcmp(text(line, "proto"), "ah") ? XI_ESP : XI_AH;
	k->sa.id.family = (enum xi_family)family;
	k->sa.id.spi = (uint32_t)number(line, "spi");
	k->sa.mode = strcmp(text(line, "mode"), "transport") ? XI_TUNNEL : XI_TRANSPORT;
	k->sa.alg = xi_cipher_named(alg, true);
	if (!k->sa.alg)
		k->sa.alg = xi_cipher_named(alg, false);
	k->sa.auth = xi_auth_named(text(line, "auth"));
	k->sa.icv_len = (uint32_t)number(line, "icv") / 8;
	k->sa.replay_window = 64;
	k->sa.flags = XFRM_STATE_AF_UNSPEC;
	if (json_is_true(json_object_get(line, "esn")))
		k->sa.flags |= XFRM_STATE_ESN;
	if (json_is_true(json_object_get(line, "align4")))
		k->sa.flags |= XFRM_STATE_ALIGN4;
	if (json_is_array(encap)) {
		k->sa.encap = XI_ENCAP_ESPINUDP;
		k->sa.encap_sport = (uint16_t)json_integer_value(json_array_get(encap, 0));
		k->sa.encap_dport = (uint16_t)json_integer_value(json_array_get(encap, 1));
	}
	memset(&k->sa.limits, 0xff, sizeof(k->sa.limits));
	return inet_pton(family, text(line, "src"), k->sa.saddr) == 1 &&
	       inet_pton(family, text(line, "dst"), k->sa.id.daddr) == 1 && read_keys(k, line);
}

static enum xi_reason seal(struct kit *k, uint64_t seq)
{
	struct xi_esp_tally tally = {.now = 1};
	struct xi_ah_saved saved;
	struct xi_frame frame;
	struct xi_aead_job job;
	enum xi_reason why = xi_out_frame(&k->ctx, seq, UINT32_MAX, &k->pkt, &frame);

	if (!why)
		why = xi_out_job(&k->ctx, &frame, &saved, &job);
	if (why)
		return why;
	k->engine->seal(k->crypto, &job, 1);
	why = xi_out_finish(&k->ctx, &frame, &saved, &job, &tally);
	xi_esp_tally_flush(&tally);
	return why;
}

static enum xi_reason open(struct kit *k, uint64_t seq)
{
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why;

	xi_replay_import(&k->ctx.replay, seq - 1, NULL, 0);
	why = xi_in_prepare(&k->ctx, &k->pkt, &job, &in, &saved);
	if (why)
		return why;
	k->engine->open(k->crypto, &job, 1);
	xi_in_verify(&k->ctx, &job, &in, 1);
	why = xi_in_finish(&k->ctx, &k->pkt, &job, &in, &saved, &tally, &status);
	xi_esp_tally_flush(&tally);
	return why;
}

static void answer(const struct xi_pkt *pkt)
{
	printf("{\"packet\": \"");
	for (uint32_t i = 0; i < pkt->len; i++)
		printf("%02x", pkt->data[i]);
	printf("\"}\n");
}

/* false: the line makes no sense */
static bool work(struct kit *k, const json_t *line)
{
	struct xi_ckey *key = NULL;
	enum xi_reason why;
	uint32_t len;

	if (!read_sa(k, line) || !unhex(text(line, "packet"), k->buf + ROOM, PACKET_MAX, &len))
		return false;
	memset(&k->state, 0, sizeof(k->state));
	memset(k->words, 0, sizeof(k->words));
	if (xi_sa_ctx_init(&k->ctx, &k->sa, &k->raw, &k->state, k->words, XI_WINDOW_INLINE_WORDS)) {
		puts("{\"refused\": \"sa\"}");
		return true;
	}
	if (k->engine->key_new(&key, &k->raw, 1))
		return false;
	k->ctx.key = key;
	k->pkt = (struct xi_pkt){k->buf + ROOM, len, ROOM, (uint32_t)sizeof(k->buf) - ROOM - len};
	if (!strcmp(text(line, "op"), "seal"))
		why = seal(k, number(line, "seq"));
	else
		why = open(k, number(line, "seq"));
	if (why)
		printf("{\"dropped\": \"%s\"}\n", reasons[why]);
	else
		answer(&k->pkt);
	k->engine->key_free(key);
	return true;
}

int main(int argc, char **argv)
{
	static struct kit kit;
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	kit.engine = argc == 2 ? xi_engine_find(argv[1]) : NULL;
	if (!kit.engine || kit.engine->create(&kit.crypto, 0)) {
		fprintf(stderr, "espkit: no such engine here; usage: espkit openssl|ipsec-mb\n");
		return 2;
	}
	while (!rc && getline(&line, &size, stdin) > 0) {
		json_t *object = json_loads(line, 0, NULL);

		if (!object || !work(&kit, object)) {
			fprintf(stderr, "espkit: not understood: %s", line);
			rc = 1;
		}
		json_decref(object);
		fflush(stdout);
	}
	free(line);
	kit.engine->destroy(kit.crypto);
	return rc;
}
