/* Published vectors of the hashes; passwords; sealing and every way to tamper with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/crypto.h"

static int set_up(void **state)
{
	return atl_crypto_init() == ATL_OK ? 0 : -1;
}

static void test_sha256(void **state)
{
	unsigned char whole[ATL_SHA256_SIZE], parts[ATL_SHA256_SIZE];
	char hex[ATL_SHA256_SIZE * 2 + 1], text[200];
	struct atl_sha256 ctx;

	atl_sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	atl_sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(text, 'x', sizeof(text));
	atl_sha256(text, sizeof(text), whole);
	atl_sha256_begin(&ctx);
	atl_sha256_add(&ctx, text, 1);
	atl_sha256_add(&ctx, text, 0);
	atl_sha256_add(&ctx, text, 150);
	atl_sha256_add(&ctx, text, 49);
	atl_sha256_end(&ctx, parts);
	assert_memory_equal(whole, parts, sizeof(whole));
}

static void assert_sha1(const char *text, size_t length, const char *want)
{
	unsigned char hash[20];
	char hex[41];

	atl_sha1(text, length, hash);
	atl_hex_encode(hash, 20, hex);
	assert_string_equal(hex, want);
}

static void test_sha1(void **state)
{
	char text[1000];

	memset(text, 'a', sizeof(text));
	assert_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	assert_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
	assert_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		    "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	assert_sha1(text, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"); /* the padding's borders */
	assert_sha1(text, 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699");
	assert_sha1(text, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
	assert_sha1(text, 1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba");
	/* RFC 6455, section 1.3 */
	assert_sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 60,
		    "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
}

static void test_hmac(void **state)
{
	unsigned char out[ATL_SHA256_SIZE], key[131];
	char hex[ATL_SHA256_SIZE * 2 + 1];

	/* RFC 4231, cases 2 and 6 (a key longer than a block) */
	atl_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	atl_hex_encode(out, sizeof(out), hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xAA, sizeof(key));
	atl_hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
	atl_hex_encode(out, sizeof(out), hex);
	assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_random(void **state)
{
	char one[ATL_TOKEN_SIZE], two[ATL_TOKEN_SIZE];
	unsigned char wiped[16];
	struct atl_buf buf;

	atl_token_new(one);
	atl_token_new(two);
	assert_string_not_equal(one, two);
	assert_int_equal(strlen(one), ATL_TOKEN_SIZE - 1);
	atl_buf_init(&buf, 32);
	assert_true(atl_base64_decode(&buf, ATL_BASE64_URL, one, strlen(one)));
	assert_int_equal(buf.length, 32);
	atl_buf_finish(&buf);
	memset(wiped, 1, sizeof(wiped));
	atl_wipe(wiped, sizeof(wiped));
	for (size_t i = 0; i < sizeof(wiped); i++)
		assert_int_equal(wiped[i], 0);
}

static void test_password(void **state)
{
	char hash[ATL_PASSWORD_HASH_SIZE], again[ATL_PASSWORD_HASH_SIZE];
	char endless[300];

	assert_int_equal(atl_password_hash("correct horse", hash), ATL_OK);
	assert_int_equal(atl_password_hash("correct horse", again), ATL_OK);
	assert_string_not_equal(hash, again); /* salted */
	assert_non_null(strstr(hash, "$argon2id$v=19$m=65536,t=2,p=1$"));
	assert_true(atl_password_verify(hash, "correct horse"));
	assert_false(atl_password_verify(hash, "correct horsf"));
	assert_false(atl_password_verify(hash, ""));
	assert_false(atl_password_verify("", "correct horse"));
	assert_false(atl_password_verify("not a hash", "correct horse"));
	assert_false(atl_password_verify(NULL, "correct horse"));
	assert_false(atl_password_verify(hash, NULL));
	memset(endless, 'x', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	assert_false(atl_password_verify(endless, "correct horse"));
}

static void test_seal(void **state)
{
	unsigned char key[ATL_MASTER_KEY_SIZE], other[ATL_MASTER_KEY_SIZE];
	struct atl_errinfo info = { 0 };
	struct atl_buf sealed, again, plain;

	atl_random(key, sizeof(key));
	atl_random(other, sizeof(other));
	atl_buf_init(&sealed, 200);
	atl_buf_init(&again, 200);
	atl_buf_init(&plain, 200);
	assert_int_equal(atl_seal(&sealed, key, "providers/1", "sk-secret", 9), ATL_OK);
	assert_int_equal(atl_seal(&again, key, "providers/1", "sk-secret", 9), ATL_OK);
	assert_int_equal(sealed.length, 24 + 9 + 16);
	assert_memory_not_equal(sealed.data, again.data, sealed.length); /* fresh nonce */
	assert_int_equal(atl_unseal(&plain, key, "providers/1", sealed.data, sealed.length, &info), ATL_OK);
	assert_string_equal(plain.data, "sk-secret");

	/* What does not open leaves the buffer as it was. */
	assert_int_equal(atl_unseal(&plain, other, "providers/1", sealed.data, sealed.length, &info), ATL_ERR_CONFIG);
	assert_int_equal(atl_unseal(&plain, key, "providers/2", sealed.data, sealed.length, &info), ATL_ERR_CONFIG);
	assert_int_equal(atl_unseal(&plain, key, "", sealed.data, sealed.length, &info), ATL_ERR_CONFIG);
	for (size_t i = 0; i < sealed.length; i++) {
		sealed.data[i] ^= 1;
		assert_int_equal(atl_unseal(&plain, key, "providers/1", sealed.data, sealed.length, &info),
				 ATL_ERR_CONFIG);
		sealed.data[i] ^= 1;
		assert_int_equal(atl_unseal(&plain, key, "providers/1", sealed.data, i, NULL), ATL_ERR_CONFIG);
	}
	assert_int_equal(plain.length, 9);
	assert_string_equal(plain.data, "sk-secret");
	atl_buf_finish(&plain);

	atl_buf_init(&plain, 8);
	assert_int_equal(atl_unseal(&plain, key, "providers/1", sealed.data, sealed.length, &info), ATL_ERR_TOO_LARGE);
	atl_buf_finish(&plain);
	atl_buf_finish(&sealed);
	atl_buf_init(&sealed, 48);
	assert_int_equal(atl_seal(&sealed, key, "c", "sk-secret", 9), ATL_ERR_TOO_LARGE);
	atl_buf_finish(&sealed);

	atl_buf_reset(&again);
	atl_buf_init(&plain, 8);
	assert_int_equal(atl_seal(&again, key, "c", "", 0), ATL_OK);
	assert_int_equal(atl_unseal(&plain, key, "c", again.data, again.length, &info), ATL_OK);
	assert_int_equal(plain.length, 0);
	atl_buf_finish(&plain);
	atl_buf_finish(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sha256), cmocka_unit_test(test_sha1),
					    cmocka_unit_test(test_hmac),   cmocka_unit_test(test_random),
					    cmocka_unit_test(test_password), cmocka_unit_test(test_seal) };

	return cmocka_run_group_tests_name("base/crypto", tests, set_up, NULL);
}
