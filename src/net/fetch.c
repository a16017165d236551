/* fetch.c - see fetch.h: libcurl's multi interface on a loop. The one home of curl.h.
 *
 * Each loop has one multi handle (connection reuse); name resolution runs in libcurl's resolver threads. A transfer is
 * removed from the multi handle only in finish(), which never runs inside a libcurl callback.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "base/map.h"
#include "base/str.h"
#include "net/fetch_int.h"

#define CONNECTIONS_KEPT 64

struct hub {
	struct atl_loop *loop;
	CURLM *multi;
	struct atl_timer *timer;
	struct atl_list transfers;
	bool ending;
};

struct transfer {
	struct atl_fetch fetch; /* first */
	struct hub *hub;
	struct atl_list link;
	CURL *easy;
	struct curl_slist *headers;
	struct atl_timer *timer;
	const struct atl_guard *guard;
	struct atl_fetch_ops ops;
	void *arg;
	struct atl_url url;
	struct atl_buf head;
	uint64_t received, max_bytes, last_ms;
	unsigned first_byte_ms, idle_ms;
	enum atl_err stop; /* why we gave up ourselves */
	bool head_done, paused, curl_paused, blocked, cancelled;
	char error[CURL_ERROR_SIZE];
};

static char *proxy_url;

enum atl_err atl_fetch_global_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? ATL_OK : ATL_ERR_NOMEM;
}

void atl_fetch_global_finish(void)
{
	free(proxy_url);
	proxy_url = NULL;
	curl_global_cleanup();
}

enum atl_err atl_fetch_proxy_set(const char *url)
{
	char *copy = url ? strdup(url) : NULL;

	if (url && !copy)
		return ATL_ERR_NOMEM;
	free(proxy_url);
	proxy_url = copy;
	return ATL_OK;
}

/* ---- head ---- */
const char *atl_fetch_header(struct atl_arena *arena, const struct atl_fetch_head *head, const char *name)
{
	size_t name_length = strlen(name);
	const char *line = head->raw;

	while (line && *line) {
		const char *end = strstr(line, "\r\n");
		size_t length = end ? (size_t)(end - line) : strlen(line);

		if (length > name_length && line[name_length] == ':' && strncasecmp(line, name, name_length) == 0) {
			const char *value = line + name_length + 1;
			size_t left = length - name_length - 1;

			while (left && (*value == ' ' || *value == '\t'))
				value++, left--;
			while (left && (value[left - 1] == ' ' || value[left - 1] == '\t'))
				left--;
			return atl_arena_strndup(arena, value, left);
		}
		line = end ? end + 2 : NULL;
	}
	return NULL;
}

static void tell_head(struct transfer *t)
{
	struct atl_fetch_head head = {.content_length = -1};
	struct atl_arena arena;
	const char *length;
	long status = 0;

	t->head_done = true;
	atl_timer_start(t->timer, t->idle_ms, 0); /* on_patience looks again by itself */
	if (!t->ops.on_head)
		return;
	atl_arena_init(&arena, ATL_FETCH_HEAD_MAX * 2);
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	head.status = (int)status;
	head.raw = t->head.data;
	head.content_type = atl_fetch_header(&arena, &head, "content-type");
	length = atl_fetch_header(&arena, &head, "content-length");
	if (length && !atl_str_i64(length, 0, INT64_MAX, &head.content_length))
		head.content_length = -1;
	t->ops.on_head(t->arg, &head);
	atl_arena_finish(&arena);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t length = size * count;
	long status = 0;

	if (t->cancelled)
		return 0;
	t->last_ms = atl_loop_now_ms(t->hub->loop);
	if (t->head_done)
		return length; /* a trailer */
	if (length > 5 && strncmp(data, "HTTP/", 5) == 0) {
		atl_buf_reset(&t->head);
		return length;
	}
	if (length > 2 || (length && data[0] != '\r' && data[0] != '\n')) {
		atl_buf_add(&t->head, data, length);
		if (!t->head.failed)
			return length;
		t->stop = ATL_ERR_UPSTREAM_FORMAT;
		return 0;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200)
		tell_head(t);
	return t->cancelled ? 0 : length;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t length = size * count;

	if (t->cancelled)
		return 0;
	if (t->paused) {
		t->curl_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	t->last_ms = atl_loop_now_ms(t->hub->loop);
	t->received += length;
	if (t->received > t->max_bytes) {
		t->stop = ATL_ERR_TOO_LARGE;
		return 0;
	}
	t->ops.on_data(t->arg, data, length);
	return t->cancelled ? 0 : length;
}

/* ---- guard ---- */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct transfer *t = arg;
	char text[INET6_ADDRSTRLEN] = "";

	(void)purpose;
	if (to->family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)&to->addr)->sin_addr, text, sizeof(text));
	else if (to->family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)&to->addr)->sin6_addr, text, sizeof(text));
	if (!proxy_url && !atl_guard_address(t->guard, t->url.host, t->url.port, text)) {
		t->blocked = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* A reused connection was opened under another request's guard: look again. */
static int before_request(void *arg, char *address, char *own, int port, int own_port)
{
	struct transfer *t = arg;

	(void)own, (void)port, (void)own_port;
	if (proxy_url || atl_guard_address(t->guard, t->url.host, t->url.port, address))
		return CURL_PREREQFUNC_OK;
	t->blocked = true;
	return CURL_PREREQFUNC_ABORT;
}

/* ---- end ---- */
static void finish(struct transfer *t, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_fetch_ops ops = t->ops;
	void *arg = t->arg;

	atl_list_remove(&t->link);
	curl_multi_remove_handle(t->hub->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	atl_timer_destroy(t->timer);
	atl_buf_finish(&t->head);
	free(t);
	ops.on_done(arg, err, info);
}

static void finish_stopped(struct transfer *t)
{
	struct atl_errinfo info = {0};
	enum atl_err err = t->cancelled ? ATL_ERR_CANCELLED : t->stop;

	switch (err) {
	case ATL_ERR_TOO_LARGE:
		atl_fail(&info, err, "%s sent more than %llu bytes.", t->url.host, (unsigned long long)t->max_bytes);
		break;
	case ATL_ERR_UPSTREAM_FORMAT:
		atl_fail(&info, err, "%s sent too many headers.", t->url.host);
		break;
	case ATL_ERR_UPSTREAM_TIMEOUT:
		atl_fail(&info, err, t->head_done ? "%s stopped sending." : "%s did not answer in time.", t->url.host);
		break;
	default:
		atl_fail(&info, err, "%s", atl_err_sentence(err));
	}
	finish(t, err, &info);
}

static void finish_curl(struct transfer *t, CURLcode code)
{
	struct atl_errinfo info = {0};
	const char *words = t->error[0] ? t->error : curl_easy_strerror(code);
	enum atl_err err;

	if (t->cancelled || t->stop) {
		finish_stopped(t);
		return;
	}
	if (code == CURLE_OK) {
		finish(t, ATL_OK, &info);
		return;
	}
	if (t->blocked)
		err = atl_fail(&info, ATL_ERR_OUTBOUND, "%s leads to a private address that is not allowed.", t->url.host);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		err = atl_fail(&info, ATL_ERR_UPSTREAM_TIMEOUT, "%s took too long: %s.", t->url.host, words);
	else if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
		 code == CURLE_SEND_ERROR || code == CURLE_HTTP2_STREAM || code == CURLE_HTTP2)
		err = atl_fail(&info, ATL_ERR_UPSTREAM_CUT, "The connection to %s broke: %s.", t->url.host, words);
	else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL ||
		 code == CURLE_BAD_CONTENT_ENCODING)
		err = atl_fail(&info, ATL_ERR_UPSTREAM_FORMAT, "%s does not answer as HTTP: %s.", t->url.host, words);
	else
		err = atl_fail(&info, ATL_ERR_UPSTREAM, "%s cannot be reached: %s.", t->url.host, words);
	finish(t, err, &info);
}

static void collect_done(struct hub *hub)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(hub->multi, &left))) {
		struct transfer *t = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish_curl(t, code);
	}
}

/* ---- libcurl on the loop ---- */
struct watch {
	struct hub *hub;
	curl_socket_t fd;
	struct atl_poll *poll;
};

static void on_ready(void *arg, int events, bool failed)
{
	struct watch *watch = arg;
	struct hub *hub = watch->hub;
	int flags = 0, running;

	if (events & ATL_POLL_READ)
		flags |= CURL_CSELECT_IN;
	if (events & ATL_POLL_WRITE)
		flags |= CURL_CSELECT_OUT;
	if (failed)
		flags |= CURL_CSELECT_ERR;
	curl_multi_socket_action(hub->multi, watch->fd, flags, &running); /* may free watch */
	collect_done(hub);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct hub *hub = arg;
	struct watch *watch = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch) {
			curl_multi_assign(hub->multi, fd, NULL);
			atl_poll_destroy(watch->poll);
			free(watch);
		}
		return 0;
	}
	if (!watch) {
		watch = calloc(1, sizeof(*watch));
		if (!watch)
			return -1;
		watch->hub = hub;
		watch->fd = fd;
		if (atl_poll_create(hub->loop, fd, on_ready, watch, &watch->poll) != ATL_OK) {
			free(watch);
			return -1;
		}
		curl_multi_assign(hub->multi, fd, watch);
	}
	atl_poll_set(watch->poll, (what & CURL_POLL_IN ? ATL_POLL_READ : 0) | (what & CURL_POLL_OUT ? ATL_POLL_WRITE : 0));
	return 0;
}

static void on_timeout(void *arg)
{
	struct hub *hub = arg;
	int running;

	curl_multi_socket_action(hub->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_done(hub);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct hub *hub = arg;

	(void)multi;
	if (hub->ending)
		return 0;
	if (ms < 0)
		atl_timer_stop(hub->timer);
	else
		atl_timer_start(hub->timer, (uint64_t)ms, 0);
	return 0;
}

static void hub_destroy(void *value)
{
	struct hub *hub = value;

	hub->ending = true;
	while (!atl_list_empty(&hub->transfers)) {
		struct transfer *t = ATL_LIST_ITEM(hub->transfers.next, struct transfer, link);

		t->cancelled = true;
		finish_stopped(t);
	}
	if (hub->multi)
		curl_multi_cleanup(hub->multi);
	atl_timer_destroy(hub->timer);
	free(hub);
}

static struct hub *hub_of(struct atl_loop *loop)
{
	struct hub *hub = atl_loop_slot_get(loop, ATL_LOOP_SLOT_FETCH);

	if (hub)
		return hub;
	hub = calloc(1, sizeof(*hub));
	if (!hub)
		return NULL;
	hub->loop = loop;
	atl_list_init(&hub->transfers);
	hub->multi = curl_multi_init();
	if (!hub->multi || atl_timer_create(loop, on_timeout, hub, &hub->timer) != ATL_OK) {
		hub_destroy(hub);
		return NULL;
	}
	curl_multi_setopt(hub->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(hub->multi, CURLMOPT_SOCKETDATA, hub);
	curl_multi_setopt(hub->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(hub->multi, CURLMOPT_TIMERDATA, hub);
	curl_multi_setopt(hub->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	atl_loop_slot_set(loop, ATL_LOOP_SLOT_FETCH, hub, hub_destroy);
	return hub;
}

/* ---- one transfer ---- */
static void on_patience(void *arg)
{
	struct transfer *t = arg;
	uint64_t now = atl_loop_now_ms(t->hub->loop);
	uint64_t allowed = t->head_done ? t->idle_ms : t->first_byte_ms;

	if (!t->paused && !t->cancelled && now >= t->last_ms + allowed) {
		t->stop = ATL_ERR_UPSTREAM_TIMEOUT;
		finish_stopped(t);
		return;
	}
	atl_timer_start(t->timer, t->paused || now >= t->last_ms + allowed ? allowed : t->last_ms + allowed - now, 0);
}

static void cancel_now(void *arg)
{
	finish_stopped(arg);
}

static void transfer_cancel(struct atl_fetch *fetch)
{
	struct transfer *t = (struct transfer *)fetch;

	if (t->cancelled)
		return;
	t->cancelled = true;
	/* Never from inside a libcurl callback. A timer, because it dies with the transfer if that ends first. */
	atl_timer_destroy(t->timer);
	t->timer = NULL;
	if (atl_timer_create(t->hub->loop, cancel_now, t, &t->timer) == ATL_OK)
		atl_timer_start(t->timer, 0, 0);
}

static void transfer_pause(struct atl_fetch *fetch)
{
	((struct transfer *)fetch)->paused = true;
}

static void transfer_resume(struct atl_fetch *fetch)
{
	struct transfer *t = (struct transfer *)fetch;

	if (!t->paused)
		return;
	t->paused = false;
	t->last_ms = atl_loop_now_ms(t->hub->loop);
	if (!t->curl_paused)
		return;
	t->curl_paused = false;
	curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

static bool set_method(struct transfer *t, const struct atl_fetch_request *request)
{
	const char *method = request->method ? request->method : request->body ? "POST" : "GET";
	bool ok = true;

	if (atl_str_eq(method, "HEAD"))
		return curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	if (request->body || atl_str_eq(method, "POST")) {
		ok &= curl_easy_setopt(t->easy, CURLOPT_POST, 1L) == CURLE_OK;
		ok &= curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length) == CURLE_OK;
		ok &= curl_easy_setopt(t->easy, request->body_borrowed ? CURLOPT_POSTFIELDS : CURLOPT_COPYPOSTFIELDS,
				       request->body ? request->body : "") == CURLE_OK;
	}
	ok &= curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
	return ok;
}

static bool add_header(struct transfer *t, const char *line)
{
	struct curl_slist *grown = curl_slist_append(t->headers, line);

	if (grown)
		t->headers = grown;
	return grown != NULL;
}

static bool set_headers(struct transfer *t, const struct atl_fetch_request *request)
{
	bool ok = add_header(t, "Expect:") && add_header(t, "User-Agent: atelier");

	for (size_t i = 0; ok && request->headers && request->headers[i]; i++)
		ok = !strpbrk(request->headers[i], "\r\n") && add_header(t, request->headers[i]);
	return ok && curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK;
}

static bool set_options(struct transfer *t, const struct atl_fetch_request *request)
{
	CURL *e = t->easy;
	bool ok = true;

	ok &= curl_easy_setopt(e, CURLOPT_URL, request->url) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PROXY, proxy_url ? proxy_url : "") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
			       (long)(request->connect_ms ? request->connect_ms : ATL_FETCH_CONNECT_MS)) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)request->total_ms) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PREREQDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK;
	return ok && set_method(t, request) && set_headers(t, request);
}

static enum atl_err curl_start(struct atl_loop *loop, const struct atl_fetch_request *request,
			       const struct atl_fetch_ops *ops, void *arg, struct atl_fetch **ret,
			       struct atl_errinfo *info)
{
	struct hub *hub = hub_of(loop);
	struct transfer *t = hub ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	t->fetch = (struct atl_fetch){transfer_cancel, transfer_pause, transfer_resume};
	t->hub = hub;
	t->guard = request->guard;
	t->ops = *ops;
	t->arg = arg;
	t->first_byte_ms = request->first_byte_ms ? request->first_byte_ms : ATL_FETCH_FIRST_BYTE_MS;
	t->idle_ms = request->idle_ms ? request->idle_ms : ATL_FETCH_IDLE_MS;
	t->max_bytes = request->max_response_bytes ? request->max_response_bytes : ATL_FETCH_RESPONSE_MAX;
	t->last_ms = atl_loop_now_ms(loop);
	atl_buf_init(&t->head, ATL_FETCH_HEAD_MAX);
	t->easy = curl_easy_init();
	if (!t->easy || atl_url_split(request->url, &t->url, NULL) || !set_options(t, request) ||
	    atl_timer_create(loop, on_patience, t, &t->timer) || curl_multi_add_handle(hub->multi, t->easy)) {
		curl_easy_cleanup(t->easy);
		curl_slist_free_all(t->headers);
		atl_timer_destroy(t->timer);
		free(t);
		return atl_fail(info, ATL_ERR_INVALID, "The request cannot be made.");
	}
	atl_list_append(&hub->transfers, &t->link);
	atl_timer_start(t->timer, t->first_byte_ms, 0);
	*ret = &t->fetch;
	return ATL_OK;
}

enum atl_err atl_fetch_start(struct atl_loop *loop, const struct atl_fetch_request *request,
			     const struct atl_fetch_ops *ops, void *arg, struct atl_fetch **ret,
			     struct atl_errinfo *info)
{
	enum atl_err err;

	if (request->unix_path)
		return atl_fetch_local_start(loop, request, ops, arg, ret, info);
	err = atl_guard_url(request->guard, request->url, info);
	if (err)
		return err;
	return (request->plain ? atl_fetch_local_start : curl_start)(loop, request, ops, arg, ret, info);
}

void atl_fetch_cancel(struct atl_fetch *fetch)
{
	fetch->cancel(fetch);
}

void atl_fetch_pause(struct atl_fetch *fetch)
{
	fetch->pause(fetch);
}

void atl_fetch_resume(struct atl_fetch *fetch)
{
	fetch->resume(fetch);
}

/* ---- from pool threads ---- */
struct waiter {
	struct atl_loop *loop;
	const struct atl_fetch_request *request;
	struct atl_arena *arena; /* the caller waits, so the loop may use it */
	struct atl_fetch_result result;
	struct atl_buf body;
	struct atl_errinfo info;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum atl_err err;
	bool done;
};

static void sync_head(void *arg, const struct atl_fetch_head *head)
{
	struct waiter *w = arg;

	w->result.status = head->status;
	w->result.content_type = atl_arena_strdup(w->arena, head->content_type);
	w->result.raw_head = atl_arena_strdup(w->arena, head->raw);
}

static void sync_data(void *arg, const char *data, size_t length)
{
	struct waiter *w = arg;

	atl_buf_add(&w->body, data, length);
}

static void sync_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->err = err;
	if (info)
		w->info = *info;
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void sync_start(void *arg)
{
	static const struct atl_fetch_ops OPS = {sync_head, sync_data, sync_done};
	struct waiter *w = arg;
	struct atl_fetch *fetch;
	struct atl_errinfo info = {0};
	enum atl_err err = atl_fetch_start(w->loop, w->request, &OPS, w, &fetch, &info);

	if (err)
		sync_done(w, err, &info);
}

enum atl_err atl_fetch_sync(struct atl_loop *loop, struct atl_arena *arena, const struct atl_fetch_request *request,
			    struct atl_fetch_result *ret, struct atl_errinfo *info)
{
	struct atl_fetch_request timed = *request;
	struct waiter w = {.loop = loop, .request = &timed, .arena = arena};
	enum atl_err err;

	if (!timed.total_ms)
		timed.total_ms = 60000;
	timed.body_borrowed = true; /* we wait */
	atl_buf_init(&w.body, (size_t)(timed.max_response_bytes ? timed.max_response_bytes : ATL_FETCH_RESPONSE_MAX));
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.changed, NULL);
	if (atl_loop_post(loop, sync_start, &w)) {
		pthread_mutex_lock(&w.lock);
		while (!w.done)
			pthread_cond_wait(&w.changed, &w.lock);
		err = w.err;
		pthread_mutex_unlock(&w.lock);
	} else {
		err = atl_fail(&w.info, ATL_ERR_SHUTDOWN, "The server is shutting down.");
	}
	pthread_cond_destroy(&w.changed);
	pthread_mutex_destroy(&w.lock);
	if (!err && w.body.failed)
		err = atl_fail(&w.info, ATL_ERR_NOMEM, "No memory for the answer.");
	if (!err) {
		w.result.body = atl_arena_strndup(arena, w.body.length ? w.body.data : "", w.body.length);
		w.result.body_length = w.body.length;
		if (!w.result.body || !w.result.raw_head)
			err = atl_fail(&w.info, ATL_ERR_NOMEM, "No memory for the answer.");
	}
	atl_buf_finish(&w.body);
	if (err && info)
		*info = w.info;
	if (!err)
		*ret = w.result;
	return err;
}
