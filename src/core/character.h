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
#include "core/identity.h"
#include "core/sampling.h"
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

struct atl_character {
	const char *id, *user_id, *name, *summary;
	const char *card_json;
	struct atl_strs tags;
	const char *model; /* NULL: the default */
	const char *sampling_json;
	const char *starter; /* NULL unless it came with the program */
	const char *avatar_id; /* NULL */
	int64_t avatar_width, avatar_height;
	int64_t version, created_at, updated_at, archived_at;
};

/* NOT_FOUND also for other users' and deleted ones. */
enum atl_err atl_character_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_character_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_character *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Read the fields out of stored card JSON; missing ones are "". */
enum atl_err atl_card_parse(struct atl_arena *arena, const char *card_json, struct atl_card *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* "CharacterSummary" of the API, written by conversation and event code. */
void atl_character_write_summary(struct atl_jw *w, const char *key, const struct atl_character *character);

#endif
