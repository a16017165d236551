/* chat_complete.c - atl_chat_complete_sync() of chat.h: a run on the loop, waited for by a pool thread. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/str.h"
#include "provider/chat.h"

#define ANSWER_MAX ((size_t)64 << 10)

struct complete {
	struct atl_loop *loop;
	const struct atl_chat_endpoint *endpoint;
	const struct atl_chat_request *request;
	struct atl_buf text; /* loop only until done */
	struct atl_chat_run *run; /* loop only */
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
	enum atl_err err;
	struct atl_errinfo info;
};

static void finish(struct complete *c, enum atl_err err, const struct atl_errinfo *info)
{
	pthread_mutex_lock(&c->lock);
	c->err = err;
	if (info)
		c->info = *info;
	c->done = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void on_delta(void *arg, const char *text, size_t length)
{
	struct complete *c = arg;

	atl_buf_add(&c->text, text, length);
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct complete *c = arg;

	c->run = NULL;
	finish(c, err, info);
}

static const struct atl_chat_ops OPS = { .on_delta = on_delta, .on_done = on_done };

static void start_on_loop(void *arg)
{
	struct complete *c = arg;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_chat_start(c->loop, c->endpoint, c->request, &OPS, c, &c->run, &info);

	if (err)
		finish(c, err, &info);
}

static void cancel_on_loop(void *arg)
{
	struct complete *c = arg;

	if (c->run)
		atl_chat_cancel(c->run);
}

/* The caller's stack holds `c`: it is left only after on_done. */
static void wait_until(struct complete *c, unsigned total_ms)
{
	struct timespec end;
	bool late = false;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += total_ms / 1000;
	end.tv_nsec += (long)(total_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	pthread_mutex_lock(&c->lock);
	while (!c->done && !late)
		late = pthread_cond_timedwait(&c->changed, &c->lock, &end) == ETIMEDOUT;
	if (!c->done) {
		pthread_mutex_unlock(&c->lock);
		bool posted = atl_loop_post(c->loop, cancel_on_loop, c);

		pthread_mutex_lock(&c->lock);
		while (!c->done && posted)
			pthread_cond_wait(&c->changed, &c->lock);
		c->err = ATL_ERR_UPSTREAM_TIMEOUT;
		c->info.detail[0] = '\0';
	}
	pthread_mutex_unlock(&c->lock);
}

enum atl_err atl_chat_complete_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const struct atl_chat_request *request, unsigned total_ms,
				    const char **ret_text, struct atl_errinfo *info)
{
	struct complete c = { .loop = loop, .endpoint = endpoint, .request = request };
	pthread_condattr_t attributes;
	enum atl_err err;

	pthread_mutex_init(&c.lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&c.changed, &attributes);
	pthread_condattr_destroy(&attributes);
	atl_buf_init(&c.text, ANSWER_MAX);
	if (atl_loop_post(loop, start_on_loop, &c))
		wait_until(&c, total_ms);
	else
		c.err = ATL_ERR_SHUTDOWN;
	err = c.err;
	if (!err && !c.text.length)
		err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The language model answered nothing.");
	else if (err && info)
		atl_fail(info, err, "%s", c.info.detail[0] ? c.info.detail : atl_err_sentence(err));
	if (!err) {
		*ret_text = atl_arena_strndup(arena, c.text.data, c.text.length);
		err = *ret_text ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "answer");
	}
	atl_buf_finish(&c.text);
	pthread_cond_destroy(&c.changed);
	pthread_mutex_destroy(&c.lock);
	return err;
}
