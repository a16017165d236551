/* backup_restore.c - reads a backup into a folder beside its place, compares it with the manifest, moves it there. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/str.h"
#include "core/server/backup.h"
#include "core/server/backup_int.h"
#include "db/migrate.h"
#include "db/rows.h"
#include "os/file.h"

#define PATH_SIZE 4400
#define PIECE 65536
#define STAGE "restore.tmp"
#define ROWS_FILE "rows" /* PostgreSQL: table, tab, JSON, newline */

struct reading {
	const struct atl_restore *in;
	struct atl_unsealer *unsealer;
	struct atl_sha256 hash;
	struct atl_arena arena;
	struct atl_backup_summary sum;
	char stage[PATH_SIZE];
	FILE *rows;
	bool postgres;
	const struct atl_json *manifest;
};

struct entry {
	char kind, name[ATL_BACKUP_NAME_MAX + 1];
	uint64_t size;
};

static enum atl_err take(struct reading *r, void *room, size_t length, struct atl_errinfo *info)
{
	enum atl_err err = atl_unsealer_read(r->unsealer, room, length, info);

	if (!err) {
		atl_sha256_add(&r->hash, room, length);
		r->sum.bytes += (int64_t)length;
	}
	return err;
}

static enum atl_err wrong(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The backup's content does not fit together: it was not made by Atelier.");
}

/* The manifest's own head is in no hash, so what the hash was before it is kept. */
static enum atl_err take_head(struct reading *r, struct entry *ret, char hash[ATL_SHA256_SIZE * 2 + 1], struct atl_errinfo *info)
{
	unsigned char head[ATL_BACKUP_HEAD_SIZE], digest[ATL_SHA256_SIZE];
	struct atl_sha256 before = r->hash;
	size_t length;
	enum atl_err err = take(r, head, sizeof(head), info);

	if (err)
		return err;
	atl_sha256_end(&before, digest);
	atl_hex_encode(digest, sizeof(digest), hash);
	length = head[1] | (size_t)head[2] << 8;
	if (length == 0 || length > ATL_BACKUP_NAME_MAX)
		return wrong(info);
	*ret = (struct entry){ .kind = (char)head[0] };
	for (int i = 0; i < 8; i++)
		ret->size |= (uint64_t)head[3 + i] << (8 * i);
	err = take(r, ret->name, length, info);
	ret->name[length] = '\0';
	return err;
}

static enum atl_err take_text(struct reading *r, const struct entry *entry, size_t max, struct atl_buf *out, struct atl_errinfo *info)
{
	void *room;
	enum atl_err err;

	if (entry->size > max)
		return wrong(info);
	room = atl_buf_reserve(out, (size_t)entry->size);
	if (!room)
		return atl_fail(info, ATL_ERR_NOMEM, "read a backup");
	err = take(r, room, (size_t)entry->size, info);
	if (!err) {
		out->length += (size_t)entry->size;
		out->data[out->length] = '\0';
	}
	return err;
}

static enum atl_err take_tree(struct reading *r, const struct entry *entry, struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_buf text;
	enum atl_err err;

	atl_buf_init(&text, ATL_BACKUP_TEXT_MAX + 1);
	err = take_text(r, entry, ATL_BACKUP_TEXT_MAX, &text, info);
	if (!err)
		err = atl_json_parse(&r->arena, text.data, text.length, ret, info);
	atl_buf_finish(&text);
	return err;
}

/* ---- the entries ---- */

static enum atl_err read_opening(struct reading *r, struct atl_errinfo *info)
{
	char hash[ATL_SHA256_SIZE * 2 + 1];
	struct entry entry;
	struct atl_json *head;
	enum atl_err err = take_head(r, &entry, hash, info);

	if (!err && entry.kind != ATL_BACKUP_HEAD)
		err = wrong(info);
	if (!err)
		err = take_tree(r, &entry, &head, info);
	if (err)
		return err;
	r->sum.schema = (int)atl_json_int(head, "schema", 0);
	r->sum.created_at = atl_json_int(head, "created_at", 0);
	r->postgres = atl_str_eq(atl_json_str(head, "database", ""), "postgres");
	if (atl_json_int(head, "format", 0) > ATL_BACKUP_FORMAT || r->sum.schema > (int)atl_migration_count)
		return atl_fail(info, ATL_ERR_SCHEMA_NEWER,
				"The backup is of Atelier %s (schema %d), newer than this program (schema %d). Restore it with that version.",
				atl_json_str(head, "version", "?"), r->sum.schema, (int)atl_migration_count);
	if (r->sum.schema < 1)
		return wrong(info);
	if (r->postgres != (r->in->database != NULL))
		return atl_fail(info, ATL_ERR_UNPROCESSABLE,
				r->postgres ? "The backup is of a PostgreSQL database: name an empty one with --database."
					    : "The backup is of SQLite: restore it without --database.");
	return ATL_OK;
}

/* Only what a backup has: nothing may lead out of the folder. */
static bool name_fits(const char *name)
{
	if (atl_str_eq(name, ATL_BACKUP_DATABASE) || atl_str_eq(name, ATL_BACKUP_KEY))
		return true;
	return atl_str_starts(name, "blobs/") && strspn(name + 6, "0123456789abcdef") == 2 && name[8] == '/' &&
	       strspn(name + 9, "0123456789abcdef") == 64 && !strchr(name + 9, '/') && !strstr(name, "..");
}

static enum atl_err write_piece(int fd, const unsigned char *data, size_t length, struct atl_errinfo *info)
{
	while (length) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return atl_fail(info, errno == ENOSPC ? ATL_ERR_DISK : ATL_ERR_IO, "Unpacking: %s", strerror(errno));
		data += written;
		length -= (size_t)written;
	}
	return ATL_OK;
}

/* A blob's name is the hash of its bytes. */
static enum atl_err check_blob(const char *name, struct atl_sha256 *content, struct atl_errinfo *info)
{
	unsigned char digest[ATL_SHA256_SIZE];
	char hex[ATL_SHA256_SIZE * 2 + 1];

	if (!atl_str_starts(name, "blobs/") || strlen(name) != strlen("blobs/00/") + 64)
		return ATL_OK;
	atl_sha256_end(content, digest);
	atl_hex_encode(digest, sizeof(digest), hex);
	return atl_str_eq(hex, name + strlen("blobs/00/")) ? ATL_OK : wrong(info);
}

static enum atl_err take_file(struct reading *r, const struct entry *entry, struct atl_errinfo *info)
{
	unsigned char piece[PIECE];
	char path[PATH_SIZE + ATL_BACKUP_NAME_MAX + 8];
	struct atl_sha256 content;
	uint64_t left = entry->size;
	int fd;
	enum atl_err err = ATL_OK;

	if (!name_fits(entry->name))
		return wrong(info);
	if (atl_str_starts(entry->name, "blobs/")) {
		snprintf(path, sizeof(path), "%s/%.8s", r->stage, entry->name);
		err = atl_dir_make(path, 0700, info);
		r->sum.blobs++;
	}
	snprintf(path, sizeof(path), "%s/%s", r->stage, entry->name);
	if (!err)
		err = atl_file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, info);
	if (err)
		return err;
	atl_sha256_begin(&content);
	while (!err && left) {
		size_t part = left < PIECE ? (size_t)left : PIECE;

		err = take(r, piece, part, info);
		if (!err) {
			atl_sha256_add(&content, piece, part);
			err = write_piece(fd, piece, part, info);
		}
		left -= part;
	}
	if (!err && fsync(fd) != 0)
		err = atl_fail(info, ATL_ERR_IO, "Unpacking: %s", strerror(errno));
	close(fd);
	return err ? err : check_blob(entry->name, &content, info);
}

static enum atl_err take_row(struct reading *r, const struct entry *entry, struct atl_errinfo *info)
{
	char path[PATH_SIZE + 8];
	struct atl_buf text;
	enum atl_err err;
	int fd;

	if (!r->rows) {
		snprintf(path, sizeof(path), "%s/" ROWS_FILE, r->stage);
		err = atl_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, info);
		if (err)
			return err;
		r->rows = fdopen(fd, "w+");
		if (!r->rows) {
			close(fd);
			return atl_fail(info, ATL_ERR_NOMEM, "unpack rows");
		}
	}
	atl_buf_init(&text, 2 * ATL_DB_TEXT_MAX);
	err = take_text(r, entry, 2 * ATL_DB_TEXT_MAX - 1, &text, info);
	if (!err && fprintf(r->rows, "%s\t%s\n", entry->name, text.data) < 0)
		err = atl_fail(info, ATL_ERR_IO, "Unpacking: %s", strerror(errno));
	atl_buf_finish(&text);
	return err;
}

static enum atl_err take_manifest(struct reading *r, const struct entry *entry, const char *hash, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = take_tree(r, entry, &tree, info);

	if (err)
		return err;
	r->manifest = tree;
	if (!atl_str_eq(atl_json_str(tree, "sha256", ""), hash) || atl_json_int(tree, "blobs", -1) != r->sum.blobs)
		return wrong(info);
	return atl_unsealer_end(r->unsealer, info);
}

static enum atl_err unpack(struct reading *r, struct atl_errinfo *info)
{
	enum atl_err err = read_opening(r, info);

	while (!err && !r->manifest) {
		char hash[ATL_SHA256_SIZE * 2 + 1];
		struct atl_json *ignored;
		struct entry entry;

		err = take_head(r, &entry, hash, info);
		if (err)
			break;
		switch (entry.kind) {
		case ATL_BACKUP_FILE:
			err = take_file(r, &entry, info);
			break;
		case ATL_BACKUP_ROW:
			err = r->postgres ? take_row(r, &entry, info) : wrong(info);
			break;
		case ATL_BACKUP_MODELS: /* for people to read; the files are not here */
			err = take_tree(r, &entry, &ignored, info);
			break;
		case ATL_BACKUP_MANIFEST:
			err = take_manifest(r, &entry, hash, info);
			break;
		default:
			err = wrong(info);
		}
	}
	return err;
}

/* ---- the database ---- */

/* Each table has as many rows as the manifest says. */
static enum atl_err compare_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct reading *r = arg;
	const struct atl_json *tables = atl_json_get(r->manifest, "tables");

	r->sum.tables = r->sum.rows = 0;
	for (const struct atl_json *t = tables ? tables->child : NULL; t; t = t->next) {
		int64_t rows = -1, wanted = 0;
		enum atl_err err = atl_db_count_rows(conn, t->key, &rows, info);

		if (err)
			return err;
		if (!atl_json_integer(t, &wanted) || rows != wanted)
			return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The table %.60s has %lld rows, the manifest says %lld.", t->key,
					(long long)rows, (long long)wanted);
		r->sum.tables++;
		r->sum.rows += rows;
	}
	return r->sum.tables ? ATL_OK : wrong(info);
}

static enum atl_err load_rows(struct reading *r, struct atl_conn *conn, struct atl_errinfo *info)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	enum atl_err err = ATL_OK;

	if (!r->rows)
		return wrong(info);
	rewind(r->rows);
	while (!err && (length = getline(&line, &room, r->rows)) > 0) {
		char *tab = strchr(line, '\t');

		if (!tab || line[length - 1] != '\n') {
			err = wrong(info);
			break;
		}
		line[length - 1] = '\0';
		*tab = '\0';
		err = atl_db_row_in(conn, line, tab + 1, info);
	}
	if (!err && ferror(r->rows))
		err = atl_fail(info, ATL_ERR_IO, "Reading what was unpacked: %s", strerror(errno));
	free(line);
	return err;
}

static enum atl_err load_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct reading *r = arg;
	enum atl_err err = atl_db_rows_in_begin(conn, info);

	if (!err)
		err = load_rows(r, conn, info);
	if (!err)
		err = atl_db_rows_in_end(conn, info);
	return err ? err : compare_read(conn, r, info);
}

static enum atl_err empty_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_arena *arena = arg;
	const char **names;
	size_t count;
	enum atl_err err = atl_db_tables(conn, arena, &names, &count, info);

	if (!err && count)
		return atl_fail(info, ATL_ERR_CONFLICT, "The database is not empty: it has a table %s.", names[0]);
	return err;
}

/* PostgreSQL: the tables of the backup's own schema, then its rows, then what is newer. */
static enum atl_err load_postgres(struct reading *r, struct atl_errinfo *info)
{
	struct atl_db *db;
	enum atl_err err = atl_db_open(r->in->database, &db, info);

	if (err)
		return err;
	err = atl_db_read(db, empty_read, &r->arena, info);
	if (!err)
		err = atl_db_migrate_with(db, atl_migrations, (size_t)r->sum.schema, info);
	if (!err)
		err = atl_db_tx(db, load_tx, r, info);
	if (!err)
		err = atl_db_migrate(db, info);
	atl_db_close(db);
	return err;
}

static enum atl_err check_sqlite(struct reading *r, struct atl_errinfo *info)
{
	char url[PATH_SIZE + 40];
	struct atl_db *db;
	enum atl_err err;

	snprintf(url, sizeof(url), "sqlite:%s/" ATL_BACKUP_DATABASE, r->stage);
	if (access(url + strlen("sqlite:"), F_OK) != 0)
		return wrong(info);
	err = atl_db_open(url, &db, info);
	if (err)
		return err;
	err = atl_db_read(db, compare_read, r, info);
	atl_db_close(db);
	return err;
}

/* ---- the folder ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	return remove(path);
}

static enum atl_err move_in(struct reading *r, struct atl_errinfo *info)
{
	static const char *const names[] = { "blobs", ATL_BACKUP_KEY, ATL_BACKUP_DATABASE }; /* the database last */
	char from[PATH_SIZE + 40], to[PATH_SIZE + 40];

	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		snprintf(from, sizeof(from), "%s/%s", r->stage, names[i]);
		snprintf(to, sizeof(to), "%s/%s", r->in->data_dir, names[i]);
		if (access(from, F_OK) == 0 && rename(from, to) != 0)
			return atl_fail(info, ATL_ERR_IO, "%s: %s", to, strerror(errno));
	}
	return ATL_OK;
}

static enum atl_err open_stage(struct reading *r, struct atl_errinfo *info)
{
	enum atl_err err = atl_dir_make(r->in->data_dir, 0700, info);

	if (err)
		return err;
	if (rmdir(r->in->data_dir) != 0) /* says whether it is empty, and is no harm: it is made again */
		return atl_fail(info, ATL_ERR_CONFLICT, "The data folder %s is not empty. Restore into an empty one.", r->in->data_dir);
	err = atl_dir_make(r->in->data_dir, 0700, info);
	snprintf(r->stage, sizeof(r->stage), "%.4000s/" STAGE, r->in->data_dir);
	return err ? err : atl_dir_make(r->stage, 0700, info);
}

enum atl_err atl_backup_restore(const struct atl_restore *in, struct atl_backup_summary *ret, struct atl_errinfo *info)
{
	struct reading r = { .in = in };
	int fd;
	enum atl_err err = atl_file_open(in->path, O_RDONLY, 0, &fd, info);

	if (err)
		return err;
	atl_arena_init(&r.arena, 0);
	atl_sha256_begin(&r.hash);
	err = atl_unsealer_open(fd, in->passphrase, &r.unsealer, info);
	if (!err)
		err = open_stage(&r, info);
	if (!err)
		err = unpack(&r, info);
	if (!err)
		err = r.postgres ? load_postgres(&r, info) : check_sqlite(&r, info);
	if (!err)
		err = move_in(&r, info);
	if (r.rows)
		fclose(r.rows);
	if (r.stage[0])
		nftw(r.stage, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	atl_unsealer_close(r.unsealer);
	atl_arena_finish(&r.arena);
	close(fd);
	*ret = r.sum;
	return err;
}
