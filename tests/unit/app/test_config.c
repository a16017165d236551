/* Settings: default < file < environment < flags; mistakes are named with their place; secrets are masked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/config.h"
#include "base/str.h"

static char folder[64], file[96];
static struct atl_errinfo info;

static void write_file(const char *text)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

/* Flags separated by spaces. */
static enum atl_err load(struct atl_config *config, const char *flags)
{
	static char copy[1000];
	char *argv[32];
	int argc = 0;

	snprintf(copy, sizeof(copy), "--data %s --config %s %s", folder, file, flags);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	memset(&info, 0, sizeof(info));
	return atl_config_load(config, argc, argv, NULL, &info);
}

static void load_ok(struct atl_config *config, const char *flags)
{
	enum atl_err err = load(config, flags);

	if (err)
		fail_msg("%s: %s", atl_err_name(err), info.detail);
}

static void test_defaults(void **state)
{
	struct atl_config config;

	write_file("");
	load_ok(&config, "");
	assert_int_equal(atl_config_int(&config, CFG_port), 7860);
	assert_string_equal(atl_config_text(&config, CFG_address), "127.0.0.1");
	assert_null(atl_config_text(&config, CFG_public_url));
	assert_true(atl_config_bool(&config, CFG_engine_enabled));
	assert_false(atl_config_bool(&config, CFG_mature_allowed));
	atl_config_finish(&config);
}

static void test_order(void **state)
{
	struct atl_config config;

	write_file("; a comment\nport = 1001\nlog_level = warn\nsession_days = 7\n");
	setenv("ATELIER_PORT", "1002", 1);
	setenv("ATELIER_LOG_LEVEL", "error", 1);
	load_ok(&config, "--port 1003");
	assert_int_equal(atl_config_int(&config, CFG_port), 1003);
	assert_string_equal(config.values[CFG_port].source, "--port");
	assert_string_equal(atl_config_text(&config, CFG_log_level), "error");
	assert_string_equal(config.values[CFG_log_level].source, "environment ATELIER_LOG_LEVEL");
	assert_int_equal(atl_config_int(&config, CFG_session_days), 7);
	assert_non_null(strstr(config.values[CFG_session_days].source, "test.ini:4"));
	assert_string_equal(config.values[CFG_address].source, "default");
	atl_config_finish(&config);
}

static void test_lists(void **state)
{
	struct atl_config config;
	char **words;

	write_file("hosts = a.example, b.example  c.example,,\n");
	load_ok(&config, "");
	words = atl_config_words(&config, CFG_hosts);
	assert_string_equal(words[0], "a.example");
	assert_string_equal(words[1], "b.example");
	assert_string_equal(words[2], "c.example");
	assert_null(words[3]);
	free(words);
	words = atl_config_words(&config, CFG_trusted_proxies);
	assert_null(words[0]);
	free(words);
	atl_config_finish(&config);
}

static void refused(const char *text, const char *flags, const char *place, const char *what)
{
	struct atl_config config;

	write_file(text);
	assert_int_equal(load(&config, flags), ATL_ERR_CONFIG);
	if (!strstr(info.detail, place) || !strstr(info.detail, what))
		fail_msg("%s %s: %s", text, flags, info.detail);
}

static void test_mistakes_are_named(void **state)
{
	refused("port = 1\nprot = 2\n", "", "test.ini:2", "prot");
	refused("port = many\n", "", "test.ini:1", "0 to 65535");
	refused("\n\nport = 70000\n", "", "test.ini:3", "70000");
	refused("log_level = loud\n", "", "test.ini:1", "debug");
	refused("engine_enabled = maybe\n", "", "test.ini:1", "true and false");
	refused("[server]\nport = 1\n", "", "test.ini", "server");
	refused("port\n", "", "test.ini:1", "name = value");
	refused("", "--prot 1", "--prot", "prot");
	refused("", "--port", "--port", "missing");
	refused("", "port 1", "port", "--name value");
}

static void test_unknown_environment(void **state)
{
	setenv("ATELIER_PORTT", "1", 1);
	refused("", "", "ATELIER_PORTT", "portt");
	unsetenv("ATELIER_PORTT");
	setenv("ATELIER_PORT", "x", 1);
	refused("", "", "ATELIER_PORT", "0 to 65535");
}

static void test_secrets_are_masked(void **state)
{
	struct atl_config config;
	struct atl_buf out;

	write_file("database = postgres://me:hunter2@db/x\n");
	load_ok(&config, "");
	atl_buf_init(&out, 1 << 16);
	atl_config_print(&config, &out);
	assert_null(strstr(out.data, "hunter2"));
	assert_non_null(strstr(out.data, "********"));
	assert_non_null(strstr(out.data, "test.ini:1"));
	atl_buf_finish(&out);
	atl_config_finish(&config);
}

static void test_document_names_everything(void **state)
{
	struct atl_buf out;

	atl_buf_init(&out, 1 << 16);
	atl_config_markdown(&out);
#define X(name, ...) assert_non_null(strstr(out.data, "`" #name "`"));
	ATL_CONFIG_LIST_X(X)
#undef X
	atl_buf_finish(&out);
}

static int clean(void **state)
{
	unsetenv("ATELIER_PORT");
	unsetenv("ATELIER_LOG_LEVEL");
	return 0;
}

static int setup(void **state)
{
	extern char **environ;

	for (char **at = environ; *at;) { /* settings of the one who runs the tests */
		char name[100];

		if (strncmp(*at, "ATELIER_", 8) != 0) {
			at++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
		unsetenv(name);
	}
	snprintf(folder, sizeof(folder), "/tmp/atl_config_XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/test.ini", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(file);
	return rmdir(folder);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),	       TEST(test_order),	     TEST(test_lists), TEST(test_mistakes_are_named),
		TEST(test_unknown_environment), TEST(test_secrets_are_masked), TEST(test_document_names_everything),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
