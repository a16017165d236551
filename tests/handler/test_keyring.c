/* Changing the master key: wherever it is killed, the next start opens every secret and goes on. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/server/keyring.h"
#include "os/file.h"
#include "support.h"

#define ATL_COUNT_OF_SECRETS 7

static struct person member;

/* ---- the list of sealed columns ---- */

struct listing {
	struct atl_arena *arena;
	const char *kind; /* of the database */
};

static enum atl_err sealed_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_arena *arena = ((struct listing *)arg)->arena;
	const char *conn_kind = ((struct listing *)arg)->kind;
	struct atl_rows *rows;
	size_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     atl_str_eq(conn_kind, "sqlite") ?
				     "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND "
				     "c.name LIKE '%sealed%'" :
				     "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns "
				     "WHERE table_schema = current_schema() AND column_name LIKE '%sealed%'", "");

	assert_ok(err, info);
	for (; atl_rows_next(rows, &err, info); count++) {
		const char *table = atl_col_text(rows, 0, arena), *column = atl_col_text(rows, 1, arena), *in, *known;
		bool found = false;

		for (size_t i = 0; (known = atl_sealed_column(i, &in)); i++)
			found |= atl_str_eq(in, table) && atl_str_eq(known, column);
		if (!found)
			fail_msg("%s.%s is sealed, and not in SEALED of src/core/server/keyring.c", table, column);
	}
	assert_true(count >= 4);
	return err;
}

static void test_each_sealed_column_is_known(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_ok(atl_db_read(site->app.db, sealed_read, &(struct listing){ &arena, atl_db_kind(site->app.db) }, &info), &info);
	atl_arena_finish(&arena);
}

/* ---- secrets ---- */

static const struct secret {
	const char *context, *read; /* NULL context: the owner's id */
	enum atl_base64 kind;
} secrets[ATL_COUNT_OF_SECRETS] = {
	{ "prv_1", "SELECT key_sealed FROM providers", ATL_BASE64_STANDARD },
	{ "whk_1", "SELECT secret_sealed FROM webhooks", ATL_BASE64_STANDARD },
	{ "lgp_1", "SELECT secret_sealed FROM login_providers", ATL_BASE64_STANDARD },
	{ NULL, "SELECT secret_sealed FROM totp", ATL_BASE64_STANDARD },
	{ "signing_keys/content-credentials", "SELECT key_sealed FROM signing_keys WHERE name = 'content-credentials'", ATL_BASE64_URL },
	{ "setting backup passphrase", "SELECT value FROM settings WHERE name = 'backup'", ATL_BASE64_URL },
	{ "signing_keys/watermark", "SELECT key_sealed FROM signing_keys WHERE name = 'watermark'", ATL_BASE64_URL },
};

static const char *context_of(size_t i)
{
	return secrets[i].context ? secrets[i].context : owner.id;
}

static const char *sealed(struct site *site, size_t i)
{
	struct atl_buf raw, text;
	const char *words = fmt("secret %zu", i), *out;

	atl_buf_init(&raw, 4096);
	atl_buf_init(&text, 4096);
	assert_int_equal(atl_seal(&raw, site->app.master_key, context_of(i), words, strlen(words)), ATL_OK);
	atl_base64_encode(&text, secrets[i].kind, raw.data, raw.length);
	out = fmt("%s", text.data);
	atl_buf_finish(&raw);
	atl_buf_finish(&text);
	return out;
}

static void put_secrets(struct site *site)
{
	execute(site->app.db, fmt("INSERT INTO providers (id, user_id, preset, name, base_url, key_sealed, models, enabled, created_at, "
				  "updated_at) VALUES ('prv_1', '%s', 'custom', 'P', 'https://192.0.2.1/', '%s', '[]', 1, 1, 1)", owner.id, sealed(site, 0)));
	execute(site->app.db, fmt("INSERT INTO webhooks (id, user_id, url, secret_sealed, enabled, created_at, updated_at) VALUES "
				  "('whk_1', '%s', 'https://192.0.2.1/', '%s', 1, 1, 1)", owner.id, sealed(site, 1)));
	execute(site->app.db, fmt("INSERT INTO login_providers (id, preset, name, issuer, client_id, secret_sealed, enabled, created_at, "
				  "updated_at) VALUES ('lgp_1', 'custom', 'L', 'https://192.0.2.1/', 'c', '%s', 1, 1, 1)", sealed(site, 2)));
	execute(site->app.db, fmt("INSERT INTO totp (user_id, secret_sealed, last_step, created_at) VALUES ('%s', '%s', 0, 1)", owner.id, sealed(site, 3)));
	execute(site->app.db, fmt("INSERT INTO signing_keys (name, key_sealed, chain, created_at) VALUES ('content-credentials', '%s', '', 1)",
				  sealed(site, 4)));
	execute(site->app.db, fmt("INSERT INTO signing_keys (name, key_sealed, chain, created_at) VALUES ('watermark', '%s', '', 1)",
				  sealed(site, 6)));
	execute(site->app.db, fmt("INSERT INTO settings (name, value, updated_at) VALUES ('backup', '{\"daily\":false,\"keep\":3,\"passphrase\":"
				  "\"%s\"}', 1)", sealed(site, 5)));
}

struct texts {
	struct atl_arena *arena;
	const char *items[ATL_COUNT_OF_SECRETS];
};

static enum atl_err texts_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct texts *texts = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; i < ATL_COUNT_OF_SECRETS; i++) {
		struct atl_rows *rows;

		assert_ok(atl_query(conn, &rows, info, secrets[i].read, ""), info);
		assert_true(atl_rows_next(rows, &err, info));
		texts->items[i] = atl_col_text(rows, 0, texts->arena);
		atl_rows_close(rows);
	}
	return err;
}

/* How many open with the key alone; all must open with what the server has. */
static int check_secrets(struct site *site, const unsigned char *key)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct texts texts = { .arena = &arena };
	int fresh = 0;

	atl_arena_init(&arena, 0);
	assert_ok(atl_db_read(site->app.db, texts_read, &texts, &info), &info);
	for (size_t i = 0; i < ATL_COUNT_OF_SECRETS; i++) {
		const char *text = texts.items[i], *quote = strstr(text, "\"passphrase\":\"");
		struct atl_buf raw, plain;

		if (quote)
			text = fmt("%.*s", (int)strcspn(quote + 14, "\""), quote + 14);
		atl_buf_init(&raw, 4096);
		atl_buf_init(&plain, 4096);
		assert_true(atl_base64_decode(&raw, secrets[i].kind, text, strlen(text)));
		assert_ok(atl_secret_open(&site->app, &plain, context_of(i), raw.data, raw.length, &info), &info);
		assert_string_equal(fmt("%.*s", (int)plain.length, plain.data), fmt("secret %zu", i));
		atl_buf_reset(&plain);
		fresh += atl_unseal(&plain, key, context_of(i), raw.data, raw.length, NULL) == ATL_OK;
		atl_buf_finish(&raw);
		atl_buf_finish(&plain);
	}
	atl_arena_finish(&arena);
	return fresh;
}

static size_t key_lines(struct site *site)
{
	struct atl_errinfo info = { 0 };
	struct atl_buf text;
	size_t lines = 0;

	atl_buf_init(&text, 4096);
	assert_ok(atl_file_read(site->key_path, 4096, &text, &info), &info);
	for (size_t i = 0; i < text.length; i++)
		lines += text.data[i] == '\n';
	atl_buf_finish(&text);
	return lines;
}

static void restart(struct site *site)
{
	struct atl_errinfo info = { 0 };

	atl_keyring_close(&site->app);
	assert_ok(atl_keyring_open(&site->app, site->key_path, &info), &info);
}

/* ---- the change ---- */

static void test_a_change(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	unsigned char old[ATL_MASTER_KEY_SIZE];
	int64_t now = atl_now_ms();

	put_secrets(site);
	memcpy(old, site->app.master_key, sizeof(old));
	expect_problem(ask(site, &member, "POST /api/v1/server/key/rotate", NULL), 403, "forbidden", NULL);
	expect(ask(site, &owner, "POST /api/v1/server/key/rotate", NULL), 202);
	assert_int_not_equal(memcmp(old, site->app.master_key, sizeof(old)), 0);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
	assert_int_equal(int_at(expect(ask(site, &owner, "GET /api/v1/server/key", NULL), 200), "resealed"), ATL_COUNT_OF_SECRETS);
	expect_problem(ask(site, &owner, "POST /api/v1/server/key/rotate", NULL), 409, "conflict", NULL);
	assert_int_equal(key_lines(site), 2);
	assert_ok(atl_key_tick(&site->app, now + 30000, &info), &info); /* somebody may still be sealing with the old one */
	assert_int_equal(key_lines(site), 2);
	atomic_store(&site->app.backing_up, true);
	assert_ok(atl_key_tick(&site->app, now + 2 * ATL_KEY_SETTLE_MS, &info), &info);
	assert_int_equal(key_lines(site), 2);
	atomic_store(&site->app.backing_up, false);
	assert_ok(atl_key_tick(&site->app, now + 2 * ATL_KEY_SETTLE_MS, &info), &info);
	assert_int_equal(key_lines(site), 1);
	assert_null(site->app.old_master_key);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
	assert_int_equal(check_secrets(site, old), 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE action IN ('key.rotate', 'key.rotated')"), 2);
	restart(site);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
}

static void test_killed_after_each_step(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	char first[ATL_MASTER_KEY_SIZE * 2 + 1];
	const char *both;
	int64_t now;

	put_secrets(site);
	atl_hex_encode(site->app.master_key, ATL_MASTER_KEY_SIZE, first);
	/* both keys are in the file, and no secret was sealed anew */
	both = fmt("%064d\n%s\n", 7, first);
	assert_ok(atl_file_write_atomic(site->key_path, both, strlen(both), 0600, &info), &info);
	restart(site);
	assert_non_null(site->app.old_master_key);
	assert_int_equal(check_secrets(site, site->app.master_key), 0);
	/* some were: what a late writer sealed with the old key is there again */
	execute(site->app.db, fmt("CREATE TABLE kept AS SELECT key_sealed FROM providers"));
	assert_ok(atl_key_tick(&site->app, atl_now_ms(), &info), &info);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
	execute(site->app.db, "UPDATE providers SET key_sealed = (SELECT key_sealed FROM kept)");
	restart(site);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS - 1);
	now = atl_now_ms() + 2 * ATL_KEY_SETTLE_MS;
	assert_ok(atl_key_tick(&site->app, now, &info), &info); /* it found one: not yet */
	assert_int_equal(key_lines(site), 2);
	/* all were, and the old key was not given up */
	restart(site);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
	assert_ok(atl_key_tick(&site->app, now + 2 * ATL_KEY_SETTLE_MS, &info), &info);
	assert_int_equal(key_lines(site), 1);
	restart(site);
	assert_null(site->app.old_master_key);
	assert_int_equal(check_secrets(site, site->app.master_key), ATL_COUNT_OF_SECRETS);
	execute(site->app.db, "DROP TABLE kept");
}

static void test_a_damaged_file_is_not_replaced(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	static const char *const wrong[] = { "", "12", "zz", "\n", NULL };
	struct atl_app other = { .db = site->app.db };

	for (size_t i = 0; wrong[i]; i++) {
		assert_ok(atl_file_write_atomic(site->key_path, wrong[i], strlen(wrong[i]), 0600, &info), &info);
		assert_int_equal(atl_keyring_open(&other, site->key_path, &info), ATL_ERR_CONFIG);
		assert_null(other.keyring);
	}
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Member", ATL_ROLE_ADMIN, &member);
	return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, site_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_sealed_column_is_known), TEST(test_a_change), TEST(test_killed_after_each_step),
		TEST(test_a_damaged_file_is_not_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
