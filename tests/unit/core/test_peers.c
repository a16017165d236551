/* What another server says is taken as it is meant, and anything else is not taken at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/server/peers.h"

#define SERVER "srv_01M7ZPGPDYADVC3WNBAV3N5GWB"

static void test_news(void **state)
{
	char origin[ATL_ID_SIZE], id[ATL_ID_SIZE];
	enum atl_peers_news news;

	assert_true(atl_peers_parse(SERVER " credential ses_01M7ZPGPDYADVC3WNBAV3N5GWB", origin, &news, id));
	assert_string_equal(origin, SERVER);
	assert_int_equal(news, ATL_PEERS_CREDENTIAL);
	assert_string_equal(id, "ses_01M7ZPGPDYADVC3WNBAV3N5GWB");
	assert_true(atl_peers_parse(SERVER " user usr_1", origin, &news, id));
	assert_int_equal(news, ATL_PEERS_USER);
	assert_true(atl_peers_parse(SERVER " switches -", origin, &news, id));
	assert_int_equal(news, ATL_PEERS_SWITCHES);
	assert_string_equal(id, "");
	assert_true(atl_peers_parse(SERVER " all -", origin, &news, id));
	assert_int_equal(news, ATL_PEERS_ALL);
}

static void test_anything_else(void **state)
{
	static const char *const bad[] = {
		"", " ", "  ", "   ", SERVER, SERVER " ", SERVER " user", SERVER " user ", SERVER " users usr_1", SERVER " use usr_1",
		" user usr_1", SERVER " user usr_1 usr_2", SERVER " USER usr_1", SERVER SERVER " user usr_1",
		SERVER " user usr_01M7ZPGPDYADVC3WNBAV3N5GWBusr_01M7ZPGPDYADVC3WNBAV3N5GWB", SERVER "  usr_1", "\x01 \x02 \x03",
	};
	char origin[ATL_ID_SIZE], id[ATL_ID_SIZE];
	enum atl_peers_news news;

	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		if (atl_peers_parse(bad[i], origin, &news, id))
			fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_news), cmocka_unit_test(test_anything_else) };

	return cmocka_run_group_tests_name("core/server/peers", tests, NULL, NULL);
}
