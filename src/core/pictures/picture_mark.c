/* picture_mark.c - see picture_mark.h. SQL of the row `watermark` of signing_keys. */
#include "core/pictures/picture_mark.h"

#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "core/server/keyring.h"
#include "core/server/setting.h"
#include "db/db.h"
#include "media/picture.h"

#define NAME "watermark"
#define CONTEXT "signing_keys/" NAME
#define SEALED_MAX 1024

struct stored {
	struct atl_arena *arena;
	const char *sealed; /* NULL: none yet */
};

static enum atl_err get_key(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct stored *s = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT key_sealed FROM signing_keys WHERE name = ?", "s", NAME);

	if (!err && atl_rows_next(rows, &err, info)) {
		s->sealed = atl_col_text(rows, 0, s->arena);
		atl_rows_close(rows);
	}
	return err;
}

/* Of two servers that start on one database the first one's key stays. */
static enum atl_err put_key(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct stored *s = arg;

	return atl_exec(conn, info,
			"INSERT INTO signing_keys (name, key_sealed, chain, created_at) VALUES (?, ?, '', ?) "
			"ON CONFLICT (name) DO NOTHING",
			"ssi", NAME, s->sealed, atl_now_ms());
}

static enum atl_err make_key(struct atl_app *app, struct stored *s, struct atl_errinfo *info)
{
	unsigned char key[ATL_WATERMARK_KEY_SIZE];
	struct atl_buf sealed, text;
	enum atl_err err;

	atl_random(key, sizeof(key));
	atl_buf_init(&sealed, SEALED_MAX);
	atl_buf_init(&text, 2 * SEALED_MAX);
	err = atl_seal(&sealed, app->master_key, CONTEXT, key, sizeof(key));
	atl_wipe(key, sizeof(key));
	if (!err) {
		atl_base64_encode(&text, ATL_BASE64_URL, sealed.data, sealed.length);
		err = atl_buf_err(&text, info);
	}
	if (!err) {
		struct stored made = { .sealed = text.data };

		err = atl_db_tx(app->db, put_key, &made, info);
	}
	if (!err)
		err = atl_db_read(app->db, get_key, s, info);
	atl_buf_finish(&sealed);
	atl_buf_finish(&text);
	return err;
}

static enum atl_err open_key(struct atl_app *app, const struct stored *s, unsigned char key[ATL_WATERMARK_KEY_SIZE],
			     struct atl_errinfo *info)
{
	struct atl_buf sealed, plain;
	enum atl_err err = ATL_OK;

	atl_buf_init(&sealed, SEALED_MAX);
	atl_buf_init(&plain, SEALED_MAX);
	if (!s->sealed || !atl_base64_decode(&sealed, ATL_BASE64_URL, s->sealed, strlen(s->sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The kept key of the invisible mark cannot be read.");
	if (!err)
		err = atl_secret_open(app, &plain, CONTEXT, sealed.data, sealed.length, info);
	if (!err && plain.length != ATL_WATERMARK_KEY_SIZE)
		err = atl_fail(info, ATL_ERR_CONFIG, "The kept key of the invisible mark has another size.");
	if (!err)
		memcpy(key, plain.data, ATL_WATERMARK_KEY_SIZE);
	if (plain.length)
		atl_wipe(plain.data, plain.length);
	atl_buf_finish(&sealed);
	atl_buf_finish(&plain);
	return err;
}

enum atl_err atl_picture_mark_load(struct atl_app *app, unsigned char key[ATL_WATERMARK_KEY_SIZE], struct atl_errinfo *info)
{
	struct stored stored = { NULL, NULL };
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	stored.arena = &arena;
	err = atl_db_read(app->db, get_key, &stored, info);
	if (!err && !stored.sealed)
		err = make_key(app, &stored, info);
	if (!err)
		err = open_key(app, &stored, key, info);
	atl_arena_finish(&arena);
	return err;
}

bool atl_picture_mark_wanted(struct atl_app *app)
{
	return app->watermark_key && atl_setting_bool(app, ATL_SETTING_WATERMARK, true);
}

enum atl_err atl_picture_mark(struct atl_app *app, unsigned char *rgb, size_t width, size_t height, struct atl_errinfo *info)
{
	return atl_picture_mark_wanted(app) ? atl_watermark_embed(rgb, width, height, app->watermark_key, info) : ATL_OK;
}

enum atl_err atl_picture_mark_find(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				   size_t length, bool thorough, struct atl_watermark_found *ret, struct atl_errinfo *info)
{
	struct atl_picture_options ask = { .owner = user_id };
	struct atl_picture picture;
	enum atl_err err = ATL_OK;

	if (!app->watermark_key)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "This server does not mark its pictures.");
	err = atl_picture_open(app->pictures, arena, data, length, &ask, &picture, info); /* how large it is */
	if (!err && (picture.width > ATL_PICTURE_MARK_SIDE_MAX || picture.height > ATL_PICTURE_MARK_SIDE_MAX))
		err = atl_fail(info, ATL_ERR_UNSUPPORTED, "The picture is too large to be searched for the invisible mark.");
	if (err)
		return err;
	ask.raw = (struct atl_picture_raw_ask){ .channels = 1, .width = picture.width, .height = picture.height };
	err = atl_picture_open(app->pictures, arena, data, length, &ask, &picture, info);
	return err ? err : atl_watermark_find(picture.raw, ask.raw.width, ask.raw.height, app->watermark_key, thorough,
					       ret, info);
}
