/* exchange_write.c - a conversation as a file: the whole tree, or its active path. See exchange.h. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/chat/exchange_int.h"

static const struct atl_exchange_format FORMATS[] = {
#define FORMAT_X(function, name, type, extension) {name, atl_exchange_write_##function, type, extension},
	ATL_EXCHANGE_FORMATS(FORMAT_X)
#undef FORMAT_X
};

const struct atl_exchange_format *atl_exchange_format(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(FORMATS); i++)
		if (atl_str_eq(FORMATS[i].name, name))
			return FORMATS + i;
	return NULL;
}

enum atl_err atl_exchange_write_atelier(struct atl_arena *arena, const struct atl_exchange *e, struct atl_buf *out,
					struct atl_errinfo *info)
{
	struct atl_jw w;
	(void)arena;
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "format", ATL_EXCHANGE_FORMAT);
	atl_jw_int(&w, "version", ATL_EXCHANGE_VERSION);
	atl_jw_str(&w, "title", e->title);
	atl_jw_str(&w, "character_name", e->character_name);
	atl_jw_time(&w, "created_at", e->created_at);
	if (e->current >= 0)
		atl_jw_int(&w, "current", e->current);
	else
		atl_jw_null(&w, "current");
	atl_jw_array(&w, "messages");
	for (size_t i = 0; i < e->count; i++) {
		const struct atl_exchange_message *m = e->messages + i;
		atl_jw_object(&w, NULL);
		if (m->parent >= 0)
			atl_jw_int(&w, "parent", m->parent);
		else
			atl_jw_null(&w, "parent");
		atl_jw_str(&w, "role", m->role);
		atl_jw_str(&w, "content", m->content);
		atl_jw_str(&w, "reasoning", m->reasoning);
		atl_jw_str(&w, "model", m->model);
		atl_jw_time(&w, "created_at", m->created_at);
		atl_jw_bool(&w, "active", m->active);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
	atl_buf_addc(out, '\n');
	return atl_buf_err(out, info);
}

/* Indexes of the active path, root first. */
static enum atl_err active_path(struct atl_arena *arena, const struct atl_exchange *e, size_t **ret, size_t *ret_count,
				struct atl_errinfo *info)
{
	size_t count = 0, *path;
	for (int64_t at = e->current; at >= 0; at = e->messages[at].parent)
		count++;
	if (!(path = ATL_ARENA_ARRAY(arena, size_t, count + 1)))
		return atl_fail(info, ATL_ERR_NOMEM, "export");
	*ret_count = count;
	for (int64_t at = e->current; at >= 0; at = e->messages[at].parent)
		path[--count] = (size_t)at;
	*ret = path;
	return ATL_OK;
}

/* For every message the next one with the same parent, in order; slot 0 of `first` is for roots. Index + 1; 0: none. */
static enum atl_err link_siblings(struct atl_arena *arena, const struct atl_exchange *e, size_t **ret_first,
				  size_t **ret_next, struct atl_errinfo *info)
{
	size_t *first = ATL_ARENA_ARRAY(arena, size_t, e->count + 1), *next = ATL_ARENA_ARRAY(arena, size_t, e->count + 1);
	if (!first || !next)
		return atl_fail(info, ATL_ERR_NOMEM, "export");
	for (size_t i = e->count; i-- > 0;) {
		next[i] = first[e->messages[i].parent + 1];
		first[e->messages[i].parent + 1] = i + 1;
	}
	*ret_first = first;
	*ret_next = next;
	return ATL_OK;
}

static void write_swipes(struct atl_jw *w, const struct atl_exchange *e, const size_t *first, const size_t *next,
			 size_t shown)
{
	const struct atl_exchange_message *m = e->messages + shown;
	size_t id = 0, count = 0;
	for (size_t at = first[m->parent + 1]; at; at = next[at - 1]) {
		if (!atl_str_eq(e->messages[at - 1].role, m->role))
			continue;
		if (at - 1 == shown)
			id = count;
		count++;
	}
	if (count < 2)
		return;
	atl_jw_int(w, "swipe_id", (int64_t)id);
	atl_jw_array(w, "swipes");
	for (size_t at = first[m->parent + 1]; at; at = next[at - 1])
		if (atl_str_eq(e->messages[at - 1].role, m->role))
			atl_jw_str(w, NULL, e->messages[at - 1].content);
	atl_jw_end_array(w);
}

#define USER_NAME "You"
static const char *assistant_name(const struct atl_exchange *e)
{
	return atl_str_empty(e->character_name) ? "Assistant" : e->character_name;
}

static const char *speaker(const struct atl_exchange *e, const struct atl_exchange_message *m)
{
	return atl_str_eq(m->role, "user") ? USER_NAME : atl_str_eq(m->role, "system") ? "System" : assistant_name(e);
}

static void write_line(struct atl_buf *out, const struct atl_exchange *e, const size_t *first, const size_t *next,
		       size_t index)
{
	const struct atl_exchange_message *m = e->messages + index;
	struct atl_jw w;
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "name", speaker(e, m));
	atl_jw_bool(&w, "is_user", atl_str_eq(m->role, "user"));
	atl_jw_bool(&w, "is_system", atl_str_eq(m->role, "system"));
	atl_jw_int(&w, "send_date", m->created_at);
	atl_jw_str(&w, "mes", m->content);
	write_swipes(&w, e, first, next, index);
	atl_jw_object(&w, "extra");
	if (m->model)
		atl_jw_str(&w, "model", m->model);
	if (!atl_str_empty(m->reasoning))
		atl_jw_str(&w, "reasoning", m->reasoning);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_buf_addc(out, '\n');
}

enum atl_err atl_exchange_write_tavern(struct atl_arena *arena, const struct atl_exchange *e, struct atl_buf *out,
				       struct atl_errinfo *info)
{
	struct atl_jw w;
	size_t *path = NULL, count = 0, *first = NULL, *next = NULL;
	enum atl_err err = active_path(arena, e, &path, &count, info);
	if (!err)
		err = link_siblings(arena, e, &first, &next, info);
	if (err)
		return err;
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "user_name", USER_NAME);
	atl_jw_str(&w, "character_name", assistant_name(e));
	atl_jw_int(&w, "create_date", e->created_at);
	atl_jw_object(&w, "chat_metadata");
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_buf_addc(out, '\n');
	for (size_t i = 0; i < count && !out->failed; i++)
		write_line(out, e, first, next, path[i]);
	return atl_buf_err(out, info);
}

enum atl_err atl_exchange_write_text(struct atl_arena *arena, const struct atl_exchange *e, struct atl_buf *out,
				     struct atl_errinfo *info)
{
	size_t *path = NULL, count = 0;
	enum atl_err err = active_path(arena, e, &path, &count, info);
	if (err)
		return err;
	if (!atl_str_empty(e->title))
		atl_buf_addf(out, "%s\n", e->title);
	for (size_t i = 0; i < count && !out->failed; i++) {
		const struct atl_exchange_message *m = e->messages + path[i];
		char when[ATL_RFC3339_SIZE] = "";
		if (m->created_at)
			atl_rfc3339_format(m->created_at, when);
		atl_buf_addf(out, "%s%s", out->length ? "\n" : "", speaker(e, m));
		if (*when)
			atl_buf_addf(out, " (%.10s %.5s UTC)", when, when + 11);
		atl_buf_adds(out, ":\n");
		atl_buf_adds(out, m->content);
		atl_buf_addc(out, '\n');
	}
	return atl_buf_err(out, info);
}
