/* Codes as RFC 6238 lists them, and each only once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/err.h"
#include "core/access/totp.h"

#define SECRET "12345678901234567890"

static void test_vectors(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *code; /* the last six of the eight digits in appendix B */
	} VECTORS[] = {
		{ 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" },
		{ 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" },
	};

	for (size_t i = 0; i < ATL_COUNT(VECTORS); i++) {
		char code[ATL_TOTP_DIGITS + 1];

		atl_totp_code(SECRET, 20, VECTORS[i].seconds / 30, code);
		assert_string_equal(code, VECTORS[i].code);
	}
}

static void test_window(void **state)
{
	int64_t step = 0, now = 1111111111;
	char code[ATL_TOTP_DIGITS + 1];

	for (int64_t around = -3; around <= 3; around++) {
		atl_totp_code(SECRET, 20, (uint64_t)(now / 30 + around), code);
		assert_int_equal(atl_totp_check(SECRET, 20, now, 0, code, &step), around >= -1 && around <= 1);
	}
}

static void test_once(void **state)
{
	int64_t step = 0, now = 1111111111;

	assert_true(atl_totp_check(SECRET, 20, now, 0, "050471", &step));
	assert_int_equal(step, now / 30);
	assert_false(atl_totp_check(SECRET, 20, now, step, "050471", &step));
	assert_false(atl_totp_check(SECRET, 20, now, step, "081804", &step)); /* nor an earlier one after it */
}

static void test_not_codes(void **state)
{
	static const char *const BAD[] = { "", "05047", "0504711", "50471", " 50471", "050472", "abcdef", "050471 " };
	int64_t step = 0;

	for (size_t i = 0; i < ATL_COUNT(BAD); i++)
		assert_false(atl_totp_check(SECRET, 20, 1111111111, 0, BAD[i], &step));
}

static void test_base32(void **state)
{
	static const char *const VECTORS[][2] = { /* RFC 4648, section 10 */
		{ "", "" }, { "f", "MY" }, { "fo", "MZXQ" }, { "foo", "MZXW6" }, { "foob", "MZXW6YQ" },
		{ "fooba", "MZXW6YTB" }, { "foobar", "MZXW6YTBOI" },
	};

	for (size_t i = 0; i < ATL_COUNT(VECTORS); i++) {
		struct atl_buf buf;

		atl_buf_init(&buf, 100);
		atl_base32_encode(&buf, VECTORS[i][0], strlen(VECTORS[i][0]));
		assert_string_equal(buf.length ? buf.data : "", VECTORS[i][1]);
		atl_buf_finish(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_window), cmocka_unit_test(test_once),
		cmocka_unit_test(test_not_codes), cmocka_unit_test(test_base32),
	};

	if (atl_crypto_init() != ATL_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
