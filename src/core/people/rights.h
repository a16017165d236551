/* rights.h - what a role or an API key may use besides its permissions: models, services, features, room for files.
 *
 * Permissions (permission.h) say what kind of thing somebody may do; rights say how much of it. A role's stand in
 * role_rights and are set with core/people/role_edit.h; a key's list of models stands with the key. An identity carries what
 * applies to it, so that every decision is made from memory. Nothing set is no limit.
 *
 * The lists of a role are interned in a book that the credentials' cache owns (atl_auth_rights()): identities are copied
 * freely and point into it. It grows by what operators write, and lives as long as the cache.
 *
 * Patterns: an id as the lists of models show it ("local/tiny.gguf", "prv_.../gpt-x"), or the part behind the first slash;
 * "*" stands for anything. Services: "local" or a provider's id.
 *
 * Files:      rights.c the book and the decisions, rights_models.c defaults and lists of models for those with limits.
 * Threads:    any; atl_rights_room() and rights_models.c block.
 * Adding a feature: a line in ATL_FEATURE_LIST, `.feature` at its routes or atl_rights_feature() where it begins.
 */
#ifndef ATL_CORE_RIGHTS_H
#define ATL_CORE_RIGHTS_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_RIGHTS_PATTERNS_MAX 100
#define ATL_RIGHTS_PATTERN_MAX 300 /* bytes */

/* name, text in route tables and JSON, what it is */
#define ATL_FEATURE_LIST(X)                                                                  \
	X(PICTURES, "pictures", "making pictures")                                          \
	X(VIDEOS, "videos", "making films")                                                 \
	X(UPLOADS, "uploads", "bringing in pictures and films of one's own")                \
	X(TEMPORARY_CHATS, "temporary_chats", "chats of which nothing is stored")           \
	X(SHARING, "sharing", "links to pictures for people without an account")            \
	X(API, "api", "requests with API keys")                                              \
	X(API_KEYS, "api_keys", "making API keys")                                          \
	X(WEBHOOKS, "webhooks", "telling other servers of ended jobs")                      \
	X(WORKFLOWS, "workflows", "saving ComfyUI workflows of one's own")

enum atl_feature {
#define ATL_FEATURE_X(name, text, doc) ATL_FEATURE_##name,
	ATL_FEATURE_LIST(ATL_FEATURE_X)
#undef ATL_FEATURE_X
		ATL_FEATURE_COUNT
};
#define ATL_FEATURE_BIT(feature) (UINT32_C(1) << (feature))
const char *atl_feature_name(enum atl_feature feature);
const char *atl_feature_doc(enum atl_feature feature);
bool atl_feature_find(const char *name, enum atl_feature *ret) ATL_MUST_USE;

/* Lists of one or more roles, immutable. An empty list is no limit. */
struct atl_rights {
	struct atl_strs models, providers;
};
struct atl_rights_book;
enum atl_err atl_rights_book_create(struct atl_rights_book **ret) ATL_MUST_USE;
void atl_rights_book_destroy(struct atl_rights_book *book); /* NULL is allowed */
/* From the JSON lists of role_rights; *ret NULL: no limit. DB: a text that is no list of texts. */
enum atl_err atl_rights_intern(struct atl_rights_book *book, const char *models_json, const char *providers_json,
			       const struct atl_rights **ret, struct atl_errinfo *info) ATL_MUST_USE;

/* A list from outside: lengths, no control characters. INVALID names `field`. Lists hold ATL_RIGHTS_PATTERNS_MAX at most. */
enum atl_err atl_rights_check_patterns(const struct atl_strs *patterns, const char *field, struct atl_errinfo *info) ATL_MUST_USE;
bool atl_rights_matches(const char *pattern, const char *model_id);

/* Has it any limit of models or services? Where not, nothing below costs more than looking at it. */
static inline bool atl_rights_limited(const struct atl_identity *who)
{
	return who && (who->rights || who->key_models[0]);
}
/* The one decision about a model (of either registry, by its full id). MODEL_NOT_ALLOWED with a sentence. */
enum atl_err atl_rights_model(const struct atl_identity *who, const char *model_id, struct atl_errinfo *info) ATL_MUST_USE;
/* The one decision about a feature. FEATURE_NOT_ALLOWED with a sentence. */
enum atl_err atl_rights_feature(const struct atl_identity *who, enum atl_feature feature, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- room for files ---- */

struct atl_conn;
/* In a transaction or a read: bytes of the person's files, those in the trash with them. */
enum atl_err atl_rights_room_used(struct atl_conn *conn, const char *user_id, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* STORAGE_FULL when `more` bytes do not fit under the cap (0: no cap); `more` 0: when nothing is left. */
enum atl_err atl_rights_room_in(struct atl_conn *conn, const char *user_id, int64_t cap_bytes, int64_t more,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_rights_room(struct atl_app *app, const struct atl_identity *who, int64_t more, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- rights_models.c ---- */

struct atl_model;
struct atl_picture_model;
/* What answers when nothing is asked for: *wanted stays NULL where the usual default is open to them, else it is the first
 * model that is. Leaves a wanted one as it is. */
enum atl_err atl_rights_default(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, const char **wanted,
				struct atl_errinfo *info) ATL_MUST_USE;
/* atl_picture_model_find() for somebody: the default is one that is open to them. MODEL_NOT_ALLOWED. */
enum atl_err atl_rights_picture_model(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, const char *id,
				      struct atl_picture_model *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The lists without what is not open to them. */
enum atl_err atl_rights_models(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, struct atl_model **ret,
			       size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_rights_picture_models(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who,
				       struct atl_picture_model **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
