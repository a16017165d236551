/* peers.c - two outboxes with a thread each, two ways to hear, one place that acts on what was heard. */
#include "core/server/peers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/access/rate.h"
#include "core/books/quota.h"
#include "core/server/announcement.h"
#include "core/server/events.h"
#include "db/db.h"
#include "db/redis.h"

#define MODULE "peers"
#define CHANNEL "atelier_peers"
#define BATCH 64

/* Messages on their way; a full one becomes a single "all". */
struct outbox {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	char (*messages)[ATL_PEERS_MESSAGE_MAX];
	size_t count;
	unsigned overflows;
	bool stop;
	/* set at create */
	bool started;
	pthread_t thread;
};

struct atl_peers {
	/* set at create */
	struct atl_app *app;
	char origin[ATL_ID_SIZE];
	bool has_redis;
	struct atl_redis_address address;
	struct atl_db_listener *listener;
	struct outbox to_database, to_redis;
	int stop_fd; /* readable: the listening thread ends */
	bool hearing;
	pthread_t hearer;
	atomic_bool redis_up;
	_Atomic uint64_t heard_database, heard_redis, settled;
};

static const char *const news_names[] = {
#define X(name, text) text,
	ATL_PEERS_NEWS(X)
#undef X
};

/* At most each so many microseconds ahead of Redis's own clock: what was taken is added, and nobody runs further ahead
 * than his ceiling. A bucket that is full again is forgotten. */
static const char settle_script[] =
	"local n = redis.call('TIME') local t = n[1] * 1000000 + n[2] local out = {} "
	"for i = 1, #KEYS do "
	"local at = tonumber(redis.call('GET', KEYS[i]) or '0') if at < t then at = t end "
	"at = at + tonumber(ARGV[2 * i - 1]) local top = t + tonumber(ARGV[2 * i]) if at > top then at = top end "
	"redis.call('SET', KEYS[i], string.format('%.0f', at), 'PX', math.ceil((at - t) / 1000) + 1) "
	"out[i] = at - t end return out";

/* ---- acting on news ---- */

bool atl_peers_parse(const char *message, char origin[ATL_ID_SIZE], enum atl_peers_news *ret_news, char id[ATL_ID_SIZE])
{
	const char *news = strchr(message, ' '), *last = news ? strchr(news + 1, ' ') : NULL;
	size_t origin_length, news_length;

	if (!last)
		return false;
	origin_length = (size_t)(news - message);
	news_length = (size_t)(last - news - 1);
	if (!origin_length || origin_length >= ATL_ID_SIZE || !last[1] || strlen(last + 1) >= ATL_ID_SIZE || strchr(last + 1, ' '))
		return false;
	for (size_t i = 0; i < ATL_PEERS_NEWS_COUNT; i++) {
		if (strlen(news_names[i]) != news_length || strncmp(news_names[i], news + 1, news_length) != 0)
			continue;
		atl_str_copy(origin, origin_length + 1, message);
		atl_str_copy(id, ATL_ID_SIZE, last[1] == '-' ? "" : last + 1);
		*ret_news = (enum atl_peers_news)i;
		return true;
	}
	return false;
}

static void look_at_switches(struct atl_app *app)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_quota_look(app, &info);

	if (err)
		atl_warn(MODULE, "look whether there are quotas: %s %s", atl_err_name(err), info.detail);
	atl_maintenance_load(app);
}

/* `events` too: every stream is asked again who it is for. */
static void forget_everything(struct atl_peers *peers, bool events)
{
	atl_auth_forget_here(peers->app->auth, NULL, NULL);
	if (events && peers->app->events)
		atl_events_restart(peers->app->events);
}

static void act(struct atl_peers *peers, enum atl_peers_news news, const char *id)
{
	struct atl_app *app = peers->app;

	switch (news) {
	case ATL_PEERS_CREDENTIAL:
		atl_auth_forget_here(app->auth, id, NULL);
		if (app->events)
			atl_events_end_session(app->events, NULL, id);
		break;
	case ATL_PEERS_USER:
		atl_auth_forget_here(app->auth, NULL, id);
		if (app->events)
			atl_events_end_user(app->events, id);
		break;
	case ATL_PEERS_SWITCHES:
		look_at_switches(app);
		break;
	case ATL_PEERS_ALL:
	case ATL_PEERS_NEWS_COUNT:
		forget_everything(peers, true);
		look_at_switches(app);
	}
}

static void hear(struct atl_peers *peers, const char *message, _Atomic uint64_t *count)
{
	char origin[ATL_ID_SIZE], id[ATL_ID_SIZE];
	enum atl_peers_news news;

	if (!atl_peers_parse(message, origin, &news, id)) {
		atl_warn(MODULE, "a message of %zu bytes is not understood", strlen(message));
		return;
	}
	if (atl_str_eq(origin, peers->origin))
		return;
	atomic_fetch_add(count, 1);
	act(peers, news, id);
}

static void heard_database(void *arg, const char *message)
{
	struct atl_peers *peers = arg;

	if (message)
		hear(peers, message, &peers->heard_database);
	else
		act(peers, ATL_PEERS_ALL, "");
}

/* ---- outboxes ---- */

static void outbox_add(struct outbox *outbox, const char *message, const char *all)
{
	pthread_mutex_lock(&outbox->lock);
	if (outbox->count == ATL_PEERS_QUEUE_MAX) {
		outbox->count = 1;
		outbox->overflows++;
		atl_str_copy(outbox->messages[0], ATL_PEERS_MESSAGE_MAX, all);
	} else {
		atl_str_copy(outbox->messages[outbox->count++], ATL_PEERS_MESSAGE_MAX, message);
	}
	pthread_cond_signal(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
}

struct batch {
	char messages[BATCH][ATL_PEERS_MESSAGE_MAX];
	size_t count;
	unsigned overflows; /* when it was taken */
};

/* Wait up to wait_ms (-1: for ever) for messages and copy some, which stay until outbox_done(). batch NULL: just wait.
 * False: it is to end. */
static bool outbox_wait(struct outbox *outbox, int wait_ms, struct batch *batch)
{
	struct timespec end;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += wait_ms / 1000;
	end.tv_nsec += wait_ms % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	pthread_mutex_lock(&outbox->lock);
	while (!outbox->stop && (!batch || !outbox->count)) {
		if (wait_ms < 0)
			pthread_cond_wait(&outbox->changed, &outbox->lock);
		else if (pthread_cond_timedwait(&outbox->changed, &outbox->lock, &end) == ETIMEDOUT)
			break;
	}
	stop = outbox->stop;
	if (batch) {
		batch->count = outbox->count < BATCH ? outbox->count : BATCH;
		batch->overflows = outbox->overflows;
		memcpy(batch->messages, outbox->messages, batch->count * ATL_PEERS_MESSAGE_MAX);
	}
	pthread_mutex_unlock(&outbox->lock);
	return !stop;
}

/* The first `count` were said. */
static void outbox_done(struct outbox *outbox, const struct batch *batch, size_t count)
{
	pthread_mutex_lock(&outbox->lock);
	if (batch->overflows == outbox->overflows) { /* else they are gone, and "all" is still to be said */
		outbox->count -= count;
		memmove(outbox->messages, outbox->messages + count, outbox->count * ATL_PEERS_MESSAGE_MAX);
	}
	pthread_mutex_unlock(&outbox->lock);
}

static enum atl_err outbox_start(struct outbox *outbox, void *(*run)(void *arg), void *arg, struct atl_errinfo *info)
{
	outbox->messages = calloc(ATL_PEERS_QUEUE_MAX, ATL_PEERS_MESSAGE_MAX);
	if (!outbox->messages)
		return atl_fail(info, ATL_ERR_NOMEM, "start to tell other servers");
	if (pthread_create(&outbox->thread, NULL, run, arg) != 0)
		return atl_fail(info, ATL_ERR_NOMEM, "start to tell other servers");
	outbox->started = true;
	return ATL_OK;
}

static void outbox_init(struct outbox *outbox)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&outbox->lock, NULL);
	pthread_cond_init(&outbox->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void outbox_finish(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->stop = true;
	pthread_cond_signal(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
	if (outbox->started)
		pthread_join(outbox->thread, NULL);
	free(outbox->messages);
	pthread_mutex_destroy(&outbox->lock);
	pthread_cond_destroy(&outbox->changed);
}

/* ---- telling the database ---- */

static enum atl_err tell_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct batch *batch = arg;
	/* nothing is lost with this transaction: it need not wait for the disk */
	enum atl_err err = atl_exec(conn, info, "SELECT set_config('synchronous_commit', 'off', true)", "");

	for (size_t i = 0; !err && i < batch->count; i++)
		err = atl_db_notify(conn, CHANNEL, batch->messages[i], info);
	return err;
}

static void *database_main(void *arg)
{
	struct atl_peers *peers = arg;
	struct batch batch;

	while (outbox_wait(&peers->to_database, -1, &batch) || batch.count) {
		struct atl_errinfo info = { 0 };
		enum atl_err err = atl_db_tx(peers->app->db, tell_fn, &batch, &info);

		if (!err) {
			outbox_done(&peers->to_database, &batch, batch.count);
			continue;
		}
		atl_warn(MODULE, "tell other servers: %s %s", atl_err_name(err), info.detail);
		if (!outbox_wait(&peers->to_database, ATL_PEERS_AGAIN_MS, NULL))
			break;
	}
	return NULL;
}

/* ---- talking to Redis ---- */

static enum atl_err settle(struct atl_peers *peers, struct atl_redis *redis, struct atl_errinfo *info)
{
	struct atl_rate_debt debts[ATL_REDIS_KEYS_MAX];
	char names[ATL_REDIS_KEYS_MAX][40];
	const char *keys[ATL_REDIS_KEYS_MAX];
	int64_t args[2 * ATL_REDIS_KEYS_MAX], answers[ATL_REDIS_KEYS_MAX];
	size_t count;
	enum atl_err err;

	do {
		count = peers->app->rates ? atl_rates_collect(peers->app->rates, debts, ATL_REDIS_KEYS_MAX) : 0;
		if (!count || !redis) /* nobody to settle with: what was taken so far stays ours */
			continue;
		for (size_t i = 0; i < count; i++) {
			snprintf(names[i], sizeof(names[i]), "atelier:rate:%016llx", (unsigned long long)debts[i].bucket);
			keys[i] = names[i];
			args[2 * i] = debts[i].taken_us;
			args[2 * i + 1] = debts[i].ceiling_us;
		}
		err = atl_redis_numbers(redis, settle_script, keys, count, args, 2 * count, answers, count, info);
		if (err)
			return err;
		for (size_t i = 0; i < count; i++)
			debts[i].debt_us = answers[i];
		atl_rates_settled(peers->app->rates, debts, count);
		atomic_fetch_add(&peers->settled, count);
	} while (count == ATL_REDIS_KEYS_MAX);
	return ATL_OK;
}

static enum atl_err publish_all(struct atl_peers *peers, struct atl_redis *redis, const struct batch *batch,
				struct atl_errinfo *info)
{
	for (size_t i = 0; i < batch->count; i++) {
		enum atl_err err = atl_redis_publish(redis, CHANNEL, batch->messages[i], info);

		if (err) { /* those before it were said */
			outbox_done(&peers->to_redis, batch, i);
			return err;
		}
	}
	outbox_done(&peers->to_redis, batch, batch->count);
	return ATL_OK;
}

/* Said once when it changes, not each time it is tried. */
static void redis_is(struct atl_peers *peers, bool up, const struct atl_errinfo *info)
{
	if (atomic_exchange(&peers->redis_up, up) == up && up)
		return;
	if (up)
		atl_info(MODULE, "Redis is there: rates are shared with other servers");
	else
		atl_warn(MODULE, "%s; rates are counted by this server alone until it is back", info->detail);
}

static void *redis_main(void *arg)
{
	struct atl_peers *peers = arg;
	struct atl_redis *redis = NULL;
	struct batch batch;
	int again_ms = ATL_PEERS_AGAIN_MS;
	unsigned turns = 0;
	bool told = false;

	for (;;) {
		struct atl_errinfo info = { 0 };
		enum atl_err err = ATL_OK;

		if (!redis)
			err = atl_redis_open(&peers->address, &redis, &info);
		if (!err) {
			bool go_on = outbox_wait(&peers->to_redis, ATL_PEERS_SETTLE_MS, &batch);

			redis_is(peers, true, NULL);
			told = false;
			again_ms = ATL_PEERS_AGAIN_MS;
			err = publish_all(peers, redis, &batch, &info);
			if (!err)
				err = settle(peers, redis, &info);
			if (!err && ++turns >= ATL_PEERS_POKE_MS / ATL_PEERS_SETTLE_MS) {
				err = atl_redis_ping(redis, &info);
				turns = 0;
			}
			if (!go_on)
				break;
		}
		if (!err)
			continue;
		atl_redis_close(redis);
		redis = NULL;
		if (!told)
			redis_is(peers, false, &info);
		told = true;
		if (settle(peers, NULL, &info) != ATL_OK || !outbox_wait(&peers->to_redis, again_ms, NULL))
			break;
		again_ms = again_ms * 2 > ATL_PEERS_AGAIN_MAX_MS ? ATL_PEERS_AGAIN_MAX_MS : again_ms * 2;
	}
	atl_redis_close(redis);
	return NULL;
}

/* ---- listening to Redis ---- */

/* True: it is to end. */
static bool wait_for(const struct atl_peers *peers, int fd, int timeout_ms, bool *readable)
{
	struct pollfd fds[] = { { .fd = peers->stop_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	while (poll(fds, fd < 0 ? 1 : 2, timeout_ms) < 0 && errno == EINTR)
		;
	if (readable)
		*readable = fds[1].revents != 0;
	return fds[0].revents != 0;
}

static enum atl_err hear_all(struct atl_peers *peers, struct atl_redis *redis, struct atl_errinfo *info)
{
	char message[ATL_PEERS_MESSAGE_MAX];
	enum atl_err err = atl_redis_read(redis, info);

	while (!err) {
		switch (atl_redis_hear(redis, message, sizeof(message))) {
		case ATL_REDIS_NOTHING:
			return ATL_OK;
		case ATL_REDIS_MESSAGE:
			hear(peers, message, &peers->heard_redis);
			break;
		case ATL_REDIS_OTHER:
			break;
		case ATL_REDIS_BROKEN:
			err = atl_fail(info, ATL_ERR_UPSTREAM, "Redis: what it says is not understood");
		}
	}
	return err;
}

/* Until the connection breaks, stays silent, or it is to end (true). */
static bool listen_on(struct atl_peers *peers, struct atl_redis *redis)
{
	struct atl_errinfo info = { 0 };
	uint64_t heard_ms = atl_monotonic_ms();
	bool readable;

	while (atl_monotonic_ms() - heard_ms < ATL_PEERS_SILENCE_MS) {
		if (wait_for(peers, atl_redis_socket(redis), ATL_PEERS_POKE_MS, &readable))
			return true;
		if (readable ? hear_all(peers, redis, &info) != ATL_OK : atl_redis_poke(redis, &info) != ATL_OK)
			return false;
		if (readable)
			heard_ms = atl_monotonic_ms();
	}
	return false;
}

static void *hear_main(void *arg)
{
	struct atl_peers *peers = arg;
	int again_ms = ATL_PEERS_AGAIN_MS;
	bool stop = false;

	while (!stop) {
		struct atl_errinfo info = { 0 };
		struct atl_redis *redis = NULL;
		enum atl_err err = atl_redis_open(&peers->address, &redis, &info);

		if (!err)
			err = atl_redis_subscribe(redis, CHANNEL, &info);
		if (!err) {
			/* what was missed: the database's channel has told streams of it, and memory is asked for again */
			forget_everything(peers, !peers->listener);
			again_ms = ATL_PEERS_AGAIN_MS;
			stop = listen_on(peers, redis);
		}
		atl_redis_close(redis);
		if (!stop)
			stop = wait_for(peers, -1, again_ms, NULL);
		again_ms = again_ms * 2 > ATL_PEERS_AGAIN_MAX_MS ? ATL_PEERS_AGAIN_MAX_MS : again_ms * 2;
	}
	return NULL;
}

/* ---- life ---- */

static void forgotten(void *arg, const char *id, bool user)
{
	atl_peers_tell(arg, user ? ATL_PEERS_USER : ATL_PEERS_CREDENTIAL, id);
}

static enum atl_err start_redis(struct atl_peers *peers, struct atl_errinfo *info)
{
	enum atl_err err = outbox_start(&peers->to_redis, redis_main, peers, info);

	if (err)
		return err;
	if (pthread_create(&peers->hearer, NULL, hear_main, peers) != 0)
		return atl_fail(info, ATL_ERR_NOMEM, "start to listen to Redis");
	peers->hearing = true;
	return ATL_OK;
}

enum atl_err atl_peers_create(struct atl_app *app, const char *redis_url, struct atl_peers **ret, struct atl_errinfo *info)
{
	bool several = atl_str_eq(atl_db_kind(app->db), "postgres");
	struct atl_peers *peers;
	enum atl_err err = ATL_OK;

	*ret = NULL;
	if (!several && !redis_url)
		return ATL_OK;
	peers = calloc(1, sizeof(*peers));
	if (!peers)
		return atl_fail(info, ATL_ERR_NOMEM, "talk to other servers");
	peers->app = app;
	peers->has_redis = redis_url != NULL;
	atl_id_new("srv", peers->origin);
	outbox_init(&peers->to_database);
	outbox_init(&peers->to_redis);
	peers->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (peers->stop_fd < 0)
		err = atl_fail(info, ATL_ERR_IO, "talk to other servers");
	if (!err && redis_url)
		err = atl_redis_address(redis_url, &peers->address, info);
	if (!err && several)
		err = outbox_start(&peers->to_database, database_main, peers, info);
	if (!err && several)
		err = atl_db_listen(app->db, CHANNEL, heard_database, peers, &peers->listener, info);
	if (!err && redis_url)
		err = start_redis(peers, info);
	if (err) {
		atl_peers_destroy(peers);
		return err;
	}
	atl_auth_on_forget(app->auth, forgotten, peers);
	*ret = peers;
	return ATL_OK;
}

void atl_peers_destroy(struct atl_peers *peers)
{
	uint64_t one = 1;

	if (!peers)
		return;
	atl_auth_on_forget(peers->app->auth, NULL, NULL);
	if (peers->stop_fd >= 0 && write(peers->stop_fd, &one, sizeof(one)) < 0)
		atl_error(MODULE, "end the listening: %d", errno);
	if (peers->hearing)
		pthread_join(peers->hearer, NULL);
	atl_db_listen_end(peers->listener);
	outbox_finish(&peers->to_redis);
	outbox_finish(&peers->to_database);
	if (peers->stop_fd >= 0)
		close(peers->stop_fd);
	atl_wipe(&peers->address, sizeof(peers->address));
	free(peers);
}

void atl_peers_tell(struct atl_peers *peers, enum atl_peers_news news, const char *id)
{
	char message[ATL_PEERS_MESSAGE_MAX], all[ATL_PEERS_MESSAGE_MAX];

	if (!peers)
		return;
	snprintf(message, sizeof(message), "%s %s %s", peers->origin, news_names[news], *id ? id : "-");
	snprintf(all, sizeof(all), "%s %s -", peers->origin, news_names[ATL_PEERS_ALL]);
	if (peers->to_database.started)
		outbox_add(&peers->to_database, message, all);
	if (peers->to_redis.started)
		outbox_add(&peers->to_redis, message, all);
}

void atl_peers_stats(struct atl_peers *peers, struct atl_peers_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (!peers)
		return;
	out->redis = peers->has_redis;
	out->redis_up = atomic_load(&peers->redis_up);
	out->heard_database = atomic_load(&peers->heard_database);
	out->heard_redis = atomic_load(&peers->heard_redis);
	out->settled = atomic_load(&peers->settled);
}
