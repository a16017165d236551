/* verify.c - see verify.h. */
#include "core/safety/verify.h"

#include "base/str.h"
#include "core/access/address_limit.h"
#include "core/pictures/picture_mark.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/provenance.h"
#include "core/server/setting.h"
#include "db/db.h"
#include "media/metadata.h"
#include "media/phash.h"
#include "media/picture.h"

#define F(member) offsetof(struct atl_verify_finding, member)
static const char *const RESULTS[] = { "match", "similar", "claims", "none", "unavailable", NULL };
static const struct atl_json_field FINDING_FIELDS[] = {
	{ "check", ATL_JT_STR, F(check), ATL_JF_REQUIRED, .doc = "file, credentials, metadata, watermark, looks" },
	{ "result", ATL_JT_ENUM, F(result), ATL_JF_REQUIRED, .values = RESULTS },
	{ "detail", ATL_JT_STR, F(detail), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
};
static const struct atl_json_desc FINDING = { "VerificationCheck", "What one check found.", FINDING_FIELDS,
	ATL_COUNT(FINDING_FIELDS), sizeof(struct atl_verify_finding), ATL_JSON_NO_PRESENT, false };

#define V(member) offsetof(struct atl_verify, member)
static const char *const MADE[] = { "yes", "likely", "unknown", NULL };
static const struct atl_json_field FIELDS[] = {
	{ "made_here", ATL_JT_ENUM, V(made_here), ATL_JF_REQUIRED, .values = MADE },
	{ "asset_id", ATL_JT_STR, V(asset_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "of a picture of yours; of others' nothing is told" },
	{ "checks", ATL_JT_LIST, V(checks), ATL_JF_REQUIRED, .sub = &FINDING },
};
const struct atl_json_desc atl_verify_desc = { "Verification", "Whether this server made a file.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_verify), ATL_JSON_NO_PRESENT, false };

struct looked {
	struct atl_app *app;
	const struct atl_identity *who;
	struct atl_arena *arena;
	const void *data;
	size_t length;
	char sha256[ATL_SHA256_SIZE * 2 + 1];
	struct atl_picture picture;
	const char *own_id; /* of the asker's */
	bool found;
};

/* ---- the very file ---- */

static enum atl_err file_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct looked *l = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, user_id FROM assets WHERE sha256 = ? AND origin = 'generated' ORDER BY id LIMIT 100",
				     "s", l->sha256);

	l->found = false;
	while (!err && atl_rows_next(rows, &err, info)) {
		l->found = true;
		if (atl_str_eq(atl_col_text(rows, 1, l->arena), l->who->user_id))
			l->own_id = atl_col_text(rows, 0, l->arena);
	}
	return err;
}

static enum atl_err check_file(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_db_read(l->app->db, file_fn, l, info);

	ret->result = l->found ? "match" : "none";
	return err;
}

/* ---- Content Credentials ---- */

static enum atl_err check_credentials(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info)
{
	struct atl_credentials_found found;
	struct atl_errinfo ignored = { 0 };
	bool own = false;
	enum atl_err err = l->app->provenance ? atl_provenance_check(l->app, l->arena, l->who->user_id, l->data, l->length, &found,
								     &own, &ignored)
					      : ATL_ERR_UNSUPPORTED;

	(void)info;
	own = own && err == ATL_OK && (atl_str_eq(found.state, "trusted") || atl_str_eq(found.state, "valid"));
	ret->result = err == ATL_OK ? (own ? "match" : "claims") : err == ATL_ERR_NOT_FOUND ? "none" : "unavailable";
	return ATL_OK;
}

/* ---- what the file says: a hint, anybody can write it ---- */

static enum atl_err check_metadata(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info)
{
	struct atl_recall recall;
	struct atl_errinfo ignored = { 0 };
	enum atl_err err = atl_metadata_read(l->arena, l->data, l->length, &recall, &ignored);

	(void)info;
	ret->result = err == ATL_OK && (recall.source || recall.ai_marked) ? "claims" : "none";
	if (err == ATL_OK && recall.source)
		ret->detail = recall.source;
	return ATL_OK;
}

/* ---- the invisible mark: hard to come by without one of our pictures, but whoever has many can copy it ---- */

static enum atl_err check_mark(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info)
{
	struct atl_watermark_found found;
	struct atl_errinfo ignored = { 0 };
	bool all = atl_identity_signed_in(l->who); /* takes seconds: not for everybody on the way */
	enum atl_err err = atl_picture_mark_find(l->app, l->arena, l->who->user_id[0] ? l->who->user_id : NULL, l->data, l->length,
						 all, &found, &ignored);

	(void)info;
	ret->result = err ? "unavailable" : found.found ? "similar" : "none";
	return ATL_OK;
}

/* ---- what it looks like ---- */

static enum atl_err looks_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct looked *l = arg;
	struct atl_rows *rows;
	unsigned nearest = ATL_PHASH_NEAR + 1;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT phash, CASE WHEN user_id = ? THEN id ELSE NULL END FROM assets "
				     "WHERE phash IS NOT NULL AND origin = 'generated' ORDER BY id DESC LIMIT ?",
				     "si", l->who->user_id, (int64_t)ATL_VERIFY_LOOKS_MAX);

	l->found = false;
	while (!err && atl_rows_next(rows, &err, info)) {
		uint64_t phash = (uint64_t)atl_col_int(rows, 0);
		unsigned distance = atl_phash_distance(phash, l->picture.phash);

		if (distance > ATL_PHASH_NEAR || !atl_blocked_eventful(phash) || !atl_blocked_eventful(l->picture.phash))
			continue;
		l->found = true;
		if (!atl_col_null(rows, 1) && distance < nearest) {
			l->own_id = atl_col_text(rows, 1, l->arena);
			nearest = distance;
		}
	}
	return err;
}

static enum atl_err check_looks(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info)
{
	const char *sure = l->own_id; /* the very file says it better */
	enum atl_err err = atl_db_read(l->app->db, looks_fn, l, info);

	if (sure)
		l->own_id = sure;
	ret->result = l->found ? "similar" : "none";
	return err;
}

/* ---- together ---- */

static const struct check {
	const char *name;
	bool proves; /* a match is certain */
	enum atl_err (*run)(struct looked *l, struct atl_verify_finding *ret, struct atl_errinfo *info);
} CHECKS[] = {
	{ "file", true, check_file },
	{ "credentials", true, check_credentials },
	{ "metadata", false, check_metadata },
	{ "watermark", false, check_mark },
	{ "looks", false, check_looks },
};

static enum atl_err may_ask(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_errinfo *info)
{
	if (atl_identity_signed_in(who))
		return ATL_OK;
	if (!atl_setting_bool(app, ATL_SETTING_VERIFY_PUBLIC, false))
		return atl_fail(info, ATL_ERR_AUTH, "Sign in to ask whether a file was made here.");
	return atl_address_limit(app, "verify", remote, ATL_VERIFY_PER_HOUR, info);
}

enum atl_err atl_verify(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_arena *arena,
			const void *data, size_t length, struct atl_verify *ret, struct atl_errinfo *info)
{
	const struct atl_picture_options ask = { .owner = who->user_id[0] ? who->user_id : NULL, .phash = true };
	struct looked l = { .app = app, .who = who, .arena = arena, .data = data, .length = length };
	struct atl_verify_finding *found = ATL_ARENA_ARRAY(arena, struct atl_verify_finding, ATL_VERIFY_CHECKS_MAX);
	const char *made = "unknown";
	size_t count = 0;
	enum atl_err err = found ? may_ask(app, who, remote, info) : atl_fail(info, ATL_ERR_NOMEM, "verify");

	if (!err && !length)
		err = atl_fail(info, ATL_ERR_INVALID, "Send the file as the body.");
	if (!err)
		err = atl_picture_open(app->pictures, arena, data, length, &ask, &l.picture, info);
	if (err)
		return err;
	atl_sha256_hex(data, length, l.sha256);
	for (size_t i = 0; i < ATL_COUNT(CHECKS) && !err && !atl_str_eq(made, "yes"); i++) { /* the cheap and certain first */
		found[i] = (struct atl_verify_finding){ .check = CHECKS[i].name, .result = "none" };
		err = CHECKS[i].run(&l, &found[i], info);
		if (CHECKS[i].proves && atl_str_eq(found[i].result, "match"))
			made = "yes";
		else if (atl_str_eq(found[i].result, "similar") || atl_str_eq(found[i].result, "match"))
			made = "likely";
		count++;
	}
	if (!err)
		*ret = (struct atl_verify){ .made_here = made, .asset_id = l.own_id, .checks = { found, count } };
	return err;
}
