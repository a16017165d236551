/* events.c - rings, fan-out and subscriptions. One lock guards rings and queues; subscribers belong to their loop. */
#include "core/server/events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

#define MODULE "events"
#define ID_PER_MS 1024 /* numbers begin at milliseconds times this: later than any number of an earlier start */
#define REVOKED "session.revoked"

struct event {
	uint64_t id;
	struct atl_bytes *frames[ATL_EVENTS_WIRE_COUNT]; /* NULL: not encoded yet; guarded by the hub's lock */
	const char *json;
	size_t length;
	char name[]; /* and then the JSON text */
};

struct user {
	char id[ATL_ID_SIZE];
	/* guarded by the hub's lock */
	struct event **ring; /* ring_count slots */
	size_t first, count, bytes;
	uint64_t last_id;
	unsigned listeners[ATL_EVENTS_WIRE_COUNT];
	struct lane_user *lanes; /* one per loop */
};

/* A user's subscribers on one loop. */
struct lane_user {
	struct atl_list subs; /* loop thread only */
	unsigned count;	      /* guarded by the hub's lock */
};

enum delivery_kind { DELIVER_EVENT, DELIVER_END_SESSION, DELIVER_END_USER, DELIVER_END_ALL, DELIVER_RESTART };

struct delivery {
	struct delivery *next;
	enum delivery_kind kind;
	struct user *user;
	uint64_t id;
	struct atl_bytes *frames[ATL_EVENTS_WIRE_COUNT];
	char session_id[ATL_ID_SIZE];
};

struct lane {
	struct atl_events *events;
	struct atl_loop *loop;
	/* guarded by the hub's lock */
	struct delivery *first, **last;
	bool posted;
	/* loop thread only */
	struct atl_list subs;
	struct atl_list *cursor; /* next one to be visited, moved on when that one goes */
	struct atl_event_sub *current; /* being told its end; NULL once it has unsubscribed */
};

struct atl_event_sub {
	struct atl_list in_user, in_lane;
	struct atl_events *events;
	struct lane *lane;
	struct user *user;
	enum atl_events_wire wire;
	uint64_t after_id; /* already delivered */
	const struct atl_event_sub_ops *ops;
	void *arg;
	bool ended;		/* on_end was called */
	bool replaying, closed; /* unsubscribed while subscribe was still replaying */
	char session_id[ATL_ID_SIZE];
};

struct atl_events {
	struct atl_events_options options;
	struct lane *lanes;
	pthread_mutex_t lock;
	/* guarded by lock */
	struct atl_map users;
	bool closed;
	uint64_t published, subscribers;
	_Atomic uint64_t delivered;
};

enum atl_err atl_events_create(const struct atl_events_options *options, struct atl_events **ret,
			       struct atl_errinfo *info)
{
	struct atl_events *events = calloc(1, sizeof(*events));

	if (!events)
		return atl_fail(info, ATL_ERR_NOMEM, "create event hub");
	events->options = *options;
	if (!events->options.ring_count)
		events->options.ring_count = ATL_EVENTS_RING_COUNT;
	if (!events->options.ring_bytes)
		events->options.ring_bytes = ATL_EVENTS_RING_BYTES;
	events->lanes = calloc(options->loop_count, sizeof(*events->lanes));
	if (!events->lanes) {
		free(events);
		return atl_fail(info, ATL_ERR_NOMEM, "create event hub");
	}
	for (size_t i = 0; i < options->loop_count; i++) {
		events->lanes[i].events = events;
		events->lanes[i].loop = options->loops[i];
		events->lanes[i].last = &events->lanes[i].first;
		atl_list_init(&events->lanes[i].subs);
	}
	pthread_mutex_init(&events->lock, NULL);
	atl_map_init(&events->users);
	*ret = events;
	return ATL_OK;
}

static void free_event(struct event *event)
{
	for (int i = 0; i < ATL_EVENTS_WIRE_COUNT; i++)
		atl_bytes_unref(event->frames[i]);
	free(event);
}

static void free_delivery(struct delivery *delivery)
{
	for (int i = 0; i < ATL_EVENTS_WIRE_COUNT; i++)
		atl_bytes_unref(delivery->frames[i]);
	free(delivery);
}

static void ring_drop_first(struct atl_events *events, struct user *user)
{
	struct event *event = user->ring[user->first];

	user->first = (user->first + 1) % events->options.ring_count;
	user->count--;
	user->bytes -= event->length;
	free_event(event);
}

static void free_user(const char *key, void *value, void *arg)
{
	struct atl_events *events = arg;
	struct user *user = value;

	while (user->count > 0)
		ring_drop_first(events, user);
	free(user->ring);
	free(user->lanes);
	free(user);
}

void atl_events_destroy(struct atl_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->options.loop_count; i++) {
		while (events->lanes[i].first) {
			struct delivery *delivery = events->lanes[i].first;

			events->lanes[i].first = delivery->next;
			free_delivery(delivery);
		}
	}
	atl_map_each(&events->users, free_user, events);
	atl_map_finish(&events->users);
	pthread_mutex_destroy(&events->lock);
	free(events->lanes);
	free(events);
}

/* With the lock. */
static struct user *user_of(struct atl_events *events, const char *user_id, bool make)
{
	struct user *user = atl_map_get(&events->users, user_id);

	if (user || !make)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->ring = calloc(events->options.ring_count, sizeof(struct event *));
	user->lanes = calloc(events->options.loop_count, sizeof(*user->lanes));
	if (!user->ring || !user->lanes || atl_map_put(&events->users, user_id, user, NULL) != ATL_OK) {
		free(user->ring);
		free(user->lanes);
		free(user);
		return NULL;
	}
	atl_str_copy(user->id, sizeof(user->id), user_id);
	user->last_id = (uint64_t)atl_now_ms() * ID_PER_MS;
	for (size_t i = 0; i < events->options.loop_count; i++)
		atl_list_init(&user->lanes[i].subs);
	return user;
}

/* ---- delivering, on the loop ---- */

static void sub_frame(struct atl_event_sub *sub, struct atl_bytes *frame)
{
	atomic_fetch_add_explicit(&sub->events->delivered, 1, memory_order_relaxed);
	sub->ops->on_frame(sub->arg, frame);
}

static void deliver_event(struct lane *lane, struct delivery *delivery)
{
	struct atl_list *head = &delivery->user->lanes[lane - lane->events->lanes].subs;

	for (struct atl_list *item = head->next; item != head; item = lane->cursor) {
		struct atl_event_sub *sub = ATL_LIST_ITEM(item, struct atl_event_sub, in_user);

		lane->cursor = item->next;
		if (sub->ended || delivery->id <= sub->after_id || !delivery->frames[sub->wire])
			continue;
		sub->after_id = delivery->id;
		sub_frame(sub, delivery->frames[sub->wire]);
	}
	lane->cursor = NULL;
}

static void deliver_end(struct lane *lane, struct delivery *delivery)
{
	bool one = delivery->kind == DELIVER_END_SESSION;
	struct atl_list *head = &lane->subs;

	for (struct atl_list *item = head->next; item != head; item = lane->cursor) {
		struct atl_event_sub *sub = ATL_LIST_ITEM(item, struct atl_event_sub, in_lane);

		lane->cursor = item->next;
		if (sub->ended || (delivery->user && sub->user != delivery->user) ||
		    (one && !atl_str_eq(sub->session_id, delivery->session_id)))
			continue;
		sub->ended = true;
		lane->current = sub;
		if (delivery->frames[sub->wire])
			sub_frame(sub, delivery->frames[sub->wire]);
		if (lane->current)
			sub->ops->on_end(sub->arg);
	}
	lane->cursor = NULL;
	lane->current = NULL;
}

static void lane_run(void *arg)
{
	struct lane *lane = arg;
	struct delivery *delivery;

	pthread_mutex_lock(&lane->events->lock);
	delivery = lane->first;
	lane->first = NULL;
	lane->last = &lane->first;
	lane->posted = false;
	pthread_mutex_unlock(&lane->events->lock);
	while (delivery) {
		struct delivery *next = delivery->next;

		if (delivery->kind == DELIVER_EVENT)
			deliver_event(lane, delivery);
		else
			deliver_end(lane, delivery);
		free_delivery(delivery);
		delivery = next;
	}
}

/* With the lock. */
static void lane_add(struct lane *lane, struct delivery *delivery)
{
	*lane->last = delivery;
	lane->last = &delivery->next;
	if (!lane->posted)
		lane->posted = atl_loop_post(lane->loop, lane_run, lane);
}

/* ---- publishing ---- */

static struct event *event_new(const char *name, const char *json, size_t length)
{
	size_t name_size = strlen(name) + 1;
	struct event *event = calloc(1, sizeof(*event) + name_size + length + 1);

	if (!event)
		return NULL;
	memcpy(event->name, name, name_size);
	memcpy(event->name + name_size, json, length);
	event->json = event->name + name_size;
	event->length = length;
	return event;
}

static struct atl_bytes *event_frame(struct atl_events *events, struct event *event, int wire)
{
	if (!event->frames[wire])
		event->frames[wire] = events->options.encode[wire](event->id, event->name, event->json, event->length);
	return event->frames[wire];
}

/* What cannot be kept in order must not be missed silently: who comes back gets `reset`. With the lock. */
static void lose(struct atl_events *events, struct user *user)
{
	atl_error(MODULE, "an event of %s was lost: out of memory", user->id);
	while (user->count > 0)
		ring_drop_first(events, user);
}

/* With the lock. */
static void publish(struct atl_events *events, struct user *user, const char *name, const char *json, size_t length)
{
	struct event *event = event_new(name, json, length);

	user->last_id++;
	events->published++;
	if (!event) {
		lose(events, user);
		return;
	}
	event->id = user->last_id;
	for (int wire = 0; wire < ATL_EVENTS_WIRE_COUNT; wire++) {
		if (user->listeners[wire] > 0 && !event_frame(events, event, wire)) {
			free_event(event);
			lose(events, user);
			return;
		}
	}
	for (size_t i = 0; i < events->options.loop_count; i++) {
		struct delivery *delivery;

		if (user->lanes[i].count == 0)
			continue;
		delivery = calloc(1, sizeof(*delivery));
		if (!delivery) {
			atl_error(MODULE, "an event of %s was not delivered: out of memory", user->id);
			continue;
		}
		delivery->user = user;
		delivery->id = event->id;
		for (int wire = 0; wire < ATL_EVENTS_WIRE_COUNT; wire++)
			if (event->frames[wire])
				delivery->frames[wire] = atl_bytes_ref(event->frames[wire]);
		lane_add(&events->lanes[i], delivery);
	}
	while (user->count > 0 && (user->count == events->options.ring_count ||
				   user->bytes + length > events->options.ring_bytes))
		ring_drop_first(events, user);
	user->ring[(user->first + user->count++) % events->options.ring_count] = event;
	user->bytes += length;
}

void atl_events_publish(struct atl_events *events, const char *user_id, const char *event, const char *json,
			size_t length)
{
	struct user *user;

	pthread_mutex_lock(&events->lock);
	user = events->closed ? NULL : user_of(events, user_id, false);
	if (user) /* nobody has listened since the start otherwise: whoever comes begins with `reset` or with now */
		publish(events, user, event, json, length);
	pthread_mutex_unlock(&events->lock);
}

bool atl_events_wanted(struct atl_events *events, const char *user_id)
{
	bool wanted;

	pthread_mutex_lock(&events->lock);
	wanted = !events->closed && user_of(events, user_id, false);
	pthread_mutex_unlock(&events->lock);
	return wanted;
}

uint64_t atl_events_mark(struct atl_events *events, const char *user_id)
{
	struct user *user;
	uint64_t last_id;

	pthread_mutex_lock(&events->lock);
	user = events->closed ? NULL : user_of(events, user_id, true);
	last_id = user ? user->last_id : 0;
	pthread_mutex_unlock(&events->lock);
	return last_id;
}

struct publish_all {
	struct atl_events *events;
	const char *event, *json;
	size_t length;
};

static void publish_one(const char *key, void *value, void *arg)
{
	struct publish_all *all = arg;

	publish(all->events, value, all->event, all->json, all->length);
}

void atl_events_publish_all(struct atl_events *events, const char *event, const char *json, size_t length)
{
	struct publish_all all = { events, event, json, length };

	pthread_mutex_lock(&events->lock);
	if (!events->closed)
		atl_map_each(&events->users, publish_one, &all);
	pthread_mutex_unlock(&events->lock);
}

/* ---- subscribing ---- */

struct backlog {
	struct atl_bytes **frames;
	size_t count;
	uint64_t last_id;
	bool reset;
};

/* With the lock: references to what was missed. */
static enum atl_err collect_backlog(struct atl_events *events, struct user *user, enum atl_events_wire wire,
				    uint64_t last_event_id, struct backlog *backlog)
{
	uint64_t oldest = user->last_id + 1 - user->count;

	backlog->last_id = user->last_id;
	if (last_event_id == 0 || last_event_id == user->last_id)
		return ATL_OK;
	if (last_event_id > user->last_id || last_event_id + 1 < oldest) {
		backlog->reset = true;
		return ATL_OK;
	}
	backlog->frames = calloc((size_t)(user->last_id - last_event_id), sizeof(struct atl_bytes *));
	if (!backlog->frames)
		return ATL_ERR_NOMEM;
	for (size_t i = (size_t)(last_event_id + 1 - oldest); i < user->count; i++) {
		struct event *event = user->ring[(user->first + i) % events->options.ring_count];
		struct atl_bytes *frame = event_frame(events, event, wire);

		if (!frame)
			return ATL_ERR_NOMEM;
		backlog->frames[backlog->count++] = atl_bytes_ref(frame);
	}
	return ATL_OK;
}

static void free_backlog(struct backlog *backlog)
{
	for (size_t i = 0; i < backlog->count; i++)
		atl_bytes_unref(backlog->frames[i]);
	free(backlog->frames);
}

/* An event without its own number, for this subscriber alone. */
static void send_own(struct atl_event_sub *sub, uint64_t id, const char *name, const char *json)
{
	struct atl_bytes *frame = sub->events->options.encode[sub->wire](id, name, json, strlen(json));

	if (frame && !sub->closed)
		sub_frame(sub, frame);
	atl_bytes_unref(frame);
}

static void replay(struct atl_event_sub *sub, struct backlog *backlog)
{
	char json[64];

	snprintf(json, sizeof(json), "{\"last_event_id\":%llu}", (unsigned long long)backlog->last_id);
	send_own(sub, 0, "hello", json);
	if (backlog->reset)
		send_own(sub, backlog->last_id, "reset", "{}");
	for (size_t i = 0; i < backlog->count && !sub->closed; i++)
		sub_frame(sub, backlog->frames[i]);
}

static struct lane *lane_of(struct atl_events *events, struct atl_loop *loop)
{
	for (size_t i = 0; i < events->options.loop_count; i++)
		if (events->lanes[i].loop == loop)
			return &events->lanes[i];
	return NULL;
}

enum atl_err atl_events_subscribe(struct atl_events *events, struct atl_loop *loop, const char *user_id,
				  const char *session_id, enum atl_events_wire wire, uint64_t last_event_id,
				  const struct atl_event_sub_ops *ops, void *arg, struct atl_event_sub **ret,
				  struct atl_errinfo *info)
{
	struct atl_event_sub *sub = calloc(1, sizeof(*sub));
	struct lane *lane = lane_of(events, loop);
	struct backlog backlog = { 0 };
	enum atl_err err = ATL_OK;

	if (!sub)
		return atl_fail(info, ATL_ERR_NOMEM, "subscribe");
	if (!lane) {
		free(sub);
		return atl_fail(info, ATL_ERR_INTERNAL, "this loop has no events");
	}
	pthread_mutex_lock(&events->lock);
	if (events->closed)
		err = atl_fail(info, ATL_ERR_SHUTDOWN, "The server is going down.");
	else if (events->subscribers >= ATL_EVENTS_SUBS_MAX)
		err = atl_fail(info, ATL_ERR_UNAVAILABLE, "There are too many listeners.");
	else if (!(sub->user = user_of(events, user_id, true)))
		err = atl_fail(info, ATL_ERR_NOMEM, "subscribe");
	else if ((err = collect_backlog(events, sub->user, wire, last_event_id, &backlog)) != ATL_OK)
		atl_fail(info, err, "subscribe");
	if (!err) {
		events->subscribers++;
		sub->user->listeners[wire]++;
		sub->user->lanes[lane - events->lanes].count++;
	}
	pthread_mutex_unlock(&events->lock);
	if (err) {
		free_backlog(&backlog);
		free(sub);
		return err;
	}
	sub->events = events;
	sub->lane = lane;
	sub->wire = wire;
	sub->after_id = backlog.last_id;
	sub->ops = ops;
	sub->arg = arg;
	atl_str_copy(sub->session_id, sizeof(sub->session_id), session_id);
	atl_list_append(&sub->user->lanes[lane - events->lanes].subs, &sub->in_user);
	atl_list_append(&lane->subs, &sub->in_lane);
	*ret = sub;
	sub->replaying = true;
	replay(sub, &backlog);
	sub->replaying = false;
	free_backlog(&backlog);
	if (sub->closed)
		free(sub);
	return ATL_OK;
}

void atl_events_unsubscribe(struct atl_event_sub *sub)
{
	struct atl_events *events = sub->events;
	struct lane *lane = sub->lane;

	if (sub->closed)
		return;
	if (lane->cursor == &sub->in_user)
		lane->cursor = sub->in_user.next;
	else if (lane->cursor == &sub->in_lane)
		lane->cursor = sub->in_lane.next;
	if (lane->current == sub)
		lane->current = NULL;
	atl_list_remove(&sub->in_user);
	atl_list_remove(&sub->in_lane);
	pthread_mutex_lock(&events->lock);
	events->subscribers--;
	sub->user->listeners[sub->wire]--;
	sub->user->lanes[lane - events->lanes].count--;
	pthread_mutex_unlock(&events->lock);
	sub->closed = true;
	if (!sub->replaying)
		free(sub);
}

/* ---- ending ---- */

static void end(struct atl_events *events, enum delivery_kind kind, const char *user_id, const char *session_id)
{
	bool told = kind == DELIVER_END_SESSION || kind == DELIVER_END_USER;
	struct user *user = NULL;

	pthread_mutex_lock(&events->lock);
	if (kind == DELIVER_END_ALL)
		events->closed = true;
	if (user_id)
		user = user_of(events, user_id, false);
	for (size_t i = 0; (user || !user_id) && i < events->options.loop_count; i++) {
		struct delivery *delivery = calloc(1, sizeof(*delivery));

		if (!delivery) {
			atl_error(MODULE, "streams could not be ended: out of memory");
			break;
		}
		delivery->kind = kind;
		delivery->user = user;
		if (session_id)
			atl_str_copy(delivery->session_id, sizeof(delivery->session_id), session_id);
		for (int wire = 0; told && wire < ATL_EVENTS_WIRE_COUNT; wire++)
			delivery->frames[wire] = events->options.encode[wire](0, REVOKED, "{}", 2);
		lane_add(&events->lanes[i], delivery);
	}
	pthread_mutex_unlock(&events->lock);
}

void atl_events_end_session(struct atl_events *events, const char *user_id, const char *session_id)
{
	end(events, DELIVER_END_SESSION, user_id, session_id);
}

void atl_events_end_user(struct atl_events *events, const char *user_id)
{
	end(events, DELIVER_END_USER, user_id, NULL);
}

void atl_events_restart(struct atl_events *events)
{
	end(events, DELIVER_RESTART, NULL, NULL);
}

void atl_events_close(struct atl_events *events)
{
	end(events, DELIVER_END_ALL, NULL, NULL);
}

void atl_events_stats(struct atl_events *events, struct atl_events_stats *out)
{
	pthread_mutex_lock(&events->lock);
	out->published = events->published;
	out->subscribers = events->subscribers;
	pthread_mutex_unlock(&events->lock);
	out->delivered = atomic_load_explicit(&events->delivered, memory_order_relaxed);
}
