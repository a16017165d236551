/* share.h - short links to one asset for people without an account: /s/{key}.
 *
 * The key is 128 random bits and all that one needs. It is found by its first characters and compared as a whole in
 * constant time. A link ends by its time, by the number of its uses, or when it is revoked; it shows the file without
 * how it was made unless it was made so. A use is one look at the page,
 * or at the file without the page.
 *
 * Threads:    blocking: pool threads. Ownership: the given arena. Limits: ATL_SHARES_MAX living links a user.
 */
#ifndef ATL_CORE_SHARE_H
#define ATL_CORE_SHARE_H

#include "core/app.h"
#include "core/pictures/asset.h"

#define ATL_SHARES_MAX 1000
#define ATL_SHARE_KEY_SIZE 23 /* 16 bytes in base64url, and NUL */
#define ATL_SHARE_USES_MAX 1000000

struct atl_share { /* the API's Share */
	const char *key, *url; /* url: absolute where the server knows its own address */
	const char *asset_id;
	bool with_metadata;
	int64_t uses, uses_max;		/* uses_max 0: no limit */
	int64_t created_at, expires_at; /* expires_at 0: never */
	int64_t revoked_at;
};
extern const struct atl_json_desc atl_share_desc;

struct atl_share_new {
	const char *asset_id;
	int64_t expires_at, uses_max; /* 0: none */
	bool with_metadata;
};
/* NOT_FOUND: no such asset of this user, or it is in the trash. INVALID: a time that has passed. */
enum atl_err atl_share_create(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      const struct atl_share_new *share, struct atl_share *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first, also ended ones; asset_id NULL: of all. */
enum atl_err atl_share_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *asset_id,
			    struct atl_items *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_share_revoke(struct atl_app *app, const char *user_id, const char *key,
			      struct atl_errinfo *info) ATL_MUST_USE;

/* For whoever holds the key: a use. NOT_FOUND: no such link. GONE: it has ended. */
enum atl_err atl_share_open(struct atl_app *app, struct atl_arena *arena, const char *key, struct atl_share *ret,
			    struct atl_asset *ret_asset, struct atl_errinfo *info) ATL_MUST_USE;
/* What a link shows, without a use of it; also of a link that has ended: somebody saw it before. For reports. */
enum atl_err atl_share_target_in(struct atl_conn *conn, struct atl_app *app, struct atl_arena *arena, const char *key,
				 struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The page's own look at the file is no second use: it carries a ticket, good for ATL_SHARE_TICKET_MS. NULL: no memory. */
#define ATL_SHARE_TICKET_MS ((int64_t)10 * 60 * 1000)
const char *atl_share_ticket(const struct atl_app *app, struct atl_arena *arena, const char *key);
/* As atl_share_open() without counting; a link whose uses are used up is still good, a revoked one is not. */
enum atl_err atl_share_open_ticket(struct atl_app *app, struct atl_arena *arena, const char *key, const char *ticket,
				   struct atl_share *ret, struct atl_asset *ret_asset,
				   struct atl_errinfo *info) ATL_MUST_USE;

#endif
