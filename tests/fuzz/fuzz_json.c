/* JSON: whatever the parser accepts must survive writing and reading again, and decoding must not depend on luck.
 *
 * Written text parses to a tree that is written the same way; the tree goes through a descriptor table that has every
 * type, and what decodes is encoded and parsed once more.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct thing {
	uint64_t present;
	const char *s, *e, *r;
	int64_t i, t;
	double n;
	bool b;
	struct atl_strs l;
	const struct atl_json *a;
	const struct thing *o;
	struct atl_items m;
};

static const char *const values[] = {"one", "two", NULL};
static const struct atl_json_desc desc;
static const struct atl_json_field fields[] = {
	{"s", ATL_JT_STR, offsetof(struct thing, s), ATL_JF_NULLABLE, 0, 20},
	{"i", ATL_JT_INT, offsetof(struct thing, i), 0},
	{"n", ATL_JT_NUM, offsetof(struct thing, n), 0},
	{"b", ATL_JT_BOOL, offsetof(struct thing, b), 0},
	{"t", ATL_JT_TIME, offsetof(struct thing, t), ATL_JF_NULLABLE},
	{"e", ATL_JT_ENUM, offsetof(struct thing, e), ATL_JF_NULLABLE, .values = values},
	{"l", ATL_JT_STRS, offsetof(struct thing, l), 0, 0, 4, .item_max = 8},
	{"a", ATL_JT_ANY, offsetof(struct thing, a), 0},
	{"r", ATL_JT_RAW, offsetof(struct thing, r), 0},
	{"o", ATL_JT_OBJ, offsetof(struct thing, o), ATL_JF_OMIT, .sub = &desc},
	{"m", ATL_JT_LIST, offsetof(struct thing, m), ATL_JF_OMIT, 0, 3, .sub = &desc},
};
static const struct atl_json_desc desc = {
	.name = "Thing", .fields = fields, .field_count = ATL_COUNT(fields), .size = sizeof(struct thing),
	.present_offset = offsetof(struct thing, present)};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void write_tree(struct atl_buf *out, const struct atl_json *tree)
{
	struct atl_jw w;

	atl_buf_reset(out);
	atl_jw_init(&w, out);
	atl_jw_tree(&w, NULL, tree);
	check(!out->failed && atl_utf8_valid(out->data, out->length));
}

static void round_trip(struct atl_arena *arena, const struct atl_json *tree)
{
	struct atl_buf first, second;
	struct atl_json *again;

	atl_buf_init(&first, 1 << 22);
	atl_buf_init(&second, 1 << 22);
	write_tree(&first, tree);
	check(atl_json_parse(arena, first.data, first.length, &again, NULL) == ATL_OK);
	write_tree(&second, again);
	check(strcmp(first.data, second.data) == 0);
	atl_buf_finish(&first);
	atl_buf_finish(&second);
}

static void through_table(struct atl_arena *arena, const struct atl_json *tree)
{
	struct atl_errinfo info = {0};
	struct atl_json *again;
	struct thing thing;
	struct atl_buf out;
	struct atl_jw w;

	if (atl_json_decode(arena, tree, &desc, &thing, &info) != ATL_OK) {
		check(info.code != ATL_OK && info.detail[0] && atl_utf8_valid(info.field, strlen(info.field)));
		return;
	}
	atl_buf_init(&out, 1 << 22);
	atl_jw_init(&w, &out);
	atl_json_encode(&w, NULL, &desc, &thing);
	/* A table may nest deeper than the writer; that must be said, not written wrongly. */
	if (!out.failed)
		check(atl_json_parse(arena, out.data, out.length, &again, NULL) == ATL_OK);
	atl_buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = {0};
	struct atl_arena arena;
	struct atl_json *tree;

	atl_arena_init(&arena, 0);
	if (atl_json_parse(&arena, (const char *)data, size, &tree, &info) == ATL_OK) {
		round_trip(&arena, tree);
		through_table(&arena, tree);
	} else {
		check(info.code != ATL_OK && info.detail[0]);
	}
	atl_arena_finish(&arena);
	return 0;
}
