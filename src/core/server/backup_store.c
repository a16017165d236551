/* backup_store.c - names sort by time: atelier-20260131-080000.backup. */
#include "core/server/backup_store.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/server/keyring.h"
#include "core/server/setting.h"
#include "os/file.h"
#include "os/pool.h"

#define PATH_SIZE 4300
#define DAY_MS (24 * 3600 * INT64_C(1000))
#define KEEP_DEFAULT 7
#define CONTEXT "setting backup passphrase"

static void folder_of(const struct atl_app *app, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/backups", app->data_dir);
}

static bool is_ours(const char *name)
{
	return atl_str_starts(name, "atelier-") && atl_str_ends(name, ".backup") && atl_file_name_ok(name);
}

enum atl_err atl_backup_files(struct atl_app *app, struct atl_arena *arena, struct atl_backup_file **ret, size_t *ret_count,
			      struct atl_errinfo *info)
{
	struct atl_backup_file *files = ATL_ARENA_ARRAY(arena, struct atl_backup_file, ATL_BACKUPS_MAX);
	char folder[PATH_SIZE], path[PATH_SIZE + 260];
	const char **names;
	size_t count, found = 0;
	enum atl_err err = files ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "list backups");

	folder_of(app, folder);
	*ret = files;
	*ret_count = 0;
	if (err || access(folder, F_OK) != 0)
		return err;
	err = atl_dir_list(arena, folder, &names, &count, info);
	for (size_t i = count; !err && i-- > 0 && found < ATL_BACKUPS_MAX;) {
		struct stat status;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (!is_ours(names[i]) || stat(path, &status) != 0)
			continue;
		files[found++] = (struct atl_backup_file){ .name = names[i], .size_bytes = status.st_size,
							   .created_at = (int64_t)status.st_mtime * 1000 };
	}
	*ret_count = found;
	return err;
}

enum atl_err atl_backup_file_path(struct atl_app *app, struct atl_arena *arena, const char *name, const char **ret,
				  struct atl_errinfo *info)
{
	char folder[PATH_SIZE];

	folder_of(app, folder);
	if (!is_ours(name))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such backup.");
	*ret = atl_arena_printf(arena, "%s/%s", folder, name);
	if (!*ret)
		return atl_fail(info, ATL_ERR_NOMEM, "find a backup");
	return access(*ret, R_OK) == 0 ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such backup.");
}

/* ---- the plan ---- */

static enum atl_err read_plan(struct atl_app *app, struct atl_arena *arena, struct atl_backup_plan *plan, const char **ret_sealed,
			      struct atl_errinfo *info)
{
	struct atl_json *tree = NULL;
	const char *json;
	enum atl_err err = atl_setting_get(app, ATL_SETTING_BACKUP, arena, &json, info);

	if (!err)
		err = atl_json_parse(arena, json, strlen(json), &tree, info);
	if (err)
		return err;
	*ret_sealed = atl_json_str(tree, "passphrase", NULL);
	*plan = (struct atl_backup_plan){ .daily = atl_json_bool(tree, "daily", false), .has_passphrase = *ret_sealed != NULL,
					  .keep = atl_json_int(tree, "keep", KEEP_DEFAULT) };
	return ATL_OK;
}

enum atl_err atl_backup_plan_get(struct atl_app *app, struct atl_backup_plan *ret, struct atl_errinfo *info)
{
	struct atl_arena arena;
	const char *sealed;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = read_plan(app, &arena, ret, &sealed, info);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err seal_passphrase(struct atl_app *app, struct atl_arena *arena, const char *passphrase, const char **ret,
				    struct atl_errinfo *info)
{
	struct atl_buf sealed, text;
	enum atl_err err;

	atl_buf_init(&sealed, 4096);
	atl_buf_init(&text, 8192);
	err = atl_seal(&sealed, app->master_key, CONTEXT, passphrase, strlen(passphrase));
	if (!err) {
		atl_base64_encode(&text, ATL_BASE64_URL, sealed.data, sealed.length);
		*ret = text.failed ? NULL : atl_arena_strdup(arena, text.data);
	}
	if (!err && !*ret)
		err = atl_fail(info, ATL_ERR_NOMEM, "keep a passphrase");
	atl_buf_finish(&sealed);
	atl_buf_finish(&text);
	return err;
}

static enum atl_err planned_passphrase(struct atl_app *app, const char *text, struct atl_buf *out, struct atl_errinfo *info)
{
	struct atl_buf sealed;
	enum atl_err err = ATL_OK;

	if (!text)
		return atl_fail_field(info, ATL_ERR_INVALID, "passphrase", "Give a passphrase: none is kept for backups.");
	atl_buf_init(&sealed, 8192);
	if (!atl_base64_decode(&sealed, ATL_BASE64_URL, text, strlen(text)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The kept passphrase cannot be read.");
	if (!err)
		err = atl_secret_open(app, out, CONTEXT, sealed.data, sealed.length, info);
	atl_buf_finish(&sealed);
	return err;
}

enum atl_err atl_backup_plan_set(struct atl_app *app, const struct atl_identity *who, const struct atl_backup_plan *plan,
				 const char *passphrase, struct atl_errinfo *info)
{
	struct atl_backup_plan before;
	struct atl_arena arena;
	const char *sealed;
	struct atl_buf json;
	struct atl_jw w;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	atl_buf_init(&json, 16384);
	err = read_plan(app, &arena, &before, &sealed, info);
	if (!err && passphrase && (strlen(passphrase) < ATL_PASSPHRASE_MIN || strlen(passphrase) > ATL_PASSPHRASE_MAX))
		err = atl_fail_field(info, ATL_ERR_INVALID, "passphrase", "A passphrase has %d to %d bytes.", ATL_PASSPHRASE_MIN,
				     ATL_PASSPHRASE_MAX);
	if (!err && passphrase)
		err = seal_passphrase(app, &arena, passphrase, &sealed, info);
	if (!err && plan->daily && !sealed)
		err = atl_fail_field(info, ATL_ERR_INVALID, "passphrase", "Daily backups need a passphrase.");
	if (!err) {
		atl_jw_init(&w, &json);
		atl_jw_object(&w, NULL);
		atl_jw_bool(&w, "daily", plan->daily);
		atl_jw_int(&w, "keep", plan->keep);
		atl_jw_str(&w, "passphrase", sealed);
		atl_jw_end_object(&w);
		err = atl_buf_err(&json, info);
	}
	if (!err)
		err = atl_setting_set(app, who, ATL_SETTING_BACKUP, json.data, info);
	atl_buf_finish(&json);
	atl_arena_finish(&arena);
	return err;
}

/* ---- making one ---- */

static void prune(struct atl_app *app, struct atl_arena *arena, int64_t keep)
{
	struct atl_errinfo info = { 0 };
	struct atl_backup_file *files;
	char path[PATH_SIZE + 260];
	size_t count;

	if (atl_backup_files(app, arena, &files, &count, &info) != ATL_OK) {
		atl_warn("backup", "look for old backups: %s", info.detail);
		return;
	}
	for (size_t i = (size_t)keep; i < count; i++) {
		snprintf(path, sizeof(path), "%s/backups/%s", app->data_dir, files[i].name);
		unlink(path);
	}
}

static enum atl_err make(struct atl_app *app, const struct atl_identity *who, const char *passphrase, struct atl_arena *arena,
			 struct atl_backup_file *ret, struct atl_errinfo *info)
{
	char folder[PATH_SIZE], path[PATH_SIZE + 80], name[80];
	struct atl_backup_summary sum;
	time_t now = (time_t)(atl_now_ms() / 1000);
	struct tm tm;
	uint64_t size = 0;
	enum atl_err err;

	gmtime_r(&now, &tm);
	strftime(name, sizeof(name), "atelier-%Y%m%d-%H%M%S.backup", &tm);
	folder_of(app, folder);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	err = atl_dir_make(folder, 0700, info);
	if (!err)
		err = atl_backup_write(app, path, passphrase, &sum, info);
	if (!err)
		err = atl_file_size(path, &size, info);
	if (err)
		return err;
	atl_audit_now(app, &(struct atl_audit){ .who = who, .action = "backup.create", .target_kind = "backup", .target_id = name });
	*ret = (struct atl_backup_file){ .name = atl_arena_strdup(arena, name), .size_bytes = (int64_t)size,
					 .created_at = sum.created_at };
	return ret->name ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "back up");
}

enum atl_err atl_backup_now(struct atl_app *app, const struct atl_identity *who, const char *passphrase, struct atl_arena *arena,
			    struct atl_backup_file *ret, struct atl_errinfo *info)
{
	struct atl_backup_plan plan;
	const char *sealed;
	struct atl_buf own;
	enum atl_err err;

	if (atomic_exchange(&app->backing_up, true))
		return atl_fail(info, ATL_ERR_CONFLICT, "A backup is being made already.");
	atl_buf_init(&own, ATL_PASSPHRASE_MAX + 1);
	err = read_plan(app, arena, &plan, &sealed, info);
	if (!err && !passphrase)
		err = planned_passphrase(app, sealed, &own, info);
	if (!err)
		err = make(app, who, passphrase ? passphrase : own.data, arena, ret, info);
	if (!err)
		prune(app, arena, plan.keep);
	if (own.length)
		atl_wipe(own.data, own.length);
	atl_buf_finish(&own);
	atomic_store(&app->backing_up, false);
	return err;
}

static void run_planned(void *arg)
{
	struct atl_errinfo info = { 0 };
	struct atl_backup_file file;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	if (atl_backup_now(arg, NULL, NULL, &arena, &file, &info) != ATL_OK)
		atl_error("backup", "the daily backup failed: %s", info.detail);
	else
		atl_info("backup", "the daily backup %s was made", file.name);
	atl_arena_finish(&arena);
}

enum atl_err atl_backup_tick(struct atl_app *app, struct atl_errinfo *info)
{
	struct atl_backup_plan plan = { 0 };
	struct atl_backup_file *files;
	struct atl_arena arena;
	size_t count = 0;
	enum atl_err err = atl_backup_plan_get(app, &plan, info);

	if (err || !plan.daily)
		return err;
	atl_arena_init(&arena, 0);
	err = atl_backup_files(app, &arena, &files, &count, info);
	if (!err && (count == 0 || files[0].created_at <= atl_now_ms() - DAY_MS))
		err = atl_pool_submit(app->pool, run_planned, app);
	atl_arena_finish(&arena);
	return err;
}
