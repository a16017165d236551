/* Providers: the sealed key, the address rule, state, and how their models are chosen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/models/model.h"
#include "core/models/provider.h"
#include "core/server/setting.h"
#include "db/db.h"
#include "fixture.h"

#define KEY "sk-test-0123456789abcdef"
#define USER "usr_01J0000000000000000000000A"

static struct atl_identity who;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	fixture_open(f, NULL);
	fixture_user(f, USER);
	atl_identity_internal(&who, USER, "o", ATL_ROLE_OWNER);
	assert_int_equal(atl_providers_create(&f->app, &f->app.providers, NULL), ATL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	atl_providers_destroy(f->app.providers);
	fixture_close(f);
	free(f);
	return 0;
}

static struct atl_provider add(struct fixture *f, const char *key)
{
	struct atl_provider_model models[] = {{.id = "big", .name = "Big", .context_size = 32768}, {.id = "org/small"}};
	struct atl_items items = {models, 2};
	struct atl_provider_change change = {.preset = "openai", .key = key, .models = &items};
	struct atl_provider p;
	struct atl_errinfo info = {0};
	if (atl_provider_save(&f->app, &who, &f->arena, NULL, &change, &p, &info))
		fail_msg("%s", info.detail);
	return p;
}

static enum atl_err read_sealed(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct fixture *f = arg;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT key_sealed FROM providers", "");
	assert_int_equal(err, ATL_OK);
	assert_true(atl_rows_next(rows, &err, info));
	const char *sealed = atl_col_text(rows, 0, &f->arena);
	assert_non_null(sealed);
	assert_null(strstr(sealed, "sk-test"));
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err swap_id(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "UPDATE providers SET id = 'prv_01J0000000000000000000000B'", "");
}

static void test_key_is_sealed(void **state)
{
	struct fixture *f = *state;
	struct atl_chat_endpoint endpoint;
	struct atl_provider p = add(f, KEY);
	assert_true(p.has_key);
	assert_int_equal(atl_db_read(f->app.db, read_sealed, f, NULL), ATL_OK);
	atl_providers_destroy(f->app.providers);
	assert_int_equal(atl_providers_create(&f->app, &f->app.providers, NULL), ATL_OK);
	assert_int_equal(atl_provider_endpoint(&f->app, &f->arena, p.id, &endpoint, NULL), ATL_OK);
	assert_string_equal(endpoint.api_key, KEY);
	/* Moved to another row it does not open: the provider stays, without a key. */
	assert_int_equal(atl_db_tx(f->app.db, swap_id, NULL, NULL), ATL_OK);
	atl_providers_destroy(f->app.providers);
	assert_int_equal(atl_providers_create(&f->app, &f->app.providers, NULL), ATL_OK);
	assert_int_equal(atl_provider_endpoint(&f->app, &f->arena, "prv_01J0000000000000000000000B", &endpoint, NULL), ATL_OK);
	assert_null(endpoint.api_key);
}

static void test_key_stays_with_its_server(void **state)
{
	struct fixture *f = *state;
	struct atl_provider p = add(f, KEY);
	struct atl_errinfo info = {0};
	struct atl_provider_change change = {.base_url = "https://evil.example/v1"};
	assert_int_equal(atl_provider_save(&f->app, &who, &f->arena, p.id, &change, &p, &info), ATL_ERR_INVALID);
	assert_string_equal(info.field, "key");
	change.base_url = "https://api.openai.com/v2/";
	assert_int_equal(atl_provider_save(&f->app, &who, &f->arena, p.id, &change, &p, NULL), ATL_OK);
	assert_string_equal(p.base_url, "https://api.openai.com/v2");
	assert_true(p.has_key);
	change = (struct atl_provider_change){.key = ""};
	assert_int_equal(atl_provider_save(&f->app, &who, &f->arena, p.id, &change, &p, NULL), ATL_OK);
	assert_false(p.has_key);
}

static void test_refused_input(void **state)
{
	struct fixture *f = *state;
	const struct {
		struct atl_provider_change change;
		const char *field;
	} cases[] = {
		{{.preset = "nobody"}, "preset"},
		{{.preset = "custom"}, "base_url"},
		{{.preset = "openai", .base_url = "http://127.0.0.1:1/v1"}, "base_url"},
		{{.preset = "openai", .base_url = "file:///etc/passwd"}, "base_url"},
		{{.preset = "openai", .base_url = "https://a.example/?x=1"}, "base_url"},
		{{.preset = "openai", .key = "two words"}, "key"},
		{{.preset = "openai", .key = "a\r\nX: y"}, "key"},
		{{.preset = "openai", .name = ""}, "name"},
	};
	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		struct atl_errinfo info = {0};
		struct atl_provider p;
		if (!atl_provider_save(&f->app, &who, &f->arena, NULL, &cases[i].change, &p, &info))
			fail_msg("case %zu was taken", i);
		assert_string_equal(info.field, cases[i].field);
	}
}

static void test_choosing(void **state)
{
	struct fixture *f = *state;
	struct atl_model_target t;
	struct atl_model *models;
	struct atl_errinfo info = {0};
	size_t count;
	bool off = false;
	int64_t tokens;
	struct atl_provider_change change = {.enabled = &off};
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, NULL, &t, &info), ATL_ERR_NO_MODEL);
	struct atl_provider p = add(f, KEY);
	assert_int_equal(atl_models_list(&f->app, &f->arena, USER, &models, &count, NULL), ATL_OK);
	assert_int_equal(count, 2);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, NULL, &t, NULL), ATL_OK);
	assert_string_equal(t.name, "big");
	assert_int_equal(t.context_size, 32768);
	assert_false(t.exact_tokens);
	assert_int_equal(atl_models_count_tokens(&f->app, &t, "four words are here", &tokens, NULL), ATL_OK);
	assert_true(tokens > 0);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, "org/small", &t, NULL), ATL_OK); /* bare, with a slash */
	assert_string_equal(t.name, "org/small");
	assert_int_equal(atl_setting_set(&f->app, NULL, ATL_SETTING_DEFAULT_MODEL, "\"prv_gone/x\"", NULL), ATL_OK);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, NULL, &t, NULL), ATL_OK); /* passed over */
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, "gpt-99", &t, NULL), ATL_ERR_UPSTREAM_MODEL);
	const char *id = atl_arena_strdup(&f->arena, t.id);
	assert_int_equal(atl_provider_save(&f->app, &who, &f->arena, p.id, &change, &p, NULL), ATL_OK);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, USER, id, &t, NULL), ATL_ERR_UPSTREAM_MODEL);
}

static void test_state_and_delete(void **state)
{
	struct fixture *f = *state;
	struct atl_provider p = add(f, NULL);
	struct atl_errinfo why = {.detail = "it is down"};
	assert_string_equal(p.state, "unknown");
	struct atl_breaker *breaker = atl_provider_breaker(&f->app, p.id, f->loop);
	assert_non_null(breaker);
	for (int i = 0; i < ATL_BREAKER_FAILURES; i++) {
		atl_provider_outcome(&f->app, p.id, ATL_ERR_UPSTREAM, &why);
		assert_int_equal(atl_provider_get(&f->app, &f->arena, p.id, &p, NULL), ATL_OK);
		assert_string_equal(p.state, i + 1 < ATL_BREAKER_FAILURES ? "failing" : "open_circuit");
	}
	assert_string_equal(p.last_error, "it is down");
	atl_provider_outcome(&f->app, p.id, ATL_OK, NULL);
	assert_int_equal(atl_provider_get(&f->app, &f->arena, p.id, &p, NULL), ATL_OK);
	assert_string_equal(p.state, "ok");
	assert_int_equal(atl_provider_delete(&f->app, &who, p.id, NULL), ATL_OK);
	assert_int_equal(atl_provider_get(&f->app, &f->arena, p.id, &p, NULL), ATL_ERR_NOT_FOUND);
	assert_int_equal(atl_provider_delete(&f->app, &who, p.id, NULL), ATL_ERR_NOT_FOUND);
	atl_breaker_success(breaker); /* a run that began before may still hold it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_is_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_stays_with_its_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choosing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_and_delete, setup, teardown),
	};
	return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
