/* starter.h - the characters every user begins with, built into the program (share/starters).
 *
 * Each is given to a user once, known by characters.starter: one that the user deleted is not brought back.
 *
 * Threads:    atl_starters_seed() blocks: pool threads.
 * Adding one: share/starters/README.md.
 */
#ifndef ATL_CORE_STARTER_H
#define ATL_CORE_STARTER_H

#include "core/access/identity.h"
#include "core/app.h"

struct atl_starter {
	const char *slug;
	const unsigned char *card; /* JSON of a character card V3 */
	size_t card_length;
	const unsigned char *picture; /* WebP */
	size_t picture_length;
};
extern const struct atl_starter atl_starters[];
extern const size_t atl_starter_count;

/* Give the user the starters never given before. A portrait that cannot be stored leaves the character without. */
enum atl_err atl_starters_seed(struct atl_app *app, const struct atl_identity *who,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
