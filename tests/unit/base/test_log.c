/* Log lines as they reach the file: both formats, masking, cutting, reopening, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

static char folder[64], path[96], moved[96], content[1 << 20];

static int64_t fixed_now(void)
{
	return INT64_C(1767323045678);
}

static int set_up(void **state)
{
	strcpy(folder, "/tmp/atl-log-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(moved, sizeof(moved), "%s/log.1", folder);
	atl_clock_set(fixed_now);
	return 0;
}

static int tear_down(void **state)
{
	atl_log_request_set(NULL);
	atl_log_finish();
	atl_clock_set(NULL);
	unlink(path);
	unlink(moved);
	rmdir(folder);
	return 0;
}

static const char *read_from(const char *name)
{
	FILE *file = fopen(name, "r");
	size_t length;

	assert_non_null(file);
	length = fread(content, 1, sizeof(content) - 1, file);
	content[length] = '\0';
	fclose(file);
	return content;
}

static void start(enum atl_log_level level, enum atl_log_format format)
{
	assert_int_equal(atl_log_init(level, format, path, NULL), ATL_OK);
}

static void test_logfmt(void **state)
{
	struct stat st;

	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_debug("net", "not shown");
	atl_info("net", "listening on %d", 8080);
	atl_log_request_set("req_1");
	assert_string_equal(atl_log_request_get(), "req_1");
	atl_error("db", "a \"quote\", a \\, a\nline\r\x1b and \xff");
	assert_string_equal(read_from(path),
			    "time=2026-01-02T03:04:05.678Z level=info module=net msg=\"listening on 8080\"\n"
			    "time=2026-01-02T03:04:05.678Z level=error module=db msg=\"a \\\"quote\\\", a \\\\, "
			    "a\\nline\\u000d\\u001b and \xEF\xBF\xBD\" request=\"req_1\"\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_json(void **state)
{
	struct atl_arena arena;
	struct atl_json *line;

	atl_arena_init(&arena, 0);
	start(ATL_LOG_DEBUG, ATL_LOG_JSON);
	atl_log_request_set("req_\"2");
	atl_debug("net", "odd: \"\\\n\x01\xC3");
	(void)read_from(path);
	assert_int_equal(content[strlen(content) - 1], '\n');
	assert_int_equal(atl_json_parse(&arena, content, strlen(content), &line, NULL), ATL_OK);
	assert_string_equal(atl_json_str(line, "time", ""), "2026-01-02T03:04:05.678Z");
	assert_string_equal(atl_json_str(line, "level", ""), "debug");
	assert_string_equal(atl_json_str(line, "module", ""), "net");
	assert_string_equal(atl_json_str(line, "message", ""), "odd: \"\\\n\x01\xEF\xBF\xBD");
	assert_string_equal(atl_json_str(line, "request_id", ""), "req_\"2");
	atl_arena_finish(&arena);
}

static void test_level(void **state)
{
	start(ATL_LOG_ERROR, ATL_LOG_LOGFMT);
	assert_false(atl_log_enabled(ATL_LOG_WARN));
	assert_true(atl_log_enabled(ATL_LOG_ERROR));
	atl_warn("x", "hidden");
	assert_string_equal(read_from(path), "");
}

static void test_secrets(void **state)
{
	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_log_secret("short");
	atl_log_secret(NULL);
	atl_log_secret("sk-12345678");
	atl_log_secret("sk-12345678");
	atl_log_secret("sk-12345678-and-more");
	atl_log_secret("with \"quote\"");
	atl_info("x", "short sk-12345678,sk-12345678 sk-12345678-and-more sk-1234567");
	assert_non_null(strstr(read_from(path), "msg=\"short [secret],[secret] [secret] sk-1234567\""));
	atl_info("x", "<%s>", "with \"quote\"");
	assert_non_null(strstr(read_from(path), "msg=\"<[secret]>\""));
	atl_log_finish();
	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_info("x", "forgotten sk-12345678");
	assert_non_null(strstr(read_from(path), "forgotten sk-12345678"));
}

static void test_secrets_full(void **state)
{
	char secret[32];

	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	for (int i = 0; i <= ATL_LOG_SECRETS_MAX; i++) {
		snprintf(secret, sizeof(secret), "secret-number-%03d", i);
		atl_log_secret(secret);
	}
	assert_non_null(strstr(read_from(path), "No room for one more secret"));
	atl_info("x", "secret-number-063");
	assert_null(strstr(read_from(path), "secret-number-063"));
}

/* Lines around the limits end properly, and no part of a secret survives at a cut. */
static void test_cut(void **state)
{
	static char text[3 * ATL_LOG_LINE_MAX];
	char secret[601];

	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_log_request_set("req_3");
	for (size_t length = ATL_LOG_LINE_MAX - 200; length < ATL_LOG_LINE_MAX; length++) {
		memset(text, 'x', length);
		text[length] = '\0';
		atl_info("x", "%s", text);
	}
	for (char *line = (char *)read_from(path), *next; *line; line = next) {
		next = strchr(line, '\n') + 1;
		assert_true(next - line <= ATL_LOG_LINE_MAX);
		assert_memory_equal(next - 18, "\" request=\"req_3\"\n", 18);
	}
	atl_log_finish();
	unlink(path);
	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	/* Secrets shrink to their mask, so the place where the raw message was cut comes into sight. */
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = (char)('A' + i % 600 % 26);
	text[sizeof(text) - 1] = '\0';
	snprintf(secret, sizeof(secret), "%.600s", text);
	for (size_t i = 0; i + 601 < sizeof(text); i += 600)
		memcpy(text + i, secret, 600);
	atl_log_secret(secret);
	atl_info("x", "%s", text);
	assert_non_null(strstr(read_from(path), "[secret][secret]"));
	assert_null(strstr(content, "ABCDEFGHIJ"));
}

static void test_reopen(void **state)
{
	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_info("x", "one");
	assert_int_equal(rename(path, moved), 0);
	atl_info("x", "two");
	atl_log_reopen();
	atl_info("x", "three");
	assert_non_null(strstr(read_from(moved), "\"two\""));
	assert_null(strstr(content, "three"));
	assert_non_null(strstr(read_from(path), "three"));
	assert_null(strstr(content, "two"));
	start(ATL_LOG_INFO, ATL_LOG_LOGFMT); /* appends */
	atl_info("x", "four");
	assert_non_null(strstr(read_from(path), "three"));
	assert_non_null(strstr(content, "four"));
}

static void test_bad_path(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_int_equal(atl_log_init(ATL_LOG_INFO, ATL_LOG_LOGFMT, "/dev/null/nowhere/log", &info), ATL_ERR_IO);
	assert_non_null(strstr(info.detail, "/dev/null/nowhere/log"));
}

static void *chatter(void *arg)
{
	char id[16];

	snprintf(id, sizeof(id), "thread-%d", *(int *)arg);
	atl_log_request_set(id);
	for (int i = 0; i < 200; i++) {
		atl_info("x", "from %s", id);
		if (i == 100)
			atl_log_secret("another-secret");
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	int numbers[4], lines = 0;

	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	for (int i = 0; i < 4; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, chatter, &numbers[i]), 0);
	}
	atl_log_reopen();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (char *line = (char *)read_from(path), *next; *line; line = next, lines++) {
		int from, request;

		next = strchr(line, '\n') + 1;
		assert_int_equal(sscanf(line, "time=%*s level=info module=x msg=\"from thread-%d\" request=\"thread-%d\"",
					&from, &request), 2);
		assert_int_equal(from, request);
	}
	assert_int_equal(lines, 800);
	assert_string_equal(atl_log_request_get(), "");
}

#define ONE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

/* The ring keeps the last lines by level; a longer one is cut between characters, a secret stays masked. */
static void test_tail(void **state)
{
	static struct atl_log_line lines[ATL_LOG_TAIL_LINES + 1];
	char longer[ATL_LOG_TAIL_TEXT + 1];

	start(ATL_LOG_INFO, ATL_LOG_LOGFMT);
	atl_log_secret("hush-hush-hush");
	atl_warn("tail", "the secret is hush-hush-hush");
	for (int i = 0; i < ATL_LOG_TAIL_LINES + 100; i++)
		atl_info("tail", "number %d.", i);
	atl_debug("tail", "not written");
	assert_int_equal(atl_log_tail(ATL_LOG_INFO, lines, ATL_COUNT(lines)), ATL_LOG_TAIL_LINES);
	assert_non_null(strstr(lines[0].text, "number 100."));
	assert_non_null(strstr(lines[ATL_LOG_TAIL_LINES - 1].text, "number 599."));
	assert_int_equal(atl_log_tail(ATL_LOG_WARN, lines, ATL_COUNT(lines)), 0);
	atl_warn("tail", "the secret is hush-hush-hush");
	atl_error("tail", "the end");
	assert_int_equal(atl_log_tail(ATL_LOG_WARN, lines, 2), 2);
	assert_non_null(strstr(lines[0].text, "[secret]"));
	assert_null(strstr(lines[0].text, "hush"));
	assert_int_equal(lines[1].level, ATL_LOG_ERROR);
	assert_int_equal(atl_log_tail(ATL_LOG_WARN, lines, 1), 1);
	assert_non_null(strstr(lines[0].text, "the end"));
	for (size_t i = 0; i < sizeof(longer) - 1; i++)
		longer[i] = i % 2 ? '\xA9' : '\xC3';
	longer[sizeof(longer) - 1] = '\0';
	for (int odd = 0; odd < 2; odd++) {
		atl_error(odd ? "tail" : "tails", "%s", longer);
		assert_int_equal(atl_log_tail(ATL_LOG_ERROR, lines, 1), 1);
		assert_true(strlen(lines[0].text) >= ATL_LOG_TAIL_TEXT - 2);
		assert_true(atl_utf8_valid(lines[0].text, strlen(lines[0].text)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { ONE(test_logfmt), ONE(test_json),	ONE(test_level),    ONE(test_secrets),
					    ONE(test_secrets_full), ONE(test_cut), ONE(test_reopen), ONE(test_bad_path),
					    ONE(test_threads), ONE(test_tail) };

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
