/* venice_characters.c - see venice_characters.h. */
#include "provider/venice_characters.h"

#include "base/codec.h"
#include "base/json.h"
#include "base/str.h"
#include "provider/openai_chat.h"

#define SEARCH_MAX 200

static bool read_character(struct atl_arena *arena, const struct atl_json *item, struct atl_venice_character *out)
{
	const struct atl_json *tags = atl_json_get(item, "tags");
	const char **list;

	out->slug = atl_json_str(item, "slug", "");
	out->name = atl_json_str(item, "name", out->slug);
	out->description = atl_json_str(item, "description", "");
	out->adult = atl_json_bool(item, "adult", true); /* untold: treat as adult */
	out->photo_url = atl_json_str(item, "photoUrl", NULL);
	out->model = atl_json_str(item, "modelId", NULL);
	if (tags && tags->kind == ATL_JSON_ARRAY && tags->count) {
		list = ATL_ARENA_ARRAY(arena, const char *, tags->count);
		for (const struct atl_json *tag = list ? tags->child : NULL; tag; tag = tag->next)
			if (tag->kind == ATL_JSON_STRING)
				list[out->tag_count++] = tag->string;
		out->tags = list;
	}
	return out->slug[0] != 0;
}

static void add_query(struct atl_buf *path, const char *name, const char *value)
{
	char cut[SEARCH_MAX + 1];

	if (atl_str_empty(value))
		return;
	atl_str_copy(cut, sizeof(cut), value);
	atl_buf_addf(path, "&%s=", name);
	atl_percent_encode(path, cut);
}

static enum atl_err call(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint, struct atl_arena *arena,
			 const char *path, struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_fetch_request request = {.guard = endpoint->guard, .total_ms = 20000};
	const char *who = atl_chat_who(endpoint);
	struct atl_fetch_result result;
	struct atl_errinfo cause = {0};
	enum atl_err err;

	request.url = atl_chat_url(arena, endpoint, path, false);
	request.headers = atl_chat_headers(arena, endpoint, false);
	if (!request.url || !request.headers)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	err = atl_fetch_sync(loop, arena, &request, &result, &cause);
	if (err)
		return atl_fail(info, err, "%s: %s", who, cause.detail);
	if (result.status == 404)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "%s has no such character.", who);
	if (result.status != 200) {
		struct atl_fetch_head head = {.status = result.status, .raw = result.raw_head};

		return atl_chat_error_status(who, endpoint->api_key, result.status, &head, result.body,
					     result.body_length, info);
	}
	if (atl_json_parse(arena, result.body, result.body_length, ret, NULL))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent something that is not JSON.", who);
	return ATL_OK;
}

enum atl_err atl_venice_characters(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				   struct atl_arena *arena, const struct atl_venice_query *query,
				   struct atl_venice_character **ret, size_t *ret_count, struct atl_errinfo *info)
{
	int64_t limit = query->limit > 0 && query->limit <= ATL_VENICE_PAGE_MAX ? query->limit : 50;
	struct atl_venice_character *list;
	const struct atl_json *data;
	struct atl_json *root;
	struct atl_buf path;
	size_t count = 0;
	enum atl_err err;

	atl_buf_init(&path, 8192);
	atl_buf_addf(&path, "/characters?limit=%lld&offset=%lld", (long long)limit,
		     (long long)(query->offset > 0 ? query->offset : 0));
	if (!query->with_adult)
		atl_buf_adds(&path, "&isAdult=false");
	add_query(&path, "search", query->search);
	add_query(&path, "tags", query->tag);
	err = atl_buf_err(&path, info);
	if (!err)
		err = call(loop, endpoint, arena, path.data, &root, info);
	atl_buf_finish(&path);
	if (err)
		return err;
	data = atl_json_get(root, "data");
	if (!data || data->kind != ATL_JSON_ARRAY)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a list of an unknown shape.", atl_chat_who(endpoint));
	list = ATL_ARENA_ARRAY(arena, struct atl_venice_character, data->count + 1);
	if (!list)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for the list.");
	for (const struct atl_json *item = data->child; item; item = item->next) {
		struct atl_venice_character one = {0};

		if (read_character(arena, item, &one) && (query->with_adult || !one.adult))
			list[count++] = one;
	}
	*ret = list;
	*ret_count = count;
	return ATL_OK;
}

enum atl_err atl_venice_character_get(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				      struct atl_arena *arena, const char *slug, struct atl_venice_character *ret,
				      struct atl_errinfo *info)
{
	struct atl_venice_character one = {0};
	struct atl_json *root;
	struct atl_buf path;
	enum atl_err err;

	atl_buf_init(&path, 1024);
	atl_buf_adds(&path, "/characters/");
	atl_percent_encode(&path, slug);
	err = atl_buf_err(&path, info);
	if (!err)
		err = call(loop, endpoint, arena, path.data, &root, info);
	atl_buf_finish(&path);
	if (err)
		return err;
	if (!read_character(arena, atl_json_get(root, "data"), &one))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a character of an unknown shape.",
				atl_chat_who(endpoint));
	*ret = one;
	return ATL_OK;
}
