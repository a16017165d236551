/* support.h - a fresh, empty database for a test: SQLite in a new folder, PostgreSQL in a new schema.
 *
 * PostgreSQL takes part when ATELIER_TEST_PG holds an address whose user may create schemas.
 */
#ifndef TESTS_UNIT_DB_SUPPORT_H
#define TESTS_UNIT_DB_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/db.h"

struct fixture {
	const char *kind; /* set by the table of tests */
	char folder[64];
	char schema[64];
	char url[512];
	struct atl_db *db; /* NULL until fixture_open() */
};

bool postgres_there(void); /* says so when not */
int fixture_create(struct fixture *fixture); /* 0 */
int fixture_destroy(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/* One statement in its own transaction; the test fails when it does. */
void execute(struct atl_db *db, const char *sql);
enum atl_err try_execute(struct atl_db *db, const char *sql, struct atl_errinfo *info);
int64_t number_of(struct atl_db *db, const char *sql); /* first column of the first row */

#define assert_ok(expression, info)                                                                            \
	do {                                                                                                       \
		enum atl_err assert_err = (expression);                                                            \
		if (assert_err)                                                                                    \
			fail_msg("%s: %s", atl_err_name(assert_err), (info)->detail);                              \
	} while (0)

#endif
