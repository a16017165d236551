/* drivers.h - the same tests on every driver of src/db: rows of a table, each with a database of its own. */
#ifndef TESTS_UNIT_DB_DRIVERS_H
#define TESTS_UNIT_DB_DRIVERS_H

#include "support.h"

extern struct fixture sqlite, postgres; /* the state of a row */
#define ROW(test, fixture, setup, teardown) { #test " (" #fixture ")", test, setup, teardown, &(fixture) }

struct atl_db *db_of(void **state);
bool on_postgres(void **state);

/* A new, open database with the table "items"; its end. */
int items_create(void **state);
int items_destroy(void **state);

/* The first ones always, the others where there is PostgreSQL. */
int run_on_drivers(const char *name, const struct CMUnitTest *first, size_t first_count, const struct CMUnitTest *more,
		   size_t more_count);

#endif
