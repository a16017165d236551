/* job_waiting.c - see job_waiting.h. */
#include "core/jobs/job_waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"

struct turn { /* a user */
	uint64_t served; /* number of the last take; 0: never */
	int64_t count;	 /* waiting jobs */
	char id[ATL_ID_SIZE];
};

struct lane;
struct entry {
	struct atl_waiting_job job; /* texts point into `words` */
	struct turn *turn;
	struct lane *lane;	/* NULL: in `later` */
	uint64_t put_at;	/* value of `begun` */
	struct atl_list later; /* in waiting->later */
	char words[];
};

struct lane {
	struct atl_list link;
	struct turn *turn;
	const char *kind, *provider_id; /* into `words` */
	struct entry **items;		/* from `first` to `end`, sorted */
	size_t first, end, capacity;
	char words[];
};

struct atl_waiting {
	struct atl_map jobs, turns, lanes, paused;
	struct atl_list lane_list, later;
	uint64_t served, begun;
	int64_t count;
};

/* ---- making and ending ---- */

static void free_value(const char *key, void *value, void *arg)
{
	free(value);
}

static void free_lane(const char *key, void *value, void *arg)
{
	struct lane *lane = value;

	free(lane->items);
	free(lane);
}

enum atl_err atl_waiting_create(struct atl_waiting **ret)
{
	struct atl_waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return ATL_ERR_NOMEM;
	atl_map_init(&w->jobs);
	atl_map_init(&w->turns);
	atl_map_init(&w->lanes);
	atl_map_init(&w->paused);
	atl_list_init(&w->lane_list);
	atl_list_init(&w->later);
	*ret = w;
	return ATL_OK;
}

void atl_waiting_destroy(struct atl_waiting *w)
{
	if (!w)
		return;
	atl_map_each(&w->jobs, free_value, NULL);
	atl_map_each(&w->lanes, free_lane, NULL);
	atl_map_each(&w->turns, free_value, NULL);
	atl_map_finish(&w->jobs);
	atl_map_finish(&w->turns);
	atl_map_finish(&w->lanes);
	atl_map_finish(&w->paused);
	free(w);
}

/* ---- lanes ---- */

/* Does `a` go before `b`, of one user? */
static bool before(const struct atl_waiting_job *a, const struct atl_waiting_job *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->place < b->place || b->place < a->place)
		return a->place < b->place;
	return strcmp(a->id, b->id) < 0;
}

/* How many of the lane go before `job`. */
static size_t rank(const struct lane *lane, const struct atl_waiting_job *job)
{
	size_t low = lane->first, high = lane->end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (before(&lane->items[mid]->job, job))
			low = mid + 1;
		else
			high = mid;
	}
	return low - lane->first;
}

static enum atl_err make_room(struct lane *lane)
{
	size_t count = lane->end - lane->first, capacity;
	struct entry **grown;

	if (lane->end < lane->capacity)
		return ATL_OK;
	if (lane->first > count) {
		memmove(lane->items, lane->items + lane->first, count * sizeof(*lane->items));
		lane->first = 0;
		lane->end = count;
		return ATL_OK;
	}
	capacity = lane->capacity ? lane->capacity * 2 : 16;
	grown = realloc(lane->items, capacity * sizeof(*grown));
	if (!grown)
		return ATL_ERR_NOMEM;
	lane->items = grown;
	lane->capacity = capacity;
	return ATL_OK;
}

static enum atl_err lane_of(struct atl_waiting *w, const struct entry *entry, struct lane **ret)
{
	const struct atl_waiting_job *job = &entry->job;
	char key[ATL_ID_SIZE + 100];
	size_t kind_size = strlen(job->kind) + 1, provider_size = strlen(job->provider_id) + 1;
	struct lane *lane;

	snprintf(key, sizeof(key), "%s %s %s", job->user_id, job->kind, job->provider_id);
	lane = atl_map_get(&w->lanes, key);
	if (!lane) {
		lane = calloc(1, sizeof(*lane) + kind_size + provider_size);
		if (!lane || atl_map_put(&w->lanes, key, lane, NULL) != ATL_OK) {
			free(lane);
			return ATL_ERR_NOMEM;
		}
		lane->turn = entry->turn;
		lane->kind = memcpy(lane->words, job->kind, kind_size);
		lane->provider_id = memcpy(lane->words + kind_size, job->provider_id, provider_size);
		atl_list_append(&w->lane_list, &lane->link);
	}
	*ret = lane;
	return ATL_OK;
}

static enum atl_err enter_lane(struct atl_waiting *w, struct entry *entry)
{
	struct lane *lane = NULL;
	enum atl_err err = lane_of(w, entry, &lane);
	size_t at;

	if (!err)
		err = make_room(lane);
	if (err)
		return err;
	at = lane->first + rank(lane, &entry->job);
	memmove(lane->items + at + 1, lane->items + at, (lane->end - at) * sizeof(*lane->items));
	lane->items[at] = entry;
	lane->end++;
	entry->lane = lane;
	return ATL_OK;
}

static void leave_lane(struct entry *entry)
{
	struct lane *lane = entry->lane;
	size_t at = lane->first + rank(lane, &entry->job);

	if (at == lane->first) {
		lane->first++;
	} else {
		memmove(lane->items + at, lane->items + at + 1, (lane->end - at - 1) * sizeof(*lane->items));
		lane->end--;
	}
	if (lane->first == lane->end)
		lane->first = lane->end = 0;
	entry->lane = NULL;
}

/* ---- putting and removing ---- */

static enum atl_err turn_of(struct atl_waiting *w, const char *user_id, struct turn **ret)
{
	struct turn *turn = atl_map_get(&w->turns, user_id);

	if (!turn) {
		turn = calloc(1, sizeof(*turn));
		if (!turn || atl_map_put(&w->turns, user_id, turn, NULL) != ATL_OK) {
			free(turn);
			return ATL_ERR_NOMEM;
		}
		atl_str_copy(turn->id, sizeof(turn->id), user_id);
	}
	*ret = turn;
	return ATL_OK;
}

static const char *keep(char **at, const char *text)
{
	size_t size = text ? strlen(text) + 1 : 0;
	char *kept = *at;

	if (!text)
		return NULL;
	memcpy(kept, text, size);
	*at += size;
	return kept;
}

static struct entry *copy_of(const struct atl_waiting_job *job)
{
	size_t size = strlen(job->id) + strlen(job->user_id) + strlen(job->kind) + strlen(job->provider_id) + 4 +
		      (job->depends_on ? strlen(job->depends_on) + 1 : 0);
	struct entry *entry = calloc(1, sizeof(*entry) + size);
	char *at;

	if (!entry)
		return NULL;
	at = entry->words;
	entry->job = *job;
	entry->job.id = keep(&at, job->id);
	entry->job.user_id = keep(&at, job->user_id);
	entry->job.kind = keep(&at, job->kind);
	entry->job.provider_id = keep(&at, job->provider_id);
	entry->job.depends_on = keep(&at, job->depends_on);
	atl_list_init(&entry->later);
	return entry;
}

static void drop(struct atl_waiting *w, struct entry *entry)
{
	if (entry->lane)
		leave_lane(entry);
	atl_list_remove(&entry->later);
	entry->turn->count--;
	w->count--;
	atl_map_remove(&w->jobs, entry->job.id);
	free(entry);
}

enum atl_err atl_waiting_put(struct atl_waiting *w, const struct atl_waiting_job *job)
{
	struct entry *entry = copy_of(job);
	enum atl_err err = entry ? turn_of(w, job->user_id, &entry->turn) : ATL_ERR_NOMEM;

	if (!err) {
		atl_waiting_remove(w, job->id);
		err = atl_map_put(&w->jobs, entry->job.id, entry, NULL);
	}
	if (err) {
		free(entry);
		return err;
	}
	entry->turn->count++;
	entry->put_at = w->begun;
	w->count++;
	if (job->not_before || job->depends_on)
		atl_list_append(&w->later, &entry->later);
	else
		err = enter_lane(w, entry);
	if (err)
		drop(w, entry);
	return err;
}

bool atl_waiting_remove(struct atl_waiting *w, const char *id)
{
	struct entry *entry = atl_map_get(&w->jobs, id);

	if (!entry)
		return false;
	drop(w, entry);
	return true;
}

uint64_t atl_waiting_begin(struct atl_waiting *w)
{
	return ++w->begun;
}

struct stale {
	struct atl_waiting *waiting;
	uint64_t begun;
};

static void drop_stale(const char *key, void *value, void *arg)
{
	const struct stale *stale = arg;
	struct entry *entry = value;

	if (entry->put_at < stale->begun)
		drop(stale->waiting, entry);
}

void atl_waiting_end(struct atl_waiting *w, uint64_t begun)
{
	struct stale stale = { w, begun };

	atl_map_each(&w->jobs, drop_stale, &stale);
}

bool atl_waiting_has(const struct atl_waiting *w, const char *id)
{
	return atl_map_get(&w->jobs, id) != NULL;
}

enum atl_err atl_waiting_pause(struct atl_waiting *w, const char *scope, bool paused)
{
	if (paused)
		return atl_map_put(&w->paused, scope, w, NULL);
	atl_map_remove(&w->paused, scope);
	return ATL_OK;
}

void atl_waiting_resume_all(struct atl_waiting *w)
{
	atl_map_finish(&w->paused);
	atl_map_init(&w->paused);
}

bool atl_waiting_paused(const struct atl_waiting *w, const char *scope)
{
	return atl_map_get(&w->paused, scope) != NULL;
}

void atl_waiting_release(struct atl_waiting *w, const char *id)
{
	struct atl_list *at, *next;

	for (at = w->later.next; at != &w->later; at = next) {
		struct entry *entry = ATL_LIST_ITEM(at, struct entry, later);

		next = at->next;
		if (!atl_str_eq(entry->job.depends_on, id))
			continue;
		entry->job.depends_on = NULL;
		if (entry->job.not_before)
			continue;
		atl_list_remove(at);
		if (enter_lane(w, entry) != ATL_OK)
			atl_list_append(&w->later, at);
	}
}

/* ---- taking ---- */

/* Those whose time has come move into their lanes. */
static void let_in(struct atl_waiting *w, int64_t now_ms)
{
	struct atl_list *at, *next;

	for (at = w->later.next; at != &w->later; at = next) {
		struct entry *entry = ATL_LIST_ITEM(at, struct entry, later);

		next = at->next;
		if (entry->job.depends_on || entry->job.not_before > now_ms)
			continue;
		entry->job.not_before = 0;
		atl_list_remove(at);
		if (enter_lane(w, entry) != ATL_OK)
			atl_list_append(&w->later, at);
	}
}

/* Does the first of lane `a` go before that of `b`? */
static bool sooner(const struct lane *a, const struct lane *b)
{
	const struct atl_waiting_job *x = &a->items[a->first]->job, *y = &b->items[b->first]->job;

	if (x->priority != y->priority)
		return x->priority > y->priority;
	if (a->turn->served != b->turn->served)
		return a->turn->served < b->turn->served;
	return before(x, y);
}

bool atl_waiting_take(struct atl_waiting *w, int64_t now_ms, atl_waiting_room room, void *arg,
		      struct atl_waiting_taken *ret)
{
	struct lane *best = NULL;
	struct entry *entry;

	if (atl_waiting_paused(w, "*"))
		return false;
	let_in(w, now_ms);
	for (struct atl_list *at = w->lane_list.next; at != &w->lane_list; at = at->next) {
		struct lane *lane = ATL_LIST_ITEM(at, struct lane, link);

		if (lane->first == lane->end || (best && !sooner(lane, best)) || atl_waiting_paused(w, lane->turn->id) ||
		    !room(arg, lane->kind, lane->provider_id))
			continue;
		best = lane;
	}
	if (!best)
		return false;
	entry = best->items[best->first];
	entry->turn->served = ++w->served;
	atl_str_copy(ret->id, sizeof(ret->id), entry->job.id);
	atl_str_copy(ret->user_id, sizeof(ret->user_id), entry->job.user_id);
	atl_str_copy(ret->kind, sizeof(ret->kind), entry->job.kind);
	atl_str_copy(ret->provider_id, sizeof(ret->provider_id), entry->job.provider_id);
	drop(w, entry);
	return true;
}

int64_t atl_waiting_next_ms(const struct atl_waiting *w)
{
	int64_t next = 0;

	for (const struct atl_list *at = w->later.next; at != &w->later; at = at->next) {
		const struct entry *entry = ATL_LIST_ITEM(at, struct entry, later);

		if (!entry->job.depends_on && (!next || entry->job.not_before < next))
			next = entry->job.not_before;
	}
	return next;
}

/* ---- positions ---- */

/* Jobs of the lane with a higher priority than `job`, and those with the same. */
static void count_lane(const struct lane *lane, const struct atl_waiting_job *job, int64_t *ret_above, int64_t *ret_same)
{
	struct atl_waiting_job first = *job, last = *job;
	size_t above, through;

	first.place = -1e300;
	first.id = "";
	last.priority--;
	last.place = -1e300;
	last.id = "";
	above = rank(lane, &first);
	through = rank(lane, &last);
	*ret_above = (int64_t)above;
	*ret_same = (int64_t)(through - above);
}

struct atl_waiting_place atl_waiting_position(const struct atl_waiting *w, const char *id)
{
	const struct entry *entry = atl_map_get(&w->jobs, id);
	struct atl_waiting_place place = { 1, 0 };
	int64_t own_same = 0;

	if (!entry)
		return (struct atl_waiting_place){ 0, 0 };
	for (int others = 0; others < 2; others++)
		for (const struct atl_list *at = w->lane_list.next; at != &w->lane_list; at = at->next) {
			const struct lane *lane = ATL_LIST_ITEM(at, struct lane, link);
			int64_t above = 0, same = 0, ahead;

			if (lane->first == lane->end || (lane->turn != entry->turn) != (others == 1))
				continue;
			count_lane(lane, &entry->job, &above, &same);
			if (!others) {
				ahead = (int64_t)rank(lane, &entry->job);
				own_same += ahead - above;
			} else {
				/* each of the others gets a turn for each of ours */
				int64_t turns = own_same + (lane->turn->served <= entry->turn->served ? 1 : 0);

				ahead = above + (same < turns ? same : turns);
			}
			place.position += ahead;
			if (strcmp(lane->kind, entry->job.kind) == 0 &&
			    strcmp(lane->provider_id, entry->job.provider_id) == 0)
				place.ahead_provider += ahead;
		}
	return place;
}

int64_t atl_waiting_count(const struct atl_waiting *w, const char *user_id)
{
	const struct turn *turn = user_id ? atl_map_get(&w->turns, user_id) : NULL;

	if (!user_id)
		return w->count;
	return turn ? turn->count : 0;
}
