/* audit.h - who did what, when and from where: an append-only log whose rows are chained by their hashes.
 *
 * Every change that an operator makes to people, rights, money or the server, and every security event of a person
 * (sign-in, password, keys, second factor), is one row, written in the transaction of the change itself. Rows name
 * things by id and never hold content: no prompts, messages, passwords or keys.
 *
 * The chain: hash = hex SHA-256 of the row before's hash and this row's canonical text (atl_audit_row_hash()); the first
 * row follows "". audit_head holds the last number and hash, so that a cut tail is seen as well.
 *
 * Threads: atl_audit() inside a transaction; the others on pool threads. Adding an action: its name at the call.
 */
#ifndef ATL_CORE_AUDIT_H
#define ATL_CORE_AUDIT_H

#include "base/crypto.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_AUDIT_NOTE_MAX 300
#define ATL_AUDIT_HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)

struct atl_audit {
	const struct atl_identity *who;	 /* NULL: nobody signed in, or the command line */
	const char *remote;		 /* address; NULL: who's */
	const char *action;		 /* "user.suspend": what was changed, then how */
	const char *target_kind, *target_id; /* "user", "usr_..."; NULL: none */
	const char *note;		 /* a few words; cut at ATL_AUDIT_NOTE_MAX bytes; NULL: none */
};

/* Append within the caller's transaction. */
enum atl_err atl_audit(struct atl_conn *conn, const struct atl_audit *row, struct atl_errinfo *info) ATL_MUST_USE;
/* Run `fn` and append, in one transaction; row NULL: nothing is appended. */
enum atl_err atl_audit_tx(struct atl_db *db, atl_db_fn fn, void *arg, const struct atl_audit *row,
			  struct atl_errinfo *info) ATL_MUST_USE;
/* Append in a transaction of its own. For events that change nothing else (a refused sign-in); what fails is logged. */
void atl_audit_now(struct atl_app *app, const struct atl_audit *row);

struct atl_audit_row {
	int64_t seq, at;
	const char *user_id, *user_name, *channel, *remote, *action, *target_kind, *target_id, *note, *hash;
};
/* What a row's hash must be, after a row with the hash `before`. */
void atl_audit_row_hash(const struct atl_audit_row *row, const char *before, char out[ATL_AUDIT_HASH_SIZE]);

struct atl_audit_verdict {
	bool intact;
	int64_t rows;	 /* looked at */
	int64_t broken_at; /* the first number that is wrong; 0 when intact */
	const char *why; /* static sentence; NULL when intact */
};
/* Walks the whole chain: finds a changed, removed, added or moved row and a cut tail. */
enum atl_err atl_audit_verify(struct atl_app *app, struct atl_audit_verdict *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
