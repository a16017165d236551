/* picture_check.h - is a picture nude or pornographic, and what is done about it?
 *
 * Every picture that comes in or is made is judged by the classifier (media/classifier.h) where it is stored; what follows
 * is decided by the policy (atl_policy_decide_seen()) from the owner's settings: `picture_check` off, blur (shown after a
 * click), hold (until somebody who moderates has looked) or refuse, and `picture_check_threshold` in percent. Unset, it is
 * blur where a classifier is installed and off where none is. Pictures that are edited or referred to are judged whatever
 * the setting, as long as there is a classifier. What cannot be judged is refused.
 *
 * The score stays with the asset (picture_checks), so a picture is judged once.
 *
 * Threads: blocking: pool threads and runners. Adding a place: atl_picture_check() there, and a case in
 * tests/handler/test_picture_check.c.
 */
#ifndef ATL_CORE_PICTURE_CHECK_H
#define ATL_CORE_PICTURE_CHECK_H

#include "base/arena.h"
#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/safety/policy.h"
#include "db/db.h"
#include "media/picture.h"

#define ATL_CHECK_THRESHOLD_MIN 1
#define ATL_CHECK_THRESHOLD_MAX 99

extern const char *const atl_picture_check_modes[]; /* as in the setting; NULL-terminated */

/* What the setting says, or stands for while it is unset. */
enum atl_policy_check_mode atl_picture_check_mode(struct atl_app *app);
/* Is `as` to be judged at all? */
bool atl_picture_check_wanted(struct atl_app *app, enum atl_policy_seen_as as);

/* How it went, for the asset's row. `state` NULL: it was not judged, and need not be. */
struct atl_picture_verdict {
	const char *state; /* "clear", "blur", "held" */
	int64_t score;	   /* millionths */
};
struct atl_picture_seen {
	enum atl_policy_seen_as as;
	bool mature, supplied;	    /* as in struct atl_policy_seen; of results */
	const unsigned char *rows; /* of atl_classifier_rows(); NULL: nothing could be seen, which counts as the worst */
};
/* Judge and decide. Errors: POLICY, MODE_NOT_OFFERED, UNAVAILABLE with a sentence: refuse it. */
enum atl_err atl_picture_check(struct atl_app *app, const struct atl_picture_seen *seen, struct atl_picture_verdict *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* The same of a film in memory: some of its frames, the worst counts. */
enum atl_err atl_picture_check_film(struct atl_app *app, struct atl_arena *arena, const struct atl_picture_seen *seen,
				    const void *data, size_t length, struct atl_picture_verdict *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;
/* Of an encoded picture that is only shown: as a result of somebody without mature content. */
enum atl_err atl_picture_check_encoded(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				       size_t length, struct atl_picture_verdict *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* May this asset of theirs be edited or referred to? Judged now when it never was. */
enum atl_err atl_picture_check_input(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *asset_id, struct atl_errinfo *info) ATL_MUST_USE;
/* The score of any encoded picture, in millionths; nothing is stored. */
enum atl_err atl_picture_check_score(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				     size_t length, uint32_t *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Inside the transaction that makes the asset. */
enum atl_err atl_picture_check_insert(struct atl_conn *conn, const char *asset_id,
				      const struct atl_picture_verdict *verdict, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- review ---- */
#define ATL_CHECK_HELD_MAX 200
struct atl_picture_held {
	const char *id, *user_id, *kind, *origin, *blur_hash;
	int64_t score, created_at; /* percent */
};
extern const struct atl_json_desc atl_picture_held_desc;
/* The oldest first, at most ATL_CHECK_HELD_MAX. */
enum atl_err atl_picture_held_list(struct atl_app *app, struct atl_arena *arena, struct atl_items *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* `release`: its owner sees it, after a click; otherwise it is deleted for good. NOT_FOUND: it is not held. Audited. */
enum atl_err atl_picture_held_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *asset_id, bool release, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_asset;
/* The held asset itself, of whomever. */
enum atl_err atl_picture_held_get(struct atl_app *app, struct atl_arena *arena, const char *asset_id,
				  struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
