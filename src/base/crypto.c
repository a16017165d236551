/* crypto.c - thin layer over libsodium; SHA-1 is ours, as libsodium rightly has none. */
#include "base/crypto.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PASSWORDS_AT_ONCE 4 /* each takes 64 MiB while it is hashed */

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct atl_sha256 *)0)->state), "the state fits");
_Static_assert(ATL_SHA256_SIZE == crypto_hash_sha256_BYTES, "");
_Static_assert(ATL_MASTER_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "");
_Static_assert(ATL_PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "");

enum atl_err atl_crypto_init(void)
{
	return sodium_init() < 0 ? ATL_ERR_INTERNAL : ATL_OK;
}

void atl_random(void *out, size_t length)
{
	randombytes_buf(out, length);
}

void atl_token_new(char out[ATL_TOKEN_SIZE])
{
	unsigned char bytes[32];

	_Static_assert(sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == ATL_TOKEN_SIZE, "");
	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(out, ATL_TOKEN_SIZE, bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(bytes, sizeof(bytes));
}

void atl_wipe(void *data, size_t length)
{
	sodium_memzero(data, length);
}

void atl_sha256(const void *data, size_t length, unsigned char out[ATL_SHA256_SIZE])
{
	crypto_hash_sha256(out, data, length);
}

void atl_sha256_hex(const void *data, size_t length, char out[ATL_SHA256_SIZE * 2 + 1])
{
	unsigned char hash[ATL_SHA256_SIZE];

	crypto_hash_sha256(hash, data, length);
	sodium_bin2hex(out, ATL_SHA256_SIZE * 2 + 1, hash, sizeof(hash));
}

static crypto_hash_sha256_state *state_of(struct atl_sha256 *ctx)
{
	return (crypto_hash_sha256_state *)(void *)ctx->state;
}

void atl_sha256_begin(struct atl_sha256 *ctx)
{
	crypto_hash_sha256_init(state_of(ctx));
}

void atl_sha256_add(struct atl_sha256 *ctx, const void *data, size_t length)
{
	crypto_hash_sha256_update(state_of(ctx), data, length);
}

void atl_sha256_end(struct atl_sha256 *ctx, unsigned char out[ATL_SHA256_SIZE])
{
	crypto_hash_sha256_final(state_of(ctx), out);
}

void atl_hmac_sha256(const void *key, size_t key_length, const void *data, size_t length,
		     unsigned char out[ATL_SHA256_SIZE])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_length);
	crypto_auth_hmacsha256_update(&state, data, length);
	crypto_auth_hmacsha256_final(&state, out);
	sodium_memzero(&state, sizeof(state));
}

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

/* One block of FIPS 180-4, section 6.1.2. */
static void sha1_block(uint32_t h[5], const unsigned char *block)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (unsigned t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		       (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (unsigned t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (unsigned t = 0; t < 80; t++) {
		uint32_t f, k, next;

		if (t < 20) {
			f = (b & c) | (~b & d);
			k = 0x5A827999;
		} else if (t < 40) {
			f = b ^ c ^ d;
			k = 0x6ED9EBA1;
		} else if (t < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8F1BBCDC;
		} else {
			f = b ^ c ^ d;
			k = 0xCA62C1D6;
		}
		next = rotate(a, 5) + f + e + k + w[t];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void atl_sha1(const void *data, size_t length, unsigned char out[20])
{
	uint32_t h[5] = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 };
	const unsigned char *bytes = data;
	unsigned char last[128] = { 0 };
	size_t whole = length / 64 * 64, rest = length - whole, padded = rest < 56 ? 64 : 128;

	for (size_t i = 0; i < whole; i += 64)
		sha1_block(h, bytes + i);
	if (rest)
		memcpy(last, bytes + whole, rest);
	last[rest] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		last[padded - 1 - i] = (unsigned char)((uint64_t)length * 8 >> (8 * i));
	for (size_t i = 0; i < padded; i += 64)
		sha1_block(h, last + i);
	for (unsigned i = 0; i < 20; i++)
		out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static struct {
	pthread_mutex_t lock;
	pthread_cond_t free;
	unsigned busy;
} passwords = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static void password_begin(void)
{
	pthread_mutex_lock(&passwords.lock);
	while (passwords.busy == PASSWORDS_AT_ONCE)
		pthread_cond_wait(&passwords.free, &passwords.lock);
	passwords.busy++;
	pthread_mutex_unlock(&passwords.lock);
}

static void password_end(void)
{
	pthread_mutex_lock(&passwords.lock);
	passwords.busy--;
	pthread_cond_signal(&passwords.free);
	pthread_mutex_unlock(&passwords.lock);
}

enum atl_err atl_password_hash(const char *password, char out[ATL_PASSWORD_HASH_SIZE])
{
	char hash[ATL_PASSWORD_HASH_SIZE];
	int failed;

	password_begin();
	failed = crypto_pwhash_str_alg(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
				       crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13);
	password_end();
	if (failed)
		return ATL_ERR_NOMEM;
	memcpy(out, hash, sizeof(hash));
	return ATL_OK;
}

bool atl_password_verify(const char *hash, const char *password)
{
	bool same;

	if (!hash || !password || strlen(hash) >= ATL_PASSWORD_HASH_SIZE)
		return false;
	password_begin();
	same = crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
	password_end();
	return same;
}

enum atl_err atl_seal(struct atl_buf *out, const unsigned char key[ATL_MASTER_KEY_SIZE], const char *context,
		      const void *data, size_t length)
{
	unsigned char *p;

	if (length > SIZE_MAX - NONCE_SIZE - TAG_SIZE)
		return ATL_ERR_TOO_LARGE;
	p = atl_buf_reserve(out, NONCE_SIZE + length + TAG_SIZE);
	if (!p)
		return ATL_ERR_TOO_LARGE;
	randombytes_buf(p, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p + NONCE_SIZE, NULL, data, length, (const unsigned char *)context,
						   strlen(context), NULL, p, key);
	out->length += NONCE_SIZE + length + TAG_SIZE;
	out->data[out->length] = '\0';
	return ATL_OK;
}

enum atl_err atl_unseal(struct atl_buf *out, const unsigned char key[ATL_MASTER_KEY_SIZE], const char *context,
			const void *sealed, size_t length, struct atl_errinfo *info)
{
	const unsigned char *nonce = sealed;
	unsigned char *p;
	size_t size;

	if (length < NONCE_SIZE + TAG_SIZE)
		return atl_fail(info, ATL_ERR_CONFIG, "A stored secret is cut short.");
	size = length - NONCE_SIZE - TAG_SIZE;
	p = atl_buf_reserve(out, size);
	if (!p)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A stored secret is larger than expected.");
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(p, NULL, NULL, nonce + NONCE_SIZE, length - NONCE_SIZE,
						       (const unsigned char *)context, strlen(context), nonce,
						       key) != 0) {
		sodium_memzero(p, size);
		out->data[out->length] = '\0';
		return atl_fail(info, ATL_ERR_CONFIG,
				"A stored secret does not open: the master key is another one, or it was changed.");
	}
	out->length += size;
	out->data[out->length] = '\0';
	return ATL_OK;
}

uint64_t atl_siphash(const unsigned char key[ATL_SIPHASH_KEY_SIZE], const void *data, size_t length)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, data, length, key);
	return hash;
}

bool atl_ed25519_verify(const unsigned char key[ATL_ED25519_KEY_SIZE],
			const unsigned char signature[ATL_ED25519_SIGNATURE_SIZE], const void *data, size_t length)
{
	return crypto_sign_verify_detached(signature, data, length, key) == 0;
}
