/* log.c - formats a line on the stack and writes it at once; works when memory is out.
 *
 * The log is one of the process's few globals (see docs/base.md).
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"

#define REQUEST_MAX 64
#define MODULE_MAX 32
#define SECRET_LENGTH_MIN 8
#define MASK "[secret]"

static _Atomic int least = ATL_LOG_INFO;

static struct {
	pthread_mutex_t lock; /* guards everything below, and is held while a line is written */
	enum atl_log_format format;
	int fd;
	char *path; /* NULL: stderr */
	size_t secret_count;
	size_t secret_longest;
	bool secret_starts[256]; /* first bytes of the secrets */
	struct {
		char *text;
		size_t length;
	} secrets[ATL_LOG_SECRETS_MAX];
	size_t tail_written; /* lines ever; the ring holds the last ATL_LOG_TAIL_LINES */
	struct atl_log_line tail[ATL_LOG_TAIL_LINES];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .format = ATL_LOG_LOGFMT, .fd = STDERR_FILENO };

static _Thread_local char request[REQUEST_MAX];

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* With the lock held. */
static void to_stderr(void)
{
	if (state.path)
		close(state.fd);
	free(state.path);
	state.path = NULL;
	state.fd = STDERR_FILENO;
}

enum atl_err atl_log_init(enum atl_log_level level, enum atl_log_format format, const char *path,
			  struct atl_errinfo *info)
{
	char *copy = NULL;
	int fd = STDERR_FILENO;

	if (path) {
		copy = strdup(path);
		if (!copy)
			return atl_fail(info, ATL_ERR_NOMEM, "No memory for the log's path.");
		fd = open_file(path);
		if (fd < 0) {
			enum atl_err err = atl_fail(info, ATL_ERR_IO, "Opening the log %s: %s", path, strerror(errno));

			free(copy);
			return err;
		}
	}
	pthread_mutex_lock(&state.lock);
	to_stderr();
	state.path = copy;
	state.fd = fd;
	state.format = format;
	atomic_store(&least, level);
	pthread_mutex_unlock(&state.lock);
	return ATL_OK;
}

void atl_log_finish(void)
{
	pthread_mutex_lock(&state.lock);
	to_stderr();
	state.format = ATL_LOG_LOGFMT;
	for (size_t i = 0; i < state.secret_count; i++) {
		atl_wipe(state.secrets[i].text, state.secrets[i].length);
		free(state.secrets[i].text);
	}
	state.secret_count = state.secret_longest = 0;
	memset(state.secret_starts, 0, sizeof(state.secret_starts));
	atomic_store(&least, ATL_LOG_INFO);
	pthread_mutex_unlock(&state.lock);
}

void atl_log_reopen(void)
{
	int fd = -1, error = 0;

	pthread_mutex_lock(&state.lock);
	if (state.path) {
		fd = open_file(state.path);
		error = errno;
		if (fd >= 0) {
			close(state.fd);
			state.fd = fd;
		}
	} else {
		fd = state.fd;
	}
	pthread_mutex_unlock(&state.lock);
	if (fd < 0)
		atl_error("log", "Reopening the log failed, going on with the old file: %s", strerror(error));
}

void atl_log_secret(const char *secret)
{
	size_t length = secret ? strlen(secret) : 0;
	bool full = false;
	char *copy;

	if (length < SECRET_LENGTH_MIN)
		return;
	copy = strdup(secret);
	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; copy && i < state.secret_count; i++) {
		if (state.secrets[i].length == length && memcmp(state.secrets[i].text, copy, length) == 0) {
			atl_wipe(copy, length);
			free(copy);
			pthread_mutex_unlock(&state.lock);
			return;
		}
	}
	full = !copy || state.secret_count == ATL_LOG_SECRETS_MAX;
	if (!full) {
		state.secrets[state.secret_count].text = copy;
		state.secrets[state.secret_count++].length = length;
		state.secret_starts[(unsigned char)copy[0]] = true;
		if (length > state.secret_longest)
			state.secret_longest = length;
	}
	pthread_mutex_unlock(&state.lock);
	if (full) {
		if (copy) {
			atl_wipe(copy, length);
			free(copy);
		}
		atl_warn("log", "No room for one more secret to mask.");
	}
}

void atl_log_request_set(const char *request_id)
{
	(void)atl_str_copy(request, sizeof(request), request_id);
}

const char *atl_log_request_get(void)
{
	return request;
}

bool atl_log_enabled(enum atl_log_level level)
{
	return (int)level >= atomic_load_explicit(&least, memory_order_relaxed);
}

/* ---- one line ---- */

struct line {
	size_t length;
	bool full;
	char text[ATL_LOG_LINE_MAX];
};

#define LINE_TAIL 96 /* kept free for closing quote, request id and newline */

static void put(struct line *line, const char *text, size_t length, size_t room)
{
	if (line->full || line->length + length > room) {
		line->full = true;
		return;
	}
	memcpy(line->text + line->length, text, length);
	line->length += length;
}

static void puts_to(struct line *line, const char *text)
{
	put(line, text, strlen(text), sizeof(line->text));
}

/* As a JSON string's inside, which logfmt's quoting shares. */
static void put_escaped(struct line *line, const char *text, size_t length, size_t room)
{
	for (size_t i = 0; i < length && !line->full;) {
		unsigned char c = (unsigned char)text[i];
		size_t size = atl_utf8_char(text + i, length - i);
		char escape[8];

		if (!size) {
			put(line, "\xEF\xBF\xBD", 3, room);
			size = 1;
		} else if (c == '"' || c == '\\') {
			escape[0] = '\\';
			escape[1] = (char)c;
			put(line, escape, 2, room);
		} else if (c == '\n') {
			put(line, "\\n", 2, room);
		} else if (c < 0x20 || c == 0x7F) {
			put(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c), room);
		} else {
			put(line, text + i, size, room);
		}
		i += size;
	}
}

/* Length of the longest registered secret that starts at text; 0: none. With the lock held. */
static size_t secret_at(const char *text, size_t left)
{
	size_t longest = 0;

	if (!state.secret_starts[(unsigned char)*text])
		return 0;
	for (size_t i = 0; i < state.secret_count; i++) {
		size_t length = state.secrets[i].length;

		if (length > longest && length <= left && memcmp(text, state.secrets[i].text, length) == 0)
			longest = length;
	}
	return longest;
}

/* What starts before `stop` is written; up to `length` is looked at to recognise a secret. */
static void put_masked(struct line *line, const char *text, size_t stop, size_t length, size_t room)
{
	size_t start = 0;

	for (size_t i = 0; i < stop;) {
		size_t secret = secret_at(text + i, length - i);

		if (!secret) {
			i++;
			continue;
		}
		put_escaped(line, text + start, i - start, room);
		put(line, MASK, sizeof(MASK) - 1, room);
		i += secret;
		start = i;
	}
	if (start < stop)
		put_escaped(line, text + start, stop - start, room);
}

static void build(struct line *line, enum atl_log_level level, const char *module, const char *message, size_t stop,
		  size_t length)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	const size_t room = sizeof(line->text) - LINE_TAIL;
	bool json = state.format == ATL_LOG_JSON;
	char time[ATL_RFC3339_SIZE];

	atl_rfc3339_format(atl_now_ms(), time);
	line->length = 0;
	line->full = false;
	puts_to(line, json ? "{\"time\":\"" : "time=");
	puts_to(line, time);
	puts_to(line, json ? "\",\"level\":\"" : " level=");
	puts_to(line, names[level]);
	puts_to(line, json ? "\",\"module\":\"" : " module=");
	put_escaped(line, module, strnlen(module, MODULE_MAX), room);
	puts_to(line, json ? "\",\"message\":\"" : " msg=\"");
	put_masked(line, message, stop, length, room);
	line->full = false; /* what was cut is the message; its tail has room kept */
	puts_to(line, "\"");
	if (request[0]) {
		size_t before = line->length;

		puts_to(line, json ? ",\"request_id\":\"" : " request=\"");
		put_masked(line, request, strlen(request), strlen(request), sizeof(line->text) - 3);
		puts_to(line, "\"");
		if (line->full) { /* an id of nothing but control characters: leave it out */
			line->length = before;
			line->full = false;
		}
	}
	puts_to(line, json ? "}\n" : "\n");
}

static void write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* nowhere left to say it */
		text += written;
		length -= (size_t)written;
	}
}

/* As it was written, masked and without its newline; cut between characters. With the lock held. */
static void remember(enum atl_log_level level, const struct line *line)
{
	struct atl_log_line *slot = &state.tail[state.tail_written++ % ATL_LOG_TAIL_LINES];
	size_t length = line->length ? line->length - 1 : 0;

	if (length >= sizeof(slot->text)) {
		length = sizeof(slot->text) - 1;
		while (length && ((unsigned char)line->text[length] & 0xC0) == 0x80)
			length--;
	}
	slot->level = level;
	memcpy(slot->text, line->text, length);
	slot->text[length] = '\0';
}

size_t atl_log_tail(enum atl_log_level least_level, struct atl_log_line *out, size_t max)
{
	size_t count = 0, first, end;

	pthread_mutex_lock(&state.lock);
	end = state.tail_written;
	first = end;
	while (first > 0 && end - first < ATL_LOG_TAIL_LINES && count < max) /* back to where `max` fit */
		if (state.tail[--first % ATL_LOG_TAIL_LINES].level >= least_level)
			count++;
	count = 0;
	for (; first < end && count < max; first++)
		if (state.tail[first % ATL_LOG_TAIL_LINES].level >= least_level)
			out[count++] = state.tail[first % ATL_LOG_TAIL_LINES];
	pthread_mutex_unlock(&state.lock);
	return count;
}

void atl_log_write(enum atl_log_level level, const char *module, const char *fmt, ...)
{
	char message[2 * ATL_LOG_LINE_MAX];
	struct line line;
	int saved = errno, written;
	size_t length, stop;
	va_list args;

	if (!atl_log_enabled(level))
		return;
	va_start(args, fmt);
	written = vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	length = written < 0 ? 0 : (size_t)written;
	pthread_mutex_lock(&state.lock);
	if (length >= sizeof(message)) { /* a secret that was cut at the end is not recognised: leave its room out */
		length = sizeof(message) - 1;
		stop = state.secret_longest < length ? length - state.secret_longest : 0;
	} else {
		stop = length;
	}
	build(&line, level, module, message, stop, length);
	write_all(state.fd, line.text, line.length);
	remember(level, &line);
	pthread_mutex_unlock(&state.lock);
	errno = saved;
}
