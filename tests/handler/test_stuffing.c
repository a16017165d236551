/* Ten thousand tries to sign in, with names and passwords of somewhere else, stop whoever sends them and not the owner;
 * nearly all are refused before a password is looked at, and a wrong name costs the same work as a wrong password. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/access/throttle.h"
#include "support.h"

#define TRIES 10000
#define PASSWORD_OK "{\"name\":\"Olga\",\"password\":\"correct horse\"}"

/* ---- how often Argon2 ran ---- */

static atomic_uint hashed;

int __real_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long length);
int __wrap_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long length);
int __real_atl_password_hash(const char *password, char out[ATL_PASSWORD_HASH_SIZE]);
int __wrap_atl_password_hash(const char *password, char out[ATL_PASSWORD_HASH_SIZE]);

int __wrap_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long length)
{
	if (strncmp(hash, "$argon2", 7) == 0) /* else there is nothing to compute */
		atomic_fetch_add(&hashed, 1);
	return __real_crypto_pwhash_str_verify(hash, password, length);
}

int __wrap_atl_password_hash(const char *password, char out[ATL_PASSWORD_HASH_SIZE])
{
	atomic_fetch_add(&hashed, 1);
	return __real_atl_password_hash(password, out);
}

/* ---- tries ---- */

static int try_from(struct site *site, const char *remote, const char *more, const char *body)
{
	const char *const lines[] = { fmt("X-Forwarded-For: %s", remote), more, NULL };
	struct atl_req *req = ask_with(site, &nobody, lines, "POST /api/v1/session", body);

	if (req->status == 429)
		assert_true(int_at(req, "retry_after_s") > 0);
	return req->status;
}

static const char *guess(const char *name, int number)
{
	return fmt("{\"name\":\"%s\",\"password\":\"guess number %d\"}", name, number);
}

static const char *address(int number)
{
	return fmt("203.%d.%d.%d", number >> 16 & 255, number >> 8 & 255, number & 255);
}

static void assert_few(unsigned looked_at, unsigned refused)
{
	assert_int_equal(atomic_load(&hashed), looked_at);
	assert_int_equal(refused + looked_at, TRIES);
	assert_in_range(looked_at, 1, TRIES / 200);
}

/* One address, a thousand names, the owner's among them. */
static void test_one_address(void **state)
{
	struct site *site = *state;
	unsigned looked_at = 0, refused = 0;

	for (int i = 0; i < TRIES; i++) {
		int status = try_from(site, "203.0.113.5", NULL, guess(i % 10 ? fmt("name %d", i % 1000) : "Olga", i));

		looked_at += status == 401;
		refused += status == 429;
	}
	assert_few(looked_at, refused);
	assert_int_equal(try_from(site, "203.0.113.5", NULL, PASSWORD_OK), 429); /* not even with what was found out meanwhile */
	expect(ask(site, &owner, "GET /api/v1/me", NULL), 200);
	assert_int_equal(try_from(site, "198.51.100.9", NULL, PASSWORD_OK), 201);
}

/* Ten thousand addresses, a try each at the owner's name: addresses and devices of the owner still get in. */
static void test_many_addresses(void **state)
{
	struct site *site = *state;
	const char *home = "198.51.100.9", *set, *end;
	unsigned looked_at = 0, refused = 0;
	struct atl_req *req;
	char device[300];

	/* the owner signed in before: the address is known, and so is the browser */
	req = expect(ask_with(site, &nobody, (const char *const[]){ "X-Forwarded-For: 198.51.100.9", NULL },
			      "POST /api/v1/session", PASSWORD_OK), 201);
	set = strstr(atl_mock_lines(req), "atelier_device=");
	assert_non_null(set);
	end = strchr(set, ';');
	assert_non_null(end);
	snprintf(device, sizeof(device), "Cookie: %.*s", (int)(end - set), set);
	atomic_store(&hashed, 0);
	for (int i = 0; i < TRIES; i++) {
		int status = try_from(site, address(i), NULL, guess("Olga", i));

		looked_at += status == 401;
		refused += status == 429;
	}
	assert_few(looked_at, refused);
	expect(ask(site, &owner, "GET /api/v1/me", NULL), 200);
	assert_int_equal(try_from(site, home, NULL, PASSWORD_OK), 201);
	assert_int_equal(try_from(site, "192.0.2.77", device, PASSWORD_OK), 201); /* abroad, with one's own browser */
	assert_int_equal(try_from(site, "192.0.2.78", NULL, guess("somebody else", 1)), 401); /* others are not touched */
}

/* The same work for a name that exists and one that does not; the figure is in tests/system/test_sign_in.py. */
static void test_same_work(void **state)
{
	struct site *site = *state;

	assert_int_equal(try_from(site, "203.0.113.1", NULL, guess("Olga", 1)), 401);
	assert_int_equal(atomic_load(&hashed), 1);
	assert_int_equal(try_from(site, "203.0.113.2", NULL, guess("nobody", 1)), 401);
	assert_int_equal(atomic_load(&hashed), 2);
	execute(site->app.db, fmt("UPDATE users SET password_hash = '!' WHERE id = '%s'", owner.id));
	assert_int_equal(try_from(site, "203.0.113.3", NULL, guess("Olga", 1)), 401);
	assert_int_equal(atomic_load(&hashed), 3);
}

static int setup(void **state)
{
	int failed = site_setup(state);

	clock_hold(); /* however long the ten thousand take */
	atomic_store(&hashed, 0);
	return failed;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_one_address), TEST(test_many_addresses), TEST(test_same_work) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
