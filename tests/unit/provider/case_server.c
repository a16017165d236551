/* case_server.c - see case_server.h. */
#include "case_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/str.h"

#define REQUEST_MAX ((size_t)64 << 20)
#define FILE_PNG "\x89PNG\r\n\x1a\n"

/* ---- what replies are made of ---- */
static uint32_t crc32_of(const unsigned char *data, size_t length)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return ~crc;
}

static void put32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void chunk(struct atl_buf *out, const char *type, const void *data, size_t length)
{
	unsigned char number[4];
	size_t from;

	put32(number, (uint32_t)length);
	atl_buf_add(out, number, 4);
	from = out->length;
	atl_buf_add(out, type, 4);
	atl_buf_add(out, data, length);
	put32(number, crc32_of((unsigned char *)out->data + from, length + 4));
	atl_buf_add(out, number, 4);
}

/* Grey rows of one bit, uncompressed: sizes in tests are small. */
void case_png(int64_t width, int64_t height, struct atl_buf *out)
{
	unsigned char head[13] = { [8] = 1 };
	size_t row = (size_t)(width + 7) / 8 + 1, all = row * (size_t)height;
	unsigned char *data = calloc(1, all + 11);
	uint32_t sum = 1 | (uint32_t)(all % 65521) << 16; /* Adler-32 of zeros */

	put32(head, (uint32_t)width);
	put32(head + 4, (uint32_t)height);
	if (!data || all > 65535)
		abort();
	memcpy(data, "\x78\x01\x01", 3);
	data[3] = (unsigned char)all;
	data[4] = (unsigned char)(all >> 8);
	data[5] = (unsigned char)~data[3];
	data[6] = (unsigned char)~data[4];
	put32(data + 7 + all, sum);
	atl_buf_add(out, FILE_PNG, 8);
	chunk(out, "IHDR", head, sizeof(head));
	chunk(out, "IDAT", data, all + 11);
	chunk(out, "IEND", "", 0);
	free(data);
}

static void add_png(struct atl_buf *out, const char *size, bool base64)
{
	struct atl_buf png;
	int width = 0, height = 0;

	if (sscanf(size, "%dx%d", &width, &height) != 2)
		abort();
	atl_buf_init(&png, 1 << 20);
	case_png(width, height, &png);
	if (base64)
		atl_base64_encode(out, ATL_BASE64_STANDARD, png.data, png.length);
	else
		atl_buf_add(out, png.data, png.length);
	atl_buf_finish(&png);
}

void case_server_expand(const struct case_server *server, const char *text, struct atl_buf *out)
{
	while (*text) {
		if (atl_str_starts(text, "{base}")) {
			atl_buf_adds(out, server->base);
			text += 6;
		} else if (atl_str_starts(text, "{other}")) {
			atl_buf_adds(out, server->other);
			text += 7;
		} else if (atl_str_starts(text, "{png64:")) {
			add_png(out, text + 7, true);
			text = strchr(text, '}') + 1;
		} else {
			atl_buf_addc(out, *text++);
		}
	}
}

/* ---- checking a request ---- */
bool case_json_subset(const struct atl_json *want, const struct atl_json *have)
{
	if (!have || want->kind != have->kind)
		return false;
	switch (want->kind) {
	case ATL_JSON_STRING: /* "data:image/png;base64,..." stands for any such beginning */
		if (atl_str_ends(want->string, "..."))
			return strncmp(want->string, have->string, strlen(want->string) - 3) == 0;
		return strcmp(want->string, have->string) == 0;
	case ATL_JSON_NUMBER:
	case ATL_JSON_BOOL:
		return want->number == have->number;
	case ATL_JSON_OBJECT:
		for (const struct atl_json *w = want->child; w; w = w->next)
			if (!case_json_subset(w, atl_json_get(have, w->key)))
				return false;
		return true;
	case ATL_JSON_ARRAY:
		if (want->count != have->count)
			return false;
		for (const struct atl_json *w = want->child, *h = have->child; w; w = w->next, h = h->next)
			if (!case_json_subset(w, h))
				return false;
		return true;
	default:
		return true;
	}
}

static void ATL_PRINTF(2, 3) mismatch(struct case_server *server, const char *fmt, ...)
{
	va_list args;

	if (server->mismatch)
		return;
	va_start(args, fmt);
	if (vasprintf(&server->mismatch, fmt, args) < 0)
		abort();
	va_end(args);
}

static void check_body(struct case_server *server, const char *want, const char *body, size_t length)
{
	struct atl_json *want_tree, *have_tree;

	if (atl_json_parse(&server->arena, want, strlen(want), &want_tree, NULL))
		mismatch(server, "the case's own JSON is broken: %s", want);
	else if (atl_json_parse(&server->arena, body, length, &have_tree, NULL) ||
		 !case_json_subset(want_tree, have_tree))
		mismatch(server, "request %zu: the body lacks something of %s\nit is %.2000s", server->requests, want,
			 body);
}

/* "GET /path", or with "..." at its end the beginning of one. */
static bool is_first_line(const char *seen, const char *line)
{
	size_t length = strlen(line);

	if (atl_str_ends(line, "..."))
		return strncmp(seen, line, length - 3) == 0;
	return strncmp(seen, line, length) == 0 && seen[length] == ' ';
}

static void check_request(struct case_server *server, const char *text, const struct atl_buf *seen)
{
	const char *body = strstr(seen->data, "\r\n\r\n") + 4;
	bool first = true;

	while (text && *text) {
		size_t length = strcspn(text, "\n");
		char *line = atl_arena_strndup(&server->arena, text, length);
		bool absent = line[0] == '!';

		text += length + (text[length] == '\n');
		if (strcmp(line, "body") == 0) {
			check_body(server, text, body, seen->length - (size_t)(body - seen->data));
			return;
		}
		if (first && !is_first_line(seen->data, line))
			mismatch(server, "request %zu should be \"%s\" and is:\n%.600s", server->requests, line, seen->data);
		else if (!first && length && absent == !!memmem(seen->data, seen->length, line + absent, length - absent))
			mismatch(server, "request %zu: \"%s\" is not so in:\n%.2000s", server->requests, line, seen->data);
		first = false;
	}
}

/* ---- replies ---- */
struct directives {
	bool cancel, cut, has_length;
	size_t cut_at;
};

static void body_line(struct case_server *server, const char *line, struct atl_buf *body, struct directives *d)
{
	if (atl_str_starts(line, "@png "))
		add_png(body, line + 5, false);
	else if (atl_str_starts(line, "@mp4"))
		atl_buf_add(body, "\0\0\0\x18" "ftypisom\0\0\0\0isommp42\0\0\0\x8" "free", 32);
	else if (atl_str_starts(line, "@base64 ")) {
		if (!atl_base64_decode(body, ATL_BASE64_STANDARD, line + 8, strlen(line + 8)))
			abort();
	} else if (atl_str_starts(line, "@filler "))
		for (unsigned long i = strtoul(line + 8, NULL, 10); i; i--)
			atl_buf_addc(body, 'x');
	else if (atl_str_starts(line, "!cut ")) {
		d->cut = true;
		d->cut_at = strtoul(line + 5, NULL, 10);
	} else if (strcmp(line, "!cancel") == 0)
		d->cancel = true;
	else {
		case_server_expand(server, line, body);
		atl_buf_addc(body, '\n');
	}
}

static void make_reply(struct case_server *server, const char *text, struct atl_buf *out, struct directives *d)
{
	struct atl_buf body;
	bool head = true;

	atl_buf_init(&body, REQUEST_MAX);
	while (*text) {
		size_t length = strcspn(text, "\n");
		char *line = atl_arena_strndup(&server->arena, text, length);

		text += length + (text[length] == '\n');
		if (head && line[0] == '!') {
			body_line(server, line, &body, d);
		} else if (head && !length) {
			head = false;
		} else if (head) {
			case_server_expand(server, line, out);
			atl_buf_adds(out, "\r\n");
			d->has_length |= strncasecmp(line, "content-length:", 15) == 0;
		} else {
			body_line(server, line, &body, d);
		}
	}
	if (!d->has_length)
		atl_buf_addf(out, "Content-Length: %zu\r\n", body.length);
	atl_buf_adds(out, "Connection: close\r\n\r\n");
	atl_buf_add(out, body.data, d->cut && d->cut_at < body.length ? d->cut_at : body.length);
	atl_buf_finish(&body);
}

/* ---- connections ---- */
static bool read_request(int fd, struct atl_buf *in)
{
	size_t want = 0;

	while (!want || in->length < want) {
		char piece[65536], *end, *length;
		ssize_t got = recv(fd, piece, sizeof(piece), 0);

		if (got <= 0)
			return false;
		atl_buf_add(in, piece, (size_t)got);
		end = want ? NULL : strstr(in->data, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(in->data, "\r\ncontent-length:");
		want = (size_t)(end + 4 - in->data) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
		if (strcasestr(in->data, "\r\nexpect: 100-continue") && send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, 0) < 0)
			return false;
	}
	return true;
}

static void send_all(int fd, const struct atl_buf *out)
{
	for (size_t at = 0; at < out->length;) {
		ssize_t sent = send(fd, out->data + at, out->length - at, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		at += (size_t)sent;
	}
}

static struct case_exchange *due(struct case_server *server)
{
	size_t before = 0;

	for (size_t i = 0; i < server->exchange_count; i++) {
		before += server->exchanges[i].times;
		if (server->requests <= before)
			return &server->exchanges[i];
	}
	return NULL;
}

static void serve(struct case_server *server, int fd)
{
	struct directives d = { 0 };
	struct case_exchange *exchange;
	struct atl_buf in, out;

	atl_buf_init(&in, REQUEST_MAX);
	atl_buf_init(&out, REQUEST_MAX);
	if (read_request(fd, &in)) {
		server->requests++;
		exchange = due(server);
		if (exchange)
			check_request(server, exchange->request, &in);
		else
			mismatch(server, "one request too many:\n%.600s", in.data);
		if (exchange && !server->mismatch)
			make_reply(server, exchange->reply, &out, &d);
		else
			atl_buf_adds(&out, "HTTP/1.1 599 Mismatch\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		if (d.cancel) {
			atomic_store(server->cancelled, true);
		} else {
			send_all(fd, &out);
			shutdown(fd, SHUT_WR);
		}
	}
	if (d.cancel && server->parked_count < CASE_PARKED_MAX)
		server->parked[server->parked_count++] = fd;
	else
		close(fd);
	atl_buf_finish(&in);
	atl_buf_finish(&out);
	atl_arena_reset(&server->arena);
}

static void *server_main(void *arg)
{
	struct case_server *server = arg;

	for (;;) {
		int fd = accept(server->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		serve(server, fd);
	}
}

void case_server_start(struct case_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	atl_arena_init(&server->arena, 0);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&address, sizeof(address)) || listen(server->fd, 16) ||
	    getsockname(server->fd, (struct sockaddr *)&address, &length))
		abort();
	server->port = ntohs(address.sin_port);
	snprintf(server->base, sizeof(server->base), "http://127.0.0.1:%d", server->port);
	snprintf(server->other, sizeof(server->other), "http://localhost:%d", server->port);
	if (pthread_create(&server->thread, NULL, server_main, server))
		abort();
}

void case_server_stop(struct case_server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
	for (size_t i = 0; i < server->parked_count; i++)
		close(server->parked[i]);
	atl_arena_finish(&server->arena);
}
