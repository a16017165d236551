/* report_file.c - a new report: what it is about, the limit by address, the clock, quarantine at once. See report.h. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/access/address_limit.h"
#include "core/chat/character.h"
#include "core/chat/conversation.h"
#include "core/people/audit.h"
#include "core/people/notice.h"
#include "core/pictures/share.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/report_int.h"

#define HOUR_MS ((int64_t)60 * 60 * 1000)
#define DAY_MS (24 * HOUR_MS)

static const struct atl_json_field FIELDS[] = {
	{ "key", ATL_JT_STR, offsetof(struct atl_report_receipt, key), ATL_JF_REQUIRED, .doc = "reads how it ended; told once" },
	{ "quarantined", ATL_JT_BOOL, offsetof(struct atl_report_receipt, quarantined), ATL_JF_REQUIRED,
	  .doc = "the thing is out of sight until somebody has looked" },
};
const struct atl_json_desc atl_report_receipt_desc = { "ReportReceipt", "A report was taken.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_report_receipt), ATL_JSON_NO_PRESENT, false };

struct file {
	struct atl_app *app;
	const struct atl_identity *who;
	struct atl_arena *arena;
	const struct atl_report_new *in;
	const char *key;
	/* what it is about; target_id NULL: an account that there is not */
	const char *target_kind, *target_id, *owner_id;
	struct atl_report report;
	char report_id[ATL_ID_SIZE];
	bool quarantined, fresh;
	int64_t now_ms;
};

/* ---- what it is about ---- */

/* The key of "https://here/s/KEY?x", or the text itself. */
static const char *share_key(struct atl_arena *arena, const char *text)
{
	const char *at = strstr(text, "/s/");

	at = at ? at + 3 : text;
	return atl_arena_strndup(arena, at, strcspn(at, "/?#"));
}

static enum atl_err found_picture(struct file *f, const struct atl_asset *asset)
{
	f->target_kind = "picture";
	f->target_id = asset->id;
	f->owner_id = asset->user_id;
	return ATL_OK;
}

/* By a link: whoever has it sees the picture, signed in or not. */
static enum atl_err find_share(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	struct atl_asset asset;
	const char *key = share_key(f->arena, f->in->target);
	enum atl_err err = key ? atl_share_target_in(conn, f->app, f->arena, key, &asset, info) : atl_fail(info, ATL_ERR_NOMEM, "report");

	return err ? err : found_picture(f, &asset);
}

/* Nobody is told whether there is such an account: the report is taken all the same. */
static enum atl_err find_account(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	char *folded = atl_arena_strdup(f->arena, f->in->target);
	struct atl_rows *rows;
	enum atl_err err;

	if (!folded)
		return atl_fail(info, ATL_ERR_NOMEM, "report");
	for (char *p = folded; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	err = atl_query(conn, &rows, info, "SELECT id FROM users WHERE id = ? OR name_folded = ?", "ss", f->in->target, folded);
	f->target_kind = "account";
	f->target_id = NULL;
	while (!err && atl_rows_next(rows, &err, info))
		f->target_id = f->owner_id = atl_col_text(rows, 0, f->arena);
	return err;
}

static enum atl_err find_target(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	const char *kind = f->in->target_kind, *id = f->in->target;
	enum atl_err err;

	if (atl_str_eq(kind, "share"))
		return find_share(conn, f, info);
	if (atl_str_eq(kind, "account"))
		return find_account(conn, f, info);
	if (!atl_identity_signed_in(f->who))
		return atl_fail(info, ATL_ERR_AUTH, "Without signing in, report a link or an account.");
	f->target_kind = kind;
	f->target_id = id;
	f->owner_id = f->who->user_id;
	if (atl_str_eq(kind, "picture")) {
		struct atl_asset asset;

		err = atl_asset_any_in(conn, f->arena, id, &asset, info);
		if (!err && (!atl_str_eq(asset.user_id, f->who->user_id) || asset.deleted_at))
			err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
		return err ? err : found_picture(f, &asset);
	}
	if (atl_str_eq(kind, "character")) {
		struct atl_character character;

		return atl_character_get_in(conn, f->arena, f->who->user_id, id, &character, info);
	}
	struct atl_conversation conversation;

	return atl_conversation_get_in(conn, f->arena, f->who->user_id, id, &conversation, info);
}

/* ---- the report ---- */

static enum atl_err find_open(struct atl_conn *conn, struct file *f, bool *ret_kept, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, state, decision, appeal_outcome FROM reports WHERE target_kind = ? AND target_id = ?", "ss",
				     f->target_kind, f->target_id);

	f->fresh = true;
	*ret_kept = false;
	while (!err && atl_rows_next(rows, &err, info)) {
		if (atl_str_eq(atl_col_text(rows, 1, f->arena), "open")) {
			atl_str_copy(f->report_id, sizeof(f->report_id), atl_col_text(rows, 0, f->arena));
			f->fresh = false;
		}
		*ret_kept |= atl_str_eq(atl_col_text(rows, 2, f->arena), "keep") ||
			     atl_str_eq(atl_col_text(rows, 3, f->arena), "overturned");
	}
	return err;
}

static enum atl_err insert_report(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	atl_id_new("rpt", f->report_id);
	return atl_exec(conn, info,
			"INSERT INTO reports (id, target_kind, target_id, owner_id, kind, state, voices, due_at, decision, reason, "
			"answer, appeal_note, appeal_outcome, appeal_answer, created_at, updated_at) "
			"VALUES (?, ?, ?, ?, ?, 'open', 1, ?, '', '', '', '', '', '', ?, ?)",
			"sssssiii", f->report_id, f->target_kind, f->target_id, f->owner_id, f->in->kind,
			f->now_ms + atl_report_clock(f->in->kind) * HOUR_MS, f->now_ms, f->now_ms);
}

/* One voice more: the gravest kind and the earliest time count. */
static enum atl_err add_to_report(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	struct atl_report report;
	int64_t due = f->now_ms + atl_report_clock(f->in->kind) * HOUR_MS;
	enum atl_err err = atl_report_get_in(conn, f->arena, f->report_id, &report, info);
	bool graver = !err && atl_report_clock(f->in->kind) < atl_report_clock(report.kind);

	if (err)
		return err;
	return atl_exec(conn, info,
			"UPDATE reports SET voices = voices + 1, kind = ?, due_at = ?, updated_at = ? WHERE id = ?", "siis",
			graver ? f->in->kind : report.kind, due < report.due_at ? due : report.due_at, f->now_ms, f->report_id);
}

static enum atl_err quarantine(struct atl_conn *conn, struct file *f, struct atl_errinfo *info)
{
	const struct atl_notice_new notice = { .user_id = f->owner_id, .kind = "held", .report_id = f->report_id,
					       .target_kind = f->target_kind, .target_id = f->target_id };
	const struct atl_audit row = { .action = "report.quarantine", .target_kind = f->target_kind, .target_id = f->target_id,
				       .note = f->report_id };
	int64_t changed = 0;
	enum atl_err err = atl_hold_set_in(conn, f->target_kind, f->target_id, ATL_HOLD_QUARANTINED, f->now_ms, &changed, info);

	if (!err && atl_str_eq(f->target_kind, "picture"))
		err = atl_blocked_add_report_in(conn, f->report_id, f->target_id, f->in->kind, f->now_ms, info);
	if (!err)
		err = atl_exec(conn, info, "UPDATE reports SET quarantined_at = ? WHERE id = ?", "is", f->now_ms, f->report_id);
	if (!err)
		err = atl_notice_add_in(conn, &notice, info);
	f->quarantined = true;
	return err ? err : atl_audit(conn, &row, info);
}

static enum atl_err add_voice(struct atl_conn *conn, const struct file *f, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE], hash[ATL_SHA256_SIZE * 2 + 1];
	bool known = atl_identity_signed_in(f->who);
	struct atl_rows *rows;
	enum atl_err err = ATL_OK;
	int64_t said = 0, today = 0;

	if (known)
		err = atl_query(conn, &rows, info,
				"SELECT coalesce(sum(CASE WHEN report_id = ? THEN 1 ELSE 0 END), 0), "
				"coalesce(sum(CASE WHEN created_at > ? THEN 1 ELSE 0 END), 0) FROM report_voices WHERE user_id = ?",
				"sis", f->report_id, f->now_ms - DAY_MS, f->who->user_id);
	while (known && !err && atl_rows_next(rows, &err, info)) {
		said = atl_col_int(rows, 0);
		today = atl_col_int(rows, 1);
	}
	if (!err && said)
		err = atl_fail(info, ATL_ERR_CONFLICT, "You have reported this already; it is being looked at.");
	if (!err && today >= ATL_REPORT_PER_DAY)
		err = atl_fail(info, ATL_ERR_THROTTLED, "Reports by one account: at most %d in a day.", ATL_REPORT_PER_DAY);
	if (err)
		return err;
	atl_id_new("rpv", id);
	atl_sha256_hex(f->key, strlen(f->key), hash);
	return atl_exec(conn, info,
			"INSERT INTO report_voices (id, report_id, user_id, key_hash, kind, note, contact, created_at) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			"sssssssi", id, f->target_id ? f->report_id : NULL, known ? f->who->user_id : NULL, hash, f->in->kind,
			f->in->note ? f->in->note : "", f->in->contact ? f->in->contact : "", f->now_ms);
}

static enum atl_err file_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct file *f = arg;
	bool kept = false;
	enum atl_err err;

	f->quarantined = false;
	f->report_id[0] = '\0';
	err = find_target(conn, f, info);
	if (err || !f->target_id)
		return err ? err : add_voice(conn, f, info);
	err = find_open(conn, f, &kept, info);
	if (!err && !f->fresh)
		err = add_voice(conn, f, info);
	if (!err)
		err = f->fresh ? insert_report(conn, f, info) : add_to_report(conn, f, info);
	if (!err && f->fresh)
		err = add_voice(conn, f, info);
	if (!err)
		err = atl_report_get_in(conn, f->arena, f->report_id, &f->report, info);
	if (!err && atl_report_grave(f->in->kind) && !kept && !atl_str_eq(f->target_kind, "account") &&
	    (atl_str_eq(f->report.hold, "none") || atl_str_eq(f->report.hold, "restricted")))
		err = quarantine(conn, f, info);
	if (!err) {
		const struct atl_audit row = { .who = atl_identity_signed_in(f->who) ? f->who : NULL, .action = "report.new",
					       .target_kind = f->target_kind, .target_id = f->target_id, .note = f->in->kind };

		err = atl_audit(conn, &row, info);
	}
	return err ? err : atl_report_get_in(conn, f->arena, f->report_id, &f->report, info);
}

static enum atl_err check(const struct atl_report_new *in, struct atl_errinfo *info)
{
	if (!atl_report_clock(in->kind))
		return atl_fail_field(info, ATL_ERR_INVALID, "kind", "There is no such kind of report.");
	if (in->note && strlen(in->note) > (size_t)ATL_REPORT_NOTE_MAX * 4)
		return atl_fail_field(info, ATL_ERR_INVALID, "note", "is too long");
	if (in->contact && strlen(in->contact) > (size_t)ATL_REPORT_CONTACT_MAX * 4)
		return atl_fail_field(info, ATL_ERR_INVALID, "contact", "is too long");
	return ATL_OK;
}

enum atl_err atl_report_file(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_arena *arena,
			     const struct atl_report_new *report, struct atl_report_receipt *ret, struct atl_errinfo *info)
{
	char *key = atl_arena_alloc(arena, ATL_TOKEN_SIZE);
	struct file f = { .app = app, .who = who, .arena = arena, .in = report, .key = key, .now_ms = atl_now_ms() };
	enum atl_err err = key ? check(report, info) : atl_fail(info, ATL_ERR_NOMEM, "report");

	if (!err && !atl_identity_signed_in(who))
		err = atl_address_limit(app, "report", remote, ATL_REPORT_PER_HOUR, info);
	if (err)
		return err;
	atl_token_new(key);
	err = atl_db_tx(app->db, file_fn, &f, info);
	if (err)
		return err;
	if (f.target_id)
		atl_report_tell(app, &f.report);
	*ret = (struct atl_report_receipt){ .key = key, .quarantined = f.quarantined };
	return ATL_OK;
}
