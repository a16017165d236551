/* personal.h - which tables hold something of a person, and what of it the person is given.
 *
 * Each table that names an account, or hangs on one that does, has a line here: either what the export reads, or why it
 * reads nothing. A test compares both lists with the database (tests/handler/test_privacy.c). Secrets are in none: hashes,
 * sealed keys, tokens.
 *
 * Threads: constant data. Adding one: a line of ATL_PERSONAL_TABLES or of the exempt ones in personal.c.
 */
#ifndef ATL_CORE_PERSONAL_H
#define ATL_CORE_PERSONAL_H

#include "base/err.h"

/* One letter for each column: s text, i number, t time, b yes or no, j JSON. The statement takes the account's id, how many
 * rows at most, and after how many. */
struct atl_personal {
	const char *table;
	const char *types;
	const char *columns; /* separated by ", "; a name may have "x." in front */
	const char *sql;
};
extern const struct atl_personal atl_personal_tables[];
extern const size_t atl_personal_count;

struct atl_personal_exempt {
	const char *table, *why;
};
extern const struct atl_personal_exempt atl_personal_exempt[];
extern const size_t atl_personal_exempt_count;

#endif
