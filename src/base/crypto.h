/* crypto.h - what we use of libsodium: hashes, random, passwords, sealed secrets.
 *
 * Passwords: Argon2id (RFC 9106), 2 passes over 64 MiB (libsodium's "interactive"). Secrets at rest: XChaCha20-Poly1305 with a random nonce in front and the caller's
 * context as associated data, so that a ciphertext moved to another row does not open.
 *
 * Life cycle: atl_crypto_init() once before anything else. Threads: any. atl_password_* take tens of milliseconds:
 * pool threads only.
 */
#ifndef ATL_BASE_CRYPTO_H
#define ATL_BASE_CRYPTO_H

#include "base/buf.h"

#define ATL_SHA256_SIZE 32
#define ATL_ED25519_KEY_SIZE 32
#define ATL_ED25519_SIGNATURE_SIZE 64
#define ATL_MASTER_KEY_SIZE 32
#define ATL_PASSWORD_HASH_SIZE 128
#define ATL_SIPHASH_KEY_SIZE 16
#define ATL_TOKEN_SIZE 44 /* 32 random bytes in base64url, and NUL */

struct atl_sha256 {
	_Alignas(16) unsigned char state[128];
};

enum atl_err atl_crypto_init(void) ATL_MUST_USE;
void atl_random(void *out, size_t length);
void atl_token_new(char out[ATL_TOKEN_SIZE]);
void atl_wipe(void *data, size_t length);

void atl_sha256(const void *data, size_t length, unsigned char out[ATL_SHA256_SIZE]);
void atl_sha256_hex(const void *data, size_t length, char out[ATL_SHA256_SIZE * 2 + 1]);
void atl_sha256_begin(struct atl_sha256 *ctx);
void atl_sha256_add(struct atl_sha256 *ctx, const void *data, size_t length);
void atl_sha256_end(struct atl_sha256 *ctx, unsigned char out[ATL_SHA256_SIZE]);
void atl_sha1(const void *data, size_t length, unsigned char out[20]); /* WebSocket handshake only */
void atl_hmac_sha256(const void *key, size_t key_length, const void *data, size_t length,
		     unsigned char out[ATL_SHA256_SIZE]);

/* For tables only: fast, and with a secret key nobody makes values meet on purpose. */
uint64_t atl_siphash(const unsigned char key[ATL_SIPHASH_KEY_SIZE], const void *data, size_t length);

/* Does the signature belong to these bytes and this public key? */
bool atl_ed25519_verify(const unsigned char key[ATL_ED25519_KEY_SIZE],
			const unsigned char signature[ATL_ED25519_SIGNATURE_SIZE], const void *data,
			size_t length) ATL_MUST_USE;

enum atl_err atl_password_hash(const char *password, char out[ATL_PASSWORD_HASH_SIZE]) ATL_MUST_USE;
bool atl_password_verify(const char *hash, const char *password) ATL_MUST_USE;

/* seal appends nonce + ciphertext + tag; errors: TOO_LARGE. unseal appends the plain text; errors: CONFIG (another key,
 * another context or changed bytes), TOO_LARGE. The caller wipes what was opened. */
enum atl_err atl_seal(struct atl_buf *out, const unsigned char key[ATL_MASTER_KEY_SIZE], const char *context,
		      const void *data, size_t length) ATL_MUST_USE;
enum atl_err atl_unseal(struct atl_buf *out, const unsigned char key[ATL_MASTER_KEY_SIZE], const char *context,
			const void *sealed, size_t length, struct atl_errinfo *info) ATL_MUST_USE;

#endif
