/* announcement.h - what the operator tells everybody: a banner, and that the server is being worked on.
 *
 * Maintenance: nobody but who holds server.manage signs in or begins anything; reading goes on.
 *
 * Threads: pool threads; atl_maintenance_refuses() any. Adding a kind of banner: atl_announcement_kinds.
 */
#ifndef ATL_CORE_ANNOUNCEMENT_H
#define ATL_CORE_ANNOUNCEMENT_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_ANNOUNCEMENT_MAX 1000

struct atl_announcement {
	const char *id; /* another with each change: what a person dismissed */
	const char *text, *kind;
};
extern const char *const atl_announcement_kinds[]; /* "info", "warning" */
extern const struct atl_json_desc atl_announcement_desc;

/* NULL in *ret: there is none. In the arena. */
enum atl_err atl_announcement_get(struct atl_app *app, struct atl_arena *arena, const struct atl_announcement **ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
/* text NULL or "": take it away. */
enum atl_err atl_announcement_set(struct atl_app *app, const struct atl_identity *who, const char *text, const char *kind,
				  struct atl_errinfo *info) ATL_MUST_USE;

void atl_maintenance_load(struct atl_app *app); /* at start */
enum atl_err atl_maintenance_set(struct atl_app *app, const struct atl_identity *who, bool on, struct atl_errinfo *info) ATL_MUST_USE;
/* UNAVAILABLE with a sentence while it is on, unless these permissions hold server.manage. */
enum atl_err atl_maintenance_refuses(struct atl_app *app, uint32_t permissions, struct atl_errinfo *info) ATL_MUST_USE;

#endif
