/* erase.h - what was deleted is gone: its rows, its files, and what the database's files still hold of it.
 *
 * A deletion that can be undone sets deleted_at; after app->undo_ms the row goes for good (atl_erase_tick()). After rows went,
 * atl_erase_soon() makes the pool remove the files that nothing names any more, and scrub the database (db.h): free pages,
 * search indexes, the write-ahead log. Several wishes become one pass. Everything is looked for again by the housekeeping:
 * a kill anywhere delays, it loses nothing.
 *
 * An account goes in one transaction, whoever deletes it. What outlives it: the audit log and the ledger, which name it by
 * its id alone, and providers it set up, which are the server's. One that is held (a legal hold) is closed at once, and erased
 * when the hold is lifted.
 *
 * Threads: pool threads; atl_erase_soon() any. Backups keep what they have until they are old (docs/guide/privacy.md).
 * Adding one: a table that holds something of a person needs a line in core/people/personal.c; a test finds those without.
 */
#ifndef ATL_CORE_ERASE_H
#define ATL_CORE_ERASE_H

#include "core/access/identity.h"
#include "core/app.h"
#include "db/db.h"

/* In the background, now. */
void atl_erase_soon(struct atl_app *app, enum atl_db_scrub depth);
/* Something was deleted: the housekeeping looks after it. Never blocks. */
void atl_erase_later(struct atl_app *app);
/* After one of the things that can be undone was deleted: when undo_ms is 0, it goes now. */
void atl_erase_undone(struct atl_app *app);
/* Housekeeping: what can no longer be brought back, and accounts whose hold ended. */
enum atl_err atl_erase_tick(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

/* In a transaction: every row of the account. `heir` gets its providers. */
enum atl_err atl_erase_user_in(struct atl_conn *conn, const char *id, const char *heir, struct atl_errinfo *info) ATL_MUST_USE;

#endif
