/* The policy's two suites in tests/policy: all of refuse.tsv must be refused, as a message and as a picture's prompt; of
 * harmless.tsv at most 2 % may be, of all and of each language. Prints the rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "core/safety/policy.h"

#define LEAST 300 /* lines a suite has at least */
#define GROUPS_MAX 64

struct group {
	char name[32];
	unsigned lines, refused;
};
struct suite {
	struct group languages[GROUPS_MAX], ways[GROUPS_MAX];
	unsigned lines, refused;
};

static struct group *group(struct group *groups, const char *name)
{
	size_t i;

	for (i = 0; groups[i].name[0] && strcmp(groups[i].name, name) != 0; i++)
		assert_true(i + 1 < GROUPS_MAX);
	snprintf(groups[i].name, sizeof(groups[i].name), "%s", name);
	return &groups[i];
}

static bool refused_as_message(const char *text)
{
	return atl_policy_check_text(NULL, ATL_ENTRY_MESSAGE, NULL, text, NULL) != ATL_OK;
}

/* On a server that allows what it may allow. */
static bool refused_as_picture(const char *text)
{
	const struct atl_policy_picture picture = { .mature = true };
	const struct atl_policy_text one = ATL_POLICY_TEXT(text);

	return atl_policy_check_picture(NULL, ATL_ENTRY_PICTURE, NULL, &one, 1, &picture, NULL) != ATL_OK;
}

/* Lines of language, way and text. What is not as `wanted` is printed. */
static void run(const char *name, bool wanted, struct suite *suite)
{
	char path[1024], line[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", getenv("ATELIER_POLICY_SUITES"), name);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: no such file", path);
	while (fgets(line, sizeof(line), file)) {
		char *way = strchr(line, '\t'), *text = way ? strchr(way + 1, '\t') : NULL;
		bool refused;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		assert_non_null(text);
		*way++ = *text++ = '\0';
		text[strcspn(text, "\n")] = '\0';
		refused = refused_as_message(text);
		if (wanted)
			refused &= refused_as_picture(text);
		if (refused != wanted)
			print_error("%s (%s, %s): %s\n", refused ? "refused" : "not refused", line, way, text);
		suite->lines++;
		suite->refused += refused;
		group(suite->languages, line)->lines++;
		group(suite->languages, line)->refused += refused;
		group(suite->ways, way)->lines++;
		group(suite->ways, way)->refused += refused;
	}
	fclose(file);
	assert_true(suite->lines >= LEAST);
}

static void print_groups(const struct group *groups)
{
	for (size_t i = 0; groups[i].name[0]; i++)
		print_message("# %-18s %4u of %4u\n", groups[i].name, groups[i].refused, groups[i].lines);
}

static void test_must_refuse(void **state)
{
	static struct suite suite;

	run("refuse.tsv", true, &suite);
	print_message("# refused of what must be: %u of %u\n", suite.refused, suite.lines);
	print_groups(suite.languages);
	print_groups(suite.ways);
	assert_int_equal(suite.refused, suite.lines);
}

static void test_harmless(void **state)
{
	static struct suite suite;

	run("harmless.tsv", false, &suite);
	print_message("# refused of what is harmless: %u of %u\n", suite.refused, suite.lines);
	print_groups(suite.languages);
	print_groups(suite.ways);
	assert_true(suite.refused * 50 <= suite.lines);
	for (size_t i = 0; suite.languages[i].name[0]; i++)
		if (suite.languages[i].refused * 50 > suite.languages[i].lines)
			fail_msg("%s: more than 2 %% refused", suite.languages[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_must_refuse),
		cmocka_unit_test(test_harmless),
	};

	if (atl_log_init(ATL_LOG_ERROR, ATL_LOG_LOGFMT, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
