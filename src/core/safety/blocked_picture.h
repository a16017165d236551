/* blocked_picture.h - pictures that may not come in, be worked on, or come out: the one gate that asks, and the list.
 *
 * Every picture passes atl_blocked_check(): uploads, avatars, inputs, masks and references of jobs on their way in, what
 * an engine or a service made on its way into the library, and once more what a job takes at the time it runs. A picture
 * is known by the SHA-256 of its bytes (as sent, and as it is kept), and by its looks: a perceptual hash (media/phash.h)
 * that differs in at most ATL_BLOCKED_DISTANCE bits, so that scaling and another format do not bring it back. Hashes of
 * nearly empty pictures say nothing and are not kept. It fails closed: what cannot be asked is refused.
 *
 * Entries come from moderators' removals (core/safety/report.h), which take them back when an appeal succeeds, and by hand.
 *
 * The canary is refused always: a picture of 8 x 8 squares, drawn by atl_canary_picture() from the bits of
 * ATL_CANARY_SQUARES, lowest bit first, row by row: 1 is (240, 200, 40), 0 is (20, 40, 120). A test proves with it that
 * every entry point asks (tests/handler/test_policy_entries.c): a new route that takes a picture needs a row there.
 *
 * Threads: blocking: pool threads and runners; *_in inside a transaction. Limits: ATL_BLOCKED_MAX entries.
 */
#ifndef ATL_CORE_BLOCKED_PICTURE_H
#define ATL_CORE_BLOCKED_PICTURE_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_BLOCKED_MAX 20000
#define ATL_BLOCKED_DISTANCE 4
#define ATL_CANARY_SQUARES UINT64_C(0x9d3a67c12e58b4f1)
#define ATL_CANARY_PHASH UINT64_C(0xbcad0a754dd98858) /* of that picture; a unit test draws it */

/* side x side RGB pixels; side: a multiple of 8. */
void atl_canary_picture(unsigned char *rgb, unsigned side);
/* Is there enough in a picture of this perceptual hash to know it again? */
bool atl_blocked_eventful(uint64_t phash);
/* Are two perceptual hashes of pictures with anything in them near enough? */
bool atl_blocked_alike(uint64_t a, uint64_t b);

struct atl_picture_print {
	const char *sha256; /* hex; NULL: not known */
	bool has_phash;
	uint64_t phash;
};
/* POLICY: blocked. `user_id`: whose it would be, for the audit log. */
enum atl_err atl_blocked_check(struct atl_app *app, const char *user_id, const struct atl_picture_print *print,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* The same for an asset that is there: before a job takes it. */
enum atl_err atl_blocked_check_asset(struct atl_app *app, const char *user_id, const char *asset_id,
				     struct atl_errinfo *info) ATL_MUST_USE;

/* ---- the list ---- */
struct atl_blocked { /* the API's BlockedPicture */
	const char *id, *sha256;
	bool looks; /* known by its looks, too */
	const char *report_id, *created_by; /* NULL */
	const char *reason;
	int64_t created_at;
};
extern const struct atl_json_desc atl_blocked_desc;
/* Newest first, at most 200. */
enum atl_err atl_blocked_list(struct atl_app *app, struct atl_arena *arena, struct atl_items *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Decoded in the sandbox. CONFLICT: it is there already, or the list is full. */
enum atl_err atl_blocked_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const void *data,
			     size_t length, const char *reason, struct atl_blocked *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_blocked_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;
/* A reported asset's bytes and looks, until the report ends in its favour. */
enum atl_err atl_blocked_add_report_in(struct atl_conn *conn, const char *report_id, const char *asset_id, const char *reason,
				       int64_t now_ms, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_blocked_end_report_in(struct atl_conn *conn, const char *report_id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
