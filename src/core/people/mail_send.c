/* mail_send.c - the thread that sends what the queue's rows say.
 *
 * It claims the mail that is due longest by moving its next_at ahead (with several servers one gets it), makes the link in
 * the same transaction, sends, and takes the address out of the row. A row whose address nobody has ends the same way,
 * without a mail.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/mail_int.h"
#include "db/db.h"
#include "os/waker.h"
#include "provider/mail.h"

#define MODULE "mail"
#define CLAIM_MS (2 * ATL_SMTP_TIMEOUT_MS)
#define LOOK_MS 60000
#define LOOK_SHARED_MS 5000
#define AGAIN_MS 1000

static const int64_t BACK_OFF_MS[] = { 5000, 30000, 120000, 600000, 900000 };

struct atl_mailer {
	/* set at create */
	struct atl_app *app;
	struct atl_smtp smtp;
	struct atl_mail_from from;
	bool shared;
	pthread_t thread;
	struct atl_waker waker;
};

struct claim {
	struct atl_arena *arena;
	int64_t now, next_at; /* next_at: of the first that is not due yet; 0: none */
	bool found, someone;
	const char *id, *address, *user_id, *name;
	enum atl_mail_kind kind;
	int64_t attempt, created_at;
	char token[ATL_TOKEN_SIZE];
};

static bool find_kind(const char *name, enum atl_mail_kind *ret)
{
	for (int i = 0; i < ATL_MAIL_KINDS; i++)
		if (atl_str_eq(atl_mail_words[i].name, name)) {
			*ret = (enum atl_mail_kind)i;
			return true;
		}
	return false;
}

static enum atl_err drop(struct atl_conn *conn, const char *id, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "UPDATE mails SET address = NULL WHERE id = ?", "s", id);
}

/* Whom it goes to. A reset: who has the address, may sign in and has a password; a check of an address: who waits with it. */
static enum atl_err find_person(struct atl_conn *conn, struct claim *c, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		c->kind == ATL_MAIL_RESET ?
			atl_query(conn, &rows, info,
				  "SELECT id, name FROM users WHERE email_folded = ? AND waiting_since IS NULL AND password_hash <> ? AND "
				  "(disabled_at IS NULL OR disabled_until <= ?)",
				  "ssi", c->address, ATL_USER_NO_PASSWORD, c->now) :
			atl_query(conn, &rows, info,
				  "SELECT id, name FROM users WHERE email_folded = ? AND id = ? AND waiting_since IS NOT NULL", "ss",
				  c->address, c->user_id);

	c->someone = false;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	c->someone = true;
	c->user_id = atl_col_text(rows, 0, c->arena);
	c->name = atl_col_text(rows, 1, c->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err claim_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct claim *c = arg;
	const char *kind = NULL;
	struct atl_rows *rows;
	enum atl_err err;

	atl_arena_reset(c->arena);
	c->found = c->someone = false;
	c->next_at = 0;
	err = atl_query(conn, &rows, info,
			atl_db_pick(conn,
				    "SELECT id, kind, address, user_id, attempt, next_at, created_at FROM mails WHERE address IS NOT NULL "
				    "ORDER BY next_at LIMIT 1",
				    "SELECT id, kind, address, user_id, attempt, next_at, created_at FROM mails WHERE address IS NOT NULL "
				    "ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED"),
			"");
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	c->next_at = atl_col_int(rows, 5);
	c->found = c->next_at <= c->now;
	if (c->found) {
		c->id = atl_col_text(rows, 0, c->arena);
		kind = atl_col_text(rows, 1, c->arena);
		c->address = atl_col_text(rows, 2, c->arena);
		c->user_id = atl_col_text(rows, 3, c->arena);
		c->attempt = atl_col_int(rows, 4) + 1;
		c->created_at = atl_col_int(rows, 6);
	}
	atl_rows_close(rows);
	if (!c->found)
		return ATL_OK;
	if (!find_kind(kind, &c->kind) || c->now > c->created_at + ATL_MAIL_PATIENCE_MS)
		return drop(conn, c->id, info);
	err = find_person(conn, c, info);
	if (!err && !c->someone)
		return drop(conn, c->id, info);
	if (!err)
		err = atl_link_make(conn, c->kind, c->user_id, c->address, NULL, c->token, info);
	return err ? err : atl_exec(conn, info, "UPDATE mails SET attempt = ?, next_at = ? WHERE id = ?", "iis", c->attempt,
				    c->now + CLAIM_MS, c->id);
}

struct ending {
	const struct claim *c;
	int64_t next_at; /* 0: it ends */
	const char *note;
};

static enum atl_err ending_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct ending *ending = arg;
	struct atl_audit audit = { .action = "mail.send", .target_kind = "user", .target_id = ending->c->user_id, .note = ending->note };
	enum atl_err err;

	if (ending->next_at)
		return atl_exec(conn, info, "UPDATE mails SET next_at = ? WHERE id = ?", "is", ending->next_at, ending->c->id);
	err = drop(conn, ending->c->id, info);
	return err ? err : atl_audit(conn, &audit, info);
}

static void note_outcome(struct atl_mailer *mailer, const struct claim *c, enum atl_err err, const struct atl_errinfo *why)
{
	struct ending ending = { .c = c, .note = atl_mail_words[c->kind].name };
	struct atl_errinfo info = { 0 };
	size_t step = c->attempt > 0 ? (size_t)c->attempt - 1 : 0;

	if (err) {
		bool final = err == ATL_ERR_UNPROCESSABLE || err == ATL_ERR_INVALID;

		atl_warn(MODULE, "a mail (%s, try %d) was not sent: %s", atl_mail_words[c->kind].name, (int)c->attempt, why->detail);
		if (!final)
			ending.next_at = atl_now_ms() + BACK_OFF_MS[step < ATL_COUNT(BACK_OFF_MS) ? step : ATL_COUNT(BACK_OFF_MS) - 1];
		ending.note = "refused by the mail server";
	}
	if (atl_db_tx(mailer->app->db, ending_fn, &ending, &info) != ATL_OK)
		atl_warn(MODULE, "note how a mail went: %s", info.detail);
}

static void send_one(struct atl_mailer *mailer, struct claim *c)
{
	const struct atl_mail_words *words = &atl_mail_words[c->kind];
	const char *base = mailer->app->public_url;
	size_t length = strlen(base);
	struct atl_mail mail = { .to = c->address, .subject = words->subject, .now_ms = c->now, .id = c->id };
	struct atl_errinfo info = { 0 };
	struct atl_buf text;
	char *link;
	enum atl_err err;

	while (length && base[length - 1] == '/')
		length--;
	link = atl_arena_printf(c->arena, "%.*s%s%s", (int)length, base, words->path, c->token);
	atl_buf_init(&text, ATL_MAIL_TEXT_MAX);
	if (words->named)
		atl_buf_addf(&text, "Hello %s,\n\n", c->name ? c->name : "");
	atl_buf_addf(&text, "%s\n%s\n\n%s\n\n%s\n\n%s\n", words->why, base, words->action, link ? link : "", words->otherwise);
	mail.text = text.data;
	err = !link || text.failed ? atl_fail(&info, ATL_ERR_NOMEM, "write a mail") :
				     atl_mail_deliver(&mailer->smtp, mailer->app->guard, &mailer->from, &mail, &info);
	note_outcome(mailer, c, err, &info);
	atl_wipe(c->token, sizeof(c->token));
	atl_wipe(text.data, text.length);
	atl_buf_finish(&text);
}

static void *mailer_main(void *arg)
{
	struct atl_mailer *mailer = arg;
	struct atl_arena arena;
	uint64_t seen;

	atl_arena_init(&arena, 0);
	while (atl_waker_look(&mailer->waker, &seen)) {
		struct claim c = { .arena = &arena, .now = atl_now_ms() };
		struct atl_errinfo info = { 0 };
		int64_t wait = mailer->shared ? LOOK_SHARED_MS : LOOK_MS;
		enum atl_err err;

		err = atl_db_tx(mailer->app->db, claim_fn, &c, &info);
		if (err)
			atl_warn(MODULE, "look for what is due: %s %s", atl_err_name(err), info.detail);
		if (!err && c.found) {
			if (c.someone)
				send_one(mailer, &c);
			continue;
		}
		if (!err && c.next_at && c.next_at - c.now < wait)
			wait = c.next_at - c.now;
		atl_waker_wait(&mailer->waker, seen, err ? AGAIN_MS : wait);
	}
	atl_arena_finish(&arena);
	return NULL;
}

bool atl_mail_ready(const struct atl_app *app)
{
	return app->mailer != NULL;
}

void atl_mail_wake(struct atl_app *app)
{
	struct atl_mailer *mailer = app->mailer;

	if (mailer)
		atl_waker_wake(&mailer->waker);
}

enum atl_err atl_mailer_create(struct atl_app *app, const char *smtp_url, const char *smtp_from, struct atl_mailer **ret,
			       struct atl_errinfo *info)
{
	struct atl_mailer *mailer;
	enum atl_err err;

	*ret = NULL;
	if (atl_str_empty(smtp_url))
		return ATL_OK;
	if (atl_str_empty(smtp_from) || atl_str_empty(app->public_url))
		return atl_fail(info, ATL_ERR_CONFIG, "With smtp_url, smtp_from and public_url are needed, too.");
	mailer = calloc(1, sizeof(*mailer));
	if (!mailer)
		return atl_fail(info, ATL_ERR_NOMEM, "start the mails");
	mailer->app = app;
	err = atl_smtp_parse(smtp_url, &mailer->smtp, info);
	if (!err)
		err = atl_mail_from_parse(smtp_from, &mailer->from, info);
	if (err) {
		free(mailer);
		return atl_fail_context(info, ATL_ERR_CONFIG, "smtp_url, smtp_from");
	}
	if (mailer->smtp.password[0])
		atl_log_secret(mailer->smtp.password);
	mailer->shared = atl_str_eq(atl_db_kind(app->db), "postgres");
	atl_waker_init(&mailer->waker);
	if (pthread_create(&mailer->thread, NULL, mailer_main, mailer) != 0) {
		atl_waker_finish(&mailer->waker);
		free(mailer);
		return atl_fail(info, ATL_ERR_NOMEM, "start the mails' thread");
	}
	*ret = mailer;
	return ATL_OK;
}

void atl_mailer_destroy(struct atl_mailer *mailer)
{
	if (!mailer)
		return;
	atl_waker_close(&mailer->waker);
	pthread_join(mailer->thread, NULL);
	atl_waker_finish(&mailer->waker);
	atl_wipe(&mailer->smtp, sizeof(mailer->smtp));
	free(mailer);
}
