/* Redis: addresses; servers that refuse, say nonsense, hang or go away; and a real one where ATELIER_TEST_REDIS names it. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"
#include "db/redis.h"

static void good(const char *url, const char *host, int port, int database, const char *user, const char *password)
{
	struct atl_redis_address address;
	struct atl_errinfo info = { 0 };

	if (atl_redis_address(url, &address, &info) != ATL_OK)
		fail_msg("%s: %s", url, info.detail);
	assert_string_equal(address.host, host);
	assert_int_equal(address.port, port);
	assert_int_equal(address.database, database);
	assert_string_equal(address.user, user);
	assert_string_equal(address.password, password);
}

static void test_addresses(void **state)
{
	good("redis://cache", "cache", 6379, 0, "", "");
	good("redis://cache:7000/3", "cache", 7000, 3, "", "");
	good("redis://:p%40ss@10.0.0.1/", "10.0.0.1", 6379, 0, "", "p@ss");
	good("redis://ada:hush@cache:1", "cache", 1, 0, "ada", "hush");
	good("redis://:x@[2001:db8::1]:7000/2", "2001:db8::1", 7000, 2, "", "x");
	good("redis://[::1]", "::1", 6379, 0, "", "");
	good("unix:///run/redis.sock", "/run/redis.sock", 6379, 0, "", "");
	good("unix:///run/a%20b?db=4", "/run/a b", 6379, 4, "", "");
}

static void test_bad_addresses(void **state)
{
	static const char *const bad[] = { "", "cache", "http://cache", "rediss://cache", "redis://", "redis:///1", "redis://cache:",
					   "redis://cache:x", "redis://cache:99999", "redis://cache/x", "redis://secret@cache",
					   "redis://[::1", "redis://[::1]7000", "redis://:%zz@cache", "unix://run", "unix:///a?x=1",
					   "redis://:secret@/1", "redis://cache:123456789", "unix:///a?db=-1" };
	struct atl_redis_address address;

	for (size_t i = 0; i < ATL_COUNT(bad); i++) {
		struct atl_errinfo info = { 0 };

		if (atl_redis_address(bad[i], &address, &info) != ATL_ERR_CONFIG)
			fail_msg("%s was taken", bad[i]);
		assert_null(strstr(info.detail, "secret"));
	}
}

/* ---- a server with a fixed answer ---- */

struct scripted {
	int listener;
	const char *says; /* NULL: nothing, ever */
	char path[64];
	pthread_t thread;
};

static void *scripted_main(void *arg)
{
	struct scripted *scripted = arg;
	char got[512];
	int fd = accept(scripted->listener, NULL, NULL);

	while (fd >= 0 && read(fd, got, sizeof(got)) > 0) {
		if (scripted->says && write(fd, scripted->says, strlen(scripted->says)) < 0)
			break;
		if (scripted->says && !*scripted->says) /* hang up */
			break;
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void scripted_start(struct scripted *scripted, const char *says)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(scripted->path, sizeof(scripted->path), "/tmp/atl-redis-%d.sock", (int)getpid());
	unlink(scripted->path);
	atl_str_copy(address.sun_path, sizeof(address.sun_path), scripted->path);
	scripted->says = says;
	scripted->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(scripted->listener >= 0);
	assert_int_equal(bind(scripted->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(scripted->listener, 4), 0);
	assert_int_equal(pthread_create(&scripted->thread, NULL, scripted_main, scripted), 0);
}

static void scripted_end(struct scripted *scripted)
{
	pthread_join(scripted->thread, NULL);
	close(scripted->listener);
	unlink(scripted->path);
}

static enum atl_err open_scripted(const char *says, struct atl_errinfo *info)
{
	struct atl_redis_address address = { .port = 0 };
	struct atl_redis *redis = NULL;
	struct scripted scripted;
	enum atl_err err;

	scripted_start(&scripted, says);
	atl_str_copy(address.host, sizeof(address.host), scripted.path);
	err = atl_redis_open(&address, &redis, info);
	if (!err) {
		int64_t number;

		err = atl_redis_numbers(redis, "return 1", NULL, 0, NULL, 0, &number, 1, info);
		atl_redis_close(redis);
	}
	scripted_end(&scripted);
	return err;
}

static void test_nobody_there(void **state)
{
	struct atl_redis_address address = { .host = "/tmp/atl-redis-is-not-here.sock" };
	struct atl_redis *redis = NULL;
	struct atl_errinfo info = { 0 };

	assert_int_not_equal(atl_redis_open(&address, &redis, &info), ATL_OK);
	assert_null(redis);
	assert_non_null(strstr(info.detail, "Redis"));
}

static void test_nonsense(void **state)
{
	static const char *const says[] = { "hello\r\n", "$-9\r\n", "*99999999999\r\n", "-ERR no\r\n", "", "$4294967296\r\nx",
					    "+PONG\r\n", "*1\r\n$1\r\nx\r\n", "*0\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n" };

	for (size_t i = 0; i < ATL_COUNT(says); i++) {
		struct atl_errinfo info = { 0 };

		if (open_scripted(says[i], &info) == ATL_OK)
			fail_msg("\"%s\" was taken for an answer", says[i]);
		assert_true(info.detail[0]);
	}
}

static void test_refused(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_int_equal(open_scripted("-NOAUTH Authentication required.\r\n", &info), ATL_ERR_UPSTREAM_AUTH);
}

static void test_silence_ends(void **state)
{
	struct atl_errinfo info = { 0 };
	uint64_t begin = atl_monotonic_ms();

	assert_int_equal(open_scripted(NULL, &info), ATL_ERR_UPSTREAM_TIMEOUT);
	assert_true(atl_monotonic_ms() - begin < 30 * ATL_REDIS_TIMEOUT_MS);
}

/* ---- a real one ---- */

static void test_real(void **state)
{
	const char *url = getenv("ATELIER_TEST_REDIS"), *key = "atelier:test";
	struct atl_redis *speaker, *listener;
	struct atl_redis_address address;
	struct atl_errinfo info = { 0 };
	int64_t numbers[2], args[2] = { 7, -9007199254740993 };
	char message[ATL_REDIS_TEXT_MAX] = "";
	enum atl_redis_heard heard;

	assert_int_equal(atl_redis_address(url, &address, &info), ATL_OK);
	assert_int_equal(atl_redis_open(&address, &speaker, &info), ATL_OK);
	assert_int_equal(atl_redis_open(&address, &listener, &info), ATL_OK);
	assert_int_equal(atl_redis_numbers(speaker, "return {tonumber(ARGV[1]), #KEYS}", &key, 1, args, 2, numbers, 2, &info), ATL_OK);
	assert_int_equal(numbers[0], 7);
	assert_int_equal(numbers[1], 1);
	assert_int_not_equal(atl_redis_numbers(speaker, "return {1}", &key, 1, NULL, 0, numbers, 2, &info), ATL_OK);
	assert_int_not_equal(atl_redis_numbers(speaker, "this is no Lua", NULL, 0, NULL, 0, numbers, 1, &info), ATL_OK);
	assert_int_equal(atl_redis_ping(speaker, &info), ATL_OK); /* an error of a script ends nothing */
	assert_int_equal(atl_redis_subscribe(listener, "atelier_test", &info), ATL_OK);
	assert_int_equal(atl_redis_poke(listener, &info), ATL_OK);
	assert_int_equal(atl_redis_publish(speaker, "atelier_test", "some news", &info), ATL_OK);
	do {
		heard = atl_redis_hear(listener, message, sizeof(message));
		if (heard == ATL_REDIS_NOTHING)
			assert_int_equal(atl_redis_read(listener, &info), ATL_OK);
	} while (heard == ATL_REDIS_NOTHING || heard == ATL_REDIS_OTHER);
	assert_int_equal(heard, ATL_REDIS_MESSAGE);
	assert_string_equal(message, "some news");
	atl_redis_close(speaker);
	atl_redis_close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_bad_addresses), cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_nonsense),  cmocka_unit_test(test_refused),	cmocka_unit_test(test_silence_ends),
		cmocka_unit_test(test_real), /* the last: left out where there is none */
	};

	signal(SIGPIPE, SIG_IGN);
	if (atl_crypto_init() != ATL_OK)
		return 1;
	return _cmocka_run_group_tests("db/redis", tests, ATL_COUNT(tests) - (getenv("ATELIER_TEST_REDIS") ? 0 : 1), NULL, NULL);
}
