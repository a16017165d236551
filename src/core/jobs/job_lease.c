/* job_lease.c - leasing, renewing, recovering and giving back: the queue's own SQL. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/jobs/job_int.h"
#include "core/people/role.h"

#define MODULE "jobs"
#define LOAD_ARENA_MAX ((size_t)1 << 30)
#define RECOVER_MAX 1000 /* at a time */
_Static_assert(ATL_ID_SIZE == 31, "expired_fn cuts the node out of an owner");

/* ---- what waits ---- */

struct load {
	struct atl_arena *arena;
	struct row {
		struct atl_waiting_job job;
		struct row *next;
	} *rows, **last;
	struct scope {
		const char *scope;
		struct scope *next;
	} *scopes;
};

static enum atl_err load_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct load *l = arg;
	struct atl_rows *rows;
	enum atl_err err;

	l->rows = NULL;
	l->last = &l->rows;
	l->scopes = NULL;
	err = atl_query(conn, &rows, info,
			"SELECT j.id, j.user_id, j.kind, j.provider_id, j.priority, j.not_before, j.place, d.id FROM jobs j "
			"LEFT JOIN jobs d ON d.id = j.depends_on AND d.state IN ('queued', 'leased', 'running') "
			"WHERE j.state = 'queued' ORDER BY j.id",
			"");
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct row *row = ATL_ARENA_NEW(l->arena, struct row);

		if (!row) {
			atl_rows_close(rows);
			return atl_fail(info, ATL_ERR_NOMEM, "read the queue");
		}
		row->job = (struct atl_waiting_job){ .id = atl_col_text(rows, 0, l->arena),
						     .user_id = atl_col_text(rows, 1, l->arena),
						     .kind = atl_col_text(rows, 2, l->arena),
						     .provider_id = atl_col_text(rows, 3, l->arena),
						     .priority = atl_col_int(rows, 4),
						     .not_before = atl_col_int(rows, 5),
						     .place = atl_col_num(rows, 6),
						     .depends_on = atl_col_text(rows, 7, l->arena) };
		*l->last = row;
		l->last = &row->next;
	}
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT scope FROM queue_pauses", "");
	while (!err && atl_rows_next(rows, &err, info)) {
		struct scope *scope = ATL_ARENA_NEW(l->arena, struct scope);

		if (scope) {
			scope->scope = atl_col_text(rows, 0, l->arena);
			scope->next = l->scopes;
			l->scopes = scope;
		}
	}
	return err;
}

enum atl_err atl_jobs_load(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct load l = { .arena = &arena };
	uint64_t begun;
	enum atl_err err;

	atl_arena_init(&arena, LOAD_ARENA_MAX);
	pthread_mutex_lock(&jobs->lock);
	begun = atl_waiting_begin(jobs->waiting);
	pthread_mutex_unlock(&jobs->lock);
	err = atl_db_read(jobs->app->db, load_fn, &l, info);
	for (struct row *row = l.rows; !err && row; row = row->next) /* reads the provider: not under the lock */
		if (atl_jobs_kind(jobs, row->job.kind))
			atl_jobs_slot_make(jobs, row->job.kind, row->job.provider_id);
	pthread_mutex_lock(&jobs->lock);
	for (struct row *row = l.rows; !err && row; row = row->next)
		if (atl_jobs_kind(jobs, row->job.kind) && !atl_jobs_running(jobs, row->job.id))
			err = atl_waiting_put(jobs->waiting, &row->job);
	if (!err) {
		atl_waiting_end(jobs->waiting, begun);
		atl_waiting_resume_all(jobs->waiting);
		for (struct scope *scope = l.scopes; !err && scope; scope = scope->next)
			err = atl_waiting_pause(jobs->waiting, scope->scope, true);
	}
	pthread_mutex_unlock(&jobs->lock);
	atl_arena_finish(&arena);
	return err;
}

/* ---- leasing ---- */

struct lease {
	struct atl_jobs *jobs;
	struct atl_lease_item *items;
	size_t count;
};

static enum atl_err look_at_dependency(struct atl_conn *conn, struct atl_lease_item *item, struct atl_errinfo *info)
{
	struct atl_arena *arena = &item->running->arena;
	struct atl_rows *rows;
	const char *state;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT state FROM jobs WHERE id = ?", "s",
				     item->running->job.depends_on);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info)) {
		item->outcome = ATL_LEASE_HOPELESS;
		item->why = "The job it waited for is gone.";
		return err;
	}
	state = atl_col_text(rows, 0, arena);
	atl_rows_close(rows);
	if (atl_str_eq(state, "done"))
		return ATL_OK;
	item->outcome = ATL_LEASE_LATER;
	if (atl_str_eq(state, "failed") || atl_str_eq(state, "cancelled")) {
		item->outcome = ATL_LEASE_HOPELESS;
		item->why = "The job it waited for did not succeed.";
	}
	return ATL_OK;
}

static enum atl_err look_at_owner(struct atl_conn *conn, struct atl_lease_item *item, struct atl_errinfo *info)
{
	struct atl_running *running = item->running;
	const char *name, *role_text;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT name, role, disabled_at, disabled_until FROM users WHERE id = ?", "s",
				     running->job.user_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err;
	if (!atl_col_null(rows, 2) && (atl_col_null(rows, 3) || atl_col_int(rows, 3) > atl_now_ms())) {
		item->outcome = ATL_LEASE_HOPELESS;
		item->why = "The account was disabled.";
	}
	name = atl_col_text(rows, 0, &running->arena);
	role_text = atl_col_text(rows, 1, &running->arena);
	atl_rows_close(rows);
	atl_identity_internal(&running->identity, running->job.user_id, name, ATL_ROLE_GUEST);
	return atl_role_give(conn, atl_auth_rights(running->jobs->app->auth), role_text, &running->identity, info);
}

/* With several servers only one gets a row; the others do not wait for it. */
static enum atl_err lock_row(struct atl_conn *conn, const char *id, bool *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     atl_db_pick(conn, "SELECT 1 FROM jobs WHERE id = ? AND state = 'queued'",
						 "SELECT 1 FROM jobs WHERE id = ? AND state = 'queued' FOR UPDATE SKIP LOCKED"),
				     "s", id);

	if (err)
		return err;
	*ret = atl_rows_next(rows, &err, info);
	if (*ret)
		atl_rows_close(rows);
	return err;
}

static enum atl_err lease_one(struct atl_conn *conn, struct lease *l, struct atl_lease_item *item,
			      struct atl_errinfo *info)
{
	struct atl_running *running = item->running;
	struct atl_job_extra extra;
	enum atl_job_state state;
	int64_t now = atl_now_ms();
	bool mine;
	enum atl_err err;

	item->outcome = ATL_LEASE_GONE;
	atl_arena_reset(&running->arena);
	err = lock_row(conn, item->taken.id, &mine, info);
	if (err || !mine)
		return err;
	err = atl_job_row_get(conn, &running->arena, NULL, item->taken.id, &running->job, &extra, info);
	if (!err)
		item->place = extra.place;
	if (!err && atl_job_next_state(ATL_JOB_QUEUED, ATL_JOB_LEASE, &state) != ATL_OK)
		err = ATL_ERR_INTERNAL;
	item->outcome = ATL_LEASE_HELD;
	if (!err && running->job.not_before > now)
		item->outcome = ATL_LEASE_LATER;
	if (!err && running->job.depends_on)
		err = look_at_dependency(conn, item, info);
	if (!err && item->outcome == ATL_LEASE_HELD)
		err = look_at_owner(conn, item, info);
	if (err || item->outcome != ATL_LEASE_HELD)
		return err;
	running->job.state = atl_job_state_name(state);
	running->job.version++;
	return atl_exec(conn, info,
			"UPDATE jobs SET state = ?, lease_owner = ?, lease_until = ?, version = version + 1 WHERE id = ?",
			"ssis", running->job.state, l->jobs->owner, now + ATL_JOB_LEASE_MS, item->taken.id);
}

static enum atl_err lease_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lease *l = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; !err && i < l->count; i++)
		err = lease_one(conn, l, &l->items[i], info);
	return err;
}

enum atl_err atl_jobs_lease(struct atl_jobs *jobs, struct atl_lease_item *items, size_t count, struct atl_errinfo *info)
{
	struct lease l = { jobs, items, count };

	return atl_db_tx(jobs->app->db, lease_fn, &l, info);
}

static enum atl_err renew_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_jobs *jobs = arg;

	return atl_exec(conn, info,
			"UPDATE jobs SET lease_until = ? WHERE state IN ('leased', 'running') AND lease_owner = ?", "is",
			atl_now_ms() + ATL_JOB_LEASE_MS, jobs->owner);
}

enum atl_err atl_jobs_renew(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	return atl_db_tx(jobs->app->db, renew_fn, jobs, info);
}

/* ---- recovering ---- */

struct requeue {
	const char *id, *owner;
	bool forgive;
	struct atl_arena *arena;
	struct atl_job job;
	struct atl_job_extra extra;
};

static enum atl_err requeue_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct requeue *r = arg;
	int64_t now = atl_now_ms(), changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, "
					  "started_at = NULL, attempt = attempt - CASE WHEN state = 'running' AND ? = 1 THEN 1 "
					  "ELSE 0 END, version = version + 1, updated_at = ? "
					  "WHERE id = ? AND lease_owner = ? AND state IN ('leased', 'running')",
					  "iiss", (int64_t)r->forgive, now, r->id, r->owner);

	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The job is not held any more.");
	return err ? err : atl_job_row_get(conn, r->arena, NULL, r->id, &r->job, &r->extra, info);
}

enum atl_err atl_jobs_requeue(struct atl_jobs *jobs, const char *id, const char *owner, bool forgive,
			      struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct requeue r = { .id = id, .owner = owner, .forgive = forgive, .arena = &arena };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_db_tx(jobs->app->db, requeue_fn, &r, info);
	if (!err) {
		pthread_mutex_lock(&jobs->lock);
		jobs->requeued++;
		pthread_mutex_unlock(&jobs->lock);
		atl_jobs_put(jobs, &r.job, r.extra.place);
		atl_job_publish(jobs, &r.job);
	}
	atl_arena_finish(&arena);
	return err;
}

struct expired {
	struct atl_arena *arena;
	const char *owner, *node; /* node "": nobody's */
	int64_t before;
	struct atl_strs ids;
};

static enum atl_err expired_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct expired *e = arg;
	struct atl_rows *rows;
	enum atl_err err;

	e->ids = (struct atl_strs){ ATL_ARENA_ARRAY(e->arena, const char *, RECOVER_MAX), 0 };
	if (!e->ids.items)
		return atl_fail(info, ATL_ERR_NOMEM, "recover jobs");
	err = atl_query(conn, &rows, info,
			"SELECT id FROM jobs WHERE state IN ('leased', 'running') AND lease_owner <> ? "
			"AND (lease_until < ? OR substr(lease_owner, 1, 30) = ?) ORDER BY id LIMIT 1000",
			"sis", e->owner, e->before, e->node);
	while (!err && atl_rows_next(rows, &err, info))
		if (e->ids.count < RECOVER_MAX)
			e->ids.items[e->ids.count++] = atl_col_text(rows, 0, e->arena);
	return err;
}

struct read_one {
	struct atl_arena *arena;
	const char *id;
	struct atl_job job;
	struct atl_job_extra extra;
};

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct read_one *r = arg;

	return atl_job_row_get(conn, r->arena, NULL, r->id, &r->job, &r->extra, info);
}

/* One whose runner died: again if that costs nothing and it is the first time, else it has failed. */
static enum atl_err recover_one(struct atl_jobs *jobs, struct atl_arena *arena, const char *id, struct atl_errinfo *info)
{
	struct read_one r = { .arena = arena, .id = id };
	const struct atl_job_kind *kind;
	struct atl_job_end end;
	enum atl_err err = atl_db_read(jobs->app->db, read_fn, &r, info);

	if (err || !r.extra.lease_owner || atl_str_eq(r.extra.lease_owner, jobs->owner))
		return err;
	kind = atl_jobs_kind(jobs, r.job.kind);
	if (atl_str_eq(r.job.state, "leased") ||
	    (kind && r.job.attempt < ATL_JOB_ATTEMPTS_MAX && kind->repeatable(jobs->app, &r.job)))
		return atl_jobs_requeue(jobs, id, r.extra.lease_owner, false, info);
	end = (struct atl_job_end){ .arena = arena, .id = id, .owner = r.extra.lease_owner, .event = ATL_JOB_FAIL,
				    .error_slug = atl_err_slug(ATL_ERR_INTERRUPTED), .cost_micro_usd = -1 };
	end.error_detail = r.job.attempt >= ATL_JOB_ATTEMPTS_MAX ?
				   "The server stopped twice while this job ran; it is not tried a third time." :
				   "The server stopped while this job ran. It was not run again, because the service may "
				   "have charged for it already.";
	err = atl_db_tx(jobs->app->db, atl_job_end_fn, &end, info);
	if (!err)
		atl_job_end_tell(jobs, &end);
	return err;
}

enum atl_err atl_jobs_recover(struct atl_jobs *jobs, enum atl_recover what, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct expired e = { .arena = &arena, .owner = jobs->owner, .node = what == ATL_RECOVER_EXPIRED ? "" : jobs->node,
			     .before = what == ATL_RECOVER_ALL ? INT64_MAX : atl_now_ms() };
	size_t count;
	enum atl_err err;

	atl_arena_init(&arena, LOAD_ARENA_MAX);
	do {
		atl_arena_reset(&arena);
		err = atl_db_read(jobs->app->db, expired_fn, &e, info);
		count = e.ids.count;
		for (size_t i = 0; !err && i < count; i++) {
			err = recover_one(jobs, &arena, e.ids.items[i], info);
			if (err == ATL_ERR_CONFLICT || err == ATL_ERR_NOT_FOUND) /* somebody else did */
				err = ATL_OK;
		}
		if (!err && count)
			atl_info(MODULE, "%zu jobs of a server that is gone were taken over", count);
	} while (!err && count == RECOVER_MAX);
	atl_arena_finish(&arena);
	return err;
}

/* ---- a shared queue ---- */

static enum atl_err held_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct expired *e = arg;
	struct atl_rows *rows;
	enum atl_err err;

	e->ids = (struct atl_strs){ ATL_ARENA_ARRAY(e->arena, const char *, RECOVER_MAX), 0 };
	if (!e->ids.items)
		return atl_fail(info, ATL_ERR_NOMEM, "look at what runs");
	err = atl_query(conn, &rows, info, "SELECT id FROM jobs WHERE state IN ('leased', 'running') AND lease_owner = ?", "s",
			e->owner);
	while (!err && atl_rows_next(rows, &err, info))
		if (e->ids.count < RECOVER_MAX)
			e->ids.items[e->ids.count++] = atl_col_text(rows, 0, e->arena);
	return err;
}

enum atl_err atl_jobs_check_held(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	struct atl_list *lists[] = { &jobs->ready, &jobs->running };
	uint64_t newest;
	struct atl_arena arena;
	struct expired e = { .arena = &arena, .owner = jobs->owner };
	enum atl_err err;

	pthread_mutex_lock(&jobs->lock); /* only what was leased before the rows are read */
	newest = jobs->leases;
	pthread_mutex_unlock(&jobs->lock);
	atl_arena_init(&arena, 0);
	err = atl_db_read(jobs->app->db, held_fn, &e, info);
	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; !err && i < ATL_COUNT(lists); i++)
		for (struct atl_list *at = lists[i]->next; at != lists[i]; at = at->next) {
			struct atl_running *running = ATL_LIST_ITEM(at, struct atl_running, link);
			bool held = running->number > newest;

			for (size_t j = 0; j < e.ids.count; j++)
				held = held || atl_str_eq(e.ids.items[j], running->job.id);
			if (!held) {
				running->lost = true;
				atomic_store(&running->cancelled, true);
			}
		}
	pthread_mutex_unlock(&jobs->lock);
	atl_arena_finish(&arena);
	return err;
}
