/* webhook.c - rows of webhooks and their deliveries; sending is in webhook_send.c. See webhook.h. */
#include "core/jobs/webhook.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/server/publish.h"
#include "provider/hook.h"

#define PAYLOAD_MAX ((size_t)1 << 20)
#define HOOK(member) offsetof(struct atl_webhook, member)
#define SENT(member) offsetof(struct atl_webhook_delivery, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)

static const struct atl_json_field HOOK_FIELDS[] = {
	{ "id", ATL_JT_STR, HOOK(id), ATL_JF_REQUIRED },
	{ "url", ATL_JT_STR, HOOK(url), ATL_JF_REQUIRED },
	{ "enabled", ATL_JT_BOOL, HOOK(enabled), ATL_JF_REQUIRED },
	{ "secret", ATL_JT_STR, HOOK(secret), ATL_JF_OMIT, .doc = "shown once, when it is made" },
	{ "created_at", ATL_JT_TIME, HOOK(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, HOOK(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_webhook_desc = { "Webhook", "An address that is told when a job has ended.", HOOK_FIELDS,
	ATL_COUNT(HOOK_FIELDS), sizeof(struct atl_webhook), ATL_JSON_NO_PRESENT, false };

static const struct atl_json_field SENT_FIELDS[] = {
	{ "id", ATL_JT_STR, SENT(id), ATL_JF_REQUIRED, .doc = "also the header webhook-id" },
	{ "webhook_id", ATL_JT_STR, SENT(webhook_id), OPTIONAL, .doc = "null: the job's own webhook_url" },
	{ "job_id", ATL_JT_STR, SENT(job_id), ATL_JF_REQUIRED },
	{ "url", ATL_JT_STR, SENT(url), ATL_JF_REQUIRED },
	{ "event", ATL_JT_STR, SENT(event), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, SENT(state), ATL_JF_REQUIRED, .doc = "pending, delivered, failed" },
	{ "attempt", ATL_JT_INT, SENT(attempt), ATL_JF_REQUIRED },
	{ "next_at", ATL_JT_TIME, SENT(next_at), OPTIONAL },
	{ "response_status", ATL_JT_INT, SENT(response_status), ATL_JF_REQUIRED, .doc = "0: there was no answer" },
	{ "error_detail", ATL_JT_STR, SENT(error_detail), OPTIONAL },
	{ "created_at", ATL_JT_TIME, SENT(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, SENT(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_webhook_delivery_desc = { "WebhookDelivery", "One message to a webhook.", SENT_FIELDS,
	ATL_COUNT(SENT_FIELDS), sizeof(struct atl_webhook_delivery), ATL_JSON_NO_PRESENT, false };

#define HOOK_COLUMNS "id, url, enabled, created_at, updated_at"
#define SENT_COLUMNS                                                                                              \
	"id, webhook_id, job_id, url, event, state, attempt, next_at, response_status, error_detail, created_at, " \
	"updated_at"

static struct atl_webhook hook_row(struct atl_rows *rows, struct atl_arena *arena)
{
	return (struct atl_webhook){ .id = atl_col_text(rows, 0, arena), .url = atl_col_text(rows, 1, arena),
				     .enabled = atl_col_int(rows, 2) != 0, .created_at = atl_col_int(rows, 3),
				     .updated_at = atl_col_int(rows, 4) };
}

static struct atl_webhook_delivery sent_row(struct atl_rows *rows, struct atl_arena *arena)
{
	return (struct atl_webhook_delivery){
		.id = atl_col_text(rows, 0, arena), .webhook_id = atl_col_text(rows, 1, arena),
		.job_id = atl_col_text(rows, 2, arena), .url = atl_col_text(rows, 3, arena),
		.event = atl_col_text(rows, 4, arena), .state = atl_col_text(rows, 5, arena),
		.attempt = atl_col_int(rows, 6), .next_at = atl_col_int(rows, 7),
		.response_status = atl_col_int(rows, 8), .error_detail = atl_col_text(rows, 9, arena),
		.created_at = atl_col_int(rows, 10), .updated_at = atl_col_int(rows, 11) };
}

/* One call's arguments and result, for all transactions below. */
struct call {
	struct atl_arena *arena;
	const char *user_id, *id, *url, *sealed;
	const bool *enabled;
	int64_t limit, now;
	struct atl_webhook *hooks, hook;
	struct atl_webhook_delivery *sent;
	size_t count;
	bool found;
};

/* ---- at a job's end ---- */

static const char *payload(struct atl_arena *arena, const struct atl_job *job, const char *event)
{
	struct atl_job small = *job;
	const char *text = NULL;
	struct atl_buf out;
	struct atl_jw w;

	small.request = NULL;
	atl_buf_init(&out, PAYLOAD_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "type", event);
	atl_jw_time(&w, "timestamp", job->finished_at);
	atl_json_encode(&w, "data", &atl_job_desc, &small);
	atl_jw_end_object(&w);
	if (!out.failed)
		text = atl_arena_strndup(arena, out.data, out.length);
	atl_buf_finish(&out);
	return text;
}

static enum atl_err add_delivery(struct atl_conn *conn, const struct atl_job *job, const char *webhook_id, const char *url,
				 const char *event, const char *body, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();
	char id[ATL_ID_SIZE];

	atl_id_new("whd", id);
	return atl_exec(conn, info,
			"INSERT INTO webhook_deliveries (id, user_id, webhook_id, job_id, url, event, payload, state, attempt, "
			"next_at, response_status, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, 0, ?, ?)",
			"sssssssiii", id, job->user_id, webhook_id, job->id, url, event, body, now, now, now);
}

enum atl_err atl_webhook_ended_in(struct atl_conn *conn, struct atl_arena *arena, const struct atl_job *job, bool *any,
				  struct atl_errinfo *info)
{
	struct atl_webhook hooks[ATL_WEBHOOK_USER_MAX];
	const char *event = NULL, *body = NULL;
	size_t count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " HOOK_COLUMNS " FROM webhooks WHERE user_id = ? AND enabled = 1 ORDER BY id", "s",
				     job->user_id);

	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		if (count < ATL_WEBHOOK_USER_MAX)
			hooks[count++] = hook_row(rows, arena);
	if (err || (!count && !job->webhook_url))
		return err;
	*any = true;
	event = atl_arena_printf(arena, "job.%s", job->state);
	body = event ? payload(arena, job, event) : NULL;
	if (!body)
		return atl_fail(info, ATL_ERR_NOMEM, "write a webhook's message");
	for (size_t i = 0; !err && i < count; i++)
		err = add_delivery(conn, job, hooks[i].id, hooks[i].url, event, body, info);
	if (!err && job->webhook_url)
		err = add_delivery(conn, job, NULL, job->webhook_url, event, body, info);
	return err;
}

static enum atl_err first_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT 1 FROM webhooks WHERE user_id = ? LIMIT 1", "s", c->user_id);

	if (err)
		return err;
	c->found = atl_rows_next(rows, &err, info);
	if (c->found)
		atl_rows_close(rows);
	return err;
}

static enum atl_err check_url(struct atl_app *app, const char *url, const char *field, struct atl_errinfo *info)
{
	enum atl_err err = atl_hook_check(app->guard, url, info);

	if (err && info)
		atl_str_copy(info->field, sizeof(info->field), field);
	return err;
}

enum atl_err atl_webhook_prepare(struct atl_app *app, const char *user_id, const char *url, struct atl_errinfo *info)
{
	struct call c = { .user_id = user_id };
	enum atl_err err = check_url(app, url, "webhook_url", info);

	if (!err)
		err = atl_db_read(app->db, first_fn, &c, info);
	if (!err && !c.found)
		err = atl_fail_field(info, ATL_ERR_CONFLICT, "webhook_url",
				     "Create a webhook first: its secret signs what is sent to this address.");
	return err;
}

/* ---- changing ---- */

static enum atl_err create_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT COUNT(*) FROM webhooks WHERE user_id = ?", "s", c->user_id);

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_WEBHOOK_USER_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "You have %d webhooks already.", ATL_WEBHOOK_USER_MAX);
	return err ? err : atl_exec(conn, info,
				    "INSERT INTO webhooks (id, user_id, url, secret_sealed, enabled, created_at, updated_at) "
				    "VALUES (?, ?, ?, ?, 1, ?, ?)",
				    "ssssii", c->id, c->user_id, c->url, c->sealed, c->now, c->now);
}

enum atl_err atl_webhook_create(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *url,
				struct atl_webhook *ret, struct atl_errinfo *info)
{
	unsigned char secret[ATL_HOOK_SECRET_SIZE];
	struct atl_buf raw, shown, sealed;
	char id[ATL_ID_SIZE];
	struct call c = { .arena = arena, .user_id = user_id, .id = id, .url = url, .now = atl_now_ms() };
	enum atl_err err = check_url(app, url, "url", info);

	if (err)
		return err;
	atl_id_new("whk", id);
	atl_random(secret, sizeof(secret));
	atl_buf_init(&raw, 256);
	atl_buf_init(&shown, ATL_WEBHOOK_SECRET_SIZE);
	atl_buf_init(&sealed, 512);
	atl_buf_adds(&shown, "whsec_");
	atl_base64_encode(&shown, ATL_BASE64_STANDARD, secret, sizeof(secret));
	err = atl_seal(&raw, app->master_key, id, secret, sizeof(secret));
	if (!err)
		atl_base64_encode(&sealed, ATL_BASE64_STANDARD, raw.data, raw.length);
	if (!err)
		err = atl_buf_err(&sealed, info);
	if (!err) {
		c.sealed = sealed.data;
		err = atl_db_tx(app->db, create_fn, &c, info);
	}
	if (!err)
		*ret = (struct atl_webhook){ .id = atl_arena_strdup(arena, id), .url = url, .enabled = true,
					     .secret = atl_arena_strndup(arena, shown.data, shown.length),
					     .created_at = c.now, .updated_at = c.now };
	if (!err)
		atl_publish_id(app, user_id, "webhook.changed", id, NULL, NULL);
	atl_wipe(secret, sizeof(secret));
	if (shown.data)
		atl_wipe(shown.data, shown.length);
	atl_buf_finish(&raw);
	atl_buf_finish(&shown);
	atl_buf_finish(&sealed);
	return err;
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	struct atl_rows *rows;
	enum atl_err err;

	c->count = 0;
	c->hooks = ATL_ARENA_ARRAY(c->arena, struct atl_webhook, ATL_WEBHOOK_USER_MAX);
	if (!c->hooks)
		return atl_fail(info, ATL_ERR_NOMEM, "list webhooks");
	err = atl_query(conn, &rows, info, "SELECT " HOOK_COLUMNS " FROM webhooks WHERE user_id = ? ORDER BY id", "s", c->user_id);
	while (!err && atl_rows_next(rows, &err, info))
		if (c->count < ATL_WEBHOOK_USER_MAX)
			c->hooks[c->count++] = hook_row(rows, c->arena);
	return err;
}

enum atl_err atl_webhook_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_webhook **ret,
			      size_t *ret_count, struct atl_errinfo *info)
{
	struct call c = { .arena = arena, .user_id = user_id };
	enum atl_err err = atl_db_read(app->db, list_fn, &c, info);

	if (err)
		return err;
	*ret = c.hooks;
	*ret_count = c.count;
	return ATL_OK;
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " HOOK_COLUMNS " FROM webhooks WHERE id = ? AND user_id = ?", "ss",
				     c->id, c->user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such webhook.");
	c->hook = hook_row(rows, c->arena);
	atl_rows_close(rows);
	if (c->url)
		c->hook.url = c->url;
	if (c->enabled)
		c->hook.enabled = *c->enabled;
	c->hook.updated_at = c->now;
	return atl_exec(conn, info, "UPDATE webhooks SET url = ?, enabled = ?, updated_at = ? WHERE id = ?", "siis", c->hook.url,
			(int64_t)c->hook.enabled, c->now, c->id);
}

enum atl_err atl_webhook_update(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char *url, const bool *enabled, struct atl_webhook *ret, struct atl_errinfo *info)
{
	struct call c = { .arena = arena, .user_id = user_id, .id = id, .url = url, .enabled = enabled, .now = atl_now_ms() };
	enum atl_err err = url ? check_url(app, url, "url", info) : ATL_OK;

	if (!err)
		err = atl_db_tx(app->db, update_fn, &c, info);
	if (err)
		return err;
	*ret = c.hook;
	atl_publish_id(app, user_id, "webhook.changed", id, NULL, NULL);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM webhooks WHERE id = ? AND user_id = ?", "ss", c->id,
					  c->user_id);

	if (!err && changed != 1)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such webhook.");
	return err ? err : atl_exec(conn, info,
				    "UPDATE webhook_deliveries SET state = 'failed', next_at = NULL, "
				    "error_detail = 'The webhook was deleted.' WHERE webhook_id = ? AND state = 'pending'",
				    "s", c->id);
}

enum atl_err atl_webhook_delete(struct atl_app *app, const char *user_id, const char *id, struct atl_errinfo *info)
{
	struct call c = { .user_id = user_id, .id = id };
	enum atl_err err = atl_db_tx(app->db, delete_fn, &c, info);

	if (!err)
		atl_publish_id(app, user_id, "webhook.changed", id, NULL, NULL);
	return err;
}

/* ---- the log ---- */

static enum atl_err deliveries_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	const char *after = c->id ? c->id : "";
	struct atl_rows *rows;
	enum atl_err err;

	c->count = 0;
	c->sent = ATL_ARENA_ARRAY(c->arena, struct atl_webhook_delivery, (size_t)c->limit + 1);
	if (!c->sent)
		return atl_fail(info, ATL_ERR_NOMEM, "list deliveries");
	err = atl_query(conn, &rows, info,
			"SELECT " SENT_COLUMNS " FROM webhook_deliveries WHERE user_id = ? AND (? = '' OR id < ?) "
			"ORDER BY id DESC LIMIT ?",
			"sssi", c->user_id, after, after, c->limit + 1);
	while (!err && atl_rows_next(rows, &err, info))
		if (c->count <= (size_t)c->limit)
			c->sent[c->count++] = sent_row(rows, c->arena);
	return err;
}

enum atl_err atl_webhook_deliveries(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				    const char *after_id, int64_t limit, struct atl_webhook_delivery **ret,
				    size_t *ret_count, struct atl_errinfo *info)
{
	struct call c = { .arena = arena, .user_id = user_id, .id = after_id, .limit = limit };
	enum atl_err err = atl_db_read(app->db, deliveries_fn, &c, info);

	if (err)
		return err;
	*ret = c.sent;
	*ret_count = c.count;
	return ATL_OK;
}

static enum atl_err redeliver_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct call *c = arg;
	struct atl_rows *rows;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE webhook_deliveries SET state = 'pending', attempt = 0, next_at = ?, "
					  "error_detail = NULL, updated_at = ? WHERE id = ? AND user_id = ?",
					  "iiss", c->now, c->now, c->id, c->user_id);

	c->sent = ATL_ARENA_NEW(c->arena, struct atl_webhook_delivery);
	if (!err && changed != 1)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such delivery.");
	if (!err && !c->sent)
		return atl_fail(info, ATL_ERR_NOMEM, "send again");
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT " SENT_COLUMNS " FROM webhook_deliveries WHERE id = ?", "s", c->id);
	if (!err && atl_rows_next(rows, &err, info)) {
		*c->sent = sent_row(rows, c->arena);
		atl_rows_close(rows);
	}
	return err;
}

enum atl_err atl_webhook_redeliver(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				   struct atl_webhook_delivery *ret, struct atl_errinfo *info)
{
	struct call c = { .arena = arena, .user_id = user_id, .id = id, .now = atl_now_ms() };
	enum atl_err err = atl_db_tx(app->db, redeliver_fn, &c, info);

	if (err)
		return err;
	*ret = *c.sent;
	atl_publish_id(app, user_id, "webhook.delivery", id, "state", ret->state);
	atl_webhooks_wake(app);
	return ATL_OK;
}
