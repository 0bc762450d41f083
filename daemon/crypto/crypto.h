/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Crypto engines behind one table of functions. An engine knows keys, buffers and jobs; nothing of
 * packets, sockets, maps or threads. Engines are cross-tested against each other.
 */
#ifndef XI_CRYPTO_H
#define XI_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_crypto;            /* one worker's crypto manager of one engine; used by one thread at a time */
struct xi_ckey;              /* an expanded key of one engine; read-only, shared by all workers */

/*
 * One operation in place: an AEAD, a cipher with an integrity algorithm, or integrity alone. seal: encrypts
 * data[0..len) and writes icv. open: verifies icv in constant time and decrypts. After open with status -EBADMSG
 * data[0..len) is zeroed: plaintext that failed its ICV is never seen. (AH has no plaintext to hide: its
 * data stays as it came.)
 *
 * The head is the head_len bytes in front of data: ESP header and IV. What is covered, and by what nonce:
 *  - AES-GCM (RFC 4106), ChaCha20-Poly1305 (RFC 7634): aad and data; nonce = salt (4) | IV (8).
 *  - AES-CCM (RFC 4309): the same, nonce = salt (3) | IV (8), 11 bytes.
 *  - AES-GMAC (RFC 4543): aad, the IV (8 bytes in front of data) and data, which stays in clear; nonce as GCM.
 *  - AES-CBC, AES-CTR (RFC 3686: nonce as GCM, counter block = nonce | 1), NULL, with a separate integrity
 *    algorithm: RFC 4303 section 2.8: head, data as it is on the wire, and with ESN the high half of the
 *    sequence number, which takes the place of the ICV on the way. CBC takes its IV from the last 16 bytes of the
 *    head, and len is a multiple of 16. With len 0 there is nothing but the ICV.
 *  - AH (RFC 4302; ah set): head and data are the whole packet as it goes into the ICV (mutable fields and ICV
 *    zeroed by the caller), with ESN the high half behind it, for which the four bytes behind data are the
 *    job's scratch. AES-GMAC covers the same, not aad (RFC 4543 section 4).
 */
struct xi_aead_job {
	const struct xi_ckey *key;   /* NULL: expand `raw` for this job alone (the SLOW method) */
	const struct xi_sa_key *raw;
	uint8_t *data;
	uint8_t *icv;                /* directly behind data; with AH anywhere */
	uint32_t len;
	uint32_t icv_len;            /* bytes; which ones there are is up to the algorithm */
	uint32_t aad_len;            /* 8, or 12 with ESN (RFC 4106 section 5) */
	int status;                  /* 0, -EBADMSG, or another -errno when the engine failed */
	uint32_t clear_len;          /* for the caller alone: bytes of the inner packet */
	uint16_t head_len;
	uint8_t fresh_iv;            /* seal: first write an unpredictable IV (RFC 3602 section 3) */
	uint8_t ah;
	uint8_t aad[12];             /* SPI, sequence number; with ESN 64 bits of it */
	uint8_t nonce[12];
};

struct xi_engine {
	const char *name;            /* as in the configuration: "ipsec-mb", "openssl" */
	bool (*usable)(void);        /* this CPU has what the engine needs */
	bool (*carries)(enum xi_alg alg, enum xi_auth auth, unsigned int key_bits,
			unsigned int icv_len);
	/* worker: index below nworkers of key_new. 0 or -errno; free with destroy. */
	int (*create)(struct xi_crypto **out, unsigned int worker);
	void (*destroy)(struct xi_crypto *c);
	/* Expands a raw key. 0, -EINVAL for a length that the algorithm does not have, -ENOMEM. */
	int (*key_new)(struct xi_ckey **out, const struct xi_sa_key *raw, unsigned int nworkers);
	/* Wipes and frees; NULL is fine. */
	void (*key_free)(struct xi_ckey *key);
	/*
	 * A batch, of any mixture of algorithms and keys; every job's status is set. No allocation, no
	 * system call for jobs with a key. What can be done for several jobs at once is.
	 */
	void (*seal)(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n);
	void (*open)(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n);
};

/* Each carries every transform of algs.h: what ipsec-mb has not, it leaves to OpenSSL behind it. */
extern const struct xi_engine xi_engine_openssl;
extern const struct xi_engine xi_engine_ipsec_mb;

/* name: "auto", "ipsec-mb" or "openssl". NULL: no such engine, or this CPU cannot run it. */
const struct xi_engine *xi_engine_find(const char *name);

#endif
