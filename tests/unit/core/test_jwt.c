/* An ID token is good in one way and wrong in every way a hostile provider or client could try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "core/access/jwt.h"

#define NOW 1900000000
#define GOOD "{\"iss\":\"https://id.example\",\"aud\":\"atelier\",\"sub\":\"900\",\"nonce\":\"n-1\",\"iat\":1899999990," \
	     "\"exp\":1900003600,\"email\":\"ada@example.org\",\"email_verified\":true}"

enum key { RSA_A, RSA_B, RSA_SMALL, EC_A, ED_A, KEYS };
static EVP_PKEY *keys[KEYS];
static char jwks_text[8192];
static struct atl_arena arena;

static void base64url(char *out, size_t size, const void *data, size_t length)
{
	struct atl_buf buf;

	atl_buf_init(&buf, 1 << 20);
	atl_base64_encode(&buf, ATL_BASE64_URL, data, length);
	assert_true(buf.length < size);
	memcpy(out, buf.data, buf.length + 1);
	atl_buf_finish(&buf);
}

static void number64(char *out, size_t size, EVP_PKEY *key, const char *name, int length)
{
	BIGNUM *number = NULL;
	unsigned char bytes[1024];

	assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
	if (!length)
		length = BN_num_bytes(number);
	assert_int_equal(BN_bn2binpad(number, bytes, length), length);
	base64url(out, size, bytes, (size_t)length);
	BN_free(number);
}

static const char *rsa_jwk(enum key key, const char *more)
{
	char n[1500], e[16];

	number64(n, sizeof(n), keys[key], OSSL_PKEY_PARAM_RSA_N, 0);
	number64(e, sizeof(e), keys[key], OSSL_PKEY_PARAM_RSA_E, 0);
	return atl_arena_printf(&arena, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", n, e, more);
}

static const char *ec_jwk(const char *more)
{
	char x[64], y[64];

	number64(x, sizeof(x), keys[EC_A], OSSL_PKEY_PARAM_EC_PUB_X, 32);
	number64(y, sizeof(y), keys[EC_A], OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	return atl_arena_printf(&arena, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s}", x, y, more);
}

static const char *ed_jwk(const char *more)
{
	unsigned char raw[32];
	size_t length = sizeof(raw);
	char x[64];

	assert_int_equal(EVP_PKEY_get_raw_public_key(keys[ED_A], raw, &length), 1);
	base64url(x, sizeof(x), raw, length);
	return atl_arena_printf(&arena, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"%s}", x, more);
}

static int make_keys(void **state)
{
	if (atl_crypto_init() != ATL_OK)
		return 1;
	keys[RSA_A] = EVP_RSA_gen(2048);
	keys[RSA_B] = EVP_RSA_gen(2048);
	keys[RSA_SMALL] = EVP_RSA_gen(1024);
	keys[EC_A] = EVP_EC_gen("P-256");
	keys[ED_A] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	atl_arena_init(&arena, 0);
	snprintf(jwks_text, sizeof(jwks_text), "{\"keys\":[%s,%s,%s,%s,%s,%s,%s,{\"kty\":\"new\",\"kid\":\"z\"}]}",
		 rsa_jwk(RSA_A, ",\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"RS256\""), rsa_jwk(RSA_B, ",\"kid\":\"b\""),
		 rsa_jwk(RSA_SMALL, ",\"kid\":\"small\""), rsa_jwk(RSA_B, ",\"kid\":\"enc\",\"use\":\"enc\""),
		 ec_jwk(",\"kid\":\"e\""), ed_jwk(",\"kid\":\"d\""), rsa_jwk(RSA_B, ",\"kid\":\"ops\",\"key_ops\":[\"encrypt\"]"));
	return 0;
}

static int drop_keys(void **state)
{
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(keys[i]);
	atl_arena_finish(&arena);
	return 0;
}

enum way { PLAIN, PSS, RAW_EC, DER_EC, ED, HMAC_PUBLIC, NONE };

static size_t sign(enum key key, enum way way, const char *text, unsigned char *out, size_t size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	size_t length = size;

	if (way == HMAC_PUBLIC) { /* the public modulus as the shared secret */
		char n[1500];

		number64(n, sizeof(n), keys[key], OSSL_PKEY_PARAM_RSA_N, 0);
		atl_hmac_sha256(n, strlen(n), text, strlen(text), out);
		EVP_MD_CTX_free(md);
		return ATL_SHA256_SIZE;
	}
	assert_int_equal(EVP_DigestSignInit(md, &ctx, way == ED ? NULL : EVP_sha256(), NULL, keys[key]), 1);
	if (way == PSS) {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
	}
	assert_int_equal(EVP_DigestSign(md, out, &length, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(md);
	if (way == RAW_EC) {
		const unsigned char *p = out;
		ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)length);

		assert_non_null(sig);
		BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32);
		ECDSA_SIG_free(sig);
		length = 64;
	}
	return length;
}

static const char *token_of(enum key key, enum way way, const char *header, const char *payload)
{
	unsigned char signature[1024];
	size_t size = strlen(payload) * 2 + 1000;
	char head[2000], text[1500], *body = malloc(size);
	const char *signed_text;

	base64url(head, sizeof(head), header, strlen(header));
	base64url(body, size, payload, strlen(payload));
	signed_text = atl_arena_printf(&arena, "%s.%s", head, body);
	free(body);
	if (way == NONE)
		return atl_arena_printf(&arena, "%s.", signed_text);
	base64url(text, sizeof(text), signature, sign(key, way, signed_text, signature, sizeof(signature)));
	return atl_arena_printf(&arena, "%s.%s", signed_text, text);
}

static enum atl_err verify_with(const char *token, const char *jwks, struct atl_jwt_claims *claims,
				struct atl_errinfo *info)
{
	struct atl_jwt_expect expect = { "https://id.example", "id.example", "atelier", "n-1", "example-access-token", NOW };
	struct atl_json *tree;

	assert_int_equal(atl_json_parse(&arena, jwks, strlen(jwks), &tree, info), ATL_OK);
	return atl_jwt_verify(&arena, token, tree, &expect, claims, info);
}

static enum atl_err verify(const char *token, struct atl_errinfo *info)
{
	struct atl_jwt_claims claims;

	return verify_with(token, jwks_text, &claims, info);
}

/* ---- the header and the signature ---- */

static const struct {
	const char *what, *header;
	enum key key;
	enum way way;
	enum atl_err want;
	const char *why;
} HEADERS[] = {
	{ "RS256", "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":\"JWT\"}", RSA_A, PLAIN, ATL_OK, "" },
	{ "PS256", "{\"alg\":\"PS256\",\"kid\":\"b\"}", RSA_B, PSS, ATL_OK, "" },
	{ "ES256", "{\"alg\":\"ES256\",\"kid\":\"e\"}", EC_A, RAW_EC, ATL_OK, "" },
	{ "EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", ED_A, ED, ATL_OK, "" },
	{ "no kid and one key of the kind", "{\"alg\":\"ES256\"}", EC_A, RAW_EC, ATL_OK, "" },
	{ "no kid and several", "{\"alg\":\"RS256\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "more than one" },
	{ "none", "{\"alg\":\"none\"}", RSA_A, NONE, ATL_ERR_UNPROCESSABLE, "signature" },
	{ "None with a signature", "{\"alg\":\"None\",\"kid\":\"a\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "kind" },
	{ "RS256 without a signature", "{\"alg\":\"RS256\",\"kid\":\"a\"}", RSA_A, NONE, ATL_ERR_UNPROCESSABLE, "signature" },
	{ "HS256 with the public key", "{\"alg\":\"HS256\",\"kid\":\"a\"}", RSA_A, HMAC_PUBLIC, ATL_ERR_UNPROCESSABLE, "kind" },
	{ "a MAC called RS256", "{\"alg\":\"RS256\",\"kid\":\"a\"}", RSA_A, HMAC_PUBLIC, ATL_ERR_UNPROCESSABLE, "wrong" },
	{ "RS512", "{\"alg\":\"RS512\",\"kid\":\"a\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "kind" },
	{ "no alg", "{\"kid\":\"a\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "kind" },
	{ "alg of another type", "{\"alg\":[\"RS256\"],\"kid\":\"a\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "kind" },
	{ "another's key", "{\"alg\":\"RS256\",\"kid\":\"a\"}", RSA_B, PLAIN, ATL_ERR_UNPROCESSABLE, "wrong" },
	{ "a key's alg is another", "{\"alg\":\"PS256\",\"kid\":\"a\"}", RSA_A, PSS, ATL_ERR_NOT_FOUND, "none of" },
	{ "PSS called PKCS 1", "{\"alg\":\"RS256\",\"kid\":\"b\"}", RSA_B, PSS, ATL_ERR_UNPROCESSABLE, "wrong" },
	{ "an RSA token with a curve's kid", "{\"alg\":\"RS256\",\"kid\":\"e\"}", RSA_A, PLAIN, ATL_ERR_NOT_FOUND, "none of" },
	{ "ES256 in DER", "{\"alg\":\"ES256\",\"kid\":\"e\"}", EC_A, DER_EC, ATL_ERR_UNPROCESSABLE, "wrong" },
	{ "unknown kid", "{\"alg\":\"RS256\",\"kid\":\"new\"}", RSA_A, PLAIN, ATL_ERR_NOT_FOUND, "none of" },
	{ "kid as a path", "{\"alg\":\"RS256\",\"kid\":\"../../a\"}", RSA_A, PLAIN, ATL_ERR_NOT_FOUND, "none of" },
	{ "kid is a number", "{\"alg\":\"ES256\",\"kid\":5}", EC_A, RAW_EC, ATL_ERR_UNPROCESSABLE, "text" },
	{ "kid is null", "{\"alg\":\"ES256\",\"kid\":null}", EC_A, RAW_EC, ATL_ERR_UNPROCESSABLE, "text" },
	{ "a key for encryption", "{\"alg\":\"RS256\",\"kid\":\"enc\"}", RSA_B, PLAIN, ATL_ERR_NOT_FOUND, "none of" },
	{ "a key that may not verify", "{\"alg\":\"RS256\",\"kid\":\"ops\"}", RSA_B, PLAIN, ATL_ERR_NOT_FOUND, "none of" },
	{ "a key of 1024 bits", "{\"alg\":\"RS256\",\"kid\":\"small\"}", RSA_SMALL, PLAIN, ATL_ERR_UNPROCESSABLE, "wrong" },
	{ "its own key in the header",
	  "{\"alg\":\"RS256\",\"kid\":\"x\",\"jwk\":{\"kty\":\"RSA\"},\"jku\":\"https://evil.example/k\"}", RSA_B, PLAIN,
	  ATL_ERR_NOT_FOUND, "none of" },
	{ "crit", "{\"alg\":\"RS256\",\"kid\":\"a\",\"crit\":[\"b64\"],\"b64\":false}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE,
	  "extension" },
	{ "an access token", "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":\"at+jwt\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE,
	  "another kind" },
	{ "alg named twice", "{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"a\"}", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "twice" },
	{ "header is no object", "[\"RS256\"]", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "object" },
	{ "header is cut", "{\"alg\":\"RS256\"", RSA_A, PLAIN, ATL_ERR_UNPROCESSABLE, "object" },
};

static void test_headers(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(HEADERS); i++) {
		struct atl_errinfo info = { 0 };
		enum atl_err err = verify(token_of(HEADERS[i].key, HEADERS[i].way, HEADERS[i].header, GOOD), &info);

		if (err != HEADERS[i].want || !strstr(info.detail, HEADERS[i].why))
			fail_msg("%s: %s, %s", HEADERS[i].what, atl_err_name(err), info.detail);
	}
}

/* ---- what it says: one part of the good payload replaced ---- */

static const struct {
	const char *what, *part, *by, *why; /* why NULL: good */
} CLAIMS[] = {
	{ "as it is", "", "", NULL },
	{ "the second spelling", "https://id.example", "id.example", NULL },
	{ "another issuer", "https://id.example", "https://id.example.evil.example", "another service" },
	{ "an issuer with a slash", "https://id.example", "https://id.example/", "another service" },
	{ "an issuer in capitals", "https://id.example", "https://ID.example", "another service" },
	{ "no issuer", "\"iss\":\"https://id.example\",", "", "another service" },
	{ "issuer twice", "\"iss\"", "\"iss\":\"https://evil.example\",\"iss\"", "twice" },
	{ "another audience", "\"aud\":\"atelier\"", "\"aud\":\"other\"", "another client" },
	{ "a longer audience", "\"aud\":\"atelier\"", "\"aud\":\"atelier2\"", "another client" },
	{ "no audience", "\"aud\":\"atelier\",", "", "another client" },
	{ "an empty list", "\"aud\":\"atelier\"", "\"aud\":[]", "another client" },
	{ "a list of one", "\"aud\":\"atelier\"", "\"aud\":[\"atelier\"]", NULL },
	{ "a stranger in the list", "\"aud\":\"atelier\"", "\"aud\":[\"atelier\",\"other\"],\"azp\":\"atelier\"", "another client" },
	{ "an audience that is an object", "\"aud\":\"atelier\"", "\"aud\":{\"atelier\":1}", "another client" },
	{ "azp is us", "\"sub\"", "\"azp\":\"atelier\",\"sub\"", NULL },
	{ "azp is another", "\"sub\"", "\"azp\":\"other\",\"sub\"", "given to another" },
	{ "azp is null", "\"sub\"", "\"azp\":null,\"sub\"", "given to another" },
	{ "another nonce", "n-1", "n-2", "another sign-in" },
	{ "no nonce", "\"nonce\":\"n-1\",", "", "another sign-in" },
	{ "a nonce that is a list", "\"n-1\"", "[\"n-1\"]", "another sign-in" },
	{ "nonce twice", "\"nonce\"", "\"nonce\":\"n-0\",\"nonce\"", "twice" },
	{ "expired", "1900003600", "1899999900", "expired" },
	{ "expired within the skew", "1900003600", "1899999950", NULL },
	{ "no exp", ",\"exp\":1900003600", "", "times" },
	{ "exp is a text", "1900003600", "\"1900003600\"", "times" },
	{ "exp beyond all measure", "1900003600", "1e300", "times" },
	{ "exp below zero", "1900003600", "-1", "times" },
	{ "made tomorrow", "1899999990", "1900086400", "not valid yet" },
	{ "no iat", "\"iat\":1899999990,", "", "times" },
	{ "not before tomorrow", "\"sub\"", "\"nbf\":1900086400,\"sub\"", "not valid yet" },
	{ "nbf is a text", "\"sub\"", "\"nbf\":\"0\",\"sub\"", "times" },
	{ "no subject", "\"sub\":\"900\",", "", "who" },
	{ "an empty subject", "\"900\"", "\"\"", "who" },
	{ "a subject with a line break", "\"900\"", "\"9\\n00\"", "who" },
	{ "a subject that is a number", "\"900\"", "900", "who" },
	{ "the access token's hash", "\"sub\"", "\"at_hash\":\"Z1P3Ll-e0JrOBqzfbrTXjQ\",\"sub\"", NULL },
	{ "another access token's hash", "\"sub\"", "\"at_hash\":\"Z1P3Ll-e0JrOBqzfbrTXjA\",\"sub\"", "access token" },
	{ "a member deep inside twice", "\"sub\"", "\"x\":[{\"a\":1,\"a\":2}],\"sub\"", "twice" },
};

static const char *replaced(const char *part, const char *by)
{
	const char *at = strstr(GOOD, part);

	assert_non_null(at);
	return atl_arena_printf(&arena, "%.*s%s%s", (int)(at - GOOD), GOOD, by, at + strlen(part));
}

static void test_claims(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(CLAIMS); i++) {
		struct atl_errinfo info = { 0 };
		enum atl_err err = verify(token_of(RSA_A, PLAIN, "{\"alg\":\"RS256\",\"kid\":\"a\"}",
						   replaced(CLAIMS[i].part, CLAIMS[i].by)), &info);

		if (err != (CLAIMS[i].why ? ATL_ERR_UNPROCESSABLE : ATL_OK) ||
		    !strstr(info.detail, CLAIMS[i].why ? CLAIMS[i].why : ""))
			fail_msg("%s: %s, %s", CLAIMS[i].what, atl_err_name(err), info.detail);
	}
}

/* ---- the text itself ---- */

static void test_every_byte_counts(void **state)
{
	char *token = atl_arena_strdup(&arena, token_of(EC_A, RAW_EC, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD));
	struct atl_errinfo info = { 0 };

	assert_int_equal(verify(token, &info), ATL_OK);
	for (size_t i = 0; token[i]; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(verify(token, &info), ATL_OK);
		token[i] = '=';
		assert_int_not_equal(verify(token, &info), ATL_OK);
		token[i] = was;
	}
	assert_int_equal(verify(token, &info), ATL_OK); /* it was not for want of room */
}

static void test_shapes(void **state)
{
	const char *good = token_of(RSA_A, PLAIN, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD);
	const char *dot = strrchr(good, '.');
	int head = (int)(dot - good);
	const char *shapes[] = {
		NULL, "", ".", "..", "...", "a.b.c", atl_arena_printf(&arena, "%.*s", head, good),
		atl_arena_printf(&arena, "%s.x", good), atl_arena_printf(&arena, "%s.", good),
		atl_arena_printf(&arena, " %s", good), atl_arena_printf(&arena, "%s ", good),
		atl_arena_printf(&arena, "%s\n", good), atl_arena_printf(&arena, "%s==", good),
		atl_arena_printf(&arena, "%.*s.%s%s", head, good, dot + 1, dot + 1),
		atl_arena_printf(&arena, "%.*s.AA", head, good),
	};
	struct atl_errinfo info = { 0 };
	char *long_text = atl_arena_alloc(&arena, 20001);

	assert_int_equal(verify(good, &info), ATL_OK);
	for (size_t i = 0; i < ATL_COUNT(shapes); i++)
		assert_int_equal(verify(shapes[i], &info), ATL_ERR_UNPROCESSABLE);
	memset(long_text, 'x', 20000);
	memcpy(long_text, "{\"a\":\"", 6);
	assert_int_equal(verify(token_of(RSA_A, PLAIN, "{\"alg\":\"RS256\",\"kid\":\"a\"}", long_text), &info),
			 ATL_ERR_UNPROCESSABLE);
	assert_non_null(strstr(info.detail, "too long"));
}

static void test_key_sets(void **state)
{
	const char *token = token_of(RSA_A, PLAIN, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD);
	const char *key = rsa_jwk(RSA_A, ",\"kid\":\"a\"");
	struct atl_jwt_claims claims;
	struct atl_errinfo info = { 0 };

	assert_int_equal(verify_with(token, atl_arena_printf(&arena, "{\"keys\":[%s]}", key), &claims, &info), ATL_OK);
	assert_string_equal(claims.sub, "900");
	assert_string_equal(claims.email, "ada@example.org");
	assert_true(claims.email_verified);
	/* two keys of one name: which one is meant is nobody's guess */
	assert_int_equal(verify_with(token, atl_arena_printf(&arena, "{\"keys\":[%s,%s]}", key, rsa_jwk(RSA_B, ",\"kid\":\"a\"")),
				     &claims, &info), ATL_ERR_UNPROCESSABLE);
	assert_int_equal(verify_with(token, "{\"keys\":[]}", &claims, &info), ATL_ERR_NOT_FOUND);
	assert_int_equal(verify_with(token, "{\"keys\":{}}", &claims, &info), ATL_ERR_UNPROCESSABLE);
	assert_int_equal(verify_with(token, "[]", &claims, &info), ATL_ERR_UNPROCESSABLE);
	assert_int_equal(verify_with(token, "{\"keys\":[1,null,\"a\",[]]}", &claims, &info), ATL_ERR_NOT_FOUND);
	assert_int_equal(verify_with(token, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\"}]}", &claims, &info), ATL_ERR_UNPROCESSABLE);
	/* an exponent of one lets anybody sign; a modulus of zeros */
	assert_int_equal(verify_with(token, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AAAA\",\"e\":\"AQ\"}]}", &claims,
				     &info), ATL_ERR_UNPROCESSABLE);
	/* a point that is not on the curve */
	assert_int_equal(verify_with(token_of(EC_A, RAW_EC, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD),
				     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\","
				     "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
				     "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}", &claims, &info),
			 ATL_ERR_UNPROCESSABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_key_sets),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
