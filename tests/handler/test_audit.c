/* The audit log: what is appended is a chain, and whatever is done to its rows afterwards is found. */
#include "core/people/audit.h"
#include "core/people/role.h"
#include "db/db.h"
#include "support.h"

#define ROWS 620 /* more than a page of the walk */

static struct atl_audit_verdict verdict(struct site *site)
{
	struct atl_errinfo info = { 0 };
	struct atl_audit_verdict out;

	assert_ok(atl_audit_verify(&site->app, &out, &info), &info);
	return out;
}

static enum atl_err run_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, arg, "");
}

static void run(struct site *site, const char *sql)
{
	struct atl_errinfo info = { 0 };

	assert_ok(atl_db_tx(site->app.db, run_tx, (void *)(uintptr_t)sql, &info), &info);
}

static enum atl_err fill_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	for (int i = 0; i < ROWS; i++) {
		const struct atl_audit row = { .action = "user.suspend", .target_kind = "user", .target_id = fmt("usr_%d", i),
					       .remote = "192.0.2.1", .note = "for the test" };
		enum atl_err err = atl_audit(conn, &row, info);

		if (err)
			return err;
	}
	return ATL_OK;
}

static int fill(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };

	run(site, "DELETE FROM audit");
	run(site, "UPDATE audit_head SET seq = 0, hash = ''");
	return atl_db_tx(site->app.db, fill_tx, NULL, &info);
}

static void test_intact(void **state)
{
	struct atl_audit_verdict seen = verdict(*state);

	assert_true(seen.intact);
	assert_int_equal(seen.rows, ROWS);
	assert_null(seen.why);
}

/* Each statement is one thing that a hand with access to the database could do. */
static void test_tampering(void **state)
{
	static const struct {
		const char *sql;
		int64_t broken_at;
	} cases[] = {
		{ "UPDATE audit SET note = 'another' WHERE seq = 10", 10 },
		{ "UPDATE audit SET at = at + 1 WHERE seq = 600", 600 },
		{ "UPDATE audit SET user_name = target_id, target_id = user_name WHERE seq = 3", 3 },
		{ "UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 6) WHERE seq = 5", 5 },
		{ "DELETE FROM audit WHERE seq = 300", 300 },
		{ "DELETE FROM audit WHERE seq = 1", 1 },
		{ "DELETE FROM audit WHERE seq > 610", 611 },
		{ "DELETE FROM audit", 1 },
		{ "INSERT INTO audit SELECT 621, at, user_id, user_name, channel, remote, action, target_kind, target_id, "
		  "note, hash FROM audit WHERE seq = 620", 621 },
		{ "DELETE FROM audit_head", 621 },
	};

	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		struct atl_audit_verdict seen;

		assert_int_equal(fill(state), ATL_OK);
		run(*state, cases[i].sql);
		seen = verdict(*state);
		assert_false(seen.intact);
		assert_int_equal(seen.broken_at, cases[i].broken_at);
		assert_non_null(seen.why);
	}
	run(*state, "INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '')");
}

/* Two rows that change places keep their numbers' order but not the chain. */
static void test_swapped(void **state)
{
	assert_int_equal(fill(state), ATL_OK);
	run(*state, "UPDATE audit SET seq = 9000 WHERE seq = 20");
	run(*state, "UPDATE audit SET seq = 20 WHERE seq = 21");
	run(*state, "UPDATE audit SET seq = 21 WHERE seq = 9000");
	assert_int_equal(verdict(*state).broken_at, 20);
}

struct role_try {
	const char *role;
	enum atl_role kind;
	uint32_t mask;
};

static enum atl_err role_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct role_try *try = arg;

	return atl_role_load(conn, try->role, &try->kind, &try->mask, info);
}

static void test_custom_role(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	struct role_try try = { .role = "rol_clerk" };

	run(site, "INSERT INTO roles (id, name, name_folded, permissions, version, created_at, updated_at) "
		  "VALUES ('rol_clerk', 'Clerk', 'clerk', '[\"usage.read\",\"nothing.known\",7]', 1, 0, 0)");
	assert_ok(atl_db_read(site->app.db, role_read, &try, &info), &info);
	assert_int_equal(try.kind, ATL_ROLE_CUSTOM);
	assert_int_equal(try.mask, atl_role_permissions(ATL_ROLE_CUSTOM) | ATL_PERM_BIT(ATL_PERM_USAGE_READ));
	try.role = "rol_gone";
	assert_ok(atl_db_read(site->app.db, role_read, &try, &info), &info);
	assert_int_equal(try.mask, atl_role_permissions(ATL_ROLE_CUSTOM));
	try.role = "moderator";
	assert_ok(atl_db_read(site->app.db, role_read, &try, &info), &info);
	assert_int_equal(try.kind, ATL_ROLE_MODERATOR);
	assert_true(try.mask & ATL_PERM_BIT(ATL_PERM_MODERATE));
	assert_false(try.mask & ATL_PERM_BIT(ATL_PERM_PEOPLE_MANAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_intact, fill),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_custom_role),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
