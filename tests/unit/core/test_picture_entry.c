/* test_picture_entry.c - the model registry as it is shipped, and what an entry of one's own may say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/pictures/picture_entry.h"

#define HEAD "\"provider_kind\":\"fal\",\"remote_id\":\"a\",\"name\":\"n\",\"description\":\"\",\"kind\":\"picture\",\"safety\":\"general\""
#define ENTRY(more) "{" HEAD ",\"tasks\":[\"edit\"]," more "}"

static struct atl_arena arena;

static int begin(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int end(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

static const struct atl_json *tree(const char *text)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *ret;

	if (atl_json_parse(&arena, text, strlen(text), &ret, &info))
		fail_msg("%s: %s", info.detail, text);
	return ret;
}

static struct atl_picture_model read_entry(const struct atl_picture_entries *entries, const char *text)
{
	struct atl_picture_model model;
	struct atl_errinfo info = { 0 };

	if (atl_picture_entry_read(&arena, entries, tree(text), &model, &info))
		fail_msg("%s %s", info.field, info.detail);
	return model;
}

static void every_registry_file_is_right(void **state)
{
	struct atl_picture_entries entries;
	struct atl_errinfo info = { 0 };

	if (atl_picture_entries_load(&arena, atl_picture_registry_texts, &entries, &info))
		fail_msg("%s %s", info.field, info.detail);
	assert_true(entries.count > 20);
	for (size_t i = 0; i < entries.count; i++) {
		const struct atl_picture_model *m = &entries.models[i];
		const struct atl_picture_param *params = m->params.items;

		if (!atl_image_ops_find(m->provider_kind))
			fail_msg("%s: there is no service of the kind %s", m->remote_id, m->provider_kind);
		/* a template describes files that people bring */
		if (atl_str_eq(m->provider_kind, "local") && m->remote_id[0] != '*' && (!m->files || !m->licence))
			fail_msg("%s: a local model says its files and licence", m->id);
		for (size_t k = 0; k < m->params.count; k++) {
			const struct atl_json *def = params[k].def;

			if (def && def->kind == ATL_JSON_NUMBER && ((!isnan(params[k].min) && def->number < params[k].min) ||
								    (!isnan(params[k].max) && def->number > params[k].max)))
				fail_msg("%s: the default of %s is out of its range", m->remote_id, params[k].name);
		}
	}
}

/* Who begins has one, and it says what to ask it for. */
static void one_model_is_the_starter(void **state)
{
	struct atl_picture_entries entries;
	const struct atl_picture_model *starter = NULL;
	struct atl_errinfo info = { 0 };

	assert_int_equal(atl_picture_entries_load(&arena, atl_picture_registry_texts, &entries, &info), ATL_OK);
	for (size_t i = 0; i < entries.count; i++) {
		if (!entries.models[i].starter)
			continue;
		assert_null(starter);
		starter = &entries.models[i];
	}
	assert_non_null(starter);
	assert_int_equal(starter->samples.count, 4);
	assert_true(starter->previews && starter->loras && starter->masks);
	assert_int_equal(starter->price_micro_usd, 0);
}

static void parameters_are_as_said(void **state)
{
	struct atl_picture_model model = read_entry(NULL, ENTRY(
		"\"samples\":[\"a red apple\",\"a tulip\"],\"width\":256,\"params\":["
		"{\"name\":\"steps\",\"type\":\"integer\",\"label\":\"Steps\",\"min\":1,\"default\":12},"
		"{\"name\":\"look\",\"type\":\"enum\",\"label\":\"Look\",\"values\":[\"flat\",\"3d\"],\"extra\":true}]"));
	const struct atl_picture_param *steps = atl_picture_param_find(&model, "steps"), *look = atl_picture_param_find(&model, "look");

	assert_string_equal(model.id, "");
	assert_int_equal(model.width, 256);
	assert_int_equal(model.samples.count, 2);
	assert_string_equal(model.samples.items[1], "a tulip");
	assert_false(model.starter || model.is_default);
	assert_non_null(steps);
	assert_true(steps->min == 1 && isnan(steps->max) && isnan(steps->step)); /* what is not said is no bound, not 0 */
	assert_true(steps->def->number == 12);
	assert_non_null(look);
	assert_true(look->extra);
	assert_int_equal(look->values.count, 2);
	assert_null(atl_picture_param_find(&model, "step"));
}

/* A group is found whichever file it is in; an entry's defaults are its own, not the group's. */
static void groups_are_put_in_place(void **state)
{
	static const char *const texts[] = {
		"{\"models\":[" ENTRY("\"params\":[\"@basic\",{\"name\":\"seed\",\"type\":\"integer\",\"label\":\"Seed\"}],\"defaults\":{\"steps\":4}") ","
		ENTRY("\"params\":[\"@basic\"]") "]}",
		"{\"groups\":{\"basic\":[{\"name\":\"steps\",\"type\":\"integer\",\"label\":\"Steps\",\"default\":20}]}}", NULL };
	struct atl_picture_entries entries;
	struct atl_errinfo info = { 0 };

	if (atl_picture_entries_load(&arena, texts, &entries, &info))
		fail_msg("%s %s", info.field, info.detail);
	assert_int_equal(entries.count, 2);
	assert_int_equal(entries.models[0].params.count, 2);
	assert_true(atl_picture_param_find(&entries.models[0], "steps")->def->number == 4);
	assert_true(atl_picture_param_find(&entries.models[1], "steps")->def->number == 20);
}

static void a_wrong_entry_is_named(void **state)
{
	static const char *const wrong[][2] = {
		{ "{\"name\":\"x\"}", "" },
		{ "[]", "" },
		{ "{" HEAD ",\"tasks\":[\"paint\"]}", "tasks" },
		{ "{" HEAD ",\"tasks\":[]}", "tasks" },
		{ ENTRY("\"width\":4"), "width" },
		{ ENTRY("\"price_unit\":\"hour\""), "price_unit" },
		{ ENTRY("\"samples\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"), "samples" },
		{ ENTRY("\"params\":[\"@none\"]"), "params" },
		{ ENTRY("\"params\":[{\"name\":\"a\",\"type\":\"enum\",\"label\":\"A\"}]"), "params" },
		{ ENTRY("\"params\":[{\"name\":\"a\",\"type\":\"string\",\"label\":\"A\"},{\"name\":\"a\",\"type\":\"string\",\"label\":\"A\"}]"),
		  "params" },
		{ ENTRY("\"params\":[{\"name\":\"a\",\"type\":\"colour\",\"label\":\"A\"}]"), "type" },
		{ ENTRY("\"params\":[],\"defaults\":{\"steps\":1}"), "defaults" },
	};

	for (size_t i = 0; i < ATL_COUNT(wrong); i++) {
		struct atl_picture_model model;
		struct atl_errinfo info = { 0 };

		if (atl_picture_entry_read(&arena, NULL, tree(wrong[i][0]), &model, &info) != ATL_ERR_INVALID)
			fail_msg("taken: %s", wrong[i][0]);
		assert_true(*info.detail);
		if (*wrong[i][1])
			assert_string_equal(info.field, wrong[i][1]);
	}
}

static void too_many_parameters_are_refused(void **state)
{
	const char *list = "";
	struct atl_picture_model model;
	struct atl_errinfo info = { 0 };

	for (int i = 0; i <= ATL_PICTURE_PARAMS_MAX; i++)
		list = atl_arena_printf(&arena, "%s%s{\"name\":\"p%d\",\"type\":\"string\",\"label\":\"P\"}", list, i ? "," : "", i);
	assert_int_equal(atl_picture_entry_read(&arena, NULL, tree(atl_arena_printf(&arena, ENTRY("\"params\":[%s]"), list)), &model,
						&info), ATL_ERR_INVALID);
	assert_string_equal(info.field, "params");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_registry_file_is_right, begin, end),
		cmocka_unit_test_setup_teardown(one_model_is_the_starter, begin, end),
		cmocka_unit_test_setup_teardown(parameters_are_as_said, begin, end),
		cmocka_unit_test_setup_teardown(groups_are_put_in_place, begin, end),
		cmocka_unit_test_setup_teardown(a_wrong_entry_is_named, begin, end),
		cmocka_unit_test_setup_teardown(too_many_parameters_are_refused, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
