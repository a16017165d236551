/* character.h - characters: the card, its model and sampling, avatar, archive, delete with undo.
 *
 * The card is the *data* object of the character card V2/V3 specification, kept as JSON text so that unknown keys
 * survive; struct atl_card is what the program reads out of it.
 *
 * Threads:    atl_character_* block (SQL): pool threads. The *_in functions run inside a transaction of the caller.
 * Ownership:  everything returned lives in the given arena.
 * Limits:     ATL_CARD_BYTES_MAX, ATL_CHARACTERS_MAX per user.
 */
#ifndef ATL_CORE_CHARACTER_H
#define ATL_CORE_CHARACTER_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/chat/sampling.h"
#include "db/db.h"

#define ATL_CARD_BYTES_MAX ((size_t)1 << 20)
#define ATL_CHARACTERS_MAX 20000

struct atl_app;

struct atl_card {
	const char *name, *nickname; /* nickname "" if none; {{char}} is the nickname if there is one */
	const char *description, *personality, *scenario, *first_mes, *mes_example, *system_prompt,
		*post_history_instructions;
	struct atl_strs alternate_greetings;
	const char *creator_notes;
	const char *venice_slug; /* extensions.venice.slug, or NULL */
};

struct atl_avatar {
	const char *id, *url;
	int64_t width, height;
};

struct atl_character {
	const char *id, *user_id, *name, *summary;
	const char *card_json;
	struct atl_strs tags;
	const char *model; /* NULL: the default */
	const char *sampling_json;
	const char *starter;		 /* NULL unless it came with the program */
	const struct atl_avatar *avatar; /* NULL */
	int64_t version, created_at, updated_at, archived_at;
};
extern const struct atl_json_desc atl_character_desc;	      /* "Character" of the API */
extern const struct atl_json_desc atl_character_summary_desc; /* "CharacterSummary": without card and sampling */

/* What a create or an update may change; NULL members stay as they are. */
struct atl_character_change {
	const struct atl_json *card; /* merged over what is there (core/chat/card.h) */
	const struct atl_json *sampling;
	bool set_model;
	const char *model; /* with set_model: NULL clears */
	const bool *archived;
	const char *starter, *avatar_id; /* at create only */
	int64_t wanted_version; /* If-Match: PRECONDITION when it is another; 0: any */
};

/* Every change passes the policy first (entry point `character`) and publishes its event afterwards. */
enum atl_err atl_character_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const struct atl_character_change *change, struct atl_character *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_update(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const char *id, const struct atl_character_change *change, struct atl_character *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_duplicate(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Soft: conversations keep working, restore brings it back. */
enum atl_err atl_character_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				   const char *id, struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* NULL bytes: no avatar. Errors of media/picture.h. */
enum atl_err atl_character_set_avatar(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, const void *data, size_t length, struct atl_character *ret,
				      struct atl_errinfo *info) ATL_MUST_USE;

struct atl_character_query {
	const char *text; /* in the name; NULL: all */
	const char *tag;
	bool archived;
	int64_t after_key; /* updated_at of the last one seen; after_id NULL: from the start */
	const char *after_id;
	int64_t limit;
};
/* Newest change first. The list has at most query->limit + 1 items: the extra one tells that there is more. */
enum atl_err atl_character_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				const struct atl_character_query *query, struct atl_character **ret, size_t *ret_count,
				struct atl_errinfo *info) ATL_MUST_USE;

/* NOT_FOUND also for other users' and deleted ones. */
enum atl_err atl_character_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Read the fields out of stored card JSON; missing ones are "". */
enum atl_err atl_card_parse(struct atl_arena *arena, const char *card_json, struct atl_card *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;

#endif
