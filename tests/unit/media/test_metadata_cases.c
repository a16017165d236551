/* Each pair in tests/cases/metadata: what a tool wrote (.txt), pasted and inside a PNG, and what is understood of it
 * (.json, without raw, workflow and atelier). The files are the arguments. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "media/metadata.h"
#include "media/png_chunk.h"

static char *slurp(struct atl_arena *arena, const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "rb");
	char *text = atl_arena_alloc(arena, 1 << 20);
	assert_non_null(file);
	*ret_length = fread(text, 1, (1 << 20) - 1, file);
	assert_int_equal(fclose(file), 0);
	assert_true(*ret_length > 0);
	return text;
}

static const char *as_text(struct atl_arena *arena, const struct atl_json *tree)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, 1 << 20);
	atl_jw_init(&w, &out);
	atl_jw_tree(&w, NULL, tree);
	char *text = atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}

static void compare(struct atl_arena *arena, const struct atl_recall *recall, const struct atl_json *expected)
{
	const char *json = atl_metadata_json(arena, recall);
	struct atl_json *got;
	size_t hidden = 0;
	assert_non_null(json);
	assert_int_equal(atl_json_parse(arena, json, strlen(json), &got, NULL), ATL_OK);
	for (const struct atl_json *e = expected->child; e; e = e->next) {
		const struct atl_json *member = atl_json_get(got, e->key);
		if (!member)
			fail_msg("%s is missing in %s", e->key, json);
		else if (strcmp(as_text(arena, member), as_text(arena, e)) != 0)
			fail_msg("%s is %s and not %s", e->key, as_text(arena, member), as_text(arena, e));
	}
	hidden += atl_json_get(got, "raw") != NULL;
	hidden += atl_json_get(got, "workflow") != NULL;
	hidden += atl_json_get(got, "atelier") != NULL;
	assert_true(hidden > 0);
	if (got->count - hidden != expected->count)
		fail_msg("more than expected: %s", json);
}

/* A file with the text under the keyword that its tool uses; what has no keyword of its own is "parameters". */
static void make_png(struct atl_buf *out, const char *path, const char *text)
{
	static const struct {
		const char *part, *key;
	} keys[] = {{"/comfyui", "prompt"}, {"/invokeai.", "invokeai_metadata"}, {"/invokeai_old", "sd-metadata"},
		    {"/novelai.", "Comment"}, {"/atelier", "atelier"}};
	const char *key = "parameters";
	for (size_t i = 0; i < ATL_COUNT(keys); i++)
		if (strstr(path, keys[i].part))
			key = keys[i].key;
	atl_buf_add(out, "\x89PNG\r\n\x1a\n", 8);
	atl_png_add_text(out, key, text);
}

static void run_case(void **state)
{
	const char *path = *state;
	struct atl_arena arena;
	struct atl_errinfo info = {0};
	struct atl_recall recall;
	struct atl_json *expected;
	struct atl_buf png;
	size_t length;
	atl_arena_init(&arena, 0);
	size_t stem = strlen(path) - strlen(".txt");
	char *wanted = slurp(&arena, atl_arena_printf(&arena, "%.*s.json", (int)stem, path), &length);
	assert_int_equal(atl_json_parse(&arena, wanted, length, &expected, &info), ATL_OK);
	char *text = slurp(&arena, path, &length);

	assert_int_equal(atl_metadata_read_text(&arena, text, length, &recall, &info), ATL_OK);
	compare(&arena, &recall, expected);

	atl_buf_init(&png, 2 << 20);
	make_png(&png, path, text);
	assert_int_equal(atl_metadata_read(&arena, png.data, png.length, &recall, &info), ATL_OK);
	compare(&arena, &recall, expected);
	atl_buf_finish(&png);

	/* every beginning of it is survived */
	for (size_t cut = 0; cut < length; cut += 1 + length / 64) {
		enum atl_err err = atl_metadata_read_text(&arena, text, cut, &recall, &info);
		assert_true(err == ATL_OK || err == ATL_ERR_NOT_FOUND);
	}
	atl_arena_finish(&arena);
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[64];
	size_t count = 0;
	for (int i = 1; i < argc && count < ATL_COUNT(tests); i++, count++)
		tests[count] = (struct CMUnitTest){
			.name = strrchr(argv[i], '/') + 1, .test_func = run_case, .initial_state = argv[i]};
	if (!count)
		return 1;
	return _cmocka_run_group_tests("metadata_cases", tests, count, NULL, NULL);
}
