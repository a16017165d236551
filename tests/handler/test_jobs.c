/* Jobs over the API, with a kind whose runs are scripted by the job's prompt. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/jobs/job_int.h"
#include "os/file.h"

/* ---- the scripted kind ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int open_gates;		/* how many of "gate" may go on */
static int at_gate;		/* how many wait there */
static char order[64][32];	/* prompts in the order they were started */
static size_t started;
static _Atomic int64_t limit = 1;
static _Atomic bool may_repeat = true;

static enum atl_err wait_at_gate(struct atl_job_run *run, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	pthread_mutex_lock(&lock);
	at_gate++;
	pthread_cond_broadcast(&changed);
	while (open_gates == 0 && !atomic_load(run->cancelled)) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 5000000; /* as a service that is polled: cancelled is only a flag */
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&changed, &lock, &until);
	}
	at_gate--;
	if (atomic_load(run->cancelled))
		err = atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	else
		open_gates--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return err;
}

static enum atl_err run(struct atl_job_run *run, struct atl_errinfo *info)
{
	const char *prompt = run->job->prompt;

	pthread_mutex_lock(&lock);
	if (started < ATL_COUNT(order))
		snprintf(order[started++], sizeof(order[0]), "%s", prompt);
	pthread_mutex_unlock(&lock);
	if (atl_str_starts(prompt, "fail"))
		return atl_fail(info, ATL_ERR_UPSTREAM, "The service fell over.");
	if (atl_str_starts(prompt, "talk")) {
		atl_job_note(run, "The size was rounded to \"64\".");
		atl_job_progress(run, &(struct atl_image_progress){ .phase = "sampling", .step = 1, .steps = 4, .step_ms = 100 });
		atl_job_preview(run, 0, "\x89PNG", 4, "image/png");
		atl_job_cost(run, 1500);
	}
	if (atl_str_starts(prompt, "gate") || atl_str_starts(prompt, "talk"))
		return wait_at_gate(run, info);
	return ATL_OK;
}

static bool repeatable(struct atl_app *app, const struct atl_job *job)
{
	return atomic_load(&may_repeat);
}

static int64_t concurrency(struct atl_app *app, const char *provider_id)
{
	return atomic_load(&limit);
}

static int64_t estimate(struct atl_app *app, const struct atl_job *job)
{
	return 2000;
}

static const char *cancel_note(struct atl_app *app, struct atl_arena *arena, const struct atl_job *job)
{
	return atomic_load(&may_repeat) ? NULL : "The service may \"charge\" for it.";
}

static const struct atl_job_kind scripted = { "fake", run, repeatable, concurrency, estimate, cancel_note };
static const struct atl_job_kind *const kinds[] = { &scripted, NULL };

static void reach_gate(int count)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&lock);
	while (at_gate != count)
		assert_int_equal(pthread_cond_timedwait(&changed, &lock, &until), 0);
	pthread_mutex_unlock(&lock);
}

static void open_gate(int count)
{
	pthread_mutex_lock(&lock);
	open_gates += count;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* ---- shortcuts ---- */

static const char *submit_more(struct site *site, const struct person *who, const char *prompt, struct atl_job_new more)
{
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;
	const char *id;

	atl_identity_internal(&identity, who->id, "Test", ATL_ROLE_MEMBER);
	more.kind = "fake";
	more.task = "txt2img";
	more.origin = "api";
	more.model = "fake/noop";
	more.provider_id = "prv_fake";
	more.prompt = prompt;
	more.request = "{\"steps\":4,\"notes\":[\"As asked.\"]}";
	atl_arena_init(&arena, 0);
	assert_ok(atl_job_submit(&site->app, &identity, &arena, &more, &job, &info), &info);
	assert_string_equal(job.state, "queued");
	assert_int_equal(job.notes.count, 1); /* told at once */
	assert_string_equal(job.notes.items[0], "As asked.");
	id = fmt("%s", job.id);
	atl_arena_finish(&arena);
	return id;
}

static const char *submit(struct site *site, const struct person *who, const char *prompt)
{
	return submit_more(site, who, prompt, (struct atl_job_new){ 0 });
}

/* Its state once it has ended. */
static const char *end_of(struct site *site, const char *id)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_job job;
	const char *state;

	atl_arena_init(&arena, 0);
	assert_ok(atl_job_wait(&site->app, &arena, owner.id, id, WAIT_MS, &job, &info), &info);
	state = fmt("%s", job.state);
	atl_arena_finish(&arena);
	return state;
}

static struct atl_req *get(struct site *site, const char *id)
{
	return expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s", id), NULL), 200);
}

static int fresh(void **state)
{
	pthread_mutex_lock(&lock);
	open_gates = 0;
	started = 0;
	pthread_mutex_unlock(&lock);
	atomic_store(&limit, 1);
	atomic_store(&may_repeat, true);
	return 0;
}

/* ---- tests ---- */

static void test_done(void **state)
{
	struct site *site = *state;
	const char *id;
	struct atl_req *req;

	ears_open(site, owner.id);
	id = submit(site, &owner, "noop");
	assert_string_equal(end_of(site, id), "done");
	req = get(site, id);
	assert_string_equal(text_at(req, "state"), "done");
	assert_string_equal(text_at(req, "task"), "txt2img");
	assert_int_equal(int_at(req, "attempt"), 1);
	assert_int_equal(int_at(req, "request.steps"), 4);
	assert_int_equal(int_at(req, "position"), 0);
	assert_true(is_null_at(req, "error_slug"));
	assert_false(is_null_at(req, "finished_at"));
	ears_wait(site, "job.updated", "\"state\":\"queued\"");
	ears_wait(site, "job.updated", "\"state\":\"running\"");
	ears_wait(site, "job.updated", "\"state\":\"done\"");
	ears_wait(site, "queue.updated", "\"queued\":0");
	ears_close(site);
}

static void test_failed(void **state)
{
	struct site *site = *state;
	const char *id = submit(site, &owner, "fail");
	struct atl_req *req;

	assert_string_equal(end_of(site, id), "failed");
	req = get(site, id);
	assert_string_equal(text_at(req, "error_slug"), "upstream_failed");
	assert_string_equal(text_at(req, "error_detail"), "The service fell over.");
}

static void test_running(void **state)
{
	struct site *site = *state;
	const char *id;
	struct atl_req *req;

	ears_open(site, owner.id);
	id = submit(site, &owner, "talk");
	reach_gate(1);
	ears_wait(site, "job.progress", "\"phase\":\"sampling\",\"step\":1,\"steps\":4,\"step_ms\":100,\"left_ms\":300");
	ears_wait(site, "job.preview", "\"index\":0,\"n\":1");
	req = get(site, id);
	assert_string_equal(text_at(req, "state"), "running");
	assert_int_equal(int_at(req, "step"), 1);
	assert_int_equal(int_at(req, "steps"), 4);
	assert_int_equal(int_at(req, "left_ms"), 300);
	assert_int_equal(int_at(req, "preview"), 1);
	req = expect(ask(site, &owner, fmt("GET /api/v1/jobs/%s/previews/0?n=1", id), NULL), 200);
	assert_int_equal(req->out.length, 4);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/jobs/%s/previews/1", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/jobs/%s/previews/x", id), NULL), 404, "not_found", NULL);
	open_gate(1);
	assert_string_equal(end_of(site, id), "done");
	req = get(site, id);
	assert_string_equal(text_at(req, "notes.0"), "As asked.");
	assert_string_equal(text_at(req, "notes.1"), "The size was rounded to \"64\".");
	ears_wait(site, "job.updated", "\"state\":\"queued\"");
	ears_wait(site, "job.updated", "\"notes\":[\"As asked.\",\"The size was rounded to \\\"64\\\".\"]");
	assert_int_equal(int_at(req, "cost_micro_usd"), 1500);
	expect_problem(ask(site, &owner, fmt("GET /api/v1/jobs/%s/previews/0", id), NULL), 404, "not_found", NULL);
	ears_close(site);
}

static void test_cancel(void **state)
{
	struct site *site = *state;
	const char *running = submit(site, &owner, "gate"), *waiting, *later;
	struct atl_req *req;

	reach_gate(1);
	waiting = submit(site, &owner, "noop");
	later = submit_more(site, &owner, "noop", (struct atl_job_new){ .depends_on = waiting });
	req = expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", waiting), NULL), 200);
	assert_string_equal(text_at(req, "state"), "cancelled");
	req = get(site, later);
	assert_string_equal(text_at(req, "state"), "failed");
	assert_string_equal(text_at(req, "error_slug"), "dependency_failed");
	expect_problem(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", waiting), NULL), 409, "conflict", NULL);
	req = expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", running), NULL), 200);
	assert_string_equal(text_at(req, "state"), "cancelled");
	reach_gate(0); /* the run was told */
	assert_string_equal(end_of(site, submit(site, &owner, "noop")), "done");
	assert_string_equal(text_at(get(site, running), "state"), "cancelled");
	submit(site, &owner, "gate");
	reach_gate(1);
	for (int i = 0; i < 4; i++)
		submit(site, &owner, "noop");
	req = expect(ask(site, &owner, "POST /api/v1/jobs/cancel", NULL), 200);
	assert_int_equal(int_at(req, "cancelled"), 5);
	reach_gate(0);
	req = expect(ask(site, &owner, "GET /api/v1/jobs?state=active", NULL), 200);
	assert_int_equal(count_at(req, "items"), 0);
	req = expect(ask(site, &owner, "GET /api/v1/jobs?state=cancelled&limit=3", NULL), 200);
	assert_int_equal(count_at(req, "items"), 3);
	req = expect(ask(site, &owner, fmt("GET /api/v1/jobs?state=cancelled&limit=50&after=%s", text_at(req, "next")), NULL), 200);
	assert_int_equal(count_at(req, "items"), 4);
}

/* A service that cannot be told to stop: a run that it may finish, and charge for, says so; what only waited does not. */
static void test_cancel_note(void **state)
{
	static const char *const NOTE = "The service may \"charge\" for it.";
	struct site *site = *state;
	const char *running, *waiting;
	struct atl_req *req;

	atomic_store(&may_repeat, false);
	for (int all = 0; all < 2; all++) {
		running = submit(site, &owner, "gate");
		reach_gate(1);
		waiting = submit(site, &owner, "noop");
		ears_open(site, owner.id);
		if (all) {
			expect(ask(site, &owner, "POST /api/v1/jobs/cancel", NULL), 200);
		} else {
			expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", waiting), NULL), 200);
			req = expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", running), NULL), 200);
			assert_string_equal(text_at(req, "notes.1"), NOTE);
		}
		ears_wait(site, "job.updated", "may \\\"charge\\\" for it");
		ears_close(site);
		reach_gate(0);
		assert_string_equal(text_at(get(site, running), "notes.1"), NOTE);
		assert_int_equal(count_at(get(site, running), "notes"), 2);
		assert_int_equal(count_at(get(site, waiting), "notes"), 1);
	}
	atomic_store(&may_repeat, true);
	running = submit(site, &owner, "gate");
	reach_gate(1);
	req = expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", running), NULL), 200);
	assert_int_equal(count_at(req, "notes"), 1);
	reach_gate(0);
}

/* A gate is held while `prompts` are queued; then the order in which they were started. */
static void expect_order(struct site *site, const char *const *prompts, size_t count, const char *last)
{
	open_gate(1);
	assert_string_equal(end_of(site, last), "done");
	pthread_mutex_lock(&lock);
	assert_int_equal(started, count + 1);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(order[i + 1], prompts[i]);
	pthread_mutex_unlock(&lock);
}

static void test_order(void **state)
{
	static const char *const wanted[] = { "high", "b", "d", "a", "c" };
	struct site *site = *state;
	const char *a, *b, *c, *d;
	struct atl_req *req;

	submit(site, &owner, "gate");
	reach_gate(1);
	a = submit(site, &owner, "a");
	b = submit(site, &owner, "b");
	c = submit(site, &owner, "c");
	d = submit(site, &owner, "d");
	submit_more(site, &owner, "high", (struct atl_job_new){ .priority = 5 });
	assert_int_equal(int_at(get(site, a), "position"), 2);
	assert_int_equal(int_at(get(site, d), "position"), 5);
	assert_true(int_at(get(site, d), "wait_ms") > 0);
	assert_int_equal(int_at(get(site, d), "run_ms"), 2000);
	req = expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", b), fmt("{\"before\":\"%s\"}", a)), 200);
	assert_int_equal(int_at(req, "position"), 2);
	req = expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", d), fmt("{\"after\":\"%s\"}", b)), 200);
	assert_int_equal(int_at(req, "position"), 3);
	for (int i = 0; i < 40; i++) { /* places between two others run out: all get new ones */
		expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", a), fmt("{\"after\":\"%s\"}", b)), 200);
		expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", d), fmt("{\"after\":\"%s\"}", b)), 200);
	}
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", a), "{\"after\":\"job_none\"}"), 404, "not_found", "after");
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", a), "{\"priority\":11}"), 400, "invalid_request", "priority");
	expect_order(site, wanted, 5, c);
	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", a), "{\"priority\":1}"), 409, "conflict", NULL);
}

static void test_fair_turn(void **state)
{
	static const char *const wanted[] = { "other", "one", "other2", "two", "three" };
	struct site *site = *state;
	struct person other;
	const char *last;

	person_create(site, "Otto", ATL_ROLE_MEMBER, &other);
	submit(site, &owner, "gate");
	reach_gate(1);
	submit(site, &owner, "one");
	submit(site, &owner, "two");
	last = submit(site, &owner, "three");
	submit(site, &other, "other");
	submit(site, &other, "other2");
	assert_int_equal(int_at(get(site, last), "position"), 5);
	expect_order(site, wanted, 5, last);
}

static void test_depends(void **state)
{
	struct site *site = *state;
	const char *first = submit(site, &owner, "gate"), *second, *third;
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;
	struct atl_job_new new = { .kind = "fake", .task = "upscale", .origin = "api", .model = "m", .provider_id = "p",
				   .prompt = "x", .request = "{}", .depends_on = "job_none" };

	atomic_store(&limit, 4);
	reach_gate(1);
	second = submit_more(site, &owner, "second", (struct atl_job_new){ .depends_on = first });
	third = submit_more(site, &owner, "third", (struct atl_job_new){ .depends_on = second });
	assert_string_equal(text_at(get(site, third), "state"), "queued");
	open_gate(1);
	assert_string_equal(end_of(site, third), "done");
	assert_string_equal(text_at(get(site, second), "state"), "done");
	atl_identity_internal(&identity, owner.id, "Olga", ATL_ROLE_OWNER);
	atl_arena_init(&arena, 0);
	assert_int_equal(atl_job_submit(&site->app, &identity, &arena, &new, &job, &info), ATL_ERR_NOT_FOUND);
	assert_string_equal(info.field, "depends_on");
	new.depends_on = submit(site, &owner, "fail");
	assert_string_equal(end_of(site, new.depends_on), "failed");
	assert_int_equal(atl_job_submit(&site->app, &identity, &arena, &new, &job, &info), ATL_ERR_CONFLICT);
	atl_arena_finish(&arena);
	first = submit_more(site, &owner, "fail", (struct atl_job_new){ .not_before = atl_now_ms() + 3600000 });
	second = submit_more(site, &owner, "second", (struct atl_job_new){ .depends_on = first });
	third = submit_more(site, &owner, "third", (struct atl_job_new){ .depends_on = second });
	expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", first), "{\"not_before\":null}"), 200); /* now all three are there */
	assert_string_equal(end_of(site, third), "failed");
	assert_string_equal(text_at(get(site, third), "error_slug"), "dependency_failed");
	assert_non_null(strstr(text_at(get(site, third), "error_detail"), "The service fell over."));
}

static void test_not_before(void **state)
{
	struct site *site = *state;
	int64_t at = atl_now_ms() + 60000;
	const char *later = submit_more(site, &owner, "later", (struct atl_job_new){ .not_before = at });
	struct atl_req *req;

	assert_string_equal(end_of(site, submit(site, &owner, "now")), "done");
	assert_string_equal(text_at(get(site, later), "state"), "queued");
	req = expect(ask(site, &owner, fmt("PATCH /api/v1/jobs/%s", later), "{\"not_before\":null}"), 200);
	assert_true(is_null_at(req, "not_before"));
	assert_string_equal(end_of(site, later), "done");
}

static void test_pause(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *mine;
	struct atl_req *req;

	person_create(site, "Petra", ATL_ROLE_MEMBER, &other);
	req = expect(ask(site, &owner, "POST /api/v1/queue/pause", NULL), 200);
	assert_int_equal(int_at(req, "paused"), 1);
	mine = submit(site, &owner, "mine");
	expect_problem(ask(site, &other, "POST /api/v1/queue/all/pause", NULL), 403, "forbidden", NULL);
	ears_open(site, other.id);
	submit(site, &other, "theirs");
	ears_wait(site, "job.updated", "\"state\":\"done\"");
	ears_close(site);
	assert_string_equal(text_at(get(site, mine), "state"), "queued");
	site_restart(site); /* a pause outlives the server */
	req = expect(ask(site, &owner, "GET /api/v1/queue", NULL), 200);
	assert_int_equal(int_at(req, "paused"), 1);
	assert_int_equal(int_at(req, "queued"), 1);
	expect(ask(site, &owner, "POST /api/v1/queue/all/pause", NULL), 200);
	expect(ask(site, &owner, "POST /api/v1/queue/resume", NULL), 200);
	assert_string_equal(text_at(get(site, mine), "state"), "queued");
	expect(ask(site, &owner, "POST /api/v1/queue/all/resume", NULL), 200);
	assert_string_equal(end_of(site, mine), "done");
}

/* Who runs the server sees whose jobs wait, and cancels one; what it was to show stays its owner's. */
static void test_everybody(void **state)
{
	struct site *site = *state;
	struct person other;
	const char *theirs;
	struct atl_req *req;

	person_create(site, "Paula", ATL_ROLE_MEMBER, &other);
	expect(ask(site, &owner, "POST /api/v1/queue/all/pause", NULL), 200);
	theirs = submit(site, &other, "a secret garden");
	req = expect(ask(site, &owner, "GET /api/v1/queue/all/jobs", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.id"), theirs);
	assert_string_equal(text_at(req, "items.0.user_name"), "Paula");
	assert_true(is_null_at(req, "items.0.started_at"));
	assert_null(strstr(req->out.data, "secret"));
	expect_problem(ask(site, &other, "GET /api/v1/queue/all/jobs", NULL), 403, "forbidden", NULL);
	expect_problem(ask(site, &other, fmt("POST /api/v1/queue/all/jobs/%s/cancel", theirs), NULL), 403, "forbidden", NULL);
	expect(ask(site, &owner, fmt("POST /api/v1/queue/all/jobs/%s/cancel", theirs), NULL), 204);
	assert_string_equal(text_at(expect(ask(site, &other, fmt("GET /api/v1/jobs/%s", theirs), NULL), 200), "state"), "cancelled");
	expect_problem(ask(site, &owner, fmt("POST /api/v1/queue/all/jobs/%s/cancel", theirs), NULL), 404, "not_found", NULL);
	req = expect(ask(site, &owner, "GET /api/v1/audit?action=job.cancel", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	expect(ask(site, &owner, "POST /api/v1/queue/all/resume", NULL), 200);
}

static void test_retry(void **state)
{
	struct site *site = *state;
	const char *id = submit(site, &owner, "fail"), *again;
	struct atl_req *req;

	assert_string_equal(end_of(site, id), "failed");
	req = expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/retry", id), NULL), 202);
	again = text_at(req, "id");
	assert_string_not_equal(again, id);
	assert_int_equal(int_at(req, "request.steps"), 4);
	assert_string_equal(end_of(site, again), "failed");
	expect_problem(ask(site, &owner, "POST /api/v1/jobs/job_none/retry", NULL), 404, "not_found", NULL);
}

/* A server that stops gives back what runs; that start does not count. What may have been charged for is not repeated. */
static void test_stop(void **state)
{
	struct site *site = *state;
	const char *id = submit(site, &owner, "gate");
	struct atl_req *req;

	reach_gate(1);
	site_restart(site);
	reach_gate(1);
	req = get(site, id);
	assert_string_equal(text_at(req, "state"), "running");
	assert_int_equal(int_at(req, "attempt"), 1);
	open_gate(1);
	assert_string_equal(end_of(site, id), "done");
	atomic_store(&may_repeat, false);
	id = submit(site, &owner, "gate");
	reach_gate(1);
	site_restart(site);
	req = get(site, id);
	assert_string_equal(text_at(req, "state"), "failed");
	assert_string_equal(text_at(req, "error_slug"), "interrupted");
}

struct stale {
	const char *id, *state;
	int64_t attempt;
	const char *owner; /* NULL: gone, and its lease has run out */
};

static enum atl_err make_stale(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct stale *s = arg;

	return atl_exec(conn, info, "UPDATE jobs SET state = ?, attempt = ?, lease_owner = ?, lease_until = ? WHERE id = ?",
			"sisis", s->state, s->attempt, s->owner ? s->owner : "own_dead",
			s->owner ? atl_now_ms() + ATL_JOB_LEASE_MS : 1, s->id);
}

/* Rows as a killed server leaves them. */
static void test_recover(void **state)
{
	static const struct {
		const char *state;
		int64_t attempt;
		bool repeat;
		const char *end;
	} cases[] = {
		{ "leased", 0, false, "done" },	    { "running", 1, true, "done" },
		{ "running", 1, false, "failed" }, { "running", 2, true, "failed" },
	};
	struct site *site = *state;
	struct atl_errinfo info = { 0 };

	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		struct stale stale = { .state = cases[i].state, .attempt = cases[i].attempt };

		atomic_store(&may_repeat, cases[i].repeat);
		expect(ask(site, &owner, "POST /api/v1/queue/pause", NULL), 200);
		stale.id = submit(site, &owner, "stale");
		assert_ok(atl_db_tx(site->app.db, make_stale, &stale, &info), &info);
		expect(ask(site, &owner, "POST /api/v1/queue/resume", NULL), 200);
		site_restart(site);
		assert_string_equal(end_of(site, stale.id), cases[i].end);
		assert_int_equal(int_at(get(site, stale.id), "attempt"), cases[i].attempt + atl_str_eq(cases[i].end, "done"));
		if (atl_str_eq(cases[i].end, "failed"))
			assert_string_equal(text_at(get(site, stale.id), "error_slug"), "interrupted");
	}
}

/* One that waits, made to look as if `owner` ran it with a lease that has not run out. */
static const char *held_by(struct site *site, const char *owner_of_lease)
{
	struct stale stale = { .state = "running", .attempt = 1, .owner = owner_of_lease };
	struct atl_errinfo info = { 0 };

	expect(ask(site, &owner, "POST /api/v1/queue/pause", NULL), 200);
	stale.id = submit(site, &owner, "stale");
	assert_ok(atl_db_tx(site->app.db, make_stale, &stale, &info), &info);
	expect(ask(site, &owner, "POST /api/v1/queue/resume", NULL), 200);
	return stale.id;
}

/* A killed server takes back at once what it held itself, and leaves alone what another one holds. */
static void test_own_leases(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	const char *id, *theirs;
	struct atl_buf node;

	atl_buf_init(&node, 100);
	assert_ok(atl_file_read(fmt("%s/node", site->app.data_dir), 100, &node, &info), &info);
	assert_true(atl_id_valid(node.data, "nod"));
	id = held_by(site, fmt("%s:own_before", node.data));
	site_restart(site);
	assert_string_equal(end_of(site, id), "done");
	assert_int_equal(int_at(get(site, id), "attempt"), 2);
	atomic_store(&may_repeat, false);
	id = held_by(site, fmt("%s:own_before", node.data));
	site_restart(site);
	assert_string_equal(text_at(get(site, id), "state"), "failed"); /* written before the first request */
	assert_string_equal(text_at(get(site, id), "error_slug"), "interrupted");
	atl_buf_finish(&node);
	if (!atl_str_eq(atl_db_kind(site->app.db), "postgres"))
		return; /* SQLite has no other server */
	theirs = held_by(site, "nod_00000000000000000000000000:own_other");
	site_restart(site);
	assert_string_equal(text_at(get(site, theirs), "state"), "running");
	expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", theirs), NULL), 200);
}

/* Two servers on one database tell each other: nobody waits for the next look. */
static void test_two_servers(void **state)
{
	struct site *site = *state;
	struct atl_errinfo info = { 0 };
	const char *first, *other;
	struct atl_app second;

	if (!atl_str_eq(atl_db_kind(site->app.db), "postgres"))
		return; /* SQLite has no other server */
	atl_job_look_ms = 10 * 60 * 1000;
	site_restart(site);
	second = site->app;
	second.data_dir = site->upload_dir;
	assert_ok(atl_jobs_create(&second, kinds, &second.jobs, &info), &info);
	assert_ok(atl_jobs_start(second.jobs, &info), &info);
	first = submit(site, &owner, "gate");
	reach_gate(1);
	other = submit(site, &owner, "gate"); /* one at a time here: the other server runs it */
	reach_gate(2);
	expect(ask(site, &owner, fmt("POST /api/v1/jobs/%s/cancel", other), NULL), 200);
	reach_gate(1);
	other = submit(site, &owner, "gate");
	reach_gate(2);
	open_gate(2);
	assert_string_equal(end_of(site, first), "done");
	assert_string_equal(end_of(site, other), "done");
	atl_jobs_drain(second.jobs, WAIT_MS);
	atl_jobs_destroy(second.jobs);
	atl_job_look_ms = 1000;
}

static void test_others_see_nothing(void **state)
{
	struct site *site = *state;
	const char *id = submit(site, &owner, "noop");
	struct person other;

	person_create(site, "Quentin", ATL_ROLE_MEMBER, &other);
	assert_string_equal(end_of(site, id), "done");
	expect_problem(ask(site, &other, fmt("GET /api/v1/jobs/%s", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &other, fmt("POST /api/v1/jobs/%s/cancel", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &other, fmt("POST /api/v1/jobs/%s/retry", id), NULL), 404, "not_found", NULL);
	expect_problem(ask(site, &other, fmt("PATCH /api/v1/jobs/%s", id), "{\"priority\":1}"), 404, "not_found", NULL);
	assert_int_equal(count_at(expect(ask(site, &other, "GET /api/v1/jobs", NULL), 200), "items"), 0);
	expect_problem(ask(site, &other, "GET /api/v1/jobs?state=asleep", NULL), 400, "invalid_request", "state");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_done, fresh),
		cmocka_unit_test_setup(test_failed, fresh),
		cmocka_unit_test_setup(test_running, fresh),
		cmocka_unit_test_setup(test_cancel, fresh),
		cmocka_unit_test_setup(test_cancel_note, fresh),
		cmocka_unit_test_setup(test_order, fresh),
		cmocka_unit_test_setup(test_fair_turn, fresh),
		cmocka_unit_test_setup(test_depends, fresh),
		cmocka_unit_test_setup(test_not_before, fresh),
		cmocka_unit_test_setup(test_pause, fresh),
		cmocka_unit_test_setup(test_everybody, fresh), cmocka_unit_test_setup(test_retry, fresh),
		cmocka_unit_test_setup(test_stop, fresh),
		cmocka_unit_test_setup(test_recover, fresh),
		cmocka_unit_test_setup(test_own_leases, fresh),
		cmocka_unit_test_setup(test_two_servers, fresh),
		cmocka_unit_test_setup(test_others_see_nothing, fresh),
	};

	site_kinds = kinds;
	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
