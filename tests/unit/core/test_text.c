/* Cards, their macros, sampling layers, permissions: the pure parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/access/identity.h"
#include "core/chat/card.h"
#include "core/chat/macros.h"
#include "core/chat/sampling.h"

static struct atl_arena arena;

static struct atl_json *parse(const char *text)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *tree;

	if (atl_json_parse(&arena, text, strlen(text), &tree, &info) != ATL_OK)
		fail_msg("%s: %s", text, info.detail);
	return tree;
}

/* ---- macros ---- */

static const char *expand(const char *text)
{
	const struct atl_macros macros = { .char_name = "Ada {{user}}", .user_name = "Max", .seed = "cnv_1",
					   .now_ms = 1700000000000 };
	struct atl_buf out;
	const char *copy;

	atl_buf_init(&out, 1 << 16);
	atl_macros_expand(&macros, text, &out);
	assert_false(out.failed);
	copy = atl_arena_strndup(&arena, out.data, out.length);
	atl_buf_finish(&out);
	return copy;
}

static void test_macros(void **state)
{
	static const char *const rows[][2] = {
		{ "plain", "plain" },
		{ "Hi {{user}}!", "Hi Max!" },
		{ "{{USER}} {{ User }} <USER>", "Max Max Max" },
		{ "{{char}}", "Ada {{user}}" }, /* not expanded again */
		{ "<BOT><CHAR>", "Ada {{user}}Ada {{user}}" },
		{ "{{unknown}} {{user", "{{unknown}} {{user" },
		{ "a{{// a comment }}b", "ab" },
		{ "{{date}} {{time}}", "2023-11-14 22:13" },
		{ "{{random:one}}", "one" },
		{ "{{roll:0}}|{{roll:xd6}}|{{roll:1d1}}", "||1" },
		{ "{{}} {{{user}}}", "{{}} {Max}" },
		{ "<3 <b>x</b>", "<3 <b>x</b>" },
		{ "", "" },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_string_equal(expand(rows[i][0]), rows[i][1]);
}

static void test_choices(void **state)
{
	bool seen[4] = { false };

	for (int i = 0; i < 400; i++) {
		const char *roll = expand("{{roll:d3}}");

		assert_true(roll[0] >= '1' && roll[0] <= '3' && !roll[1]);
		seen[roll[0] - '0'] = true;
		assert_string_equal(expand("{{pick:a,b,c,d,e,f,g,h}}"), expand("{{pick:a,b,c,d,e,f,g,h}}"));
	}
	assert_true(seen[1] && seen[2] && seen[3]);
}

/* ---- cards ---- */

static const char *merged(const char *base, const char *patch)
{
	struct atl_errinfo info = { 0 };
	const char *out;
	enum atl_err err = atl_card_merge(&arena, base, parse(patch), &out, &info);

	return err ? atl_err_name(err) : out;
}

static void test_merge(void **state)
{
	assert_string_equal(merged(NULL, "{\"name\":\"A\",\"x\":[1,{\"y\":null}]}"), "{\"name\":\"A\",\"x\":[1,{\"y\":null}]}");
	assert_string_equal(merged("{\"name\":\"A\",\"b\":1,\"c\":2}", "{\"b\":null,\"c\":3,\"d\":4}"), "{\"name\":\"A\",\"c\":3,\"d\":4}");
	assert_string_equal(merged("{\"name\":\"A\",\"extensions\":{\"a\":1,\"b\":2}}", "{\"extensions\":{\"c\":3}}"),
			    "{\"name\":\"A\",\"extensions\":{\"c\":3}}");
	assert_string_equal(merged(NULL, "{\"spec\":\"chara_card_v3\",\"data\":{\"name\":\"A\"}}"), "{\"name\":\"A\"}");
	assert_string_equal(merged(NULL, "{\"b\":1}"), "ATL_ERR_INVALID");
	assert_string_equal(merged("{\"name\":\"A\"}", "{\"name\":null}"), "ATL_ERR_INVALID");
	assert_string_equal(merged("{\"name\":\"A\"}", "{\"description\":5}"), "ATL_ERR_INVALID");
	assert_string_equal(merged("{\"name\":\"A\"}", "{\"alternate_greetings\":\"x\"}"), "ATL_ERR_INVALID");
	assert_string_equal(merged("{\"name\":\"A\"}", "{\"extensions\":[]}"), "ATL_ERR_INVALID");
}

static void test_parse(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_card card;

	assert_int_equal(atl_card_parse(&arena, "{\"name\":\"A\",\"alternate_greetings\":[\"x\",\"y\"],"
					"\"extensions\":{\"venice\":{\"slug\":\"s-1\"}}}", &card, &info), ATL_OK);
	assert_string_equal(card.name, "A");
	assert_string_equal(card.nickname, "");
	assert_string_equal(card.first_mes, "");
	assert_int_equal(card.alternate_greetings.count, 2);
	assert_string_equal(card.venice_slug, "s-1");
}

static void test_summary(void **state)
{
	struct atl_card card = { .name = "A", .description = "First. Second.", .creator_notes = "" };
	char text[600];

	assert_string_equal(atl_card_summary(&arena, &card), "First.");
	card.creator_notes = "Notes win! More.";
	assert_string_equal(atl_card_summary(&arena, &card), "Notes win!");
	memset(text, 'x', sizeof(text));
	memcpy(text, "\xc3\xa9\xc3\xa9\xc3\xa9", 6);
	text[sizeof(text) - 1] = '\0';
	card.creator_notes = text;
	assert_true(atl_utf8_count(atl_card_summary(&arena, &card), strlen(atl_card_summary(&arena, &card))) <= ATL_CARD_SUMMARY_MAX);
}

/* ---- sampling ---- */

static void test_sampling(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_sampling base, over;

	assert_int_equal(atl_sampling_parse(&arena, "{\"temperature\":0.7,\"top_k\":40,\"stop\":[\"a\"]}", &base, &info), ATL_OK);
	assert_int_equal(atl_sampling_parse(&arena, "{\"temperature\":0,\"seed\":7}", &over, &info), ATL_OK);
	atl_sampling_merge(&base, &over);
	assert_string_equal(atl_sampling_text(&arena, &base), "{\"temperature\":0,\"top_k\":40,\"stop\":[\"a\"],\"seed\":7}");
	assert_false(atl_sampling_has(&base, ATL_SAMPLING_TOP_P));
	assert_int_equal(atl_sampling_parse(&arena, "", &base, &info), ATL_OK);
	assert_string_equal(atl_sampling_text(&arena, &base), "{}");
	/* null is "not set", an unknown key of another version is passed over when stored and named when sent */
	assert_int_equal(atl_sampling_parse(&arena, "{\"top_p\":null,\"future\":1}", &base, &info), ATL_OK);
	assert_string_equal(atl_sampling_text(&arena, &base), "{}");
	assert_int_equal(atl_sampling_read(&arena, parse("{\"temprature\":1}"), &base, &info), ATL_ERR_INVALID);
	assert_non_null(strstr(info.field, "temprature"));
	assert_int_equal(atl_sampling_read(&arena, parse("{\"top_p\":1.5}"), &base, &info), ATL_ERR_INVALID);
	assert_int_equal(atl_sampling_read(&arena, parse("{\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}"), &base,
					   &info), ATL_ERR_INVALID);
}

/* ---- permissions ---- */

static void test_permissions(void **state)
{
	enum atl_permission perm;
	uint32_t mask;

	for (int i = 0; i < ATL_PERM_COUNT; i++) {
		assert_true(atl_permission_find(atl_permission_name((enum atl_permission)i), &perm));
		assert_int_equal(perm, i);
		assert_true(atl_role_permissions(ATL_ROLE_OWNER) & ATL_PERM_BIT(i));
	}
	assert_false(atl_permission_find("chat", &perm));
	assert_false(atl_permission_find("", &perm));
	assert_false(atl_role_permissions(ATL_ROLE_MEMBER) & ATL_PERM_BIT(ATL_PERM_ADMIN));
	assert_false(atl_role_permissions(ATL_ROLE_MEMBER) & ATL_PERM_BIT(ATL_PERM_SETTINGS_MANAGE));
	for (size_t i = 0; atl_scope_names[i]; i++)
		assert_true(atl_scope_permissions(atl_scope_names[i], &mask));
	assert_true(atl_scope_permissions("models", &mask));
	assert_true(mask & ATL_PERM_BIT(ATL_PERM_MODELS_READ));
	assert_false(mask & (ATL_PERM_BIT(ATL_PERM_CHAT_USE) | ATL_PERM_BIT(ATL_PERM_KEYS_MANAGE) | ATL_PERM_BIT(ATL_PERM_ADMIN)));
	assert_false(atl_scope_permissions("owner", &mask));
}

static void test_identity(void **state)
{
	struct atl_identity identity = { 0 };

	assert_true(atl_identity_may(NULL, ATL_PERM_PUBLIC));
	assert_false(atl_identity_may(NULL, ATL_PERM_SESSION));
	assert_false(atl_identity_may(&identity, ATL_PERM_SESSION));
	atl_identity_internal(&identity, "usr_1", "Max", ATL_ROLE_MEMBER);
	assert_true(atl_identity_may(&identity, ATL_PERM_CHAT_USE));
	assert_false(atl_identity_may(&identity, ATL_PERM_ENGINE_MANAGE));
}

static int setup(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int teardown(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_macros),	 cmocka_unit_test(test_choices),     cmocka_unit_test(test_merge),
		cmocka_unit_test(test_parse),	 cmocka_unit_test(test_summary),     cmocka_unit_test(test_sampling),
		cmocka_unit_test(test_permissions), cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
