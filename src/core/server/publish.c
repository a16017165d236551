/* publish.c - see publish.h. */
#include "core/server/publish.h"

#include "core/server/events.h"

#define EVENT_MAX ((size_t)4 << 20)

static void send_out(struct atl_app *app, const char *user_id, const char *event, struct atl_buf *out)
{
	if (app->events && !out->failed)
		atl_events_publish(app->events, user_id, event, out->data, out->length);
	atl_buf_finish(out);
}

void atl_publish(struct atl_app *app, const char *user_id, const char *event, const char *key,
		 const struct atl_json_desc *desc, const void *value)
{
	struct atl_buf out;
	struct atl_jw w;
	if (!app->events || !atl_events_wanted(app->events, user_id))
		return;
	atl_buf_init(&out, EVENT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_json_encode(&w, key, desc, value);
	atl_jw_end_object(&w);
	send_out(app, user_id, event, &out);
}

void atl_publish_id(struct atl_app *app, const char *user_id, const char *event, const char *id, const char *extra_key,
		    const char *extra)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, EVENT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "id", id);
	if (extra_key)
		atl_jw_str(&w, extra_key, extra);
	atl_jw_end_object(&w);
	send_out(app, user_id, event, &out);
}
