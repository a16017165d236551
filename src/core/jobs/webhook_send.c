/* webhook_send.c - the threads that send what the deliveries' rows say.
 *
 * A thread claims the delivery that is due longest by moving its next_at ahead (in a transaction: with several servers
 * one gets it), sends, and writes how it went. A server that dies in between leaves it due again when the claim ends:
 * receivers see the same webhook-id twice at worst.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/jobs/webhook.h"
#include "core/server/keyring.h"
#include "core/server/publish.h"
#include "os/waker.h"
#include "provider/hook.h"

#define MODULE "webhooks"
#define CLAIM_MS 60000
#define LOOK_MS 60000	    /* at least so often, for what another server wrote */
#define LOOK_SHARED_MS 5000
#define AGAIN_MS 1000	    /* after the database refused */

static const int64_t BACK_OFF_MS[] = { 5000, 30000, 120000, 600000, 3600000, 21600000 };

struct atl_webhooks {
	/* set at create */
	struct atl_app *app;
	bool shared;
	pthread_t threads[ATL_WEBHOOK_AT_A_TIME];
	size_t thread_count;
	struct atl_waker waker;
};

struct claim {
	struct atl_arena *arena;
	int64_t now, next_at; /* next_at: of the first that is not due yet; 0: none */
	bool found;
	const char *id, *user_id, *webhook_id, *url, *payload;
	const char *secret_id, *secret_sealed; /* NULL: no webhook is left */
	int64_t attempt;
};

static enum atl_err find_secret(struct atl_conn *conn, struct claim *c, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		c->webhook_id ? atl_query(conn, &rows, info, "SELECT id, secret_sealed FROM webhooks WHERE id = ?", "s",
					  c->webhook_id) :
				atl_query(conn, &rows, info,
					  "SELECT id, secret_sealed FROM webhooks WHERE user_id = ? ORDER BY id LIMIT 1", "s",
					  c->user_id);

	c->secret_id = c->secret_sealed = NULL;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	c->secret_id = atl_col_text(rows, 0, c->arena);
	c->secret_sealed = atl_col_text(rows, 1, c->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err claim_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct claim *c = arg;
	struct atl_rows *rows;
	enum atl_err err;

	atl_arena_reset(c->arena);
	c->found = false;
	c->next_at = 0;
	err = atl_query(conn, &rows, info,
			atl_db_pick(conn,
				    "SELECT id, user_id, webhook_id, url, payload, attempt, next_at FROM webhook_deliveries "
				    "WHERE state = 'pending' ORDER BY next_at LIMIT 1",
				    "SELECT id, user_id, webhook_id, url, payload, attempt, next_at FROM webhook_deliveries "
				    "WHERE state = 'pending' ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED"),
			"");
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	c->next_at = atl_col_int(rows, 6);
	c->found = c->next_at <= c->now;
	if (c->found) {
		c->id = atl_col_text(rows, 0, c->arena);
		c->user_id = atl_col_text(rows, 1, c->arena);
		c->webhook_id = atl_col_text(rows, 2, c->arena);
		c->url = atl_col_text(rows, 3, c->arena);
		c->payload = atl_col_text(rows, 4, c->arena);
		c->attempt = atl_col_int(rows, 5) + 1;
	}
	atl_rows_close(rows);
	if (!c->found)
		return ATL_OK;
	err = find_secret(conn, c, info);
	return err ? err : atl_exec(conn, info,
				    "UPDATE webhook_deliveries SET attempt = ?, next_at = ?, updated_at = ? WHERE id = ?", "iiis",
				    c->attempt, c->now + CLAIM_MS, c->now, c->id);
}

static enum atl_err open_secret(struct atl_app *app, const struct claim *c, unsigned char secret[ATL_HOOK_SECRET_SIZE],
				struct atl_errinfo *info)
{
	struct atl_buf raw, plain;
	enum atl_err err = ATL_OK;

	atl_buf_init(&raw, 1024);
	atl_buf_init(&plain, 256);
	if (!atl_base64_decode(&raw, ATL_BASE64_STANDARD, c->secret_sealed, strlen(c->secret_sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The webhook's secret is damaged in the database.");
	if (!err)
		err = atl_secret_open(app, &plain, c->secret_id, raw.data, raw.length, info);
	if (!err && plain.length != ATL_HOOK_SECRET_SIZE)
		err = atl_fail(info, ATL_ERR_CONFIG, "The webhook's secret is damaged in the database.");
	if (!err)
		memcpy(secret, plain.data, ATL_HOOK_SECRET_SIZE);
	if (plain.data)
		atl_wipe(plain.data, plain.length);
	atl_buf_finish(&raw);
	atl_buf_finish(&plain);
	return err;
}

struct outcome {
	const char *id, *state, *detail; /* detail NULL: none */
	int64_t next_at, status;
};

static enum atl_err outcome_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct outcome *o = arg;

	return atl_exec(conn, info,
			"UPDATE webhook_deliveries SET state = ?, next_at = ?, response_status = ?, error_detail = ?, "
			"updated_at = ? WHERE id = ? AND state = 'pending'",
			"stisis", o->state, o->next_at, o->status, o->detail, atl_now_ms(), o->id);
}

static void send_one(struct atl_webhooks *webhooks, const struct claim *c)
{
	struct atl_app *app = webhooks->app;
	struct atl_errinfo info = { 0 };
	struct atl_hook hook = { .url = c->url, .id = c->id, .body = c->payload, .timestamp_s = atl_now_ms() / 1000,
				 .guard = app->guard, .timeout_ms = ATL_WEBHOOK_TIMEOUT_MS };
	struct outcome outcome = { .id = c->id, .state = "delivered" };
	bool hopeless = !c->secret_sealed;
	int status = 0;
	enum atl_err err;

	atl_publish_id(app, c->user_id, "webhook.delivery", c->id, "state", "pending");
	err = hopeless ? atl_fail(&info, ATL_ERR_CONFIG, "There is no webhook left whose secret could sign this.") :
			 open_secret(app, c, hook.secret, &info);
	if (!err)
		err = atl_hook_send(app->loops[0], c->arena, &hook, &status, &info);
	atl_wipe(hook.secret, sizeof(hook.secret));
	outcome.status = status;
	if (err || status < 200 || status > 299) {
		int64_t wait = c->attempt <= (int64_t)ATL_COUNT(BACK_OFF_MS) ? BACK_OFF_MS[c->attempt - 1] : 0;

		outcome.detail = !err ? atl_arena_printf(c->arena, "It answered with status %d.", status) :
				 info.detail[0] ? info.detail :
						  atl_err_sentence(err);
		outcome.state = hopeless || !wait ? "failed" : "pending";
		outcome.next_at = hopeless || !wait ? 0 : atl_now_ms() + wait;
	}
	err = atl_db_tx(app->db, outcome_fn, &outcome, &info);
	if (err)
		atl_warn(MODULE, "%s: write how it went: %s %s", c->id, atl_err_name(err), info.detail);
	else
		atl_publish_id(app, c->user_id, "webhook.delivery", c->id, "state", outcome.state);
}

static void *sender_main(void *arg)
{
	struct atl_webhooks *webhooks = arg;
	struct atl_arena arena;
	uint64_t seen;

	atl_arena_init(&arena, 0);
	while (atl_waker_look(&webhooks->waker, &seen)) {
		struct claim c = { .arena = &arena, .now = atl_now_ms() };
		struct atl_errinfo info = { 0 };
		int64_t wait = webhooks->shared ? LOOK_SHARED_MS : LOOK_MS;
		enum atl_err err;

		err = atl_db_tx(webhooks->app->db, claim_fn, &c, &info);
		if (err)
			atl_warn(MODULE, "look for what is due: %s %s", atl_err_name(err), info.detail);
		if (!err && c.found) {
			atl_webhooks_wake(webhooks->app); /* there may be more: the next one looks */
			send_one(webhooks, &c);
			continue;
		}
		if (!err && c.next_at && c.next_at - c.now < wait)
			wait = c.next_at - c.now;
		atl_waker_wait(&webhooks->waker, seen, err ? AGAIN_MS : wait);
	}
	atl_arena_finish(&arena);
	return NULL;
}

void atl_webhooks_wake(struct atl_app *app)
{
	struct atl_webhooks *webhooks = app->webhooks;

	if (webhooks)
		atl_waker_wake(&webhooks->waker);
}

enum atl_err atl_webhooks_create(struct atl_app *app, struct atl_webhooks **ret, struct atl_errinfo *info)
{
	struct atl_webhooks *webhooks = calloc(1, sizeof(*webhooks));

	if (!webhooks)
		return atl_fail(info, ATL_ERR_NOMEM, "start the webhooks");
	webhooks->app = app;
	webhooks->shared = atl_str_eq(atl_db_kind(app->db), "postgres");
	atl_waker_init(&webhooks->waker);
	while (webhooks->thread_count < ATL_WEBHOOK_AT_A_TIME &&
	       pthread_create(&webhooks->threads[webhooks->thread_count], NULL, sender_main, webhooks) == 0)
		webhooks->thread_count++;
	if (!webhooks->thread_count) {
		atl_webhooks_destroy(webhooks);
		return atl_fail(info, ATL_ERR_NOMEM, "start the webhooks' threads");
	}
	*ret = webhooks;
	return ATL_OK;
}

void atl_webhooks_destroy(struct atl_webhooks *webhooks)
{
	if (!webhooks)
		return;
	atl_waker_close(&webhooks->waker);
	for (size_t i = 0; i < webhooks->thread_count; i++)
		pthread_join(webhooks->threads[i], NULL);
	atl_waker_finish(&webhooks->waker);
	free(webhooks);
}
