/* mail.h - mails to people: a queue in the database, and the one-time links that they carry.
 *
 * A request only writes a row; a thread of its own looks up whom it is about, makes the link, and hands the mail to the
 * operator's server, again with growing pauses when that fails, for ATL_MAIL_PATIENCE_MS at most. So asking for a mail takes the
 * same work whether somebody has that address or not, and no request waits for a mail server. A link's token is made when
 * the mail is sent and kept as its SHA-256 only. Addresses leave the queue with the mail; a hash stays a day, for the limit.
 *
 * Links lead to `public_url`: without it, smtp_url and smtp_from nothing is sent (atl_mail_ready()).
 *
 * Life cycle: atl_mailer_create() .. atl_mailer_destroy(). Threads: any; those that take `app` block (SQL).
 * Limits: ATL_MAIL_WAITING_MAX mails on their way, ATL_MAIL_HOURLY for one address.
 * Adding one: a kind in mail.c: its words, how long its link holds, whom it may go to.
 */
#ifndef ATL_CORE_MAIL_H
#define ATL_CORE_MAIL_H

#include "core/access/identity.h"
#include "core/app.h"
#include "core/people/user.h"

#define ATL_MAIL_WAITING_MAX 1000
#define ATL_MAIL_HOURLY 3
#define ATL_MAIL_PATIENCE_MS (60 * 60 * 1000)
#define ATL_LINK_RESET_MS (60 * 60 * 1000)
#define ATL_LINK_VERIFY_MS (24 * 60 * 60 * 1000)

enum atl_mail_kind { ATL_MAIL_RESET, ATL_MAIL_VERIFY };

/* CONFIG naming the setting; *ret NULL: mail is not configured. */
enum atl_err atl_mailer_create(struct atl_app *app, const char *smtp_url, const char *smtp_from, struct atl_mailer **ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
void atl_mailer_destroy(struct atl_mailer *mailer); /* NULL is allowed */
bool atl_mail_ready(const struct atl_app *app);
/* Look at the queue now. */
void atl_mail_wake(struct atl_app *app);

/* In the caller's transaction. RESET: `user_id` NULL, whoever has the address. Over a limit nothing is queued, and that
 * is no error. Call atl_mail_wake() afterwards. */
enum atl_err atl_mail_queue(struct atl_conn *conn, enum atl_mail_kind kind, const char *address, const char *user_id,
			    struct atl_errinfo *info) ATL_MUST_USE;

/* A link for this person, in the caller's transaction; those of the same kind before it end. `who` made it by hand; NULL: a mail. */
enum atl_err atl_link_make(struct atl_conn *conn, enum atl_mail_kind kind, const char *user_id, const char *email,
			   const struct atl_identity *who, char ret_token[ATL_TOKEN_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
/* Use it up: all of this kind of the person end. *ret_email "" when it was made by hand. GONE: too old, used, or none. */
enum atl_err atl_link_use(struct atl_conn *conn, enum atl_mail_kind kind, const char *token, char ret_user_id[ATL_ID_SIZE],
			  char ret_email[ATL_EMAIL_MAX + 1], struct atl_errinfo *info) ATL_MUST_USE;

#endif
