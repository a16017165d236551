/* Reports: who may say what about which thing, what happens to it at once, the queue, decisions, notices and appeals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/report.h"
#include "media/encode.h"
#include "media/phash.h"
#include "support.h"

static struct person moderator, second, member;

static struct atl_req *report(struct site *site, const struct person *who, const char *kind, const char *target_kind,
			      const char *target)
{
	return ask(site, who, "POST /api/v1/reports",
		   fmt("{\"target_kind\":\"%s\",\"target\":\"%s\",\"kind\":\"%s\",\"note\":\"secret words\",\"contact\":\"a@b.example\"}",
		       target_kind, target, kind));
}

static const char *share_of(struct site *site, const struct person *who, const char *asset)
{
	return text_at(expect(ask(site, who, fmt("POST /api/v1/assets/%s/shares", asset), "{}"), 201), "key");
}

/* The id of the one report that is open about this thing. */
static const char *open_report(struct site *site, const char *target_id)
{
	struct atl_req *req = expect(ask(site, &moderator, "GET /api/v1/reports?state=open", NULL), 200);

	for (size_t i = 0; i < count_at(req, "items"); i++)
		if (strcmp(text_at(req, fmt("items.%zu.target_id", i)), target_id) == 0)
			return fmt("%s", text_at(req, fmt("items.%zu.id", i)));
	fail_msg("no open report about %s", target_id);
	return NULL;
}

static struct atl_req *upload(struct site *site, const struct person *who, const char *file)
{
	static const char *const type[] = { "Content-Type: application/octet-stream", NULL };
	struct atl_buf data = load_picture(file);
	struct atl_req *req = ask_data(site, who, type, "POST /api/v1/assets", data.data, data.length);

	atl_buf_finish(&data);
	return req;
}

static struct atl_req *decide(struct site *site, const struct person *who, const char *id, const char *decision,
			      const char *reason)
{
	return ask(site, who, fmt("POST /api/v1/reports/%s/decision", id),
		   fmt("{\"decision\":\"%s\",\"reason\":\"%s\",\"answer\":\"words for you\"}", decision, reason));
}

static int64_t audited(struct site *site, const char *action)
{
	return number_of(site->app.db, fmt("SELECT count(*) FROM audit WHERE action = '%s'", action));
}

/* Anybody with the link; the gravest kinds take it from sight at once, for everybody but moderators. */
static void test_quarantine(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &member, "good.png"), *key = share_of(site, &member, asset), *id, *receipt;
	const char *copy = make_asset(site, &owner, "good.png"); /* the same bytes, somebody else's */
	struct atl_req *req = expect(report(site, &nobody, "minors", "share", fmt("https://example.org/s/%s?x=1", key)), 201);
	int64_t looks = audited(site, "report.look"), files = audited(site, "report.look.picture");

	receipt = fmt("%s", text_at(req, "key"));
	assert_non_null(strstr(req->out.data, "\"quarantined\":true"));
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 404);
	expect(ask(site, &nobody, fmt("GET /s/%s/file", key), NULL), 404);
	expect(ask(site, &member, fmt("GET /api/v1/assets/%s/file", asset), NULL), 403);
	expect(ask(site, &member, fmt("GET /api/v1/assets/%s", asset), NULL), 403);
	expect(ask(site, &member, fmt("POST /api/v1/assets/%s/restore", asset), NULL), 404);
	expect(ask(site, &member, fmt("DELETE /api/v1/assets/%s?forever=true", asset), NULL), 404);
	expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", copy), NULL), 403);
	req = expect(ask(site, &member, "GET /api/v1/assets", NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);
	req = expect(ask(site, &member, "GET /api/v1/assets?trash=true", NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);

	id = open_report(site, asset);
	req = expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "hold"), "quarantined");
	assert_string_equal(text_at(req, "voice_list.0.note"), "secret words");
	assert_string_equal(text_at(req, "voice_list.0.contact"), "a@b.example");
	assert_true(is_null_at(req, "voice_list.0.user_name"));
	assert_int_equal(int_at(req, "copies"), 2);
	expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s/content", id), NULL), 200);
	req = expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s/file", id), NULL), 200);
	assert_string_equal(atl_mock_header(req, "Content-Type"), "image/webp");
	assert_int_equal(audited(site, "report.look"), looks + 1);
	assert_int_equal(audited(site, "report.look.picture"), files + 1);
	expect(ask(site, &member, fmt("GET /api/v1/reports/%s", id), NULL), 403);
	req = expect(ask(site, &member, "GET /api/v1/notices", NULL), 200);
	assert_string_equal(text_at(req, "items.0.kind"), "held");
	assert_null(strstr(req->out.data, "secret"));

	req = expect(ask(site, &nobody, fmt("GET /api/v1/reports/status/%s", receipt), NULL), 200);
	assert_string_equal(text_at(req, "state"), "open");
	expect(decide(site, &moderator, id, "keep", "no_breach"), 200);
	req = expect(ask(site, &nobody, fmt("GET /api/v1/reports/status/%s", receipt), NULL), 200);
	assert_string_equal(text_at(req, "decision"), "kept");
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	expect(ask(site, &member, fmt("GET /api/v1/assets/%s/file", asset), NULL), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/assets/%s/file", copy), NULL), 200);

	/* what was looked at and kept is not taken from sight by the next word */
	req = expect(report(site, &nobody, "minors", "share", key), 201);
	assert_non_null(strstr(req->out.data, "\"quarantined\":false"));
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	expect(decide(site, &moderator, open_report(site, asset), "keep", "no_breach"), 200);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE note LIKE '%secret%' OR note LIKE '%words%' "
						 "OR note LIKE '%example%'"), 0);
}

/* Restricted: its owner's alone. Removed: nobody's; both reach every copy and end links. Then the appeal. */
static void test_decisions_and_appeal(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &member, "good.jpg"), *key = share_of(site, &member, asset), *id;
	struct atl_req *req;

	expect(report(site, &nobody, "copyright", "share", key), 201);
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200); /* no grave kind: it stays until somebody decides */
	expect(decide(site, &member, open_report(site, asset), "keep", "no_breach"), 403);
	expect(decide(site, &moderator, open_report(site, asset), "restrict", "copyright"), 200);
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 404);
	expect(ask(site, &member, fmt("GET /api/v1/assets/%s/file", asset), NULL), 200);
	expect(ask(site, &member, fmt("POST /api/v1/assets/%s/shares", asset), "{}"), 403);

	expect(report(site, &member, "illegal", "picture", asset), 201);
	expect(report(site, &member, "illegal", "picture", asset), 409); /* once is enough */
	id = open_report(site, asset);
	expect(decide(site, &moderator, id, "remove", "illegal"), 200);
	expect(decide(site, &moderator, id, "keep", "no_breach"), 409);
	expect(ask(site, &member, fmt("GET /api/v1/assets/%s/file", asset), NULL), 403);
	req = expect(ask(site, &member, "GET /api/v1/notices", NULL), 200);
	assert_string_equal(text_at(req, "items.0.kind"), "report"); /* what was reported was acted on */
	assert_string_equal(text_at(req, "items.0.decision"), "acted");
	assert_string_equal(text_at(req, "items.1.decision"), "remove");
	assert_string_equal(text_at(req, "items.1.answer"), "words for you");
	assert_non_null(strstr(req->out.data, "\"may_appeal\":true"));
	expect(ask(site, &member, fmt("POST /api/v1/notices/%s/read", text_at(req, "items.0.id")), NULL), 204);

	/* nor does it come back, by whomever */
	expect_problem(upload(site, &owner, "good.jpg"), 403, "refused_by_policy", NULL);
	expect(ask(site, &second, fmt("POST /api/v1/reports/%s/appeal", id), "{\"note\":\"x\"}"), 404);
	expect(ask(site, &member, fmt("POST /api/v1/reports/%s/appeal", id), "{\"note\":\"It is mine\"}"), 204);
	expect(ask(site, &member, fmt("POST /api/v1/reports/%s/appeal", id), "{\"note\":\"again\"}"), 409);
	expect(ask(site, &moderator, fmt("POST /api/v1/reports/%s/appeal/decision", id), "{\"outcome\":\"upheld\"}"), 403);
	req = expect(ask(site, &second, fmt("GET /api/v1/reports/%s", id), NULL), 200);
	assert_non_null(strstr(req->out.data, "\"may_decide\":true"));
	req = expect(ask(site, &second, fmt("POST /api/v1/reports/%s/appeal/decision", id),
			 "{\"outcome\":\"overturned\",\"answer\":\"sorry\"}"), 200);
	assert_string_equal(text_at(req, "state"), "closed");
	assert_string_equal(text_at(req, "hold"), "none");
	expect(ask(site, &nobody, fmt("GET /s/%s", key), NULL), 200);
	req = expect(ask(site, &member, "GET /api/v1/notices", NULL), 200);
	assert_string_equal(text_at(req, "items.0.decision"), "overturned");
	assert_string_equal(text_at(req, "items.0.answer"), "sorry");
	expect(upload(site, &owner, "good.jpg"), 201);
}

/* By hand: the bytes, and the same picture in another size and format. */
static void test_blocked_by_hand(void **state)
{
	static unsigned char rgb[96 * 96 * 3];
	static const char *const type[] = { "Content-Type: image/png", NULL };
	struct site *site = *state;
	struct atl_buf png;
	struct atl_req *req;
	const char *id;

	for (unsigned i = 0; i < sizeof(rgb); i++) /* rings around a corner, and a bar */
		rgb[i] = (unsigned char)(((i / 3 % 96) * (i / 3 % 96) + (i / 288) * (i / 288)) / 40 % 256 / (i / 3 % 96 > 60 ? 2 : 1));
	atl_buf_init(&png, 1 << 20);
	assert_int_equal(atl_png_encode(rgb, 96, 96, 3, &png, NULL), ATL_OK);
	expect(ask_data(site, &member, type, "POST /api/v1/blocked-pictures?reason=x", png.data, png.length), 403);
	req = expect(ask_data(site, &moderator, type, "POST /api/v1/blocked-pictures?reason=known", png.data, png.length), 201);
	assert_non_null(strstr(req->out.data, "\"looks\":true"));
	id = fmt("%s", text_at(req, "id"));
	expect(ask_data(site, &moderator, type, "POST /api/v1/blocked-pictures?reason=known", png.data, png.length), 409);
	expect_problem(ask_data(site, &member, type, "POST /api/v1/assets", png.data, png.length), 403, "refused_by_policy", NULL);
	for (unsigned i = 0; i < sizeof(rgb); i++) /* a little darker: other bytes */
		rgb[i] = (unsigned char)(rgb[i] * 9 / 10);
	png.length = 0;
	assert_int_equal(atl_png_encode(rgb, 96, 96, 3, &png, NULL), ATL_OK);
	expect_problem(ask_data(site, &member, type, "POST /api/v1/assets", png.data, png.length), 403, "refused_by_policy", NULL);
	req = expect(ask(site, &moderator, "GET /api/v1/blocked-pictures", NULL), 200);
	assert_string_equal(text_at(req, "items.0.reason"), "known");
	expect(ask(site, &moderator, fmt("DELETE /api/v1/blocked-pictures/%s", id), NULL), 204);
	expect(ask_data(site, &member, type, "POST /api/v1/assets", png.data, png.length), 201);
	atl_buf_finish(&png);
}

/* The canary is what its header says, in every size; nearly empty pictures are like nothing. */
static void test_canary(void **state)
{
	static unsigned char rgb[ATL_PHASH_SIDE * ATL_PHASH_SIDE * 3];

	atl_canary_picture(rgb, ATL_PHASH_SIDE);
	assert_true(atl_phash(rgb) == ATL_CANARY_PHASH);
	assert_true(atl_blocked_alike(ATL_CANARY_PHASH, ATL_CANARY_PHASH ^ 0xf));
	assert_false(atl_blocked_alike(ATL_CANARY_PHASH, ATL_CANARY_PHASH ^ 0x1f));
	memset(rgb, 255, sizeof(rgb));
	assert_false(atl_blocked_alike(atl_phash(rgb), atl_phash(rgb)));
}

/* Characters and conversations go from sight as well, and come back as they were. */
static void test_other_things(void **state)
{
	struct site *site = *state;
	const char *character = make_character(site, &member, "Ada"), *talk = make_conversation(site, &member, character);
	struct atl_req *req;

	add_message(site, &member, talk, "what was said");
	expect(report(site, &second, "minors", "character", character), 404); /* not one that they can see */
	expect(report(site, &nobody, "minors", "character", character), 401);
	expect(report(site, &member, "real_person", "character", character), 201);
	expect(ask(site, &member, fmt("GET /api/v1/characters/%s", character), NULL), 404);
	expect(ask(site, &member, fmt("POST /api/v1/characters/%s/restore", character), NULL), 404);
	expect(report(site, &member, "non_consensual", "conversation", talk), 201);
	expect(ask(site, &member, fmt("GET /api/v1/conversations/%s", talk), NULL), 404);
	expect(ask(site, &member, fmt("POST /api/v1/conversations/%s/messages", talk), "{\"content\":\"x\",\"reply\":false}"), 404);
	req = expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s/content", open_report(site, talk)), NULL), 200);
	assert_non_null(strstr(req->out.data, "what was said"));
	req = expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s/content", open_report(site, character)), NULL), 200);
	assert_string_equal(text_at(req, "title"), "Ada");
	expect(decide(site, &moderator, open_report(site, talk), "keep", "no_breach"), 200);
	expect(decide(site, &moderator, open_report(site, character), "keep", "no_breach"), 200);
	expect(ask(site, &member, fmt("GET /api/v1/characters/%s", character), NULL), 200);
	expect(ask(site, &member, fmt("GET /api/v1/conversations/%s", talk), NULL), 200);
}

/* Of an account nobody learns whether there is one, and none is closed by a report alone; a decision closes it. */
static void test_accounts(void **state)
{
	struct site *site = *state;
	struct person bad;
	struct atl_req *req;
	const char *id;

	person_create(site, "Bad", ATL_ROLE_MEMBER, &bad);
	req = expect(report(site, &nobody, "minors", "account", "there is none"), 201);
	expect(ask(site, &nobody, fmt("GET /api/v1/reports/status/%s", text_at(req, "key")), NULL), 200);
	req = expect(report(site, &nobody, "minors", "account", "BAD"), 201);
	assert_non_null(strstr(req->out.data, "\"quarantined\":false"));
	expect(ask(site, &bad, "GET /api/v1/me", NULL), 200);
	id = open_report(site, bad.id);
	expect(decide(site, &moderator, id, "suspend", "minors"), 200);
	expect(ask(site, &bad, "GET /api/v1/me", NULL), 401);
	/* nobody closes an account above their own, and then nothing is decided at all */
	expect(report(site, &nobody, "spam", "account", owner.id), 201);
	expect(decide(site, &moderator, open_report(site, owner.id), "suspend", "spam"), 403);
	expect(decide(site, &moderator, open_report(site, owner.id), "keep", "no_breach"), 200);
}

static void test_clocks(void **state)
{
	struct site *site = *state;
	const char *asset = make_asset(site, &member, "good.webp"), *key = share_of(site, &member, asset), *id;
	struct atl_req *req;
	int64_t now = atl_now_ms(), due;

	expect(report(site, &second, "spam", "share", key), 201);
	due = number_of(site->app.db, fmt("SELECT due_at FROM reports WHERE target_id = '%s'", asset));
	assert_in_range(due - now, (uint64_t)47 * 3600000, (uint64_t)49 * 3600000);
	expect(report(site, &moderator, "harassment", "share", key), 201); /* a second voice: the graver kind counts */
	due = number_of(site->app.db, fmt("SELECT due_at FROM reports WHERE target_id = '%s'", asset));
	assert_in_range(due - now, (uint64_t)35 * 3600000, (uint64_t)37 * 3600000);
	id = open_report(site, asset);
	req = expect(ask(site, &moderator, fmt("GET /api/v1/reports/%s", id), NULL), 200);
	assert_string_equal(text_at(req, "kind"), "harassment");
	assert_int_equal(int_at(req, "voices"), 2);
	assert_non_null(strstr(req->out.data, "\"overdue\":false"));
	execute(site->app.db, fmt("UPDATE reports SET due_at = 1 WHERE id = '%s'", id));
	req = expect(ask(site, &moderator, "GET /api/v1/reports", NULL), 200);
	assert_string_equal(text_at(req, "items.0.id"), id); /* the most urgent first */
	assert_non_null(strstr(req->out.data, "\"overdue\":true"));
	expect(decide(site, &moderator, id, "remove", "spam"), 200);

	/* nobody appeals: after that time the file goes, everywhere */
	execute(site->app.db, fmt("UPDATE reports SET decided_at = decided_at - 15 * 86400000 WHERE id = '%s'", id));
	expect(ask(site, &member, fmt("POST /api/v1/reports/%s/appeal", id), "{\"note\":\"late\"}"), 409);
	struct atl_errinfo info = { 0 };

	assert_ok(atl_reports_purge(&site->app, &info), &info);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM assets WHERE id = '%s'", asset)), 0);
	req = expect(ask(site, &moderator, "GET /api/v1/reports/counts", NULL), 200);
	assert_non_null(strstr(req->out.data, ",harassment,1,2,0,0,0,1,0,"));
}

/* With nobody else who moderates, the owner of the server may, and the log says so. */
static void test_alone(void **state)
{
	struct site *site = *state;
	const char *character = make_character(site, &owner, "Mine"), *id;

	expect(report(site, &owner, "other", "character", character), 201);
	id = open_report(site, character);
	expect(decide(site, &owner, id, "remove", "other"), 403); /* others are there */
	execute(site->app.db, fmt("UPDATE users SET disabled_at = 1 WHERE id IN ('%s', '%s')", moderator.id, second.id));
	expect(decide(site, &owner, id, "remove", "other"), 200);
	expect(ask(site, &owner, fmt("POST /api/v1/reports/%s/appeal", id), "{\"note\":\"hm\"}"), 204);
	expect(ask(site, &owner, fmt("POST /api/v1/reports/%s/appeal/decision", id), "{\"outcome\":\"overturned\"}"), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/characters/%s", character), NULL), 200);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM audit WHERE note LIKE '%nobody else moderates%'"), 2);
	execute(site->app.db, "UPDATE users SET disabled_at = NULL");
}

static void test_limit_by_address(void **state)
{
	struct site *site = *state;
	struct atl_req *req;

	execute(site->app.db, "DELETE FROM address_tries");
	for (int i = 0; i < ATL_REPORT_PER_HOUR; i++)
		expect(report(site, &nobody, "spam", "share", "0123456789012345678901"), 404);
	req = ask(site, &nobody, "POST /api/v1/reports", "{\"target_kind\":\"share\",\"target\":\"x\",\"kind\":\"spam\"}");
	expect_problem(req, 429, "throttled", NULL);
	expect(report(site, &member, "spam", "share", "0123456789012345678901"), 404); /* signed in: not by address */
}

/* Somebody who is erased leaves no words in others' reports. */
static void test_erased(void **state)
{
	struct site *site = *state;
	struct person gone;
	const char *asset = make_asset(site, &member, "good.gif"), *key = share_of(site, &member, asset);

	person_create(site, "Gone", ATL_ROLE_MEMBER, &gone);
	expect(report(site, &gone, "other", "share", key), 201);
	expect(ask(site, &owner, fmt("DELETE /api/v1/users/%s", gone.id), NULL), 204);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM report_voices v JOIN reports r ON r.id = v.report_id "
						     "WHERE r.target_id = '%s' AND v.note = '' AND v.contact = ''", asset)), 1);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Mod", ATL_ROLE_MODERATOR, &moderator);
	person_create(*state, "Second", ATL_ROLE_MODERATOR, &second);
	person_create(*state, "Member", ATL_ROLE_MEMBER, &member);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quarantine),
		cmocka_unit_test(test_decisions_and_appeal),
		cmocka_unit_test(test_blocked_by_hand),
		cmocka_unit_test(test_canary),
		cmocka_unit_test(test_other_things),
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_erased),
		cmocka_unit_test(test_limit_by_address),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
