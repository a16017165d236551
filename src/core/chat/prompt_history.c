/* prompt_history.c - see prompt_history.h. */
#include "core/chat/prompt_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"
#include "core/chat/card.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_past_prompt, member)
static const struct atl_json_field FIELDS[] = {
	{ "prompt", ATL_JT_STR, OFF(prompt), ATL_JF_REQUIRED },
	{ "negative_prompt", ATL_JT_STR, OFF(negative_prompt), ATL_JF_REQUIRED },
	{ "uses", ATL_JT_INT, OFF(uses), ATL_JF_REQUIRED },
	{ "used_at", ATL_JT_TIME, OFF(used_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_past_prompt_desc = { "PastPrompt", "A prompt that was used before.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_past_prompt), ATL_JSON_NO_PRESENT, false };

struct work {
	struct atl_arena *arena;
	const char *user_id, *prompt, *negative_prompt, *pattern;
	int64_t limit;
	struct atl_past_prompt *items;
	size_t count;
};

static enum atl_err add_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	char hash[ATL_SHA256_SIZE * 2 + 1];
	struct atl_sha256 sha;
	unsigned char raw[ATL_SHA256_SIZE];
	int64_t now = atl_now_ms();
	enum atl_err err;

	atl_sha256_begin(&sha);
	atl_sha256_add(&sha, w->prompt, strlen(w->prompt) + 1);
	atl_sha256_add(&sha, w->negative_prompt, strlen(w->negative_prompt));
	atl_sha256_end(&sha, raw);
	atl_sha256_hex(raw, sizeof(raw), hash);
	err = atl_exec(conn, info,
		       "INSERT INTO prompt_history (user_id, prompt_hash, prompt, negative_prompt, uses, used_at) "
		       "VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (user_id, prompt_hash) DO UPDATE SET "
		       "uses = prompt_history.uses + 1, used_at = excluded.used_at",
		       "ssssi", w->user_id, hash, w->prompt, w->negative_prompt, now);
	if (!err)
		err = atl_exec(conn, info,
			       "DELETE FROM prompt_history WHERE user_id = ? AND used_at < (SELECT used_at FROM prompt_history "
			       "WHERE user_id = ? ORDER BY used_at DESC LIMIT 1 OFFSET ?)",
			       "ssi", w->user_id, w->user_id, (int64_t)ATL_PROMPT_HISTORY_MAX);
	return err;
}

/* One block: the struct, then its strings. */
static struct work *copy_of(const char *user_id, const char *prompt, const char *negative_prompt)
{
	size_t user = strlen(user_id) + 1, words = strlen(prompt) + 1, negative = strlen(negative_prompt) + 1;
	struct work *w = calloc(1, sizeof(*w) + user + words + negative);
	char *text = (char *)(w + 1);

	if (!w)
		return NULL;
	w->user_id = memcpy(text, user_id, user);
	w->prompt = memcpy(text + user, prompt, words);
	w->negative_prompt = memcpy(text + user + words, negative_prompt, negative);
	return w;
}

static void add_done(void *arg, enum atl_err err)
{
	if (err)
		atl_warn("prompts", "remember a prompt: %s", atl_err_name(err));
	free(arg);
}

void atl_prompt_history_add(struct atl_app *app, const char *user_id, const char *prompt, const char *negative_prompt)
{
	struct work *w = copy_of(user_id, prompt, negative_prompt);
	enum atl_err err = w ? atl_db_tx_async(app->db, add_fn, w, add_done) : ATL_ERR_NOMEM;

	if (err)
		add_done(w, err);
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT prompt, negative_prompt, uses, used_at FROM prompt_history WHERE user_id = ? "
				     "AND (CAST(? AS TEXT) IS NULL OR lower(prompt) LIKE lower(?) ESCAPE '!') "
				     "ORDER BY used_at DESC, prompt_hash LIMIT ?",
				     "sssi", w->user_id, w->pattern, w->pattern, w->limit);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		w->items[w->count++] = (struct atl_past_prompt){ atl_col_text(rows, 0, w->arena), atl_col_text(rows, 1, w->arena),
								 atl_col_int(rows, 2), atl_col_int(rows, 3) };
	return err;
}

enum atl_err atl_prompt_history_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *words,
				     int64_t limit, struct atl_past_prompt **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .limit = limit };
	enum atl_err err;

	w.items = ATL_ARENA_ARRAY(arena, struct atl_past_prompt, (size_t)limit + 1);
	if (!atl_str_empty(words))
		w.pattern = atl_like_pattern(arena, "%", words, "%");
	if (!w.items || (!atl_str_empty(words) && !w.pattern))
		return atl_fail(info, ATL_ERR_NOMEM, "prompts");
	err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err clear_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM prompt_history WHERE user_id = ?", "s", (const char *)arg);
}

enum atl_err atl_prompt_history_clear(struct atl_app *app, const char *user_id, struct atl_errinfo *info)
{
	return atl_db_tx(app->db, clear_fn, (void *)user_id, info);
}
