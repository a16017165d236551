/* asset_zip.c - many assets as one ZIP file, entry by entry as the client takes it.
 *
 * Source: APPNOTE.TXT 6.3 (PKWARE): local headers, a central directory, no compression (pictures are compressed already),
 * names in UTF-8. Each file is read twice, first for its CRC, so that the header in front of it is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "core/pictures/asset_int.h"
#include "media/inflate.h"
#include "os/file.h"

#define LOCAL_SIZE 30
#define CENTRAL_SIZE 46
#define END_SIZE 22
#define VERSION 20
#define FLAG_UTF8 0x0800
#define ZIP_MAX ((uint64_t)UINT32_MAX)
#define NAME_WORDS_MAX 60
#define CHUNK ((size_t)256 << 10)

struct entry {
	const char *path, *name;
	uint32_t size, crc, offset, dos_time;
};
struct atl_asset_zip {
	struct atl_arena arena;
	struct entry *entries;
	size_t count, at; /* at: the entry that is begun next; count: the directory */
	int fd;		  /* of the entry being read, or -1 */
	uint64_t file_left, offset;
	struct atl_buf pending; /* headers not yet given out */
	size_t pending_at;
	bool ended;
};

/* ---- names ---- */

static const char *ending_of(const char *media_type)
{
	static const struct {
		const char *type, *ending;
	} rows[] = {{"image/png", "png"}, {"image/jpeg", "jpg"}, {"image/webp", "webp"},
		    {"image/gif", "gif"}, {"video/mp4", "mp4"},	 {"video/webm", "webm"}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		if (atl_str_eq(rows[i].type, media_type))
			return rows[i].ending;
	return "bin";
}

/* Letters of any script and digits stay, the rest becomes one "-". */
const char *atl_asset_file_name(struct atl_arena *arena, const struct atl_asset *asset)
{
	const char *text = atl_str_empty(asset->title) ? asset->prompt : asset->title;
	char words[NAME_WORDS_MAX + 8];
	size_t length = 0, id_length = strlen(asset->id);
	for (const char *p = text ? text : ""; *p && length < NAME_WORDS_MAX;) {
		size_t bytes = atl_utf8_char(p, strlen(p));
		bool keep = bytes > 1 || (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z');
		if (bytes == 0 || (unsigned char)*p == 0xc2 || ((unsigned char)*p == 0xe2 && (unsigned char)p[1] == 0x80))
			keep = false; /* signs of Latin-1, general punctuation: direction marks are among them */
		if (keep) {
			memcpy(words + length, p, bytes);
			length += bytes;
		} else if (length && words[length - 1] != '-') {
			words[length++] = '-';
		}
		p += bytes ? bytes : 1;
	}
	while (length && words[length - 1] == '-')
		length--;
	if (!length)
		length = (size_t)(stpcpy(words, atl_str_eq(asset->kind, "video") ? "video" : "picture") - words);
	return atl_arena_printf(arena, "%.*s-%s.%s", (int)length, words,
				asset->id + (id_length > 6 ? id_length - 6 : 0), ending_of(asset->media_type));
}

/* ---- opening ---- */

static uint32_t dos_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm t;
	if (!gmtime_r(&seconds, &t) || t.tm_year < 80)
		return (1u << 21) | (1u << 16);
	return (uint32_t)(t.tm_year - 80) << 25 | (uint32_t)(t.tm_mon + 1) << 21 | (uint32_t)t.tm_mday << 16 |
	       (uint32_t)t.tm_hour << 11 | (uint32_t)t.tm_min << 5 | (uint32_t)t.tm_sec / 2;
}

struct gather {
	struct atl_arena *arena;
	const char *user_id;
	const struct atl_strs *ids;
	struct atl_asset *assets;
	size_t count;
};

static enum atl_err gather_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct gather *g = arg;
	enum atl_err err = ATL_OK;
	g->count = 0;
	for (size_t i = 0; i < g->ids->count && !err; i++) {
		err = atl_asset_get_in(conn, g->arena, g->user_id, g->ids->items[i], &g->assets[g->count], info);
		if (err == ATL_OK)
			g->count++;
		else if (err == ATL_ERR_NOT_FOUND)
			err = ATL_OK;
	}
	return err;
}

static enum atl_err plan(struct atl_app *app, struct atl_asset_zip *zip, const struct gather *g, uint64_t *ret_length,
			 struct atl_errinfo *info)
{
	uint64_t total = END_SIZE;
	zip->entries = ATL_ARENA_ARRAY(&zip->arena, struct entry, g->count + 1);
	if (!zip->entries)
		return atl_fail(info, ATL_ERR_NOMEM, "zip");
	for (size_t i = 0; i < g->count; i++) {
		struct entry *e = &zip->entries[zip->count];
		uint64_t size = 0;
		enum atl_err err = atl_asset_path(app, &zip->arena, &g->assets[i], 0, &e->path, info);
		if (!err)
			err = atl_file_size(e->path, &size, info);
		if (err == ATL_ERR_NOT_FOUND)
			continue;
		if (err)
			return err;
		e->name = atl_asset_file_name(&zip->arena, &g->assets[i]);
		if (!e->name)
			return atl_fail(info, ATL_ERR_NOMEM, "zip");
		total += LOCAL_SIZE + CENTRAL_SIZE + 2 * strlen(e->name) + size;
		if (total > ZIP_MAX)
			return atl_fail(info, ATL_ERR_TOO_LARGE,
					"Together the files are larger than 4 GiB. Download them in several parts.");
		e->size = (uint32_t)size;
		e->dos_time = dos_time(g->assets[i].created_at);
		zip->count++;
	}
	*ret_length = total;
	return zip->count ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There are no such pictures.");
}

enum atl_err atl_asset_zip_open(struct atl_app *app, const char *user_id, const struct atl_strs *ids,
				struct atl_asset_zip **ret, uint64_t *ret_length, struct atl_errinfo *info)
{
	if (ids->count > ATL_ASSET_ZIP_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "ids", "at most %d at a time", ATL_ASSET_ZIP_MAX);
	struct atl_asset_zip *zip = calloc(1, sizeof *zip);
	if (!zip)
		return atl_fail(info, ATL_ERR_NOMEM, "zip");
	atl_arena_init(&zip->arena, 0);
	atl_buf_init(&zip->pending, (size_t)16 << 20);
	zip->fd = -1;
	struct gather g = {.arena = &zip->arena, .user_id = user_id, .ids = ids};
	g.assets = ATL_ARENA_ARRAY(&zip->arena, struct atl_asset, ids->count + 1);
	enum atl_err err = g.assets ? atl_db_read(app->db, gather_fn, &g, info) : atl_fail(info, ATL_ERR_NOMEM, "zip");
	if (!err)
		err = plan(app, zip, &g, ret_length, info);
	if (err)
		atl_asset_zip_close(zip);
	else
		*ret = zip;
	return err;
}

void atl_asset_zip_close(void *arg)
{
	struct atl_asset_zip *zip = arg;
	if (zip->fd >= 0)
		close(zip->fd);
	atl_buf_finish(&zip->pending);
	atl_arena_finish(&zip->arena);
	free(zip);
}

/* ---- reading ---- */

static void put(struct atl_buf *out, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		atl_buf_addc(out, (char)(value >> (8 * i) & 0xff));
}

/* What local and central headers have in common, from the version needed to the name's length. */
static void put_common(struct atl_buf *out, const struct entry *e)
{
	put(out, VERSION, 2);
	put(out, FLAG_UTF8, 2);
	put(out, 0, 2); /* stored */
	put(out, e->dos_time, 4);
	put(out, e->crc, 4);
	put(out, e->size, 4);
	put(out, e->size, 4);
	put(out, (uint32_t)strlen(e->name), 2);
	put(out, 0, 2); /* extra */
}

static bool read_all(int fd, char *room, size_t want)
{
	while (want) {
		ssize_t got = read(fd, room, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		room += got;
		want -= (size_t)got;
	}
	return true;
}

static bool take_crc(int fd, struct entry *e)
{
	char *chunk = malloc(CHUNK);
	uint32_t crc = 0;
	bool ok = chunk != NULL;
	for (size_t left = e->size; left && ok;) {
		size_t want = left < CHUNK ? left : CHUNK;
		ok = read_all(fd, chunk, want);
		if (ok)
			crc = atl_crc32(crc, chunk, want);
		left -= want;
	}
	free(chunk);
	e->crc = crc;
	return ok && lseek(fd, 0, SEEK_SET) == 0;
}

static bool begin_entry(struct atl_asset_zip *zip)
{
	struct entry *e = &zip->entries[zip->at++];
	if (atl_file_open(e->path, O_RDONLY | O_NOFOLLOW, 0, &zip->fd, NULL)) {
		zip->fd = -1;
		return false;
	}
	if (!take_crc(zip->fd, e))
		return false;
	e->offset = (uint32_t)zip->offset;
	put(&zip->pending, 0x04034b50, 4);
	put_common(&zip->pending, e);
	atl_buf_adds(&zip->pending, e->name);
	zip->file_left = e->size;
	zip->offset += zip->pending.length + e->size;
	return !zip->pending.failed;
}

static bool put_directory(struct atl_asset_zip *zip)
{
	struct atl_buf *out = &zip->pending;
	for (size_t i = 0; i < zip->count; i++) {
		const struct entry *e = &zip->entries[i];
		put(out, 0x02014b50, 4);
		put(out, 3 << 8 | VERSION, 2); /* made on Unix */
		put_common(out, e);
		put(out, 0, 2); /* comment */
		put(out, 0, 2); /* disk */
		put(out, 0, 2); /* internal attributes */
		put(out, 0100644u << 16, 4);
		put(out, e->offset, 4);
		atl_buf_adds(out, e->name);
	}
	uint32_t size = (uint32_t)out->length;
	put(out, 0x06054b50, 4);
	put(out, 0, 4); /* disks */
	put(out, (uint32_t)zip->count, 2);
	put(out, (uint32_t)zip->count, 2);
	put(out, size, 4);
	put(out, (uint32_t)zip->offset, 4);
	put(out, 0, 2);
	zip->ended = true;
	return !out->failed;
}

static bool advance(struct atl_asset_zip *zip)
{
	if (zip->ended)
		return false;
	if (zip->fd >= 0)
		close(zip->fd);
	zip->fd = -1;
	atl_buf_reset(&zip->pending);
	zip->pending_at = 0;
	return zip->at < zip->count ? begin_entry(zip) : put_directory(zip);
}

bool atl_asset_zip_read(void *arg, void *room, size_t want)
{
	struct atl_asset_zip *zip = arg;
	char *to = room;
	while (want) {
		size_t ready = zip->pending.length - zip->pending_at;
		size_t part = ready ? (ready < want ? ready : want)
				    : (zip->file_left < want ? (size_t)zip->file_left : want);
		if (ready) {
			memcpy(to, zip->pending.data + zip->pending_at, part);
			zip->pending_at += part;
		} else if (part) {
			if (!read_all(zip->fd, to, part))
				return false;
			zip->file_left -= part;
		} else if (!advance(zip)) {
			return false;
		}
		to += part;
		want -= part;
	}
	return true;
}
