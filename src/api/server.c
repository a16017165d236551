/* server.c - /api/v1/server: is it healthy, how full, what did it log, when was the last backup; and what everybody is told. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/jobs/job.h"
#include "core/models/engine.h"
#include "core/people/audit.h"
#include "core/pictures/picture_engine.h"
#include "core/safety/provenance.h"
#include "core/server/announcement.h"
#include "core/server/backup_store.h"
#include "core/server/server_state.h"
#include "os/file.h"

static const struct atl_json_field backup_fields[] = {
	F_STR(struct atl_backup_file, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(struct atl_backup_file, size_bytes, ATL_JF_REQUIRED, 0, 0, NULL),
	F_TIME(struct atl_backup_file, created_at, ATL_JF_REQUIRED, NULL),
};
DESC(backup_desc, struct atl_backup_file, "Backup", backup_fields);

struct backup_in {
	const char *passphrase;
};
static const struct atl_json_field backup_in_fields[] = {
	F_STR(struct backup_in, passphrase, ATL_JF_SECRET | ATL_JF_NULLABLE, ATL_PASSPHRASE_MIN, ATL_PASSPHRASE_MAX,
	      "null: the one kept for daily backups"),
};
DESC(backup_in_desc, struct backup_in, "BackupInput", backup_in_fields);

#define P struct atl_provenance_status
static const struct atl_json_field provenance_fields[] = {
	F_STR(P, state, ATL_JF_REQUIRED, 0, 0, "ready, failing (the last picture could not be signed), no_library"),
	F_STR(P, why, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_STR(P, signer, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "whose name is in the certificate"),
	F_STR(P, fingerprint, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "SHA-256 of the certificate"),
	F_BOOL(P, own_certificate, ATL_JF_REQUIRED, "false: made here, which readers elsewhere do not know"),
	F_TIME(P, ends_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, "the certificate's last moment"),
	F_INT(P, signed_count, ATL_JF_REQUIRED, 0, 0, "since the start"),
	F_INT(P, failed_count, ATL_JF_REQUIRED, 0, 0, "since the start"),
};
#undef P
DESC(provenance_desc, struct atl_provenance_status, "ContentCredentialsStatus", provenance_fields);

struct server_out {
	const char *version, *database;
	int64_t started_at, now, database_bytes, disk_free_bytes, blob_count, blob_bytes;
	int64_t pool_queue, database_queue, jobs_queued, jobs_running;
	const char *engine_state, *engine_why, *engine_model, *picture_engine_state, *picture_engine_why, *picture_engine_model;
	int64_t picture_engine_memory_bytes, engine_restarts, picture_engine_restarts;
	bool maintenance, backup_daily, backup_has_passphrase;
	int64_t backup_keep;
	const struct atl_announcement *announcement;
	const struct atl_backup_file *last_backup;
	const struct atl_provenance_status *credentials;
};
#define S struct server_out
static const struct atl_json_field server_fields[] = {
	F_STR(S, version, ATL_JF_REQUIRED, 0, 0, NULL),
	F_TIME(S, started_at, ATL_JF_REQUIRED, NULL),
	F_TIME(S, now, ATL_JF_REQUIRED, "the server's clock"),
	F_STR(S, database, ATL_JF_REQUIRED, 0, 0, "sqlite or postgres"),
	F_INT(S, database_bytes, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(S, disk_free_bytes, ATL_JF_REQUIRED, 0, 0, "where the data folder is"),
	F_INT(S, blob_count, ATL_JF_REQUIRED, 0, 0, "files of pictures and portraits"),
	F_INT(S, blob_bytes, ATL_JF_REQUIRED, 0, 0, "without thumbnails"),
	F_INT(S, pool_queue, ATL_JF_REQUIRED, 0, 0, "requests that wait for a thread"),
	F_INT(S, database_queue, ATL_JF_REQUIRED, 0, 0, "writes that wait for the database"),
	F_INT(S, jobs_queued, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(S, jobs_running, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(S, engine_state, ATL_JF_REQUIRED, 0, 0, "of the local language model"),
	F_STR(S, engine_why, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_STR(S, engine_model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_INT(S, engine_restarts, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(S, picture_engine_state, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(S, picture_engine_why, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_STR(S, picture_engine_model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_INT(S, picture_engine_memory_bytes, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(S, picture_engine_restarts, ATL_JF_REQUIRED, 0, 0, NULL),
	F_BOOL(S, maintenance, ATL_JF_REQUIRED, "only those who manage the server sign in and begin anything"),
	F_OBJ(S, announcement, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &atl_announcement_desc, NULL),
	F_BOOL(S, backup_daily, ATL_JF_REQUIRED, NULL),
	F_INT(S, backup_keep, ATL_JF_REQUIRED, 0, 0, "backups kept in the folder"),
	F_BOOL(S, backup_has_passphrase, ATL_JF_REQUIRED, "one is kept for daily backups"),
	F_OBJ(S, last_backup, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &backup_desc, "of those the server keeps"),
	F_OBJ(S, credentials, ATL_JF_REQUIRED, &provenance_desc, "Content Credentials: who signs what is made here"),
};
DESC(server_desc, struct server_out, "Server", server_fields);

struct server_in {
	uint64_t present;
	bool maintenance, backup_daily;
	int64_t backup_keep;
	const char *announcement, *announcement_kind, *backup_passphrase;
};
static const struct atl_json_field patch_fields[] = {
	F_BOOL(struct server_in, maintenance, 0, NULL),
	F_STR(struct server_in, announcement, ATL_JF_NULLABLE, 0, ATL_ANNOUNCEMENT_MAX, "null or empty: none"),
	F_ENUM(struct server_in, announcement_kind, 0, atl_announcement_kinds, NULL),
	F_BOOL(struct server_in, backup_daily, 0, NULL),
	F_INT(struct server_in, backup_keep, 0, 1, ATL_BACKUP_KEEP_MAX, NULL),
	F_STR(struct server_in, backup_passphrase, ATL_JF_SECRET, ATL_PASSPHRASE_MIN, ATL_PASSPHRASE_MAX, "write-only"),
};
DESC_PATCH(patch_desc, struct server_in, "ServerPatch", patch_fields);

static enum atl_err fill_engines(struct atl_req *req, struct server_out *out, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_picture_engine_status picture;
	struct atl_engine_status engine;
	enum atl_err err = atl_engine_status(app->engine, &req->arena, &engine, info);

	if (!err)
		err = atl_picture_engine_status(app->picture_engine, &req->arena, &picture, info);
	if (err)
		return err;
	out->engine_state = engine.state;
	out->engine_why = engine.why;
	out->engine_model = engine.model;
	out->engine_restarts = engine.restarts;
	out->picture_engine_state = picture.state;
	out->picture_engine_why = picture.why;
	out->picture_engine_model = picture.model;
	out->picture_engine_memory_bytes = picture.memory_bytes;
	out->picture_engine_restarts = picture.restarts;
	return ATL_OK;
}

static enum atl_err fill_backups(struct atl_req *req, struct server_out *out, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_backup_plan plan = { 0 };
	struct atl_backup_file *files;
	size_t count;
	enum atl_err err = atl_backup_plan_get(app, &plan, info);

	if (!err)
		err = atl_backup_files(app, &req->arena, &files, &count, info);
	if (err)
		return err;
	out->backup_daily = plan.daily;
	out->backup_keep = plan.keep;
	out->backup_has_passphrase = plan.has_passphrase;
	out->last_backup = count ? &files[0] : NULL;
	return ATL_OK;
}

static void answer(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct server_out out = { .version = app->version, .database = atl_db_kind(app->db), .started_at = app->started_ms,
				  .now = atl_now_ms(), .maintenance = atomic_load(&app->maintenance) };
	struct atl_queue_status queue = { 0 };
	struct atl_server_sizes sizes = { 0 };
	struct atl_provenance_status provenance;
	struct atl_errinfo info = { 0 };
	uint64_t free_bytes = 0;
	enum atl_err err = atl_server_sizes(app, &sizes, &info);

	if (!err && app->jobs)
		err = atl_queue_status(app, atl_api_user(req), &queue, &info);
	if (!err)
		err = fill_engines(req, &out, &info);
	if (!err)
		err = fill_backups(req, &out, &info);
	if (!err)
		err = atl_announcement_get(app, &req->arena, &out.announcement, &info);
	if (!err)
		err = atl_disk_free(app->data_dir, &free_bytes, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_provenance_status(app, &req->arena, &provenance);
	out.credentials = &provenance;
	out.disk_free_bytes = (int64_t)free_bytes;
	out.database_bytes = sizes.database_bytes;
	out.blob_count = sizes.blob_count;
	out.blob_bytes = sizes.blob_bytes;
	out.pool_queue = app->pool ? (int64_t)atl_pool_queue_depth(app->pool) : 0;
	out.database_queue = (int64_t)atl_db_queue_depth(app->db);
	out.jobs_queued = queue.queued_all;
	out.jobs_running = queue.running_all;
	atl_res_json(req, 200, &server_desc, &out);
}

static bool has(const struct server_in *in, const char *name)
{
	return atl_json_has(&patch_desc, in, name);
}

static enum atl_err patch_plan(struct atl_req *req, const struct server_in *in, struct atl_errinfo *info)
{
	struct atl_backup_plan plan = { 0 };
	enum atl_err err;

	if (!has(in, "backup_daily") && !has(in, "backup_keep") && !has(in, "backup_passphrase"))
		return ATL_OK;
	err = atl_backup_plan_get(atl_api_app(req), &plan, info);
	if (has(in, "backup_daily"))
		plan.daily = in->backup_daily;
	if (has(in, "backup_keep"))
		plan.keep = in->backup_keep;
	return err ? err : atl_backup_plan_set(atl_api_app(req), atl_api_identity(req), &plan, in->backup_passphrase, info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct server_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = patch_plan(req, &in, &info);
	if (!err && has(&in, "announcement"))
		err = atl_announcement_set(app, atl_api_identity(req), in.announcement, in.announcement_kind, &info);
	if (!err && has(&in, "maintenance"))
		err = atl_maintenance_set(app, atl_api_identity(req), in.maintenance, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer(req);
}

/* ---- what everybody sees ---- */

struct notice_out {
	const struct atl_announcement *announcement;
	bool maintenance;
};
static const struct atl_json_field notice_fields[] = {
	F_OBJ(struct notice_out, announcement, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &atl_announcement_desc, NULL),
	F_BOOL(struct notice_out, maintenance, ATL_JF_REQUIRED, NULL),
};
DESC(notice_desc, struct notice_out, "Notice", notice_fields);

static void handle_notice(struct atl_req *req)
{
	struct notice_out out = { .maintenance = atomic_load(&atl_api_app(req)->maintenance) };
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_announcement_get(atl_api_app(req), &req->arena, &out.announcement, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &notice_desc, &out);
}

/* ---- the log ---- */

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
static const struct atl_query_param log_params[] = {
	{ "level", ATL_JT_ENUM, 0, 0, levels, "this and above; info unless told" },
	{ "lines", ATL_JT_INT, 1, ATL_LOG_TAIL_LINES, NULL, "200 unless told" },
	{ NULL },
};
struct log_out {
	struct atl_strs lines;
};
static const struct atl_json_field log_fields[] = {
	F_STRS(struct log_out, lines, ATL_JF_REQUIRED, 0, 0, "oldest first"),
};
DESC(log_desc, struct log_out, "ServerLog", log_fields);

static void handle_log(struct atl_req *req)
{
	const char *level = atl_req_query(req, "level"), *lines = atl_req_query(req, "lines");
	struct atl_log_line *tail = ATL_ARENA_ARRAY(&req->arena, struct atl_log_line, ATL_LOG_TAIL_LINES);
	const char **items = ATL_ARENA_ARRAY(&req->arena, const char *, ATL_LOG_TAIL_LINES);
	enum atl_log_level least = ATL_LOG_INFO;
	struct log_out out = { .lines = { .items = items } };
	int64_t max = 200;

	for (int i = 0; level && levels[i]; i++)
		if (atl_str_eq(level, levels[i]))
			least = (enum atl_log_level)i;
	if (lines && !atl_str_i64(lines, 1, ATL_LOG_TAIL_LINES, &max)) {
		struct atl_errinfo info = { 0 };

		atl_api_fail(req, atl_fail_field(&info, ATL_ERR_INVALID, "lines", "1 to %d lines are kept.", ATL_LOG_TAIL_LINES), &info);
		return;
	}
	if (!tail || !items) {
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
		return;
	}
	out.lines.count = atl_log_tail(least, tail, (size_t)max);
	for (size_t i = 0; i < out.lines.count; i++)
		items[i] = tail[i].text;
	atl_res_json(req, 200, &log_desc, &out);
}

/* ---- backups ---- */

static void handle_backups(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_backup_file *files;
	size_t count;
	enum atl_err err = atl_backup_files(atl_api_app(req), &req->arena, &files, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &backup_desc, files, count, NULL);
}

static void handle_backup(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_backup_file file;
	struct backup_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_backup_now(atl_api_app(req), atl_api_identity(req), in.passphrase, &req->arena, &file, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &backup_desc, &file);
}

/* All of everybody's data, if sealed: the owner's alone. */
static void handle_download(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *path, *name = atl_req_param(req, "name"), *disposition;
	enum atl_err err = ATL_OK;

	if (atl_api_identity(req)->role != ATL_ROLE_OWNER)
		err = atl_fail(&info, ATL_ERR_FORBIDDEN, "Only an owner may download a backup.");
	if (!err)
		err = atl_backup_file_path(atl_api_app(req), &req->arena, name, &path, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_audit_now(atl_api_app(req), &(struct atl_audit){ .who = atl_api_identity(req), .action = "backup.download",
							     .target_kind = "backup", .target_id = name });
	disposition = atl_arena_printf(&req->arena, "attachment; filename=\"%s\"", name);
	if (disposition)
		atl_res_header(req, "Content-Disposition", disposition);
	atl_res_file(req, path, "application/octet-stream", NULL, "private, no-store");
}

#define R(method_, path_, handler_, summary_) \
	.method = (method_), .path = "/api/v1/server" path_, .permission = "server.manage", .handler = (handler_), \
	.tag = "Server", .summary = (summary_)

const struct atl_route atl_server_routes[] = {
	{ R(ATL_GET, "", answer, "Health, sizes, engines, backups"), .out = &server_desc },
	{ R(ATL_PATCH, "", handle_patch, "Maintenance, announcement, daily backups"), .in = &patch_desc, .out = &server_desc },
	{ R(ATL_GET, "/log", handle_log, "The last lines of the log"), .query = log_params, .out = &log_desc },
	{ R(ATL_GET, "/backups", handle_backups, "Backups that the server keeps, newest first"), .out = &backup_desc,
	  .out_list = true },
	{ R(ATL_POST, "/backups", handle_backup, "Make a backup now"), .in = &backup_in_desc, .out = &backup_desc, .status = 201 },
	{ R(ATL_GET, "/backups/{name}", handle_download, "Download a backup; owners only"),
	  .out_type = "application/octet-stream" },
	{ .method = ATL_GET, .path = "/api/v1/notice", .permission = "session", .handler = handle_notice, .tag = "Server",
	  .summary = "What the operator tells everybody", .out = &notice_desc },
	{ .path = NULL },
};
