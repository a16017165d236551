/* rights.c - see rights.h. */
#include "core/people/rights.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/str.h"
#include "db/db.h"

static const struct {
	const char *name, *doc;
} features[ATL_FEATURE_COUNT] = {
#define ATL_FEATURE_X(name, text, doc) [ATL_FEATURE_##name] = { text, doc },
	ATL_FEATURE_LIST(ATL_FEATURE_X)
#undef ATL_FEATURE_X
};
_Static_assert(ATL_FEATURE_COUNT < 32, "features fit a 32-bit mask");

const char *atl_feature_name(enum atl_feature feature)
{
	return features[feature].name;
}

const char *atl_feature_doc(enum atl_feature feature)
{
	return features[feature].doc;
}

bool atl_feature_find(const char *name, enum atl_feature *ret)
{
	for (size_t i = 0; i < ATL_FEATURE_COUNT; i++) {
		if (!atl_str_eq(features[i].name, name))
			continue;
		*ret = (enum atl_feature)i;
		return true;
	}
	return false;
}

/* ---- the book ---- */

struct page {
	struct atl_rights rights; /* first */
	struct atl_arena arena;
};

struct atl_rights_book {
	pthread_mutex_t lock;
	struct atl_map pages; /* guarded by lock; both lists as text -> page; a page never changes */
};

enum atl_err atl_rights_book_create(struct atl_rights_book **ret)
{
	struct atl_rights_book *book = calloc(1, sizeof(*book));

	if (!book)
		return ATL_ERR_NOMEM;
	pthread_mutex_init(&book->lock, NULL);
	atl_map_init(&book->pages);
	*ret = book;
	return ATL_OK;
}

static void free_page(const char *key, void *value, void *arg)
{
	struct page *page = value;

	(void)key;
	(void)arg;
	atl_arena_finish(&page->arena);
	free(page);
}

void atl_rights_book_destroy(struct atl_rights_book *book)
{
	if (!book)
		return;
	atl_map_each(&book->pages, free_page, NULL);
	atl_map_finish(&book->pages);
	pthread_mutex_destroy(&book->lock);
	free(book);
}

static enum atl_err read_list(struct atl_arena *arena, const char *json, struct atl_strs *ret, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err;

	ret->count = 0;
	if (atl_str_empty(json))
		return ATL_OK;
	err = atl_json_parse(arena, json, strlen(json), &tree, info);
	if (err)
		return err;
	if (tree->kind != ATL_JSON_ARRAY)
		return atl_fail(info, ATL_ERR_DB, "A role's list is not one.");
	ret->items = ATL_ARENA_ARRAY(arena, const char *, tree->count + 1);
	if (!ret->items)
		return atl_fail(info, ATL_ERR_NOMEM, "a role's rights");
	for (const struct atl_json *item = tree->child; item; item = item->next) {
		if (item->kind != ATL_JSON_STRING)
			return atl_fail(info, ATL_ERR_DB, "A role's list holds something else than texts.");
		ret->items[ret->count++] = item->string;
	}
	return ATL_OK;
}

static enum atl_err write_page(struct atl_rights_book *book, const char *key, const char *models, const char *providers,
			       const struct atl_rights **ret, struct atl_errinfo *info)
{
	struct page *page = calloc(1, sizeof(*page));
	enum atl_err err;

	if (!page)
		return atl_fail(info, ATL_ERR_NOMEM, "a role's rights");
	atl_arena_init(&page->arena, 0);
	err = read_list(&page->arena, models, &page->rights.models, info);
	if (!err)
		err = read_list(&page->arena, providers, &page->rights.providers, info);
	if (!err && atl_map_put(&book->pages, key, page, NULL) != ATL_OK)
		err = atl_fail(info, ATL_ERR_NOMEM, "a role's rights");
	if (err)
		free_page(NULL, page, NULL);
	else
		*ret = &page->rights;
	return err;
}

enum atl_err atl_rights_intern(struct atl_rights_book *book, const char *models_json, const char *providers_json,
			       const struct atl_rights **ret, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct page *page;
	const char *key;
	enum atl_err err = ATL_OK;

	*ret = NULL;
	if (atl_str_empty(models_json) && atl_str_empty(providers_json))
		return ATL_OK;
	atl_arena_init(&arena, 0);
	key = atl_arena_printf(&arena, "%s\n%s", models_json ? models_json : "", providers_json ? providers_json : "");
	if (!key) {
		atl_arena_finish(&arena);
		return atl_fail(info, ATL_ERR_NOMEM, "a role's rights");
	}
	pthread_mutex_lock(&book->lock);
	page = atl_map_get(&book->pages, key);
	if (page)
		*ret = &page->rights;
	else
		err = write_page(book, key, models_json, providers_json, ret, info);
	pthread_mutex_unlock(&book->lock);
	atl_arena_finish(&arena);
	return err;
}

/* ---- patterns ---- */

enum atl_err atl_rights_check_patterns(const struct atl_strs *patterns, const char *field, struct atl_errinfo *info)
{
	if (patterns->count > ATL_RIGHTS_PATTERNS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, field, "At most %d entries.", ATL_RIGHTS_PATTERNS_MAX);
	for (size_t i = 0; i < patterns->count; i++) {
		const char *text = patterns->items[i];

		if (!*text || strlen(text) > ATL_RIGHTS_PATTERN_MAX)
			return atl_fail_field(info, ATL_ERR_INVALID, field, "An entry has 1 to %d bytes.", ATL_RIGHTS_PATTERN_MAX);
		for (; *text; text++)
			if ((unsigned char)*text < 0x20 || *text == 0x7f)
				return atl_fail_field(info, ATL_ERR_INVALID, field, "An entry has no control characters.");
	}
	return ATL_OK;
}

/* `length` bytes of pattern; "*" is anything. Goes back to the last star only, so it is quick for every pattern. */
static bool glob(const char *pattern, size_t length, const char *text)
{
	const char *end = pattern + length, *star = NULL, *again = NULL;

	while (*text) {
		if (pattern < end && *pattern == '*') {
			star = pattern++;
			again = text;
		} else if (pattern < end && *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++again;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

static bool matches(const char *pattern, size_t length, const char *model_id)
{
	const char *slash = strchr(model_id, '/');

	return glob(pattern, length, model_id) || (slash && glob(pattern, length, slash + 1));
}

bool atl_rights_matches(const char *pattern, const char *model_id)
{
	return matches(pattern, strlen(pattern), model_id);
}

/* ---- deciding ---- */

static bool any_matches(const struct atl_strs *patterns, const char *model_id)
{
	for (size_t i = 0; i < patterns->count; i++)
		if (atl_rights_matches(patterns->items[i], model_id))
			return true;
	return patterns->count == 0;
}

static bool has_provider(const struct atl_strs *providers, const char *model_id)
{
	size_t length = strcspn(model_id, "/");

	for (size_t i = 0; i < providers->count; i++)
		if (strlen(providers->items[i]) == length && memcmp(providers->items[i], model_id, length) == 0)
			return true;
	return providers->count == 0;
}

/* A key's patterns stand in one text, a line each. */
static bool key_has(const char *lines, const char *model_id)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");

		if (length && matches(lines, length, model_id))
			return true;
		lines += length + (lines[length] == '\n');
	}
	return false;
}

enum atl_err atl_rights_model(const struct atl_identity *who, const char *model_id, struct atl_errinfo *info)
{
	if (!atl_rights_limited(who))
		return ATL_OK;
	if (who->rights && !has_provider(&who->rights->providers, model_id))
		return atl_fail_field(info, ATL_ERR_MODEL_NOT_ALLOWED, "model",
				      "The role %s may not use the service of the model \"%.200s\". Whoever manages people can allow it.",
				      who->role_name, model_id);
	if (who->rights && !any_matches(&who->rights->models, model_id))
		return atl_fail_field(info, ATL_ERR_MODEL_NOT_ALLOWED, "model",
				      "The role %s may not use the model \"%.200s\". Choose another one; whoever manages people can "
				      "allow it.", who->role_name, model_id);
	if (who->key_models[0] && !key_has(who->key_models, model_id))
		return atl_fail_field(info, ATL_ERR_MODEL_NOT_ALLOWED, "model",
				      "This API key is limited to certain models, and \"%.200s\" is none of them.", model_id);
	return ATL_OK;
}

enum atl_err atl_rights_feature(const struct atl_identity *who, enum atl_feature feature, struct atl_errinfo *info)
{
	if (who && (who->features_closed & ATL_FEATURE_BIT(feature)))
		return atl_fail(info, ATL_ERR_FEATURE_NOT_ALLOWED, "This server does not offer this now: %s.", features[feature].doc);
	if (!who || !(who->features_off & ATL_FEATURE_BIT(feature)))
		return ATL_OK;
	return atl_fail(info, ATL_ERR_FEATURE_NOT_ALLOWED,
			"The role %s does not have this: %s. Whoever manages people can allow it.", who->role_name,
			features[feature].doc);
}

/* ---- room ---- */

static void write_bytes(int64_t bytes, char *out, size_t size)
{
	if (bytes >= (int64_t)1 << 30)
		snprintf(out, size, "%.1f GiB", (double)bytes / (double)((int64_t)1 << 30));
	else if (bytes >= 1 << 20)
		snprintf(out, size, "%.1f MiB", (double)bytes / (double)(1 << 20));
	else
		snprintf(out, size, "%.1f KiB", (double)bytes / 1024.0);
}

enum atl_err atl_rights_room_used(struct atl_conn *conn, const char *user_id, int64_t *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT CAST(coalesce(sum(size_bytes), 0) AS BIGINT) FROM assets WHERE user_id = ?", "s", user_id);

	if (err)
		return err;
	*ret = 0;
	if (atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

enum atl_err atl_rights_room_in(struct atl_conn *conn, const char *user_id, int64_t cap_bytes, int64_t more,
				struct atl_errinfo *info)
{
	char has[24], of[24];
	int64_t used;
	enum atl_err err;

	if (cap_bytes <= 0)
		return ATL_OK;
	err = atl_rights_room_used(conn, user_id, &used, info);
	if (err || (more > 0 ? used + more <= cap_bytes : used < cap_bytes))
		return err;
	write_bytes(used, has, sizeof(has));
	write_bytes(cap_bytes, of, sizeof(of));
	return atl_fail(info, ATL_ERR_STORAGE_FULL,
			"Your files take %s of the %s that you have. Delete some and empty the trash, or ask whoever manages people "
			"for more room.", has, of);
}

struct room {
	const struct atl_identity *who;
	int64_t more;
};

static enum atl_err room_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct room *room = arg;

	return atl_rights_room_in(conn, room->who->user_id, room->who->storage_bytes, room->more, info);
}

enum atl_err atl_rights_room(struct atl_app *app, const struct atl_identity *who, int64_t more, struct atl_errinfo *info)
{
	struct room room = { who, more };

	return who->storage_bytes > 0 ? atl_db_read(app->db, room_read, &room, info) : ATL_OK;
}
