/* test_guard.c - which addresses may be reached: a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/guard.h"

static const struct {
	const char *url;
	enum atl_err expected;
} URLS[] = {
	{"https://api.example.com/v1", ATL_OK},
	{"http://8.8.8.8:8080/", ATL_OK},
	{"http://[2606:4700::1111]/", ATL_OK},
	{"http://127.0.0.1/", ATL_ERR_OUTBOUND},
	{"http://127.9.9.9/", ATL_ERR_OUTBOUND},
	{"http://10.1.2.3/", ATL_ERR_OUTBOUND},
	{"http://172.31.0.1/", ATL_ERR_OUTBOUND},
	{"http://172.32.0.1/", ATL_OK},
	{"http://192.168.0.1/", ATL_ERR_OUTBOUND},
	{"http://169.254.169.254/latest/meta-data", ATL_ERR_OUTBOUND},
	{"http://100.64.0.1/", ATL_ERR_OUTBOUND},
	{"http://100.128.0.1/", ATL_OK},
	{"http://0.0.0.0/", ATL_ERR_OUTBOUND},
	{"http://224.0.0.1/", ATL_ERR_OUTBOUND},
	{"http://255.255.255.255/", ATL_ERR_OUTBOUND},
	{"http://[::1]/", ATL_ERR_OUTBOUND},
	{"http://[::]/", ATL_ERR_OUTBOUND},
	{"http://[::ffff:127.0.0.1]/", ATL_ERR_OUTBOUND},
	{"http://[::ffff:7f00:1]/", ATL_ERR_OUTBOUND},
	{"http://[::ffff:8.8.8.8]/", ATL_OK},
	{"http://[::127.0.0.1]/", ATL_ERR_OUTBOUND},
	{"http://[64:ff9b::10.0.0.1]/", ATL_ERR_OUTBOUND},
	{"http://[2002:7f00:1::]/", ATL_ERR_OUTBOUND},
	{"http://[fe80::1]/", ATL_ERR_OUTBOUND},
	{"http://[fd00::1]/", ATL_ERR_OUTBOUND},
	{"http://[ff02::1]/", ATL_ERR_OUTBOUND},
	{"http://[fe80::1%25eth0]/", ATL_ERR_INVALID},
	{"http://2130706433/", ATL_ERR_INVALID},
	{"http://0x7f000001/", ATL_ERR_INVALID},
	{"http://0x7f.1/", ATL_ERR_INVALID},
	{"http://0177.0.0.1/", ATL_ERR_INVALID},
	{"http://127.1/", ATL_ERR_INVALID},
	{"http://127.0.0.1./", ATL_ERR_OUTBOUND},
	{"http://user@127.0.0.1/", ATL_ERR_INVALID},
	{"http://api.example.com@127.0.0.1/", ATL_ERR_INVALID},
	{"http://api.example.com:80@10.0.0.1/", ATL_ERR_INVALID},
	{"http://api.example.com\\@10.0.0.1/", ATL_ERR_INVALID},
	{"http://api.example.com#@10.0.0.1/", ATL_OK},
	{"http://exa mple.com/", ATL_ERR_INVALID},
	{"http://example.com\r\nX: y/", ATL_ERR_INVALID},
	{"http:///path", ATL_ERR_INVALID},
	{"http://example.com:0/", ATL_ERR_INVALID},
	{"http://example.com:65536/", ATL_ERR_INVALID},
	{"http://example.com:/", ATL_ERR_INVALID},
	{"http://example.com:80:80/", ATL_ERR_INVALID},
	{"http://[::1/", ATL_ERR_INVALID},
	{"http://[::1]x/", ATL_ERR_INVALID},
	{"http://[127.0.0.1]/", ATL_ERR_INVALID},
	{"file:///etc/passwd", ATL_ERR_OUTBOUND},
	{"gopher://example.com/", ATL_ERR_OUTBOUND},
	{"ftp://example.com/", ATL_ERR_OUTBOUND},
	{"//example.com/", ATL_ERR_OUTBOUND},
	{"", ATL_ERR_OUTBOUND},
};

static void test_urls(void **state)
{
	struct atl_guard guard;

	(void)state;
	assert_int_equal(atl_guard_init(&guard, NULL, NULL), ATL_OK);
	for (size_t i = 0; i < ATL_COUNT(URLS); i++) {
		enum atl_err err = atl_guard_url(&guard, URLS[i].url, NULL);

		if (err != URLS[i].expected)
			print_message("%s: %s\n", URLS[i].url, atl_err_name(err));
		assert_int_equal(err, URLS[i].expected);
	}
	atl_guard_finish(&guard);
}

static void test_rules(void **state)
{
	static const char *const ALLOW[] = {"10.0.0.0/8", "192.168.1.5", "fd00::/8", "ollama.lan:11434", "[::1]:8080", NULL};
	static const char *const WRONG[] = {"10.0.0.0/33", "no/8", "host:0", "a b", "[::1", ""};
	struct atl_guard guard;

	(void)state;
	assert_int_equal(atl_guard_init(&guard, ALLOW, NULL), ATL_OK);
	assert_true(atl_guard_address(&guard, "x", 80, "10.200.0.1"));
	assert_true(atl_guard_address(&guard, "x", 80, "::ffff:10.200.0.1"));
	assert_true(atl_guard_address(&guard, "x", 80, "192.168.1.5"));
	assert_false(atl_guard_address(&guard, "x", 80, "192.168.1.6"));
	assert_true(atl_guard_address(&guard, "x", 80, "fd12::1"));
	assert_true(atl_guard_address(&guard, "OLLAMA.lan", 11434, "172.16.0.9"));
	assert_false(atl_guard_address(&guard, "ollama.lan", 80, "172.16.0.9"));
	assert_false(atl_guard_address(&guard, "ollama.lan", 11434, "224.0.0.1"));
	assert_true(atl_guard_address(&guard, "::1", 8080, "::1"));
	assert_false(atl_guard_address(&guard, "::1", 8081, "::1"));
	assert_false(atl_guard_address(&guard, "x", 80, "nonsense"));
	assert_true(atl_guard_address(&guard, "x", 80, "1.1.1.1"));
	atl_guard_finish(&guard);
	for (size_t i = 0; i < ATL_COUNT(WRONG); i++) {
		const char *const one[] = {WRONG[i], NULL};

		assert_int_equal(atl_guard_init(&guard, one, NULL), ATL_ERR_CONFIG);
	}
}

static void test_allow_private(void **state)
{
	struct atl_guard guard = {.allow_private = true};

	(void)state;
	assert_true(atl_guard_address(&guard, "x", 80, "127.0.0.1"));
	assert_true(atl_guard_address(&guard, "x", 80, "fe80::1%eth0"));
	assert_false(atl_guard_address(&guard, "x", 80, "0.0.0.0"));
	assert_false(atl_guard_address(&guard, "x", 80, "::"));
	assert_false(atl_guard_address(&guard, "x", 80, "239.1.1.1"));
	assert_false(atl_guard_address(&guard, "x", 80, "ff02::1"));
	assert_false(atl_guard_address(NULL, "x", 80, "1.1.1.1"));
}

static void test_peers(void **state)
{
	static const char *const good[] = {"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "unix", NULL};
	static const char *const bad[] = {"localhost", "10.0.0.0/33", "10.0.0.1:80", "2001:db8::/129", "/8", "proxy.lan", "10.0.0/8", "x/1"};
	struct atl_errinfo info = {0};
	struct atl_guard guard;

	assert_int_equal(atl_guard_init_peers(&guard, good, &info), ATL_OK);
	assert_true(atl_guard_listed(&guard, "10.255.1.2"));
	assert_true(atl_guard_listed(&guard, "192.0.2.7"));
	assert_true(atl_guard_listed(&guard, "2001:db8:ffff::1"));
	assert_true(atl_guard_listed(&guard, "::1"));
	assert_true(atl_guard_listed(&guard, "unix"));
	assert_false(atl_guard_listed(&guard, "11.0.0.1"));
	assert_false(atl_guard_listed(&guard, "192.0.2.8"));
	assert_false(atl_guard_listed(&guard, "2001:db9::1"));
	assert_false(atl_guard_listed(&guard, "unknown"));
	assert_false(atl_guard_listed(&guard, ""));
	atl_guard_finish(&guard);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const list[] = {"127.0.0.1", bad[i], NULL};

		if (atl_guard_init_peers(&guard, list, &info) == ATL_OK)
			fail_msg("%s was taken", bad[i]);
	}
	assert_int_equal(atl_guard_init_peers(&guard, NULL, &info), ATL_OK);
	assert_false(atl_guard_listed(&guard, "127.0.0.1"));
	atl_guard_finish(&guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls), cmocka_unit_test(test_rules),
					   cmocka_unit_test(test_allow_private), cmocka_unit_test(test_peers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
