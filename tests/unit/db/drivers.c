#include "drivers.h"

#include <string.h>

#define TESTS_MAX 64

struct fixture sqlite = { .kind = "sqlite" }, postgres = { .kind = "postgres" };

struct atl_db *db_of(void **state)
{
	return ((struct fixture *)*state)->db;
}

bool on_postgres(void **state)
{
	return *state == &postgres;
}

int items_create(void **state)
{
	fixture_create(*state);
	fixture_open(*state);
	execute(db_of(state), on_postgres(state) ? "CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT, number DOUBLE PRECISION, "
						   "data BYTEA, at BIGINT, place BIGINT UNIQUE)" :
						   "CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT, number DOUBLE PRECISION, "
						   "data BLOB, at BIGINT, place BIGINT UNIQUE)");
	return 0;
}

int items_destroy(void **state)
{
	return fixture_destroy(*state);
}

int run_on_drivers(const char *name, const struct CMUnitTest *first, size_t first_count, const struct CMUnitTest *more,
		   size_t more_count)
{
	struct CMUnitTest all[TESTS_MAX];
	size_t count = first_count;

	assert_true(first_count + more_count <= TESTS_MAX);
	memcpy(all, first, first_count * sizeof(*first));
	if (postgres_there()) {
		memcpy(all + count, more, more_count * sizeof(*more));
		count += more_count;
	}
	return _cmocka_run_group_tests(name, all, count, NULL, NULL);
}
