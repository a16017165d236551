/* loop.c - the event loop thread: post queue, slots, timers, descriptor polling, over libuv. */
#include "os/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "os/internal.h"
#include "os/sock.h"

struct post {
	void (*fn)(void *arg);
	void *arg;
	struct post *next;
};

struct slot {
	void *value;
	void (*destroy)(void *value);
};

struct atl_loop {
	/* set at create */
	char name[16];
	uv_loop_t uv;
	uv_async_t wake;
	pthread_t thread;
	char *read_buffer;
	/* guarded by lock */
	pthread_mutex_t lock;
	struct post *head, **tail;
	bool ended;
	/* any thread */
	atomic_size_t depth;
	atomic_bool stopping;
	/* loop thread only */
	struct slot slots[ATL_LOOP_SLOT_COUNT];
};

struct atl_timer {
	struct atl_handle handle;
	uv_timer_t uv;
	void (*fn)(void *arg);
	void *arg;
};

struct atl_poll {
	struct atl_handle handle;
	uv_poll_t uv;
	void (*fn)(void *arg, int events, bool failed);
	void *arg;
};

static _Thread_local struct atl_loop *current_loop;

uv_loop_t *atl_loop_uv(struct atl_loop *loop)
{
	return &loop->uv;
}

char *atl_loop_read_buffer(struct atl_loop *loop)
{
	return loop->read_buffer;
}

enum atl_err atl_err_from_uv(int status)
{
	switch (status) {
	case 0:
	case UV_EOF: return ATL_OK;
	case UV_ENOMEM: return ATL_ERR_NOMEM;
	case UV_ENOENT: return ATL_ERR_NOT_FOUND;
	case UV_EINVAL: return ATL_ERR_INVALID;
	case UV_ENOSPC: return ATL_ERR_DISK;
	case UV_ECONNREFUSED:
	case UV_EHOSTUNREACH:
	case UV_ENETUNREACH:
	case UV_EMFILE:
	case UV_ENFILE: return ATL_ERR_UNAVAILABLE;
	case UV_ETIMEDOUT: return ATL_ERR_TIMEOUT;
	case UV_EADDRINUSE: return ATL_ERR_CONFLICT;
	default: return ATL_ERR_IO;
	}
}

void atl_signals_block(void)
{
	sigset_t set;
	sigfillset(&set);
	sigdelset(&set, SIGSEGV);
	sigdelset(&set, SIGBUS);
	sigdelset(&set, SIGFPE);
	sigdelset(&set, SIGILL);
	sigdelset(&set, SIGABRT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Runs what is queued now; what these calls post waits for the next turn, so that sockets get theirs. */
static bool run_posts(struct atl_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct post *post = loop->head;
	loop->head = NULL;
	loop->tail = &loop->head;
	pthread_mutex_unlock(&loop->lock);
	bool any = post != NULL;
	while (post) {
		struct post *next = post->next;
		atomic_fetch_sub(&loop->depth, 1);
		post->fn(post->arg);
		free(post);
		post = next;
	}
	return any;
}

static void on_wake(uv_async_t *wake)
{
	struct atl_loop *loop = wake->data;
	run_posts(loop);
	if (atomic_load(&loop->stopping))
		uv_stop(&loop->uv);
}

static void close_leftover(uv_handle_t *handle, void *arg)
{
	struct atl_loop *loop = arg;
	if (uv_is_closing(handle))
		return;
	if (handle == (uv_handle_t *)&loop->wake)
		uv_close(handle, NULL);
	else if (handle->data)
		((struct atl_handle *)handle->data)->close(handle->data);
}

static void destroy_slots(struct atl_loop *loop)
{
	for (size_t i = 0; i < ATL_COUNT(loop->slots); i++) {
		struct slot slot = loop->slots[i];
		loop->slots[i] = (struct slot){0};
		if (slot.value && slot.destroy)
			slot.destroy(slot.value);
	}
}

/* True once nothing is queued and nothing can be queued any more. */
static bool try_end(struct atl_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->ended = loop->head == NULL;
	bool ended = loop->ended;
	pthread_mutex_unlock(&loop->lock);
	return ended;
}

static void *loop_main(void *arg)
{
	struct atl_loop *loop = arg;
	current_loop = loop;
	pthread_setname_np(pthread_self(), loop->name);
	atl_signals_block();
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	while (run_posts(loop))
		;
	destroy_slots(loop);
	do {
		run_posts(loop);
	} while (!try_end(loop));
	uv_walk(&loop->uv, close_leftover, loop);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	return NULL;
}

enum atl_err atl_loop_create(const char *name, struct atl_loop **ret, struct atl_errinfo *info)
{
	struct atl_loop *loop = calloc(1, sizeof(*loop));
	char *buffer = malloc(ATL_SOCK_READ_SIZE);
	if (!loop || !buffer) {
		free(loop);
		free(buffer);
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for loop %s", name);
	}
	loop->read_buffer = buffer;
	strncpy(loop->name, name, sizeof(loop->name) - 1);
	loop->tail = &loop->head;
	int status = uv_loop_init(&loop->uv);
	if (status)
		goto fail_loop;
	status = uv_async_init(&loop->uv, &loop->wake, on_wake);
	if (status)
		goto fail_async;
	loop->wake.data = loop;
	pthread_mutex_init(&loop->lock, NULL);
	status = -pthread_create(&loop->thread, NULL, loop_main, loop);
	if (status == 0) {
		*ret = loop;
		return ATL_OK;
	}
	pthread_mutex_destroy(&loop->lock);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
fail_async:
	uv_loop_close(&loop->uv);
fail_loop:
	free(loop->read_buffer);
	free(loop);
	return atl_fail(info, ATL_ERR_UNAVAILABLE, "loop %s cannot start: %s", name, uv_strerror(status));
}

void atl_loop_stop(struct atl_loop *loop)
{
	/* Under the lock: the async handle is closed only after `ended` was set under it. */
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->stopping, true);
	if (!loop->ended)
		uv_async_send(&loop->wake);
	pthread_mutex_unlock(&loop->lock);
}

void atl_loop_destroy(struct atl_loop *loop)
{
	if (!loop)
		return;
	atl_loop_stop(loop);
	pthread_join(loop->thread, NULL);
	uv_loop_close(&loop->uv);
	pthread_mutex_destroy(&loop->lock);
	free(loop->read_buffer);
	free(loop);
}

bool atl_loop_post(struct atl_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct post *post = malloc(sizeof(*post));
	if (!post)
		return false;
	*post = (struct post){.fn = fn, .arg = arg};
	pthread_mutex_lock(&loop->lock);
	bool ok = !loop->ended;
	if (ok) {
		bool first = loop->head == NULL;
		*loop->tail = post;
		loop->tail = &post->next;
		atomic_fetch_add(&loop->depth, 1);
		if (first)
			uv_async_send(&loop->wake);
	}
	pthread_mutex_unlock(&loop->lock);
	if (!ok)
		free(post);
	return ok;
}

bool atl_loop_is_current(const struct atl_loop *loop)
{
	return current_loop == loop;
}

uint64_t atl_loop_now_ms(const struct atl_loop *loop)
{
	return uv_now(&loop->uv);
}

size_t atl_loop_queue_depth(const struct atl_loop *loop)
{
	return atomic_load(&loop->depth);
}

void *atl_loop_slot_get(struct atl_loop *loop, enum atl_loop_slot slot)
{
	return loop->slots[slot].value;
}

void atl_loop_slot_set(struct atl_loop *loop, enum atl_loop_slot slot, void *value, void (*destroy)(void *value))
{
	loop->slots[slot] = (struct slot){.value = value, .destroy = destroy};
}

/* ---- timers ---- */
static void free_data(uv_handle_t *handle)
{
	free(handle->data);
}

static void timer_close(void *self)
{
	atl_timer_destroy(self);
}

enum atl_err atl_timer_create(struct atl_loop *loop, void (*fn)(void *arg), void *arg, struct atl_timer **ret)
{
	struct atl_timer *timer = calloc(1, sizeof(*timer));
	if (!timer)
		return ATL_ERR_NOMEM;
	timer->handle.close = timer_close;
	timer->fn = fn;
	timer->arg = arg;
	uv_timer_init(&loop->uv, &timer->uv);
	timer->uv.data = timer;
	*ret = timer;
	return ATL_OK;
}

static void on_timer(uv_timer_t *uv)
{
	struct atl_timer *timer = uv->data;
	timer->fn(timer->arg);
}

void atl_timer_start(struct atl_timer *timer, uint64_t after_ms, uint64_t repeat_ms)
{
	uv_timer_start(&timer->uv, on_timer, after_ms, repeat_ms);
}

void atl_timer_stop(struct atl_timer *timer)
{
	uv_timer_stop(&timer->uv);
}

void atl_timer_destroy(struct atl_timer *timer)
{
	if (timer && !uv_is_closing((uv_handle_t *)&timer->uv))
		uv_close((uv_handle_t *)&timer->uv, free_data);
}

/* ---- polls ---- */
static void poll_close(void *self)
{
	atl_poll_destroy(self);
}

enum atl_err atl_poll_create(struct atl_loop *loop, int fd, void (*fn)(void *arg, int events, bool failed), void *arg,
			     struct atl_poll **ret)
{
	struct atl_poll *poll = calloc(1, sizeof(*poll));
	if (!poll)
		return ATL_ERR_NOMEM;
	poll->handle.close = poll_close;
	poll->fn = fn;
	poll->arg = arg;
	int status = uv_poll_init(&loop->uv, &poll->uv, fd);
	if (status) {
		free(poll);
		return atl_err_from_uv(status);
	}
	poll->uv.data = poll;
	*ret = poll;
	return ATL_OK;
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
	struct atl_poll *poll = uv->data;
	int out = 0;
	if (events & UV_READABLE)
		out |= ATL_POLL_READ;
	if (events & UV_WRITABLE)
		out |= ATL_POLL_WRITE;
	poll->fn(poll->arg, out, status < 0);
}

void atl_poll_set(struct atl_poll *poll, int events)
{
	int want = 0;
	if (events & ATL_POLL_READ)
		want |= UV_READABLE;
	if (events & ATL_POLL_WRITE)
		want |= UV_WRITABLE;
	if (want)
		uv_poll_start(&poll->uv, want, on_poll);
	else
		uv_poll_stop(&poll->uv);
}

void atl_poll_destroy(struct atl_poll *poll)
{
	if (poll && !uv_is_closing((uv_handle_t *)&poll->uv))
		uv_close((uv_handle_t *)&poll->uv, free_data);
}
