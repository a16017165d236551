/* server.c - listeners, lanes (one per loop), draining, statistics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "net/http_int.h"

#define BACKLOG 1024
#define TICK_MAX_MS 1000
#define TICK_MIN_MS 20

/* Run fn(lane) on the lane's loop and wait for it. */
struct errand {
	void (*fn)(struct errand *errand);
	struct lane *lane;
	struct atl_server *server;
	enum atl_err err;
	struct atl_errinfo info;
	bool done;
};

static void run_errand(void *arg)
{
	struct errand *errand = arg;
	struct atl_server *server = errand->server;

	errand->fn(errand);
	pthread_mutex_lock(&server->lock);
	errand->done = true;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

static enum atl_err do_errand(struct atl_server *server, struct lane *lane, void (*fn)(struct errand *errand),
			      struct atl_errinfo *info)
{
	struct errand errand = {.fn = fn, .lane = lane, .server = server};

	if (!atl_loop_post(lane->loop, run_errand, &errand))
		return atl_fail(info, ATL_ERR_SHUTDOWN, "the loop has ended");
	pthread_mutex_lock(&server->lock);
	while (!errand.done)
		pthread_cond_wait(&server->changed, &server->lock);
	pthread_mutex_unlock(&server->lock);
	if (errand.err && info)
		*info = errand.info;
	return errand.err;
}

/* ---- lanes ---- */

const char *lane_date(struct lane *lane, size_t *ret_length)
{
	int64_t now_s = atl_now_ms() / 1000;

	if (now_s != lane->date_s || !lane->date_length) {
		static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
		static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
						   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
		time_t seconds = (time_t)now_s;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		lane->date_s = now_s;
		lane->date_length = (size_t)snprintf(lane->date, sizeof(lane->date),
						     "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
						     tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
						     tm.tm_min, tm.tm_sec);
	}
	*ret_length = lane->date_length;
	return lane->date;
}

static void each_conn(struct lane *lane, void (*fn)(struct conn *conn, uint64_t now_ms))
{
	uint64_t now_ms = atl_loop_now_ms(lane->loop);
	struct atl_list *next;

	for (struct atl_list *node = lane->conns.next; node != &lane->conns; node = next) {
		next = node->next;
		fn(ATL_LIST_ITEM(node, struct conn, node), now_ms);
	}
}

static void on_tick(void *arg)
{
	each_conn(arg, conn_tick);
}

static enum atl_err lane_init(struct atl_server *server, struct lane *lane, struct atl_loop *loop)
{
	unsigned char random[5];

	lane->server = server;
	lane->loop = loop;
	atl_list_init(&lane->conns);
	lane->scratch = malloc(SCRATCH_SIZE);
	if (!lane->scratch)
		return ATL_ERR_NOMEM;
	atl_random(random, sizeof(random));
	memcpy(lane->id_prefix, "req_", 4);
	atl_hex_encode(random, sizeof(random), lane->id_prefix + 4);
	return ATL_OK;
}

static void lane_finish(struct lane *lane)
{
	while (lane->free_calls) {
		struct call *call = lane->free_calls;

		lane->free_calls = call->next_free;
		call_destroy(call);
	}
	free(lane->scratch);
}

static void start_lane(struct errand *errand)
{
	struct lane *lane = errand->lane;
	struct atl_server *server = errand->server;
	const struct atl_server_options *options = &server->options;
	unsigned tick_ms = server->times.head_ms;
	struct atl_listen_options tcp = {.address = options->address,
					 .port = server->port,
					 .backlog = BACKLOG,
					 .reuse_port = true,
					 .tls = options->tls};

	if (options->address) {
		errand->err = atl_listen(lane->loop, &tcp, conn_accept, lane, &lane->tcp, &errand->info);
		if (errand->err)
			return;
		server->port = atl_listener_port(lane->tcp);
	}
	if (options->unix_path && lane == server->lanes) {
		struct atl_listen_options local = {.unix_path = options->unix_path, .backlog = BACKLOG};

		errand->err = atl_listen(lane->loop, &local, conn_accept, lane, &lane->local, &errand->info);
		if (errand->err)
			return;
	}
	if (server->times.body_idle_ms < tick_ms)
		tick_ms = server->times.body_idle_ms;
	if (server->times.keepalive_ms < tick_ms)
		tick_ms = server->times.keepalive_ms;
	if (server->times.ws_ping_ms < tick_ms)
		tick_ms = server->times.ws_ping_ms;
	if (server->times.stall_ms < tick_ms)
		tick_ms = server->times.stall_ms;
	tick_ms = tick_ms / 4 > TICK_MAX_MS ? TICK_MAX_MS : tick_ms / 4 < TICK_MIN_MS ? TICK_MIN_MS : tick_ms / 4;
	errand->err = atl_timer_create(lane->loop, on_tick, lane, &lane->timer);
	if (!errand->err)
		atl_timer_start(lane->timer, tick_ms, tick_ms);
}

static void close_listeners(struct lane *lane)
{
	if (lane->tcp)
		atl_listener_close(lane->tcp);
	if (lane->local)
		atl_listener_close(lane->local);
	lane->tcp = lane->local = NULL;
}

static void drain_conn(struct conn *conn, uint64_t now_ms)
{
	if (conn->ws)
		ws_going_away(conn->ws);
	else if (conn->state == CONN_IDLE)
		conn_close(conn);
}

static void drain_lane(struct errand *errand)
{
	close_listeners(errand->lane);
	each_conn(errand->lane, drain_conn);
}

static void abort_conn(struct conn *conn, uint64_t now_ms)
{
	conn_abort(conn);
}

static void stop_lane(struct errand *errand)
{
	struct lane *lane = errand->lane;

	close_listeners(lane);
	each_conn(lane, abort_conn);
	atl_timer_destroy(lane->timer);
	lane->timer = NULL;
}

/* Nothing: that it ran means everything before it on that loop has. */
static void pass(struct errand *errand)
{
	(void)errand;
}

void server_conn_closed(struct lane *lane)
{
	struct atl_server *server = lane->server;

	lane->conn_count--;
	atomic_store_explicit(&lane->connections_open, lane->conn_count, memory_order_relaxed);
	pthread_mutex_lock(&server->lock);
	atomic_fetch_sub(&server->conns_total, 1);
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

/* ---- the server ---- */

static enum atl_err copy_hosts(struct atl_server *server)
{
	const char *const *host = server->options.hosts;
	size_t count = 0;

	while (host && host[count])
		count++;
	server->hosts = calloc(count + 1, sizeof(char *));
	if (!server->hosts)
		return ATL_ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		char *copy = strdup(host[i]);

		if (!copy)
			return ATL_ERR_NOMEM;
		for (char *at = copy; *at; at++)
			*at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
		if (strcmp(copy, "*") == 0)
			server->any_host = true;
		server->hosts[server->host_count++] = copy;
	}
	/* A numeric Host cannot be another site's name (DNS rebinding needs one). */
	server->any_numeric = server->options.address && (strcmp(server->options.address, "0.0.0.0") == 0 ||
							  strcmp(server->options.address, "::") == 0);
	return ATL_OK;
}

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

enum atl_err server_init(struct atl_server *server, const struct atl_server_options *options,
			 struct atl_errinfo *info)
{
	enum atl_err err;
	size_t count = options->loop_count ? options->loop_count : 1;

	server->options = *options;
	server->port = options->port;
	server->times.head_ms = or_default(options->times.head_ms, ATL_HTTP_HEAD_TIMEOUT_MS);
	server->times.body_idle_ms = or_default(options->times.body_idle_ms, ATL_HTTP_BODY_IDLE_MS);
	server->times.keepalive_ms = or_default(options->times.keepalive_ms, ATL_HTTP_KEEPALIVE_MS);
	server->times.stall_ms = or_default(options->times.stall_ms, ATL_HTTP_STALL_MS);
	server->times.ws_ping_ms = or_default(options->times.ws_ping_ms, ATL_WS_PING_MS);
	server->limits = (struct atl_parser_limits){.target_max = ATL_HTTP_TARGET_MAX,
						    .head_max = ATL_HTTP_HEAD_MAX,
						    .headers_max = ATL_HTTP_HEADERS_MAX};
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->changed, NULL);
	err = route_table_init(&server->routes, options->tables, info);
	if (!err)
		err = copy_hosts(server);
	if (!err) {
		err = atl_guard_init_peers(&server->proxies, options->trusted_proxies, info);
		if (err)
			atl_fail_context(info, err, "trusted_proxies");
	}
	if (err)
		return err;
	server->lanes = calloc(count, sizeof(*server->lanes));
	if (!server->lanes)
		return ATL_ERR_NOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		server->lane_count = i + 1;
		err = lane_init(server, &server->lanes[i], options->loop_count ? options->loops[i] : NULL);
	}
	return err;
}

void server_finish(struct atl_server *server)
{
	for (size_t i = 0; i < server->lane_count; i++)
		lane_finish(&server->lanes[i]);
	free(server->lanes);
	for (size_t i = 0; i < server->host_count; i++)
		free(server->hosts[i]);
	free(server->hosts);
	atl_guard_finish(&server->proxies);
	route_table_finish(&server->routes);
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

enum atl_err atl_server_create(const struct atl_server_options *options, struct atl_server **ret,
			       struct atl_errinfo *info)
{
	struct atl_server *server = calloc(1, sizeof(*server));
	enum atl_err err;

	if (!server)
		return ATL_ERR_NOMEM;
	err = server_init(server, options, info);
	if (err) {
		server_finish(server);
		return err;
	}
	for (size_t i = 0; i < options->loop_count && !err; i++)
		err = do_errand(server, &server->lanes[i], start_lane, info);
	if (err) {
		atl_server_destroy(server);
		return err;
	}
	*ret = server;
	return ATL_OK;
}

int atl_server_port(const struct atl_server *server)
{
	return server->port;
}

/* Wait until no connection is left, or the time is over (forever: NULL). */
static void wait_empty(struct atl_server *server, const struct timespec *until)
{
	int rc = 0;

	pthread_mutex_lock(&server->lock);
	while (atomic_load(&server->conns_total) && rc != ETIMEDOUT) {
		if (until)
			rc = pthread_cond_timedwait(&server->changed, &server->lock, until);
		else
			pthread_cond_wait(&server->changed, &server->lock);
	}
	pthread_mutex_unlock(&server->lock);
}

void atl_server_drain(struct atl_server *server, unsigned timeout_ms)
{
	struct timespec until;

	atomic_store(&server->draining, true);
	for (size_t i = 0; i < server->options.loop_count; i++) {
		if (do_errand(server, &server->lanes[i], drain_lane, NULL))
			return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	wait_empty(server, &until);
}

void atl_server_destroy(struct atl_server *server)
{
	if (!server)
		return;
	atomic_store(&server->draining, true);
	for (size_t i = 0; i < server->options.loop_count; i++) {
		if (do_errand(server, &server->lanes[i], stop_lane, NULL)) {
			atl_error(MODULE, "a loop ended before the server; its memory is left");
			return;
		}
	}
	wait_empty(server, NULL);
	/* The last socket's callbacks may still be returning on their loops. */
	for (size_t i = 0; i < server->options.loop_count; i++)
		(void)!do_errand(server, &server->lanes[i], pass, NULL);
	server_finish(server);
}

void atl_server_stats(const struct atl_server *server, struct atl_server_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < server->lane_count; i++) {
		const struct lane *lane = &server->lanes[i];

		out->requests += atomic_load_explicit(&lane->requests, memory_order_relaxed);
		out->connections_open += atomic_load_explicit(&lane->connections_open, memory_order_relaxed);
		out->streams_open += atomic_load_explicit(&lane->streams_open, memory_order_relaxed);
		out->bytes_out += atomic_load_explicit(&lane->bytes_out, memory_order_relaxed);
	}
}
