/* picture_check.c - judging and deciding; picture_review.c has what is held. See picture_check.h. */
#include "core/safety/picture_check.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "core/server/setting.h"
#include "media/classifier.h"

#define THRESHOLD_DEFAULT 60

const char *const atl_picture_check_modes[] = { "off", "blur", "hold", "refuse", NULL };

static const unsigned FILM_POINTS[] = { 2, 35, 65, 95 }; /* percent of the length */

enum atl_policy_check_mode atl_picture_check_mode(struct atl_app *app)
{
	enum atl_policy_check_mode mode = app->classifier ? ATL_CHECK_BLUR : ATL_CHECK_OFF;
	struct atl_arena arena;
	const char *text;

	atl_arena_init(&arena, 0);
	text = atl_setting_text(app, ATL_SETTING_PICTURE_CHECK, &arena);
	for (int i = 0; text && atl_picture_check_modes[i]; i++)
		if (atl_str_eq(text, atl_picture_check_modes[i]))
			mode = (enum atl_policy_check_mode)i;
	atl_arena_finish(&arena);
	return mode;
}

bool atl_picture_check_wanted(struct atl_app *app, enum atl_policy_seen_as as)
{
	return (as == ATL_SEEN_INPUT && app->classifier) || atl_picture_check_mode(app) != ATL_CHECK_OFF;
}

static uint32_t threshold(struct atl_app *app)
{
	int64_t percent = atl_setting_int(app, ATL_SETTING_PICTURE_CHECK_THRESHOLD, THRESHOLD_DEFAULT);

	if (percent < ATL_CHECK_THRESHOLD_MIN || percent > ATL_CHECK_THRESHOLD_MAX)
		percent = THRESHOLD_DEFAULT;
	return (uint32_t)percent * (ATL_SCORE_ONE / 100);
}

static enum atl_err decide(struct atl_app *app, const struct atl_picture_seen *seen, bool judged, uint32_t score,
			   struct atl_picture_verdict *ret, struct atl_errinfo *info)
{
	static const char *const states[] = { "clear", "blur", "held" };
	struct atl_policy_seen policy = { .as = seen->as, .mode = atl_picture_check_mode(app), .judged = judged,
					  .mature = seen->mature, .supplied = seen->supplied, .score = score,
					  .threshold = threshold(app) };
	enum atl_policy_treatment treatment;
	enum atl_err err = atl_policy_decide_seen(&policy, &treatment, info);

	if (!err)
		*ret = (struct atl_picture_verdict){ .state = states[treatment], .score = score };
	return err;
}

/* False: it could not be told. */
static bool judge(struct atl_app *app, const unsigned char *rows, uint32_t *ret)
{
	struct atl_errinfo ignored = { 0 }; /* the classifier has logged it */

	if (!app->classifier)
		return false;
	if (!rows) {
		*ret = ATL_SCORE_ONE;
		return true;
	}
	return atl_classifier_score(app->classifier, rows, ret, &ignored) == ATL_OK;
}

enum atl_err atl_picture_check(struct atl_app *app, const struct atl_picture_seen *seen, struct atl_picture_verdict *ret,
			       struct atl_errinfo *info)
{
	uint32_t score = 0;
	bool judged;

	*ret = (struct atl_picture_verdict){ NULL, 0 };
	if (!atl_picture_check_wanted(app, seen->as))
		return ATL_OK;
	judged = judge(app, seen->rows, &score);
	return decide(app, seen, judged, score, ret, info);
}

enum atl_err atl_picture_check_film(struct atl_app *app, struct atl_arena *arena, const struct atl_picture_seen *seen,
				    const void *data, size_t length, struct atl_picture_verdict *ret, struct atl_errinfo *info)
{
	uint32_t worst = 0, score = 0;
	bool judged = true;

	*ret = (struct atl_picture_verdict){ NULL, 0 };
	if (!atl_picture_check_wanted(app, seen->as))
		return ATL_OK;
	for (size_t i = 0; i < ATL_COUNT(FILM_POINTS) && judged; i++) {
		struct atl_picture_options ask = { .raw = atl_classifier_rows(), .at_percent = FILM_POINTS[i] };
		struct atl_errinfo ignored = { 0 };
		struct atl_picture frame = { 0 };
		bool seen_one = atl_picture_open(app->pictures, arena, data, length, &ask, &frame, &ignored) == ATL_OK;

		judged = judge(app, seen_one ? frame.raw : NULL, &score);
		worst = score > worst ? score : worst;
	}
	return decide(app, seen, judged, worst, ret, info);
}

enum atl_err atl_picture_check_score(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				     size_t length, uint32_t *ret, struct atl_errinfo *info)
{
	struct atl_picture_options ask = { .owner = user_id, .raw = atl_classifier_rows() };
	struct atl_picture picture;
	enum atl_err err = atl_picture_open(app->pictures, arena, data, length, &ask, &picture, info);

	if (!err && !app->classifier)
		err = atl_fail(info, ATL_ERR_UNSUPPORTED, "This server has no picture classifier.");
	return err ? err : atl_classifier_score(app->classifier, picture.raw, ret, info);
}

enum atl_err atl_picture_check_encoded(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				       size_t length, struct atl_picture_verdict *ret, struct atl_errinfo *info)
{
	struct atl_picture_seen seen = { .as = ATL_SEEN_RESULT };
	struct atl_picture_options ask = { .owner = user_id, .raw = atl_classifier_rows() };
	struct atl_picture picture;
	enum atl_err err = atl_picture_open(app->pictures, arena, data, length, &ask, &picture, info);

	seen.rows = err ? NULL : picture.raw;
	return err ? err : atl_picture_check(app, &seen, ret, info);
}

/* ---- rows ---- */

enum atl_err atl_picture_check_insert(struct atl_conn *conn, const char *asset_id, const struct atl_picture_verdict *verdict,
				      struct atl_errinfo *info)
{
	if (!verdict->state)
		return ATL_OK;
	return atl_exec(conn, info,
			"INSERT INTO picture_checks (asset_id, score, state, created_at) VALUES (?, ?, ?, ?) "
			"ON CONFLICT (asset_id) DO NOTHING",
			"sisi", asset_id, verdict->score, verdict->state, atl_now_ms());
}

struct known {
	const char *asset_id;
	struct atl_picture_verdict verdict;
	int64_t score;
	bool found;
};

static enum atl_err score_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct known *known = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT score FROM picture_checks WHERE asset_id = ?", "s",
				     known->asset_id);

	if (err)
		return err;
	known->found = atl_rows_next(rows, &err, info);
	if (known->found) {
		known->score = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct known *known = arg;

	return atl_picture_check_insert(conn, known->asset_id, &known->verdict, info);
}

/* It came while nothing was judged: now it is, as an upload would be. */
static enum atl_err judge_asset(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct known *known,
				struct atl_errinfo *info)
{
	struct atl_asset asset;
	const void *data;
	uint32_t score;
	size_t length;
	enum atl_err err = atl_asset_get(app, arena, user_id, known->asset_id, &asset, info);

	if (!err)
		err = atl_asset_read(app, arena, &asset, &data, &length, info);
	if (err)
		return err;
	if (atl_picture_check_score(app, arena, user_id, data, length, &score, info) != ATL_OK)
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "The picture could not be checked, so it is not used. Try again later.");
	known->score = score;
	known->verdict = (struct atl_picture_verdict){ score < threshold(app) ? "clear" : "blur", score };
	return atl_db_tx(app->db, insert_fn, known, info);
}

enum atl_err atl_picture_check_input(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *asset_id,
				     struct atl_errinfo *info)
{
	struct atl_picture_seen seen = { .as = ATL_SEEN_INPUT };
	struct known known = { .asset_id = asset_id };
	struct atl_picture_verdict verdict;
	enum atl_err err;

	if (!atl_picture_check_wanted(app, ATL_SEEN_INPUT))
		return ATL_OK;
	err = atl_db_read(app->db, score_fn, &known, info);
	if (!err && !known.found)
		err = judge_asset(app, arena, user_id, &known, info);
	return err ? err : decide(app, &seen, true, (uint32_t)known.score, &verdict, info);
}
