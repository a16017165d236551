/* card.h - the character card: reading what the program uses, changing single keys, keeping the rest.
 *
 * Threads: pure functions. Ownership: the given arena.
 */
#ifndef ATL_CORE_CARD_H
#define ATL_CORE_CARD_H

#include "base/json.h"
#include "core/chat/character.h"

#define ATL_CARD_NAME_MAX 200
#define ATL_CARD_GREETINGS_MAX 100
#define ATL_CARD_TAGS_MAX 100
#define ATL_CARD_SUMMARY_MAX 140

/* `patch` over `base` (either may be NULL), key by key at the top level; null removes a key. A whole card file
 * ({"spec":..., "data": {...}}) is accepted as patch: its data counts. Checks names and types of known keys.
 * Errors: INVALID with the field, TOO_LARGE. */
enum atl_err atl_card_merge(struct atl_arena *arena, const char *base_json, const struct atl_json *patch,
			    const char **ret_json, struct atl_errinfo *info) ATL_MUST_USE;
/* What lists show: the first sentence of the creator's notes or of the description, cut. */
const char *atl_card_summary(struct atl_arena *arena, const struct atl_card *card);
/* The card's tags as a list. */
enum atl_err atl_card_tags(struct atl_arena *arena, const char *card_json, struct atl_strs *ret,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* For LIKE ... ESCAPE '!': before + the text, folded to lower ASCII and escaped, + after. NULL: out of memory. */
const char *atl_like_pattern(struct atl_arena *arena, const char *before, const char *text, const char *after);

#endif
