/* hold.h - things that moderators keep from others: quarantined while they are looked at, restricted, or removed.
 *
 * A quarantined or removed thing is out of everybody's lists, files, links, chats and jobs, its owner's too: it lies in
 * the trash (deleted_at), from where only a decision brings it back (held), to what it was before (held_deleted_at). A
 * restricted picture is its owner's alone: links and given-out addresses of it lead nowhere. Moderators look at what is
 * held through core/safety/report.h only, and each look is a row of the audit log.
 *
 * A picture is held by its bytes: every copy of anybody's with the same SHA-256 goes with it.
 *
 * Threads: inside a transaction. Adding a kind of thing: its table's columns, a case in atl_hold_set_in().
 */
#ifndef ATL_CORE_HOLD_H
#define ATL_CORE_HOLD_H

#include "base/arena.h"
#include "db/db.h"

enum atl_hold { ATL_HOLD_NONE, ATL_HOLD_QUARANTINED, ATL_HOLD_RESTRICTED, ATL_HOLD_REMOVED };

/* Is it kept from its owner, too? */
static inline bool atl_hold_hides(int64_t held)
{
	return held == ATL_HOLD_QUARANTINED || held == ATL_HOLD_REMOVED;
}

/* target_kind: "picture", "character", "conversation"; of an account ("account") nothing is held. *ret_count: things that
 * changed, copies of a picture included. */
enum atl_err atl_hold_set_in(struct atl_conn *conn, const char *target_kind, const char *target_id, enum atl_hold state,
			     int64_t now_ms, int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

/* The tables' own parts: asset_hold.c, character.c, conversation.c. */
enum atl_err atl_asset_hold_in(struct atl_conn *conn, const char *sha256, enum atl_hold state, int64_t now_ms,
			       int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_hold_in(struct atl_conn *conn, const char *id, enum atl_hold state, int64_t now_ms,
				   int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_hold_in(struct atl_conn *conn, const char *id, enum atl_hold state, int64_t now_ms,
				      int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

/* A picture of anybody, held or not: for moderators. */
struct atl_asset;
enum atl_err atl_asset_any_in(struct atl_conn *conn, struct atl_arena *arena, const char *id, struct atl_asset *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* How many rows have these bytes. */
enum atl_err atl_asset_copies_in(struct atl_conn *conn, const char *sha256, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* What was removed goes for good: rows and their references on the files, which the sweep takes. */
enum atl_err atl_asset_hold_end_in(struct atl_conn *conn, const char *sha256, struct atl_errinfo *info) ATL_MUST_USE;

#endif
