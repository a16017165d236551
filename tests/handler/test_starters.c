/* The starter characters: given once at sign-in, with portraits, and never brought back. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/chat/card.h"
#include "core/chat/starter.h"
#include "core/people/user.h"
#include "support.h"

static size_t list(struct site *site, struct atl_arena *arena, const char *user_id, struct atl_character **ret)
{
	struct atl_character_query query = { .limit = 50 };
	struct atl_errinfo info = { 0 };
	size_t count = 0;

	assert_ok(atl_character_list(&site->app, arena, user_id, &query, ret, &count, &info), &info);
	return count;
}

static void seed(struct site *site)
{
	struct atl_identity who;
	struct atl_errinfo info = { 0 };

	atl_identity_internal(&who, owner.id, "owner", ATL_ROLE_OWNER);
	assert_ok(atl_starters_seed(&site->app, &who, &info), &info);
}

static void test_given_once(void **state)
{
	struct site *site = *state;
	struct atl_character *found;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	seed(site);
	assert_int_equal(list(site, &arena, owner.id, &found), atl_starter_count);
	assert_int_equal(atl_starter_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(found[i].starter);
		assert_non_null(found[i].avatar);
		assert_int_equal(found[i].avatar->width, 512);
		assert_int_equal(found[i].avatar->height, 512);
		assert_true(found[i].summary[0] && found[i].tags.count >= 2);
		expect(ask(site, &owner, fmt("GET %s?width=128", found[i].avatar->url), NULL), 200);
	}
	seed(site);
	assert_int_equal(list(site, &arena, owner.id, &found), 3);
	expect(ask(site, &owner, fmt("DELETE /api/v1/characters/%s", found[0].id), NULL), 204);
	seed(site);
	assert_int_equal(list(site, &arena, owner.id, &found), 2);
	atl_arena_finish(&arena);
}

/* A small model reads them: everything the prompt takes, and no text left out. */
static void test_cards(void **state)
{
	for (size_t i = 0; i < atl_starter_count; i++) {
		const struct atl_starter *starter = &atl_starters[i];
		struct atl_errinfo info = { 0 };
		struct atl_json *file;
		struct atl_arena arena;
		struct atl_card card;

		atl_arena_init(&arena, 0);
		assert_ok(atl_json_parse(&arena, (const char *)starter->card, starter->card_length, &file, &info), &info);
		const char *data;
		assert_ok(atl_card_merge(&arena, NULL, file, &data, &info), &info);
		assert_ok(atl_card_parse(&arena, data, &card, &info), &info);
		assert_true(card.name[0] && card.description[0] && card.personality[0] && card.scenario[0]);
		assert_true(card.first_mes[0] && card.mes_example[0] && card.system_prompt[0] && card.creator_notes[0]);
		assert_int_equal(card.alternate_greetings.count, 2);
		assert_true(starter->card_length < 2200); /* about 450 tokens of text */
		assert_true(starter->picture_length <= 40 * 1024);
		atl_arena_finish(&arena);
	}
}

static void test_sign_in_gives(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_character *found;
	struct atl_arena arena;
	char id[ATL_ID_SIZE];

	atl_arena_init(&arena, 0);
	assert_ok(atl_user_create(&site->app, "newcomer", "a long password", ATL_ROLE_MEMBER, false, id, &info), &info);
	assert_int_equal(list(site, &arena, id, &found), 0);
	expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"newcomer\",\"password\":\"a long password\"}"), 201);
	assert_int_equal(list(site, &arena, id, &found), 3);
	atl_arena_finish(&arena);
}

/* A decoder that cannot run costs the portraits, not the sign-in. */
static void test_without_decoder(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct atl_character *found;
	struct atl_arena arena;
	char id[ATL_ID_SIZE];
	struct atl_pictures *pictures = site->app.pictures;

	atl_arena_init(&arena, 0);
	assert_ok(atl_user_create(&site->app, "plain", "a long password", ATL_ROLE_MEMBER, false, id, &info), &info);
	site->app.pictures = NULL;
	expect(ask(site, &nobody, "POST /api/v1/session", "{\"name\":\"plain\",\"password\":\"a long password\"}"), 201);
	site->app.pictures = pictures;
	assert_int_equal(list(site, &arena, id, &found), 3);
	assert_null(found[0].avatar);
	atl_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_once),
		cmocka_unit_test(test_cards),
		cmocka_unit_test(test_sign_in_gives),
		cmocka_unit_test(test_without_decoder),
	};
	return cmocka_run_group_tests_name("starters", tests, site_setup, site_teardown);
}
