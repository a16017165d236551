/* What guessers try first is told from what people could keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/access/common_password.h"

static void test_common(void **state)
{
	static const char *const COMMON[] = {
		"password", "Password1", "P@ssw0rd!", "p4ssw0rd123", "12345678", "1234567890", "qwertyuiop", "qwer1234", "1q2w3e4r5t",
		"aaaaaaaa", "abcabcabc", "iloveyou2", "Dragon1984", "!!Monkey99", "letmein1", "admin123", "Welcome2024!", "31.12.1999",
		"87654321", "abcdefgh", "asdfghjkl", "zaq12wsx", "passwordpassword", "changeme!", "5ecret123", "qwertz123", "11111111",
		"00000000", "Summer2025", "trustno1", "football12", "1qaz2wsx", "147258369", "superman!", "11223344",
	};

	for (size_t i = 0; i < ATL_COUNT(COMMON); i++)
		if (!atl_password_common(COMMON[i], NULL))
			fail_msg("%s is not seen as common", COMMON[i]);
}

static void test_own_name(void **state)
{
	assert_true(atl_password_common("olivia2024", "Olivia"));
	assert_true(atl_password_common("Olivia!!", "olivia"));
	assert_false(atl_password_common("olivia has a boat", "Olivia"));
	assert_false(atl_password_common("olivia2024", "Bert"));
	assert_false(atl_password_common("boathouse42 lamp", ""));
}

static void test_others(void **state)
{
	static const char *const FINE[] = {
		"correct horse battery", "tangerine-otter-42", "kX9$vb2!qLm", "a password of vera", "my dragon sleeps late",
		"passwordless is nice", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-Gru\xc3\x9f-7", "1 lamp 2 boats", "hunter gatherers 12",
	};

	for (size_t i = 0; i < ATL_COUNT(FINE); i++)
		if (atl_password_common(FINE[i], "Olivia"))
			fail_msg("%s is seen as common", FINE[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_common), cmocka_unit_test(test_own_name), cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
