/* report.c - the queue of reports and one of them, for moderators; the status for whoever reported. See report.h. */
#include "core/safety/report.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"
#include "core/chat/generation.h"
#include "core/people/role.h"
#include "core/safety/report_int.h"
#include "core/server/publish.h"

#define COLUMNS                                                                                                         \
	"r.id, r.target_kind, r.target_id, r.owner_id, o.name, r.kind, r.state, r.voices, r.due_at, r.decision, r.reason, " \
	"r.answer, r.decided_by, d.name, r.decided_at, r.appeal_note, r.appeal_outcome, r.appeal_answer, r.appeal_by, p.name, " \
	"r.appealed_at, r.appeal_decided_at, r.created_at, r.updated_at, "                                               \
	"(SELECT a.held FROM assets a WHERE r.target_kind = 'picture' AND a.id = r.target_id), "                         \
	"(SELECT c.held FROM characters c WHERE r.target_kind = 'character' AND c.id = r.target_id), "                   \
	"(SELECT v.held FROM conversations v WHERE r.target_kind = 'conversation' AND v.id = r.target_id) "
#define TABLES                                                                                                  \
	"FROM reports r LEFT JOIN users o ON o.id = r.owner_id LEFT JOIN users d ON d.id = r.decided_by "         \
	"LEFT JOIN users p ON p.id = r.appeal_by "

#define KIND_TEXT(name, text, hours, grave) text,
const char *const atl_report_kinds[] = { ATL_REPORT_KINDS(KIND_TEXT) NULL };
const char *const atl_report_targets[] = { "picture", "share", "character", "conversation", "account", NULL };
const char *const atl_report_states[] = { "open", "decided", "appealed", "closed", NULL };
const char *const atl_report_decisions[] = { "keep", "restrict", "remove", "suspend", NULL };
const char *const atl_report_reasons[] = { ATL_REPORT_KINDS(KIND_TEXT) "no_breach", NULL };
const char *const atl_report_outcomes[] = { "upheld", "overturned", NULL };
static const char *const HOLDS[] = { "none", "quarantined", "restricted", "removed", NULL };

#define V(member) offsetof(struct atl_report_voice, member)
static const struct atl_json_field VOICE_FIELDS[] = {
	{ "kind", ATL_JT_ENUM, V(kind), ATL_JF_REQUIRED, .values = atl_report_kinds },
	{ "note", ATL_JT_STR, V(note), ATL_JF_REQUIRED },
	{ "contact", ATL_JT_STR, V(contact), ATL_JF_REQUIRED },
	{ "user_name", ATL_JT_STR, V(user_name), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: no account" },
	{ "created_at", ATL_JT_TIME, V(created_at), ATL_JF_REQUIRED },
};
static const struct atl_json_desc VOICE = { "ReportVoice", "What one person said.", VOICE_FIELDS, ATL_COUNT(VOICE_FIELDS),
	sizeof(struct atl_report_voice), ATL_JSON_NO_PRESENT, false };

#define R(member) offsetof(struct atl_report, member)
#define N (ATL_JF_REQUIRED | ATL_JF_NULLABLE)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, R(id), ATL_JF_REQUIRED },
	{ "target_kind", ATL_JT_STR, R(target_kind), ATL_JF_REQUIRED, .doc = "picture, character, conversation, account" },
	{ "target_id", ATL_JT_STR, R(target_id), ATL_JF_REQUIRED },
	{ "owner_id", ATL_JT_STR, R(owner_id), N, .doc = "null: the account is gone" },
	{ "owner_name", ATL_JT_STR, R(owner_name), N },
	{ "kind", ATL_JT_ENUM, R(kind), ATL_JF_REQUIRED, .values = atl_report_kinds, .doc = "the gravest that was said" },
	{ "state", ATL_JT_ENUM, R(state), ATL_JF_REQUIRED, .values = atl_report_states },
	{ "hold", ATL_JT_ENUM, R(hold), ATL_JF_REQUIRED, .values = HOLDS, .doc = "how the thing is kept from others now" },
	{ "voices", ATL_JT_INT, R(voices), ATL_JF_REQUIRED, .doc = "how many reported it" },
	{ "copies", ATL_JT_INT, R(copies), ATL_JF_REQUIRED, .doc = "of a picture's bytes, in all libraries; 0 in lists" },
	{ "due_at", ATL_JT_TIME, R(due_at), ATL_JF_REQUIRED },
	{ "overdue", ATL_JT_BOOL, R(overdue), ATL_JF_REQUIRED },
	{ "may_decide", ATL_JT_BOOL, R(may_decide), ATL_JF_REQUIRED, .doc = "you; an appeal is for somebody else. false in lists" },
	{ "decision", ATL_JT_STR, R(decision), ATL_JF_REQUIRED, .doc = "keep, restrict, remove, suspend; \"\": none yet" },
	{ "reason", ATL_JT_STR, R(reason), ATL_JF_REQUIRED },
	{ "answer", ATL_JT_STR, R(answer), ATL_JF_REQUIRED, .doc = "for the owner of the thing" },
	{ "decided_by", ATL_JT_STR, R(decided_by), N },
	{ "decided_by_name", ATL_JT_STR, R(decided_by_name), N },
	{ "decided_at", ATL_JT_TIME, R(decided_at), N },
	{ "appeal_note", ATL_JT_STR, R(appeal_note), ATL_JF_REQUIRED },
	{ "appealed_at", ATL_JT_TIME, R(appealed_at), N },
	{ "appeal_outcome", ATL_JT_STR, R(appeal_outcome), ATL_JF_REQUIRED, .doc = "upheld, overturned; \"\": none" },
	{ "appeal_answer", ATL_JT_STR, R(appeal_answer), ATL_JF_REQUIRED },
	{ "appeal_by_name", ATL_JT_STR, R(appeal_by_name), N },
	{ "appeal_decided_at", ATL_JT_TIME, R(appeal_decided_at), N },
	{ "voice_list", ATL_JT_LIST, R(voice_list), ATL_JF_REQUIRED, .sub = &VOICE, .doc = "empty in lists" },
	{ "created_at", ATL_JT_TIME, R(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, R(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_report_desc = { "Report", "What people said against a thing, and what was decided.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_report), ATL_JSON_NO_PRESENT, false };

#define S(member) offsetof(struct atl_report_status, member)
static const char *const ENDS[] = { "none", "kept", "acted", NULL };
static const char *const STATUS_STATES[] = { "open", "decided", NULL };
static const struct atl_json_field STATUS_FIELDS[] = {
	{ "state", ATL_JT_ENUM, S(state), ATL_JF_REQUIRED, .values = STATUS_STATES },
	{ "decision", ATL_JT_ENUM, S(decision), ATL_JF_REQUIRED, .values = ENDS },
	{ "created_at", ATL_JT_TIME, S(created_at), ATL_JF_REQUIRED },
	{ "decided_at", ATL_JT_TIME, S(decided_at), N },
};
const struct atl_json_desc atl_report_status_desc = { "ReportStatus", "How a report ended, for whoever made it.", STATUS_FIELDS,
	ATL_COUNT(STATUS_FIELDS), sizeof(struct atl_report_status), ATL_JSON_NO_PRESENT, false };

/* ---- kinds ---- */

int64_t atl_report_clock(const char *kind)
{
#define CLOCK(name, text, hours, grave) \
	if (atl_str_eq(kind, text))     \
		return hours;
	ATL_REPORT_KINDS(CLOCK)
#undef CLOCK
	return 0;
}

bool atl_report_grave(const char *kind)
{
#define GRAVE(name, text, hours, grave) \
	if (atl_str_eq(kind, text))     \
		return grave;
	ATL_REPORT_KINDS(GRAVE)
#undef GRAVE
	return false;
}

/* ---- rows ---- */

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_report *ret)
{
	int64_t held = atl_col_int(rows, 24) + atl_col_int(rows, 25) + atl_col_int(rows, 26); /* two of them are null */

	*ret = (struct atl_report){
		.id = atl_col_text(rows, 0, arena), .target_kind = atl_col_text(rows, 1, arena),
		.target_id = atl_col_text(rows, 2, arena), .owner_id = atl_col_text(rows, 3, arena),
		.owner_name = atl_col_text(rows, 4, arena), .kind = atl_col_text(rows, 5, arena),
		.state = atl_col_text(rows, 6, arena), .voices = atl_col_int(rows, 7), .due_at = atl_col_int(rows, 8),
		.decision = atl_col_text(rows, 9, arena), .reason = atl_col_text(rows, 10, arena),
		.answer = atl_col_text(rows, 11, arena), .decided_by = atl_col_text(rows, 12, arena),
		.decided_by_name = atl_col_text(rows, 13, arena), .decided_at = atl_col_int(rows, 14),
		.appeal_note = atl_col_text(rows, 15, arena), .appeal_outcome = atl_col_text(rows, 16, arena),
		.appeal_answer = atl_col_text(rows, 17, arena), .appeal_by = atl_col_text(rows, 18, arena),
		.appeal_by_name = atl_col_text(rows, 19, arena), .appealed_at = atl_col_int(rows, 20),
		.appeal_decided_at = atl_col_int(rows, 21), .created_at = atl_col_int(rows, 22), .updated_at = atl_col_int(rows, 23),
		.hold = HOLDS[held >= 0 && held <= ATL_HOLD_REMOVED ? held : 0]
	};
	ret->overdue = (atl_str_eq(ret->state, "open") || atl_str_eq(ret->state, "appealed")) && ret->due_at < atl_now_ms();
}

enum atl_err atl_report_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *id, struct atl_report *ret,
			       struct atl_errinfo *info)
{
	struct atl_rows *rows;
	bool found = false;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS TABLES "WHERE r.id = ?", "s", id);

	while (!err && atl_rows_next(rows, &err, info)) {
		read_row(rows, arena, ret);
		found = true;
	}
	return err || found ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such report.");
}

/* Is there somebody else who can sign in and moderates? */
static enum atl_err others_moderate(struct atl_conn *conn, const char *user_id, const char *owner_id, bool *ret,
				    struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_arena arena;
	const char *roles[64];
	size_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT DISTINCT role FROM users WHERE id <> ? AND id <> ? AND disabled_at IS NULL AND "
				     "waiting_since IS NULL LIMIT 64",
				     "ss", user_id, owner_id ? owner_id : "");

	*ret = false;
	atl_arena_init(&arena, 0);
	while (!err && count < ATL_COUNT(roles) && atl_rows_next(rows, &err, info))
		roles[count++] = atl_col_text(rows, 0, &arena);
	if (!err && count == ATL_COUNT(roles))
		atl_rows_close(rows);
	for (size_t i = 0; i < count && !err && !*ret; i++) {
		enum atl_role role;
		uint32_t permissions;

		err = atl_role_load(conn, roles[i], &role, &permissions, info);
		*ret = !err && (permissions & ATL_PERM_BIT(ATL_PERM_MODERATE));
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_report_may_decide(struct atl_conn *conn, const struct atl_identity *who, const struct atl_report *report,
				   bool *ret_may, bool *ret_alone, struct atl_errinfo *info)
{
	bool appealed = atl_str_eq(report->state, "appealed"), others;
	bool own = atl_str_eq(report->owner_id, who->user_id) || (appealed && atl_str_eq(report->decided_by, who->user_id));
	enum atl_err err;

	*ret_may = *ret_alone = false;
	if (!appealed && !atl_str_eq(report->state, "open"))
		return ATL_OK;
	*ret_may = !own;
	if (!own || who->role != ATL_ROLE_OWNER)
		return ATL_OK;
	err = others_moderate(conn, who->user_id, report->owner_id, &others, info);
	*ret_may = *ret_alone = !err && !others;
	return err;
}

/* ---- the queue ---- */

struct work {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *state, *id, *key;
	struct atl_report *items, result;
	struct atl_report_status status;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = w->state ? atl_query(conn, &rows, info,
						"SELECT " COLUMNS TABLES "WHERE r.state = ? ORDER BY r.id DESC LIMIT ?", "si",
						w->state, (int64_t)ATL_REPORT_PAGE_MAX)
				    : atl_query(conn, &rows, info,
						"SELECT " COLUMNS TABLES "WHERE r.state IN ('open', 'appealed') "
						"ORDER BY r.due_at, r.id LIMIT ?",
						"i", (int64_t)ATL_REPORT_PAGE_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		read_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_report_list(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *state,
			     struct atl_items *ret, struct atl_errinfo *info)
{
	struct work w = { .who = who, .arena = arena, .state = state,
			  .items = ATL_ARENA_ARRAY(arena, struct atl_report, ATL_REPORT_PAGE_MAX) };
	enum atl_err err = w.items ? atl_db_read(app->db, list_fn, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "reports");

	if (!err)
		*ret = (struct atl_items){ w.items, w.count };
	return err;
}

static enum atl_err read_voices(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_report_voice *voices = ATL_ARENA_ARRAY(w->arena, struct atl_report_voice, ATL_REPORT_VOICES_MAX);
	size_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = voices ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "report");

	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT v.kind, v.note, v.contact, u.name, v.created_at FROM report_voices v "
				"LEFT JOIN users u ON u.id = v.user_id WHERE v.report_id = ? ORDER BY v.id LIMIT ?",
				"si", w->id, (int64_t)ATL_REPORT_VOICES_MAX);
	while (!err && atl_rows_next(rows, &err, info))
		voices[count++] = (struct atl_report_voice){
			.kind = atl_col_text(rows, 0, w->arena), .note = atl_col_text(rows, 1, w->arena),
			.contact = atl_col_text(rows, 2, w->arena), .user_name = atl_col_text(rows, 3, w->arena),
			.created_at = atl_col_int(rows, 4)
		};
	w->result.voice_list = (struct atl_items){ voices, count };
	return err;
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_asset asset;
	bool alone;
	enum atl_err err = atl_report_get_in(conn, w->arena, w->id, &w->result, info);

	if (!err)
		err = read_voices(conn, w, info);
	if (!err)
		err = atl_report_may_decide(conn, w->who, &w->result, &w->result.may_decide, &alone, info);
	if (err || !atl_str_eq(w->result.target_kind, "picture"))
		return err;
	err = atl_asset_any_in(conn, w->arena, w->result.target_id, &asset, NULL);
	if (err == ATL_ERR_NOT_FOUND) /* its owner deleted it, or the time of appeal is over */
		return ATL_OK;
	return err ? err : atl_asset_copies_in(conn, asset.sha256, &w->result.copies, info);
}

enum atl_err atl_report_get(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    struct atl_report *ret, struct atl_errinfo *info)
{
	struct work w = { .who = who, .arena = arena, .id = id };
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);

	if (!err)
		*ret = w.result;
	return err;
}

/* ---- for whoever reported ---- */

static enum atl_err status_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	char hash[ATL_SHA256_SIZE * 2 + 1];
	struct atl_rows *rows;
	bool found = false;
	enum atl_err err;

	atl_sha256_hex(w->key, strlen(w->key), hash);
	err = atl_query(conn, &rows, info,
			"SELECT v.created_at, r.state, r.decision, r.decided_at FROM report_voices v "
			"LEFT JOIN reports r ON r.id = v.report_id WHERE v.key_hash = ?",
			"s", hash);
	while (!err && atl_rows_next(rows, &err, info)) {
		const char *state = atl_col_text(rows, 1, w->arena), *decision = atl_col_text(rows, 2, w->arena);
		bool open = !state || atl_str_eq(state, "open");

		found = true;
		w->status = (struct atl_report_status){
			.state = open ? "open" : "decided", .created_at = atl_col_int(rows, 0),
			.decision = open ? "none" : atl_str_eq(decision, "keep") ? "kept" : "acted",
			.decided_at = open ? 0 : atl_col_int(rows, 3)
		};
	}
	return err || found ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "No report has this key.");
}

enum atl_err atl_report_status(struct atl_app *app, struct atl_arena *arena, const char *key, struct atl_report_status *ret,
			       struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .key = key };
	enum atl_err err = atl_db_read(app->db, status_fn, &w, info);

	if (!err)
		*ret = w.status;
	return err;
}

/* ---- telling ---- */

void atl_report_tell(struct atl_app *app, const struct atl_report *report)
{
	bool gone = !atl_str_eq(report->hold, "none") && !atl_str_eq(report->hold, "restricted");

	if (!report->owner_id)
		return;
	atl_publish_id(app, report->owner_id, "notices.changed", report->id, NULL, NULL);
	if (!gone)
		return;
	if (atl_str_eq(report->target_kind, "picture"))
		atl_publish_id(app, report->owner_id, "asset.deleted", report->target_id, NULL, NULL);
	else if (atl_str_eq(report->target_kind, "character"))
		atl_publish_id(app, report->owner_id, "character.deleted", report->target_id, NULL, NULL);
	else if (atl_str_eq(report->target_kind, "conversation")) {
		if (app->generations)
			atl_generation_stop_deleted(app, report->owner_id, report->target_id);
		atl_publish_id(app, report->owner_id, "conversation.deleted", report->target_id, NULL, NULL);
	}
}
