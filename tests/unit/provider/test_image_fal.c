/* test_image_fal.c - fal's pure parts: places of runs, steps in logs, signed messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_fal.h"

/* Signed elsewhere, with the private key 00 01 .. 1f. */
#define KEY "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
#define SIGNATURE \
	"f4d0d99b644df08698630e0cfcdccd5794db1231966f13406a2896c9d599cb21" \
	"c6f3bed8db660c7957e7ec046fff94112ded1072f62fbd03671f05567572b70a"
#define JWKS "{\"keys\":[7,{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}," \
	     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" KEY "\"}]}"
#define BODY "{\"request_id\":\"1111\",\"status\":\"OK\"}"
#define SENT_S 1790000000

static enum atl_err check(const struct atl_fal_webhook *webhook, int64_t later_s)
{
	return atl_fal_webhook_check(JWKS, strlen(JWKS), webhook, (SENT_S + later_s) * 1000, NULL);
}

static void signed_messages(void **state)
{
	const struct atl_fal_webhook good = { "1111", "user-1", "1790000000", SIGNATURE, BODY, strlen(BODY) };
	struct atl_fal_webhook other;

	(void)state;
	assert_int_equal(check(&good, 0), ATL_OK);
	assert_int_equal(check(&good, 300), ATL_OK);
	assert_int_equal(check(&good, 301), ATL_ERR_FORBIDDEN);
	assert_int_equal(check(&good, -301), ATL_ERR_FORBIDDEN);
	assert_int_equal(atl_fal_webhook_check("{}", 2, &good, SENT_S * 1000LL, NULL), ATL_ERR_FORBIDDEN);
	assert_int_equal(atl_fal_webhook_check("[", 1, &good, SENT_S * 1000LL, NULL), ATL_ERR_FORBIDDEN);
	other = good;
	other.body = "{\"request_id\":\"1111\",\"status\":\"KO\"}";
	assert_int_equal(check(&other, 0), ATL_ERR_FORBIDDEN);
	other = good;
	other.user_id = "user-2";
	assert_int_equal(check(&other, 0), ATL_ERR_FORBIDDEN);
	other = good;
	other.timestamp = "1790000001";
	assert_int_equal(check(&other, 0), ATL_ERR_FORBIDDEN);
	other = good;
	other.signature = "00";
	assert_int_equal(check(&other, 0), ATL_ERR_FORBIDDEN);
	other = good;
	other.signature = NULL;
	assert_int_equal(check(&other, 0), ATL_ERR_FORBIDDEN);
}

static void steps_in_logs(void **state)
{
	int64_t step = 0, steps = 0;

	(void)state;
	assert_true(atl_fal_log_steps(" 43%|####    | 12/28 [00:01<00:02]", &step, &steps));
	assert_int_equal(step, 12);
	assert_int_equal(steps, 28);
	assert_true(atl_fal_log_steps("100%||4/4", &step, &steps));
	assert_int_equal(steps, 4);
	assert_false(atl_fal_log_steps("", &step, &steps));
	assert_false(atl_fal_log_steps("50%|", &step, &steps));
	assert_false(atl_fal_log_steps("50%|#| 5/4", &step, &steps));
	assert_false(atl_fal_log_steps("50%|#| 1/0", &step, &steps));
	assert_false(atl_fal_log_steps("50%|#| 99999999999/99999999999", &step, &steps));
	assert_int_equal(steps, 4);
}

static void places(void **state)
{
	(void)state;
	assert_true(atl_fal_remote_valid("fal-ai/flux/requests/11-22"));
	assert_false(atl_fal_remote_valid(NULL));
	assert_false(atl_fal_remote_valid(""));
	assert_false(atl_fal_remote_valid("fal-ai/flux"));
	assert_false(atl_fal_remote_valid("/fal-ai/flux/requests/1"));
	assert_false(atl_fal_remote_valid("fal-ai/../requests/1"));
	assert_false(atl_fal_remote_valid("fal-ai/flux/requests/1?x=1"));
	assert_false(atl_fal_remote_valid("https://example.org/requests/1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signed_messages), cmocka_unit_test(steps_in_logs), cmocka_unit_test(places),
	};

	return atl_crypto_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
