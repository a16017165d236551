/* api.h - what the files of the REST API share: the list of route tables, and helpers for handlers.
 *
 * A resource file `src/api/<resource>.c` exports `const struct atl_route atl_<resource>_routes[]` (ending with a NULL
 * path), holds its descriptor tables and handlers, and contains no SQL and no rules: it reads the request, calls core,
 * writes the answer. Every handler ends by exactly one of the atl_res_*() calls or atl_api_fail().
 *
 *     static void handle_get(struct atl_req *req)
 *     {
 *             struct atl_errinfo info = { 0 };
 *             struct atl_character character;
 *             enum atl_err err = atl_character_get(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"),
 *                                                  &req->arena, &character, &info);
 *             if (err) {
 *                     atl_api_fail(req, err, &info);
 *                     return;
 *             }
 *             atl_api_etag(req, character.version);
 *             atl_res_json(req, 200, &character_desc, &character);
 *     }
 *
 * Threads:    the thread that has the request.
 * Limits:     ATL_API_PAGE_MAX items a page.
 * Adding one: a file with its table, a line in ATL_API_TABLES, tests/handler/test_<resource>.c; docs/api.md.
 */
#ifndef ATL_API_API_H
#define ATL_API_API_H

#include "core/access/identity.h"
#include "core/app.h"
#include "core/safety/policy.h"
#include "net/http.h"

#define ATL_API_PAGE_DEFAULT 50
#define ATL_API_PAGE_MAX 200
#define ATL_API_JOIN_MS 15000

/* Every resource's table: atl_<name>_routes. One line each. */
#define ATL_API_TABLES(X) \
	X(access)         \
	X(oidc)           \
	X(second_factor)  \
	X(password_reset) \
	X(passkeys)       \
	X(characters)     \
	X(people)         \
	X(privacy)        \
	X(impersonation)  \
	X(keyring)        \
	X(invitations)    \
	X(groups)         \
	X(picture_review) \
	X(personas)       \
	X(looks)          \
	X(conversations)  \
	X(exchange)       \
	X(messages)       \
	X(search)         \
	X(assets)         \
	X(asset_files)    \
	X(boards)         \
	X(shares)         \
	X(jobs)           \
	X(grids)          \
	X(webhooks)       \
	X(usage)          \
	X(prices)         \
	X(dashboard)      \
	X(quotas)         \
	X(reports)        \
	X(blocked_pictures) \
	X(verify)         \
	X(hooks)          \
	X(uploads)        \
	X(temporary)      \
	X(models)        \
	X(picture_models) \
	X(styles)         \
	X(workflows)      \
	X(studio)         \
	X(engine)        \
	X(transfers)     \
	X(providers)     \
	X(provider_characters) \
	X(settings)       \
	X(audit)          \
	X(server)         \
	X(events)         \
	X(openai)         \
	X(openai_images)  \
	X(openai_moderations) \
	X(videos)         \
	X(a1111)          \
	X(ops)            \
	X(openapi)

#define ATL_API_TABLE_X(name) extern const struct atl_route atl_##name##_routes[];
ATL_API_TABLES(ATL_API_TABLE_X)
#undef ATL_API_TABLE_X

/* All of them, NULL-terminated, for atl_server_options.tables. */
extern const struct atl_route *const atl_api_tables[];

/* The authorise hook (authorize.c): identity, permission of the route, own origin and CSRF token. */
enum atl_auth atl_api_authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info);

/* The session cookie; the second name over TLS. */
#define ATL_COOKIE_NAME "atelier_session"
#define ATL_COOKIE_NAME_SECURE "__Host-atelier_session"

/* ---- who asks ---- */
static inline struct atl_app *atl_api_app(const struct atl_req *req)
{
	return req->app;
}
/* Never NULL: nobody is an identity with channel NONE. */
const struct atl_identity *atl_api_identity(const struct atl_req *req);
const char *atl_api_user(const struct atl_req *req); /* the user's id; "" on public routes for nobody */

/* ---- errors ---- */
void atl_api_fail(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info);

/* ---- lists: ?after=<cursor>&limit=<n> ---- */
struct atl_page {
	int64_t limit;
	bool has_after;
	int64_t after_key;     /* the sort key of the last item seen: a time, or 0 when sorted by id */
	const char *after_id;  /* its id */
};
/* Reads and checks both parameters (INVALID names the field). */
enum atl_err atl_api_page(struct atl_req *req, struct atl_page *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The opaque cursor for an item; in the arena. */
const char *atl_api_cursor(struct atl_req *req, int64_t key, const char *id);
/* Answer 200 {"items":[...],"next":...}: `items` is an array of desc->size structs; next NULL: the end. */
void atl_api_list(struct atl_req *req, const struct atl_json_desc *desc, const void *items, size_t count,
		  const char *next);
/* Query parameters every list takes, for tables of struct atl_query_param. */
#define ATL_API_PAGE_PARAMS                                                                                  \
	{ "after", ATL_JT_STR, 0, 200, NULL, "cursor: `next` of the page before" },                          \
	{ "limit", ATL_JT_INT, 1, ATL_API_PAGE_MAX, NULL, "items a page, 50 unless told" }
extern const struct atl_query_param atl_api_page_params[];

/* ---- versions ---- */
void atl_api_etag(struct atl_req *req, int64_t version); /* ETag: "<version>" */
/* If-Match: ATL_OK without one or when it names `version`; PRECONDITION otherwise. */
enum atl_err atl_api_if_match(const struct atl_req *req, int64_t version, struct atl_errinfo *info) ATL_MUST_USE;
/* The version If-Match demands, for a core call that compares inside its transaction; 0: none. INVALID: not ours. */
enum atl_err atl_api_wanted_version(const struct atl_req *req, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- Idempotency-Key ---- */
/* True: go on. False: answered already (a replay, or an error). */
bool atl_api_idempotent_begin(struct atl_req *req);
/* The same for answers that wait for what is made: while the first request with this key is still on its way to making it
 * (ATL_API_JOIN_MS at most) this one waits, then finds it. Pool threads. Followed by idempotent_made() as soon as it is
 * made, before the wait. */
bool atl_api_idempotent_join(struct atl_req *req);
/* The id of what an earlier request with this key made, which is to be answered with; NULL: make it. */
const char *atl_api_idempotent_found(const struct atl_req *req);
/* Call after the answer was written: stores it under the key, or gives the key back after a failure. */
void atl_api_idempotent_end(struct atl_req *req);
/* Instead of end(), for answers that are large or change: the answer is not kept, what was made is. The same request again
 * finds it and answers with it as it is then. */
void atl_api_idempotent_made(struct atl_req *req);

/* ---- the OpenAPI document ---- */
/* Build it from the tables at start; served by openapi.c. */
enum atl_err atl_openapi_init(const char *version, struct atl_errinfo *info) ATL_MUST_USE;
void atl_openapi_finish(void);

#endif
