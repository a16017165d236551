/* Addresses and blocks of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/ip.h"

static void what_is_an_address(void **state)
{
	static const struct {
		const char *text;
		bool v4;
	} good[] = { { "192.0.2.7", true }, { "0.0.0.0", true }, { "::", false }, { "2001:DB8::1", false }, { "::ffff:192.0.2.7", false } };
	static const char *const bad[] = { "", " 192.0.2.7", "192.0.2.7 ", "192.0.2", "192.0.2.256", "0300.0.2.7", "0xc0.0.2.7", "3221225991",
					   "fe80::1%eth0", "[::1]", "::1::", "12345::", "192.0.2.7/32", "example.org" };
	struct atl_ip ip, same;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(atl_ip_read(good[i].text, &ip));
		assert_int_equal(ip.v4, good[i].v4);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (atl_ip_read(bad[i], &ip))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_true(atl_ip_read("192.0.2.7", &ip) && atl_ip_read("::ffff:192.0.2.7", &same));
	assert_memory_equal(ip.bytes, same.bytes, 16);
}

static void what_is_in_a_block(void **state)
{
	static const struct {
		const char *address, *block;
		unsigned bits;
		bool in;
	} rows[] = {
		{ "2001:db8::1", "::", 0, true },	 { "2001:db8::1", "2001:db8::", 32, true },
		{ "2001:db9::1", "2001:db8::", 32, false }, { "2001:db9::1", "2001:db8::", 31, true },
		{ "10.127.0.1", "10.0.0.0", ATL_IP_MAPPED_BITS + 9, true },
		{ "10.128.0.1", "10.0.0.0", ATL_IP_MAPPED_BITS + 9, false },
		{ "::1", "::1", 128, true },		 { "::2", "::1", 128, false },
		{ "::2", "::3", 127, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct atl_ip address, block;

		assert_true(atl_ip_read(rows[i].address, &address) && atl_ip_read(rows[i].block, &block));
		if (atl_ip_in(address.bytes, block.bytes, rows[i].bits) != rows[i].in)
			fail_msg("%s in %s/%u", rows[i].address, rows[i].block, rows[i].bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_an_address),
		cmocka_unit_test(what_is_in_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
