/* Which event leads a job where, and in which order the waiting ones are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/str.h"
#include "core/jobs/job.h"
#include "core/jobs/job_waiting.h"

#define NONE ATL_JOB_STATE_COUNT

static void test_transitions(void **state)
{
	/* columns: LEASE START FINISH FAIL CANCEL EXPIRE RETRY */
	static const enum atl_job_state table[ATL_JOB_STATE_COUNT][7] = {
		[ATL_JOB_QUEUED] = { ATL_JOB_LEASED, NONE, NONE, ATL_JOB_FAILED, ATL_JOB_CANCELLED, NONE, NONE },
		[ATL_JOB_LEASED] = { NONE, ATL_JOB_RUNNING, ATL_JOB_DONE, ATL_JOB_FAILED, ATL_JOB_CANCELLED, ATL_JOB_QUEUED, NONE },
		[ATL_JOB_RUNNING] = { NONE, NONE, ATL_JOB_DONE, ATL_JOB_FAILED, ATL_JOB_CANCELLED, ATL_JOB_QUEUED, NONE },
		[ATL_JOB_DONE] = { NONE, NONE, NONE, NONE, NONE, NONE, ATL_JOB_QUEUED },
		[ATL_JOB_FAILED] = { NONE, NONE, NONE, NONE, NONE, NONE, ATL_JOB_QUEUED },
		[ATL_JOB_CANCELLED] = { NONE, NONE, NONE, NONE, NONE, NONE, ATL_JOB_QUEUED },
	};

	for (int from = 0; from < ATL_JOB_STATE_COUNT; from++)
		for (int event = ATL_JOB_LEASE; event <= ATL_JOB_RETRY; event++) {
			enum atl_job_state to = NONE;
			enum atl_err err = atl_job_next_state((enum atl_job_state)from, (enum atl_job_event)event, &to);

			assert_int_equal(to, table[from][event]);
			assert_int_equal(err, to == NONE ? ATL_ERR_CONFLICT : ATL_OK);
		}
	assert_string_equal(atl_job_state_name(ATL_JOB_CANCELLED), "cancelled");
	assert_string_equal(atl_job_state_name(ATL_JOB_STATE_COUNT), "");
}

static void put(struct atl_waiting *w, const char *id, const char *user, const char *provider, int64_t priority, double place)
{
	struct atl_waiting_job job = { .id = id, .user_id = user, .kind = "k", .provider_id = provider, .priority = priority,
				       .place = place };

	assert_int_equal(atl_waiting_put(w, &job), ATL_OK);
}

static bool room(void *arg, const char *kind, const char *provider)
{
	return !atl_str_eq(arg, provider);
}

/* Ids in the order they are taken, at `now`. `full`: a provider without room. */
static const char *taken(struct atl_waiting *w, int64_t now, char *full)
{
	static char text[200];
	struct atl_waiting_taken job;
	size_t length = 0;

	text[0] = '\0';
	while (atl_waiting_take(w, now, room, full, &job))
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s ", job.id);
	return text;
}

static void test_turns(void **state)
{
	struct atl_waiting *w;

	assert_int_equal(atl_waiting_create(&w), ATL_OK);
	put(w, "a1", "anna", "p", 0, 1);
	put(w, "a2", "anna", "p", 0, 2);
	put(w, "a3", "anna", "q", 0, 3);
	put(w, "b1", "bert", "p", 0, 9);
	put(w, "c1", "carl", "p", 1, 10);
	assert_int_equal(atl_waiting_count(w, NULL), 5);
	assert_int_equal(atl_waiting_count(w, "anna"), 3);
	assert_int_equal(atl_waiting_position(w, "c1").position, 1);
	assert_int_equal(atl_waiting_position(w, "none").position, 0);
	assert_string_equal(taken(w, 0, ""), "c1 a1 b1 a2 a3 ");
	put(w, "a4", "anna", "p", 0, 4); /* anna was served last */
	put(w, "b2", "bert", "p", 0, 11);
	assert_string_equal(taken(w, 0, ""), "b2 a4 ");
	put(w, "a5", "anna", "p", 0, 5);
	put(w, "a6", "anna", "q", 0, 6);
	assert_string_equal(taken(w, 0, "p"), "a6 "); /* a full provider does not hold up another one */
	put(w, "a5", "anna", "p", 0, 7);		/* replaced, not doubled */
	put(w, "a7", "anna", "p", 0, 6.5);
	assert_string_equal(taken(w, 0, ""), "a7 a5 ");
	atl_waiting_destroy(w);
}

static void test_later(void **state)
{
	struct atl_waiting_job timed = { .id = "t", .user_id = "anna", .kind = "k", .provider_id = "p", .not_before = 100 };
	struct atl_waiting_job bound = { .id = "d", .user_id = "anna", .kind = "k", .provider_id = "p", .depends_on = "x" };
	struct atl_waiting *w;
	uint64_t begun;

	assert_int_equal(atl_waiting_create(&w), ATL_OK);
	assert_int_equal(atl_waiting_put(w, &timed), ATL_OK);
	assert_int_equal(atl_waiting_put(w, &bound), ATL_OK);
	assert_int_equal(atl_waiting_next_ms(w), 100);
	assert_string_equal(taken(w, 99, ""), "");
	assert_string_equal(taken(w, 100, ""), "t ");
	atl_waiting_release(w, "y");
	assert_string_equal(taken(w, 100, ""), "");
	atl_waiting_release(w, "x");
	assert_int_equal(atl_waiting_pause(w, "anna", true), ATL_OK);
	assert_string_equal(taken(w, 100, ""), "");
	assert_int_equal(atl_waiting_pause(w, "anna", false), ATL_OK);
	assert_int_equal(atl_waiting_pause(w, "*", true), ATL_OK);
	assert_string_equal(taken(w, 100, ""), "");
	atl_waiting_resume_all(w);
	assert_string_equal(taken(w, 100, ""), "d ");
	put(w, "old", "anna", "p", 0, 1);
	begun = atl_waiting_begin(w);
	put(w, "new", "anna", "p", 0, 2); /* submitted while the rows were read */
	atl_waiting_end(w, begun);
	assert_string_equal(taken(w, 100, ""), "new ");
	assert_int_equal(atl_waiting_count(w, NULL), 0);
	atl_waiting_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
