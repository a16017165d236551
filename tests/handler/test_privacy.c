/* What is a person's: each table that names one is exported or exempt with a reason; the file holds what is theirs and no
 * secret; who may have it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "core/people/export.h"
#include "core/people/personal.h"
#include "support.h"

static struct person admin, member, other;

/* ---- the lists ---- */

static bool listed(const char *table)
{
	for (size_t i = 0; i < atl_personal_count; i++)
		if (atl_str_eq(atl_personal_tables[i].table, table))
			return true;
	for (size_t i = 0; i < atl_personal_exempt_count; i++)
		if (atl_str_eq(atl_personal_exempt[i].table, table))
			return true;
	return false;
}

struct listing {
	struct atl_arena *arena;
	const char *kind; /* of the database */
};

/* Tables with a column that names an account, and those that go with a row of such a one. */
static enum atl_err personal_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct listing *listing = arg;
	struct atl_rows *rows;
	size_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     !atl_str_eq(listing->kind, "sqlite") ?
				     "WITH named AS (SELECT CAST(table_name AS TEXT) AS name FROM information_schema.columns WHERE "
				     "table_schema = current_schema() AND (column_name LIKE '%user_id' OR column_name LIKE '%owner_id' OR "
				     "column_name LIKE '%\\_by' OR column_name IN ('subject', 'scope', 'author_id', 'reporter_id')) UNION "
				     "SELECT CAST(CAST(conrelid AS REGCLASS) AS TEXT) FROM pg_constraint WHERE contype = 'f' AND "
				     "connamespace = CAST(current_schema() AS REGNAMESPACE) AND CAST(CAST(confrelid AS REGCLASS) AS TEXT) = 'users') "
				     "SELECT name FROM named UNION SELECT CAST(CAST(conrelid AS REGCLASS) AS TEXT) FROM pg_constraint WHERE "
				     "contype = 'f' AND connamespace = CAST(current_schema() AS REGNAMESPACE) AND "
				     "CAST(CAST(confrelid AS REGCLASS) AS TEXT) IN (SELECT name FROM named)" :
				     "WITH named AS (SELECT DISTINCT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE "
				     "m.type = 'table' AND (c.name LIKE '%user_id' OR c.name LIKE '%owner_id' OR c.name LIKE '%\\_by' ESCAPE '\\' "
				     "OR c.name IN ('subject', 'scope', 'author_id', 'reporter_id')) UNION SELECT DISTINCT m.name FROM "
				     "sqlite_master m, pragma_foreign_key_list(m.name) f WHERE f.\"table\" = 'users') "
				     "SELECT name FROM named UNION SELECT DISTINCT m.name FROM sqlite_master m, "
				     "pragma_foreign_key_list(m.name) f WHERE f.\"table\" IN (SELECT name FROM named)", "");

	assert_ok(err, info);
	while (atl_rows_next(rows, &err, info)) {
		const char *name = atl_col_text(rows, 0, listing->arena);

		count++;
		if (!listed(name) && !strstr(name, "_fts") && !atl_str_eq(name, "asset_texts"))
			fail_msg("%s holds something of a person: it needs a line in src/core/people/personal.c", name);
	}
	assert_true(count > 40);
	return err;
}

static void test_each_table_is_exported_or_exempt(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_ok(atl_db_read(site->app.db, personal_read, &(struct listing){ &arena, atl_db_kind(site->app.db) }, &info), &info);
	atl_arena_finish(&arena);
	for (size_t i = 0; i < atl_personal_exempt_count; i++) {
		assert_true(strlen(atl_personal_exempt[i].why) > 10);
		if (!atl_str_eq(atl_db_kind(site->app.db), "sqlite")) /* some are SQLite's alone */
			continue;
		assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM sqlite_master WHERE name = '%s'",
							     atl_personal_exempt[i].table)), 1);
	}
}

static void test_no_secret_is_exported(void **state)
{
	static const char *const words[] = { "_hash", "sealed", "csrf", "secret", "share_key" };

	for (size_t i = 0; i < atl_personal_count; i++) {
		const struct atl_personal *one = &atl_personal_tables[i];
		size_t columns = 1;

		for (const char *p = one->columns; *p; p++)
			columns += *p == ',';
		if (columns != strlen(one->types))
			fail_msg("%s: %zu columns, %zu types", one->table, columns, strlen(one->types));
		for (size_t k = 0; k < ATL_COUNT(words); k++)
			if (strstr(one->columns, words[k]) && !strstr(one->columns, "blur_hash"))
				fail_msg("%s: %s", one->table, words[k]);
	}
}

/* ---- the file ---- */

static enum atl_err go_on(void *arg, int64_t done, int64_t total, struct atl_errinfo *info)
{
	int64_t *last = arg;

	assert_true(done > *last && done <= total);
	*last = done;
	return ATL_OK;
}

static enum atl_err stop_at_ten(void *arg, int64_t done, int64_t total, struct atl_errinfo *info)
{
	return done == 10 ? atl_fail(info, ATL_ERR_CANCELLED, "enough") : ATL_OK;
}

static char *read_all(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "rb");
	char *text;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*ret_length = (size_t)ftell(file);
	rewind(file);
	text = calloc(1, *ret_length + 1);
	assert_int_equal(fread(text, 1, *ret_length, file), *ret_length);
	fclose(file);
	return text;
}

static bool holds(const char *text, size_t length, const char *words)
{
	return memmem(text, length, words, strlen(words)) != NULL;
}

static void test_the_file(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	const char *path = fmt("%s/one.zip", site->folder);
	int64_t last = 0, bytes = 0;
	size_t length;
	char *zip;

	add_message(site, &member, make_conversation(site, &member, make_character(site, &member, "Ada")), "words of the member");
	add_message(site, &other, make_conversation(site, &other, make_character(site, &other, "Bob")), "words of another");
	make_asset(site, &member, "good.png");
	assert_ok(atl_export_write(&site->app, member.id, path, go_on, &last, &bytes, &info), &info);
	zip = read_all(path, &length);
	assert_int_equal(length, bytes);
	assert_int_equal(last, (int64_t)atl_personal_count + 2);
	assert_true(holds(zip, length, "words of the member") && holds(zip, length, "\"Ada\"") && holds(zip, length, "data/jobs.json"));
	assert_true(holds(zip, length, "conversations/cnv_") && holds(zip, length, "pictures/"));
	assert_false(holds(zip, length, "words of another") || holds(zip, length, "password_hash") || holds(zip, length, "$argon2"));
	assert_int_equal(memcmp(zip + length - 22, "PK\5\6", 4), 0);
	free(zip);
	assert_int_equal(atl_export_write(&site->app, member.id, path, go_on, &last, &bytes, &info), ATL_ERR_CONFLICT);
	unlink(path);
	assert_int_equal(atl_export_write(&site->app, member.id, path, stop_at_ten, NULL, &bytes, &info), ATL_ERR_CANCELLED);
	unlink(path);
}

/* ---- who may have it ---- */

static void test_who_may_have_it(void **state)
{
	struct site *site = *state;
	const char *id;

	expect_problem(ask(site, &member, fmt("POST /api/v1/users/%s/exports", other.id), NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &admin, "POST /api/v1/users/usr_nobody/exports", NULL), 404, "not_found", NULL);
	expect(ask(site, &admin, fmt("POST /api/v1/users/%s/exports", other.id), NULL), 202);
	id = fmt("%s", text_at(expect(ask(site, &other, "GET /api/v1/me/exports", NULL), 200), "items.0.id"));
	assert_non_null(strstr(expect(ask(site, &other, "GET /api/v1/me/exports", NULL), 200)->out.data, "\"by_other\":true"));
	assert_int_equal(count_at(expect(ask(site, &member, "GET /api/v1/me/exports", NULL), 200), "items"), 0);
	expect_problem(ask(site, &member, fmt("GET /api/v1/me/exports/%s/file", id), NULL), 404, "not_found", NULL);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = 'user.export' AND target_id = '%s'", other.id)), 1);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &admin);
	person_create(*state, "Member", ATL_ROLE_MEMBER, &member);
	person_create(*state, "Other", ATL_ROLE_MEMBER, &other);
	return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_table_is_exported_or_exempt), TEST(test_no_secret_is_exported), TEST(test_the_file), TEST(test_who_may_have_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
