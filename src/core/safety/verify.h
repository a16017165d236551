/* verify.h - did this server make this file? Asked by anybody who has a file, answered without telling whose it is.
 *
 * A row of checks, from certain to likely: the file's own hash, Content Credentials signed by this server, its invisible
 * mark, what the file says about itself, and what it looks like. Each says what it found; together they are "yes" (a check
 * that proves it matched; those after it are not run), "likely" (it carries our mark or looks like something made here), or
 * "unknown". Nobody learns the owner, the prompt or the time; an asker who owns the picture is given its id.
 *
 * Threads: blocking: pool threads. The file is decoded in the sandboxed child. Limits: ATL_VERIFY_LOOKS_MAX pictures, the
 * newest, are compared by their looks. Adding one: a function and a row in CHECKS (verify.c), a text verify.check.* of the page.
 */
#ifndef ATL_CORE_VERIFY_H
#define ATL_CORE_VERIFY_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_VERIFY_LOOKS_MAX 200000
#define ATL_VERIFY_PER_HOUR 30 /* by address, without an account */
#define ATL_VERIFY_CHECKS_MAX 8

struct atl_verify_finding {
	const char *check;  /* "file", "credentials", "metadata", "watermark", "looks" */
	const char *result; /* "match", "similar", "claims", "none", "unavailable" */
	const char *detail; /* NULL */
};
struct atl_verify { /* the API's Verification */
	const char *made_here; /* "yes", "likely", "unknown" */
	const char *asset_id;  /* of the asker's own picture; NULL */
	struct atl_items checks;
};
extern const struct atl_json_desc atl_verify_desc;

/* AUTH: nobody is signed in, and the operator does not offer it to everybody (setting verify_public). PICTURE: no picture
 * or video. THROTTLED. */
enum atl_err atl_verify(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_arena *arena,
			const void *data, size_t length, struct atl_verify *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
