/* super.c - the supervisor of child.h: start, health, back-off, stop.
 *
 * All state changes happen on the loop thread; requests from other threads are posted. What other threads read is
 * guarded by the lock.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "os/child.h"

#define WHY_SIZE 300

struct atl_super {
	/* set at create */
	struct atl_loop *loop;
	char name[32];
	struct atl_super_options options;
	struct atl_super_ops ops;
	void *arg;
	/* loop thread only */
	struct atl_child *child;
	struct atl_timer *timer;	/* start-up limit, back-off, or the grace before KILL: one at a time */
	struct atl_timer *health_timer;
	uint64_t healthy_since_ms;
	unsigned backoff_ms;
	unsigned misses; /* probes in a row that a healthy child has failed */
	bool wanted, restarting, killed_for_start, killed_for_silence;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum atl_super_state state;
	unsigned restarts;
	char why[WHY_SIZE];
	char lines[ATL_CHILD_LOG_LINES][ATL_CHILD_LOG_LINE_MAX + 1];
	size_t line_next, line_count;
	bool destroyed;
};

static void start_child(struct atl_super *self);

const char *atl_super_state_name(enum atl_super_state state)
{
	static const char *const NAMES[] = {"stopped", "starting", "healthy", "backoff", "stopping"};
	return NAMES[state];
}

static void set_state(struct atl_super *self, enum atl_super_state state, const char *why)
{
	pthread_mutex_lock(&self->lock);
	bool change = self->state != state;
	self->state = state;
	if (why)
		atl_str_copy(self->why, sizeof self->why, why);
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
	if (!change)
		return;
	if (why && *why)
		atl_warn("super", "%s is %s: %s", self->name, atl_super_state_name(state), why);
	else
		atl_info("super", "%s is %s", self->name, atl_super_state_name(state));
	if (self->ops.on_state)
		self->ops.on_state(self->arg, state, why ? why : "");
}

static void on_line(void *arg, const char *line)
{
	struct atl_super *self = arg;
	pthread_mutex_lock(&self->lock);
	atl_str_copy(self->lines[self->line_next], sizeof self->lines[0], line);
	self->line_next = (self->line_next + 1) % ATL_CHILD_LOG_LINES;
	if (self->line_count < ATL_CHILD_LOG_LINES)
		self->line_count++;
	pthread_mutex_unlock(&self->lock);
	atl_debug(self->name, "%s", line);
}

/* The child is gone (or could not start): wait longer each time, until it was healthy for a while. */
static void back_off(struct atl_super *self, const char *why)
{
	atl_timer_stop(self->health_timer);
	if (self->healthy_since_ms && atl_loop_now_ms(self->loop) - self->healthy_since_ms > ATL_SUPER_STABLE_MS)
		self->backoff_ms = 0;
	self->healthy_since_ms = 0;
	self->backoff_ms = self->backoff_ms ? self->backoff_ms * 2 : ATL_SUPER_BACKOFF_MIN_MS;
	if (self->backoff_ms > ATL_SUPER_BACKOFF_MAX_MS)
		self->backoff_ms = ATL_SUPER_BACKOFF_MAX_MS;
	set_state(self, ATL_SUPER_BACKOFF, why);
	atl_timer_start(self->timer, self->backoff_ms, 0);
}

static void on_exit_child(void *arg, int exit_code, int signal)
{
	struct atl_super *self = arg;
	atl_child_destroy(self->child);
	self->child = NULL;
	atl_timer_stop(self->timer);
	atl_timer_stop(self->health_timer);
	if (!self->wanted) {
		set_state(self, ATL_SUPER_STOPPED, NULL);
		return;
	}
	if (self->restarting) {
		self->restarting = false;
		self->healthy_since_ms = 0;
		start_child(self);
		return;
	}
	char why[WHY_SIZE];
	if (self->killed_for_start)
		snprintf(why, sizeof why, "%s was not ready after %u s", self->name,
			 self->options.start_timeout_ms / 1000);
	else if (self->killed_for_silence)
		snprintf(why, sizeof why, "%s did not answer any more", self->name);
	else if (signal)
		snprintf(why, sizeof why, "%s was ended by signal %d (%s)", self->name, signal, strsignal(signal));
	else
		snprintf(why, sizeof why, "%s ended with code %d", self->name, exit_code);
	pthread_mutex_lock(&self->lock);
	self->restarts++;
	pthread_mutex_unlock(&self->lock);
	back_off(self, why);
}

static void start_child(struct atl_super *self)
{
	struct atl_errinfo info = {0};
	struct atl_child_spec spec = {.pass_fd = -1};
	self->killed_for_start = self->killed_for_silence = false;
	self->misses = 0;
	enum atl_err err = self->ops.prepare(self->arg, &spec, &info);
	if (!err)
		err = atl_child_spawn(self->loop, &spec, on_line, on_exit_child, self, &self->child, &info);
	if (err) {
		back_off(self, info.detail[0] ? info.detail : atl_err_sentence(err));
		return;
	}
	set_state(self, ATL_SUPER_STARTING, "");
	atl_timer_start(self->timer, self->options.start_timeout_ms, 0);
	atl_timer_start(self->health_timer, 50, self->options.health_interval_ms);
}

static void on_timer(void *arg)
{
	struct atl_super *self = arg;
	if (self->child && self->state == ATL_SUPER_STARTING) {
		self->killed_for_start = true;
		atl_child_kill(self->child, SIGKILL);
	} else if (self->child) { /* the grace after TERM is over */
		atl_child_kill(self->child, SIGKILL);
	} else if (self->wanted) {
		start_child(self);
	}
}

static void on_health_timer(void *arg)
{
	struct atl_super *self = arg;
	if (self->child && self->ops.probe)
		self->ops.probe(self->arg, self);
}

void atl_super_report(struct atl_super *super, bool healthy)
{
	unsigned watch_ms = super->options.watch_interval_ms ? super->options.watch_interval_ms : super->options.health_interval_ms;
	if (!super->child)
		return;
	if (super->state == ATL_SUPER_HEALTHY) {
		super->misses = healthy ? 0 : super->misses + 1;
		if (super->misses < ATL_SUPER_MISSES_MAX || super->killed_for_silence)
			return;
		super->killed_for_silence = true;
		atl_child_kill(super->child, SIGKILL); /* what hangs does not hear TERM; on_exit_child goes on */
	} else if (super->state == ATL_SUPER_STARTING && healthy) {
		atl_timer_stop(super->timer);
		atl_timer_start(super->health_timer, watch_ms, watch_ms);
		super->healthy_since_ms = atl_loop_now_ms(super->loop);
		set_state(super, ATL_SUPER_HEALTHY, "");
	}
}

static void do_start(void *arg)
{
	struct atl_super *self = arg;
	if (self->wanted)
		return;
	self->wanted = true;
	self->backoff_ms = 0;
	if (self->child)
		self->restarting = true; /* it is being stopped: start again when it has ended */
	else
		start_child(self);
}

static void end_child(struct atl_super *self)
{
	atl_timer_stop(self->health_timer);
	set_state(self, ATL_SUPER_STOPPING, NULL);
	atl_child_kill(self->child, SIGTERM);
	atl_timer_start(self->timer, self->options.stop_grace_ms, 0);
}

static void do_stop(void *arg)
{
	struct atl_super *self = arg;
	self->wanted = false;
	self->restarting = false;
	if (self->child) {
		if (self->state != ATL_SUPER_STOPPING)
			end_child(self);
		return;
	}
	atl_timer_stop(self->timer);
	set_state(self, ATL_SUPER_STOPPED, NULL);
}

static void do_restart(void *arg)
{
	struct atl_super *self = arg;
	self->backoff_ms = 0;
	if (!self->wanted) {
		do_start(self);
		return;
	}
	if (self->child) {
		self->restarting = true;
		if (self->state != ATL_SUPER_STOPPING)
			end_child(self);
		return;
	}
	atl_timer_stop(self->timer);
	start_child(self);
}

enum atl_err atl_super_create(struct atl_loop *loop, const struct atl_super_options *options,
			      const struct atl_super_ops *ops, void *arg, struct atl_super **ret)
{
	struct atl_super *self = calloc(1, sizeof *self);
	if (!self)
		return ATL_ERR_NOMEM;
	self->loop = loop;
	self->options = *options;
	atl_str_copy(self->name, sizeof self->name, options->name);
	self->options.name = self->name;
	self->ops = *ops;
	self->arg = arg;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	*ret = self;
	return ATL_OK;
}

/* Timers belong to the loop's thread, so they are made at the first start. */
static bool make_timers(struct atl_super *self)
{
	if (!self->timer && atl_timer_create(self->loop, on_timer, self, &self->timer) != ATL_OK)
		return false;
	return self->health_timer ||
	       atl_timer_create(self->loop, on_health_timer, self, &self->health_timer) == ATL_OK;
}

static void first_start(void *arg)
{
	struct atl_super *self = arg;
	if (make_timers(self))
		do_start(self);
	else
		set_state(self, ATL_SUPER_STOPPED, "out of memory");
}

static void first_restart(void *arg)
{
	struct atl_super *self = arg;
	if (make_timers(self))
		do_restart(self);
}

static void stop_if_started(void *arg)
{
	struct atl_super *self = arg;
	if (self->timer)
		do_stop(self);
}

void atl_super_start(struct atl_super *super)
{
	if (!atl_loop_post(super->loop, first_start, super))
		atl_warn("super", "%s cannot start: the loop has ended", super->name);
}

void atl_super_stop(struct atl_super *super)
{
	if (!atl_loop_post(super->loop, stop_if_started, super))
		atl_warn("super", "%s cannot stop: the loop has ended", super->name);
}

void atl_super_restart(struct atl_super *super)
{
	if (!atl_loop_post(super->loop, first_restart, super))
		atl_warn("super", "%s cannot restart: the loop has ended", super->name);
}

enum atl_super_state atl_super_get_state(const struct atl_super *super)
{
	struct atl_super *self = (struct atl_super *)super;
	pthread_mutex_lock(&self->lock);
	enum atl_super_state state = self->state;
	pthread_mutex_unlock(&self->lock);
	return state;
}

void atl_super_log(const struct atl_super *super, struct atl_buf *out, char *why, size_t why_size)
{
	struct atl_super *self = (struct atl_super *)super;
	pthread_mutex_lock(&self->lock);
	size_t first = (self->line_next + ATL_CHILD_LOG_LINES - self->line_count) % ATL_CHILD_LOG_LINES;
	for (size_t i = 0; i < self->line_count; i++) {
		atl_buf_adds(out, self->lines[(first + i) % ATL_CHILD_LOG_LINES]);
		atl_buf_addc(out, '\n');
	}
	if (why && why_size)
		atl_str_copy(why, why_size, self->why);
	pthread_mutex_unlock(&self->lock);
}

unsigned atl_super_restarts(const struct atl_super *super)
{
	struct atl_super *self = (struct atl_super *)super;
	pthread_mutex_lock(&self->lock);
	unsigned restarts = self->restarts;
	pthread_mutex_unlock(&self->lock);
	return restarts;
}

static void finish_on_loop(void *arg)
{
	struct atl_super *self = arg;
	atl_timer_destroy(self->timer);
	atl_timer_destroy(self->health_timer);
	atl_child_destroy(self->child);
	self->child = NULL;
	pthread_mutex_lock(&self->lock);
	self->destroyed = true;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

void atl_super_destroy(struct atl_super *super)
{
	if (!super)
		return;
	atl_super_stop(super);
	pthread_mutex_lock(&super->lock);
	bool posted = true;
	while (super->state != ATL_SUPER_STOPPED) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += super->options.stop_grace_ms / 1000 + 2;
		if (pthread_cond_timedwait(&super->changed, &super->lock, &until) != 0)
			break; /* the loop ends the child below */
	}
	pthread_mutex_unlock(&super->lock);
	posted = atl_loop_post(super->loop, finish_on_loop, super);
	pthread_mutex_lock(&super->lock);
	while (posted && !super->destroyed)
		pthread_cond_wait(&super->changed, &super->lock);
	pthread_mutex_unlock(&super->lock);
	pthread_cond_destroy(&super->changed);
	pthread_mutex_destroy(&super->lock);
	free(super);
}
