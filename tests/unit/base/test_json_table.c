/* Descriptor tables: decoding with every complaint, presence, encoding, schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"

struct message {
	const char *role;
	const char *content;
};

struct sampling {
	double temperature;
};

struct request {
	uint64_t present;
	const char *name;
	int64_t count;
	double ratio;
	bool stream;
	int64_t at;
	const char *mode;
	struct atl_strs tags;
	const struct atl_json *extra;
	const char *raw;
	const struct sampling *sampling;
	struct atl_items messages;
	const char *key;
	int64_t least;
};

static const char *const roles[] = { "user", "assistant", NULL };
static const char *const modes[] = { "fast", "slow", NULL };

static const struct atl_json_field message_fields[] = {
	{ "role", ATL_JT_ENUM, offsetof(struct message, role), ATL_JF_REQUIRED, .values = roles },
	{ "content", ATL_JT_STR, offsetof(struct message, content), ATL_JF_REQUIRED, 1, 10 },
};
static const struct atl_json_desc message_desc = { "Message", NULL, message_fields, ATL_COUNT(message_fields),
						   sizeof(struct message), ATL_JSON_NO_PRESENT, false };

static const struct atl_json_field sampling_fields[] = {
	{ "temperature", ATL_JT_NUM, offsetof(struct sampling, temperature), 0, 0, 2 },
};
static const struct atl_json_desc sampling_desc = { "Sampling", NULL, sampling_fields, ATL_COUNT(sampling_fields),
						    sizeof(struct sampling), ATL_JSON_NO_PRESENT, true };

#define AT(member) offsetof(struct request, member)
static const struct atl_json_field fields[] = {
	{ "name", ATL_JT_STR, AT(name), ATL_JF_REQUIRED, 1, 5, .doc = "What people see." },
	{ "count", ATL_JT_INT, AT(count), ATL_JF_OMIT, -5, 100 },
	{ "ratio", ATL_JT_NUM, AT(ratio), ATL_JF_OMIT, 0.5, 1 },
	{ "stream", ATL_JT_BOOL, AT(stream) },
	{ "at", ATL_JT_TIME, AT(at), ATL_JF_NULLABLE },
	{ "mode", ATL_JT_ENUM, AT(mode), ATL_JF_OMIT | ATL_JF_NULLABLE, .values = modes },
	{ "tags", ATL_JT_STRS, AT(tags), 0, 0, 3, .item_max = 4 },
	{ "extra", ATL_JT_ANY, AT(extra), ATL_JF_OMIT },
	{ "raw", ATL_JT_RAW, AT(raw), ATL_JF_OMIT },
	{ "sampling", ATL_JT_OBJ, AT(sampling), ATL_JF_NULLABLE | ATL_JF_OMIT, .sub = &sampling_desc },
	{ "messages", ATL_JT_LIST, AT(messages), 0, 0, 2, .sub = &message_desc },
	{ "key", ATL_JT_STR, AT(key), ATL_JF_SECRET },
	{ "least", ATL_JT_INT, AT(least), ATL_JF_OMIT, 1, 0 },
};
static const struct atl_json_desc desc = { "Request", "A request.", fields, ATL_COUNT(fields), sizeof(struct request),
					   AT(present), false };

static struct atl_arena arena;

static int set_up(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

static enum atl_err decode(const char *text, struct request *request, struct atl_errinfo *info)
{
	struct atl_json *root;

	assert_int_equal(atl_json_parse(&arena, text, strlen(text), &root, NULL), ATL_OK);
	memset(request, 0xAA, sizeof(*request));
	return atl_json_decode(&arena, root, &desc, request, info);
}

static void test_decode(void **state)
{
	struct atl_errinfo info = { 0 };
	const struct message *messages;
	struct request request;

	assert_int_equal(decode("{\"name\":\"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\",\"count\":-5,\"ratio\":1,"
				"\"stream\":true,\"at\":\"2026-01-02T03:04:05Z\",\"mode\":\"slow\",\"tags\":[\"a\",\"bbbb\"],"
				"\"extra\":[1,null],\"raw\":{\"x\": [ 1 ]},\"sampling\":{\"temperature\":0.5,\"new\":1},"
				"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"content\":\"yo\",\"role\":\"assistant\"}],"
				"\"key\":\"k\",\"least\":1e6}",
				&request, &info), ATL_OK);
	assert_string_equal(request.name, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"); /* five characters, ten bytes */
	assert_int_equal(request.count, -5);
	assert_true(request.ratio == 1);
	assert_true(request.stream);
	assert_true(request.at == INT64_C(1767323045000));
	assert_ptr_equal(request.mode, modes[1]);
	assert_int_equal(request.tags.count, 2);
	assert_string_equal(request.tags.items[1], "bbbb");
	assert_int_equal(request.extra->count, 2);
	assert_string_equal(request.raw, "{\"x\":[1]}");
	assert_true(request.sampling->temperature == 0.5);
	assert_int_equal(request.messages.count, 2);
	messages = request.messages.items;
	assert_string_equal(messages[0].content, "hi");
	assert_string_equal(messages[1].role, "assistant");
	assert_int_equal(request.least, 1000000);
	assert_true(request.present == 0x1FFF);
}

static void test_defaults_and_presence(void **state)
{
	struct request request;

	assert_int_equal(decode("{\"name\":\"n\",\"at\":null,\"tags\":[]}", &request, NULL), ATL_OK);
	assert_int_equal(request.count, 0);
	assert_null(request.mode);
	assert_null(request.extra);
	assert_null(request.sampling);
	assert_int_equal(request.tags.count, 0);
	assert_true(atl_json_has(&desc, &request, "at"));
	assert_true(atl_json_has(&desc, &request, "tags"));
	assert_false(atl_json_has(&desc, &request, "count"));
	assert_false(atl_json_has(&desc, &request, "nonsense"));
	assert_false(atl_json_has(&message_desc, &request, "role"));
	/* the last duplicate wins, also a null */
	assert_int_equal(decode("{\"name\":\"a\",\"name\":\"b\",\"mode\":\"fast\",\"mode\":null,"
				"\"tags\":[\"x\"],\"tags\":[]}", &request, NULL), ATL_OK);
	assert_string_equal(request.name, "b");
	assert_null(request.mode);
	assert_int_equal(request.tags.count, 0);
	assert_null(request.tags.items);
}

static const struct {
	const char *text, *field, *detail;
} complaints[] = {
	{ "null", "", "must be an object" },
	{ "[]", "", "must be an object" },
	{ "{}", "name", "is required" },
	{ "{\"name\":null}", "name", "must be a text of 1 to 5 characters" },
	{ "{\"name\":\"\"}", "name", NULL },
	{ "{\"name\":\"123456\"}", "name", NULL },
	{ "{\"name\":7}", "name", NULL },
	{ "{\"name\":\"n\",\"count\":101}", "count", "must be a whole number, from -5 to 100" },
	{ "{\"name\":\"n\",\"count\":-6}", "count", NULL },
	{ "{\"name\":\"n\",\"count\":1.5}", "count", NULL },
	{ "{\"name\":\"n\",\"count\":\"1\"}", "count", NULL },
	{ "{\"name\":\"n\",\"count\":null}", "count", NULL },
	{ "{\"name\":\"n\",\"count\":9223372036854775808}", "count", NULL },
	{ "{\"name\":\"n\",\"ratio\":0.4}", "ratio", "must be a number, from 0.5 to 1" },
	{ "{\"name\":\"n\",\"ratio\":1.01}", "ratio", NULL },
	{ "{\"name\":\"n\",\"stream\":1}", "stream", "must be true or false" },
	{ "{\"name\":\"n\",\"at\":0}", "at", "must be a time such as 2026-01-02T03:04:05Z" },
	{ "{\"name\":\"n\",\"at\":\"yesterday\"}", "at", NULL },
	{ "{\"name\":\"n\",\"mode\":\"Fast\"}", "mode", "must be one of: fast, slow" },
	{ "{\"name\":\"n\",\"mode\":1}", "mode", NULL },
	{ "{\"name\":\"n\",\"tags\":\"a\"}", "tags", "must be a list" },
	{ "{\"name\":\"n\",\"tags\":[\"a\",\"b\",\"c\",\"d\"]}", "tags", "must be a list of at most 3 items" },
	{ "{\"name\":\"n\",\"tags\":[\"a\",\"12345\"]}", "tags.1", "must be a text of at most 4 characters" },
	{ "{\"name\":\"n\",\"tags\":[null]}", "tags.0", NULL },
	{ "{\"name\":\"n\",\"sampling\":[]}", "sampling", "must be an object" },
	{ "{\"name\":\"n\",\"sampling\":{\"temperature\":3}}", "sampling.temperature", "must be a number, from 0 to 2" },
	{ "{\"name\":\"n\",\"messages\":[{}]}", "messages.0.role", "is required" },
	{ "{\"name\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"\"}]}",
	  "messages.1.content", NULL },
	{ "{\"name\":\"n\",\"messages\":[1]}", "messages.0", "must be an object" },
	{ "{\"name\":\"n\",\"messages\":null}", "messages", "must be a list" },
	{ "{\"name\":\"n\",\"messages\":[{\"rôle\":1}]}", "messages.0.rôle", "is not known here; known are: role, content" },
	{ "{\"name\":\"n\",\"\":1}", "", NULL },
	{ "{\"name\":\"n\",\"least\":0}", "least", "must be a whole number, at least 1" },
};

static void test_complaints(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(complaints); i++) {
		struct atl_errinfo info = { 0 };
		struct request request;

		assert_int_equal(decode(complaints[i].text, &request, &info), ATL_ERR_INVALID);
		assert_int_equal(info.code, ATL_ERR_INVALID);
		assert_string_equal(info.field, complaints[i].field);
		if (complaints[i].detail)
			assert_string_equal(info.detail, complaints[i].detail);
		assert_int_not_equal(info.detail[0], '\0');
		assert_int_equal(decode(complaints[i].text, &request, NULL), ATL_ERR_INVALID);
	}
}

static void test_long_unknown_key(void **state)
{
	struct atl_errinfo info = { 0 };
	struct request request;
	char text[9000];

	snprintf(text, sizeof(text), "{\"%08000d\":1}", 0);
	assert_int_equal(decode(text, &request, &info), ATL_ERR_INVALID);
	assert_true(strlen(info.field) < ATL_ERRINFO_FIELD_MAX);
	assert_true(atl_str_starts(info.field, "00000"));
	assert_true(atl_str_starts(info.detail, "is not known here"));
}

static void test_arena_full(void **state)
{
	static char text[] = "{\"name\":\"n\",\"tags\":[\"a\"],\"raw\":[1],\"sampling\":{},\"messages\":[]}";
	struct atl_arena small;
	struct request request;
	struct atl_json *root;

	assert_int_equal(atl_json_parse(&arena, text, strlen(text), &root, NULL), ATL_OK);
	for (size_t max = 1; max < 48; max += 16) { /* tags, raw and sampling take 16 bytes each */
		atl_arena_init(&small, max);
		assert_int_equal(atl_json_decode(&small, root, &desc, &request, NULL), ATL_ERR_NOMEM);
		atl_arena_finish(&small);
	}
	atl_arena_init(&small, 48);
	assert_int_equal(atl_json_decode(&small, root, &desc, &request, NULL), ATL_OK);
	atl_arena_finish(&small);
}

static void test_encode(void **state)
{
	static const char *strings[] = { "a", "b" };
	struct message messages[] = { { "user", "hi" }, { "assistant", NULL } };
	struct sampling sampling = { 0.25 };
	struct request request = { .name = "n", .key = "hidden", .messages = { messages, 2 }, .tags = { strings, 2 },
				   .sampling = &sampling, .raw = "[1]", .at = INT64_C(1767323045678), .count = 3 };
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 10000);
	atl_jw_init(&w, &out);
	atl_json_encode(&w, NULL, &desc, &request);
	assert_string_equal(out.data, "{\"name\":\"n\",\"count\":3,\"stream\":false,\"at\":\"2026-01-02T03:04:05.678Z\","
				      "\"tags\":[\"a\",\"b\"],\"raw\":[1],\"sampling\":{\"temperature\":0.25},"
				      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
				      "{\"role\":\"assistant\",\"content\":null}]}");
	memset(&request, 0, sizeof(request));
	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_json_encode(&w, NULL, &desc, &request);
	assert_string_equal(out.data, "{\"name\":null,\"stream\":false,\"at\":null,\"tags\":[],\"messages\":[]}");
	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_json_encode(&w, NULL, &desc, NULL);
	assert_string_equal(out.data, "null");
	atl_buf_finish(&out);
}

static void test_schema(void **state)
{
	struct atl_json *schema;
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 10000);
	atl_jw_init(&w, &out);
	atl_json_schema(&w, NULL, &message_desc);
	assert_string_equal(out.data, "{\"type\":\"object\",\"properties\":{\"role\":{\"type\":\"string\",\"enum\":[\"user\","
				      "\"assistant\"]},\"content\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":10}},"
				      "\"required\":[\"role\",\"content\"],\"additionalProperties\":false}");
	atl_buf_reset(&out);
	atl_jw_init(&w, &out);
	atl_json_schema(&w, NULL, &desc);
	assert_int_equal(atl_json_parse(&arena, out.data, out.length, &schema, NULL), ATL_OK);
	assert_string_equal(atl_json_path(schema, "properties.name.description")->string, "What people see.");
	assert_string_equal(atl_json_path(schema, "properties.at.type.1")->string, "null");
	assert_string_equal(atl_json_path(schema, "properties.at.format")->string, "date-time");
	assert_int_equal(atl_json_path(schema, "properties.mode.enum.2")->kind, ATL_JSON_NULL);
	assert_true(atl_json_path(schema, "properties.ratio.minimum")->number == 0.5);
	assert_int_equal(atl_json_path(schema, "properties.tags.items.maxLength")->integer, 4);
	assert_int_equal(atl_json_path(schema, "properties.tags.maxItems")->integer, 3);
	assert_string_equal(atl_json_path(schema, "properties.messages.items.$ref")->string,
			    "#/components/schemas/Message");
	assert_string_equal(atl_json_path(schema, "properties.sampling.anyOf.0.$ref")->string,
			    "#/components/schemas/Sampling");
	assert_true(atl_json_bool(atl_json_path(schema, "properties.key"), "writeOnly", false));
	assert_null(atl_json_path(schema, "properties.least.maximum"));
	assert_int_equal(atl_json_path(schema, "properties.extra")->count, 0);
	assert_int_equal(atl_json_get(schema, "required")->count, 1);
	atl_buf_finish(&out);
}

static void test_too_many_fields(void **state)
{
	struct atl_json_desc wide = desc;
	struct atl_errinfo info = { 0 };
	struct request request;
	struct atl_json *root;

	wide.field_count = ATL_JSON_FIELDS_MAX + 1;
	assert_int_equal(atl_json_parse(&arena, "{}", 2, &root, NULL), ATL_OK);
	assert_int_equal(atl_json_decode(&arena, root, &wide, &request, &info), ATL_ERR_INTERNAL);
	assert_int_equal(atl_json_decode(&arena, NULL, &desc, &request, &info), ATL_ERR_INVALID);
}

#define ONE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { ONE(test_decode), ONE(test_defaults_and_presence), ONE(test_complaints),
					    ONE(test_long_unknown_key), ONE(test_arena_full), ONE(test_encode),
					    ONE(test_schema), ONE(test_too_many_fields) };

	return cmocka_run_group_tests_name("base/json_table", tests, NULL, NULL);
}
