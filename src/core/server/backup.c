/* backup.c - writes a backup, entry by entry, straight into the sealed file. */
#include "core/server/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/str.h"
#include "core/server/backup_int.h"
#include "db/migrate.h"
#include "db/rows.h"
#include "os/file.h"

#define PATH_SIZE 4400
#define PIECE 65536

struct writing {
	struct atl_app *app;
	struct atl_sealer *sealer;
	struct atl_sha256 hash;
	struct atl_backup_summary sum;
	struct atl_buf tables; /* JSON members: "name":rows */
	const char *table;
	char copy[PATH_SIZE]; /* SQLite's copied file; "" when there is none */
};

static enum atl_err put(struct writing *w, const void *data, size_t length, struct atl_errinfo *info)
{
	atl_sha256_add(&w->hash, data, length);
	w->sum.bytes += (int64_t)length;
	return atl_sealer_write(w->sealer, data, length, info);
}

static enum atl_err put_head(struct writing *w, char kind, const char *name, uint64_t size, struct atl_errinfo *info)
{
	unsigned char head[ATL_BACKUP_HEAD_SIZE];
	size_t length = strlen(name);
	enum atl_err err;

	if (length > ATL_BACKUP_NAME_MAX)
		return atl_fail(info, ATL_ERR_INTERNAL, "back up %s: the name is too long", name);
	head[0] = (unsigned char)kind;
	head[1] = (unsigned char)length;
	head[2] = (unsigned char)(length >> 8);
	for (int i = 0; i < 8; i++)
		head[3 + i] = (unsigned char)(size >> (8 * i));
	err = put(w, head, sizeof(head), info);
	return err ? err : put(w, name, length, info);
}

static enum atl_err put_text(struct writing *w, char kind, const char *name, const struct atl_buf *text, struct atl_errinfo *info)
{
	enum atl_err err = atl_buf_err(text, info);

	if (!err)
		err = put_head(w, kind, name, text->length, info);
	return err ? err : put(w, text->data, text->length, info);
}

/* NOT_FOUND when it went meanwhile; nothing is written then. */
static enum atl_err put_file(struct writing *w, const char *path, const char *name, struct atl_errinfo *info)
{
	unsigned char piece[PIECE];
	uint64_t left;
	int fd;
	enum atl_err err = atl_file_size(path, &left, info);

	if (!err)
		err = atl_file_open(path, O_RDONLY, 0, &fd, info);
	if (err)
		return err;
	err = put_head(w, ATL_BACKUP_FILE, name, left, info);
	while (!err && left) {
		ssize_t got = read(fd, piece, left < PIECE ? (size_t)left : PIECE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			err = atl_fail(info, ATL_ERR_IO, "Reading %s: %s", path, got ? strerror(errno) : "it became shorter");
		else
			err = put(w, piece, (size_t)got, info);
		left -= got > 0 ? (uint64_t)got : 0;
	}
	close(fd);
	return err;
}

static enum atl_err put_opening(struct writing *w, struct atl_errinfo *info)
{
	struct atl_buf text;
	struct atl_jw jw;
	enum atl_err err;

	atl_buf_init(&text, 4096);
	atl_jw_init(&jw, &text);
	atl_jw_object(&jw, NULL);
	atl_jw_int(&jw, "format", ATL_BACKUP_FORMAT);
	atl_jw_str(&jw, "version", w->app->version);
	atl_jw_int(&jw, "schema", w->sum.schema);
	atl_jw_str(&jw, "database", atl_db_kind(w->app->db));
	atl_jw_int(&jw, "created_at", w->sum.created_at);
	atl_jw_end_object(&jw);
	err = put_text(w, ATL_BACKUP_HEAD, "head", &text, info);
	atl_buf_finish(&text);
	return err;
}

/* ---- the database ---- */

static enum atl_err put_row(void *arg, const char *json, size_t length, struct atl_errinfo *info)
{
	struct writing *w = arg;
	enum atl_err err = put_head(w, ATL_BACKUP_ROW, w->table, length, info);

	return err ? err : put(w, json, length, info);
}

/* Within one snapshot: how many rows there are, and with PostgreSQL the rows themselves. */
static enum atl_err tables_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct writing *w = arg;
	struct atl_arena arena;
	const char **names;
	size_t count;
	enum atl_err err;

	atl_arena_init(&arena, 1 << 20);
	err = atl_db_tables(conn, &arena, &names, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		int64_t rows = 0;

		w->table = names[i];
		err = atl_db_count_rows(conn, names[i], &rows, info);
		if (!err && atl_conn_is_postgres(conn) && !atl_str_eq(names[i], "schema_migrations"))
			err = atl_db_rows_out(conn, names[i], put_row, w, info);
		atl_buf_addf(&w->tables, "%s\"%s\":%lld", i ? "," : "", names[i], (long long)rows);
		w->sum.tables++;
		w->sum.rows += rows;
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err put_database(struct writing *w, struct atl_errinfo *info)
{
	struct atl_db *copy;
	char url[PATH_SIZE + 8];
	enum atl_err err;

	if (!w->copy[0])
		return atl_db_read(w->app->db, tables_read, w, info);
	snprintf(url, sizeof(url), "sqlite:%s", w->copy);
	err = atl_db_open(url, &copy, info);
	if (err)
		return err;
	err = atl_db_read(copy, tables_read, w, info);
	atl_db_close(copy);
	return err ? err : put_file(w, w->copy, ATL_BACKUP_DATABASE, info);
}

/* ---- files ---- */

static bool is_blob(const char *name)
{
	size_t hex = strspn(name, "0123456789abcdef");

	return hex == 64 && (!name[64] || (name[64] == '.' && strspn(name + 65, "abcdefghijklmnopqrstuvwxyz0123456789.") ==
								      strlen(name + 65)));
}

static enum atl_err put_blob_folder(struct writing *w, const char *part, struct atl_errinfo *info)
{
	char folder[PATH_SIZE], path[PATH_SIZE + 200], name[ATL_BACKUP_NAME_MAX];
	struct atl_arena arena;
	const char **files;
	size_t count = 0;
	enum atl_err err;

	snprintf(folder, sizeof(folder), "%s/blobs/%s", w->app->data_dir, part);
	if (access(folder, F_OK) != 0)
		return ATL_OK;
	atl_arena_init(&arena, 256 << 20);
	err = atl_dir_list(&arena, folder, &files, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		if (!is_blob(files[i]))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		snprintf(name, sizeof(name), "blobs/%s/%.120s", part, files[i]);
		err = put_file(w, path, name, info);
		if (err == ATL_ERR_NOT_FOUND) /* removed since the list was made */
			err = ATL_OK;
		else
			w->sum.blobs++;
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err put_blobs(struct writing *w, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	char part[3];

	for (unsigned i = 0; !err && i < 256; i++) {
		snprintf(part, sizeof(part), "%02x", i);
		err = put_blob_folder(w, part, info);
	}
	return err;
}

static enum atl_err put_models(struct writing *w, struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	struct atl_arena arena;
	const char **files = NULL;
	struct atl_buf text;
	struct atl_jw jw;
	size_t count = 0;
	enum atl_err err = ATL_OK;

	atl_arena_init(&arena, 8 << 20);
	atl_buf_init(&text, ATL_BACKUP_TEXT_MAX);
	if (w->app->models_dir && access(w->app->models_dir, R_OK) == 0)
		err = atl_dir_list(&arena, w->app->models_dir, &files, &count, info);
	atl_jw_init(&jw, &text);
	atl_jw_array(&jw, NULL);
	for (size_t i = 0; !err && i < count; i++) {
		uint64_t bytes = 0;

		snprintf(path, sizeof(path), "%s/%s", w->app->models_dir, files[i]);
		if (atl_file_size(path, &bytes, NULL) != ATL_OK)
			continue;
		atl_jw_object(&jw, NULL);
		atl_jw_str(&jw, "file", files[i]);
		atl_jw_int(&jw, "bytes", (int64_t)bytes);
		atl_jw_end_object(&jw);
	}
	atl_jw_end_array(&jw);
	if (!err)
		err = put_text(w, ATL_BACKUP_MODELS, "models.json", &text, info);
	atl_buf_finish(&text);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err put_manifest(struct writing *w, struct atl_errinfo *info)
{
	unsigned char hash[ATL_SHA256_SIZE];
	char hex[ATL_SHA256_SIZE * 2 + 1];
	struct atl_buf text;
	enum atl_err err;

	atl_sha256_end(&w->hash, hash);
	atl_hex_encode(hash, sizeof(hash), hex);
	atl_sha256_begin(&w->hash); /* what follows is in no hash */
	atl_buf_init(&text, ATL_BACKUP_TEXT_MAX);
	err = atl_buf_err(&w->tables, info);
	atl_buf_addf(&text, "{\"sha256\":\"%s\",\"blobs\":%lld,\"tables\":{%s}}", hex, (long long)w->sum.blobs, w->tables.data);
	if (!err)
		err = put_text(w, ATL_BACKUP_MANIFEST, "manifest", &text, info);
	atl_buf_finish(&text);
	return err;
}

static enum atl_err put_all(struct writing *w, struct atl_errinfo *info)
{
	char key[PATH_SIZE];
	enum atl_err err = put_opening(w, info);

	snprintf(key, sizeof(key), "%s/" ATL_BACKUP_KEY, w->app->data_dir);
	if (!err && access(key, F_OK) == 0)
		err = put_file(w, key, ATL_BACKUP_KEY, info);
	if (!err)
		err = put_database(w, info);
	if (!err)
		err = put_blobs(w, info);
	if (!err)
		err = put_models(w, info);
	if (!err)
		err = put_manifest(w, info);
	return err ? err : atl_sealer_finish(w->sealer, info);
}

/* The copy first: everything later may only add to it. */
static enum atl_err copy_database(struct writing *w, const char *path, struct atl_errinfo *info)
{
	enum atl_err err;

	if (!atl_str_eq(atl_db_kind(w->app->db), "sqlite"))
		return ATL_OK;
	if (snprintf(w->copy, sizeof(w->copy), "%s.db", path) >= (int)sizeof(w->copy))
		return atl_fail(info, ATL_ERR_INVALID, "The path is too long.");
	int fd; /* readable by nobody else before anything is in it */
	err = atl_file_open(w->copy, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, info);
	if (err) {
		w->copy[0] = '\0';
		return err;
	}
	close(fd);
	return atl_db_copy(w->app->db, w->copy, info);
}

static void remove_copy(const struct writing *w)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
	char path[PATH_SIZE + 16];

	for (size_t i = 0; w->copy[0] && i < ATL_COUNT(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", w->copy, ends[i]);
		unlink(path);
	}
}

/* The key's file as a whole: rows must be readable with what is in it, and it may change meanwhile (core/server/keyring.h). */
static enum atl_err hash_key(const struct writing *w, unsigned char out[ATL_SHA256_SIZE], struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	struct atl_buf text;
	enum atl_err err = ATL_OK;

	snprintf(path, sizeof(path), "%s/" ATL_BACKUP_KEY, w->app->data_dir);
	atl_buf_init(&text, 4096);
	if (access(path, F_OK) == 0)
		err = atl_file_read(path, 4096, &text, info);
	atl_sha256(text.data ? text.data : "", text.length, out);
	if (text.length)
		atl_wipe(text.data, text.length);
	atl_buf_finish(&text);
	return err;
}

enum atl_err atl_backup_write(struct atl_app *app, const char *path, const char *passphrase,
			      struct atl_backup_summary *ret, struct atl_errinfo *info)
{
	struct writing w = { .app = app, .sum = { .created_at = atl_now_ms(), .schema = (int)atl_migration_count } };
	unsigned char before[ATL_SHA256_SIZE], after[ATL_SHA256_SIZE];
	char part[PATH_SIZE];
	int fd;
	enum atl_err err;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part) - 32)
		return atl_fail(info, ATL_ERR_INVALID, "The path is too long.");
	if (access(path, F_OK) == 0)
		return atl_fail(info, ATL_ERR_CONFLICT, "%s is there already.", path);
	err = atl_file_open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, info);
	if (err)
		return err;
	atl_sha256_begin(&w.hash);
	atl_buf_init(&w.tables, ATL_BACKUP_TEXT_MAX / 2);
	err = atl_sealer_create(fd, passphrase, &w.sealer, info);
	if (!err)
		err = hash_key(&w, before, info);
	if (!err)
		err = copy_database(&w, part, info);
	if (!err)
		err = put_all(&w, info);
	if (!err)
		err = hash_key(&w, after, info);
	if (!err && memcmp(before, after, sizeof(before)) != 0)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The master key was being changed. Make the backup again.");
	remove_copy(&w);
	atl_sealer_destroy(w.sealer);
	atl_buf_finish(&w.tables);
	close(fd);
	if (!err)
		err = atl_file_move(part, path, info);
	if (err)
		unlink(part);
	*ret = w.sum;
	return err;
}
