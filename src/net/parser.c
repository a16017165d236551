/* parser.c - see parser.h. Strings are collected in blocks of the arena that never move once a string is complete. */
#include "net/parser.h"

#include <string.h>
#include <strings.h>

#include <llhttp.h>

#define BLOCK_MIN 1024
#define HEADERS_START 24

_Static_assert(sizeof(llhttp_t) <= ATL_PARSER_STATE_SIZE, "ATL_PARSER_STATE_SIZE is too small");

static llhttp_t *engine_of(struct atl_parser *parser)
{
	return (llhttp_t *)(void *)parser->state;
}

static int fail(struct atl_parser *parser, enum atl_err err, const char *reason)
{
	parser->err = err;
	parser->reason = reason;
	return HPE_USER;
}

/* Add to the string being collected, moving only that string when its block is full. */
static int collect(llhttp_t *engine, const char *at, size_t length)
{
	struct atl_parser *parser = engine->data;
	size_t have = parser->text_end - parser->text_start;

	parser->head_bytes += length;
	if (parser->head_bytes > parser->limits->head_max)
		return fail(parser, ATL_ERR_HEADERS_TOO_LARGE, "the head is too long");
	if (parser->head_done)
		return 0; /* a trailer: checked and dropped */
	if (parser->text_end + length + 1 > parser->text_room) {
		size_t room = (have + length + 1) * 2;
		char *block;

		if (room < BLOCK_MIN)
			room = BLOCK_MIN;
		block = atl_arena_alloc(parser->arena, room);
		if (!block)
			return fail(parser, ATL_ERR_NOMEM, "out of memory");
		if (have)
			memcpy(block, parser->text + parser->text_start, have);
		parser->text = block;
		parser->text_room = room;
		parser->text_start = 0;
		parser->text_end = have;
	}
	memcpy(parser->text + parser->text_end, at, length);
	parser->text_end += length;
	return 0;
}

/* The string is complete: terminate it and start the next one behind it. */
static char *finish_string(llhttp_t *engine, size_t *ret_length)
{
	struct atl_parser *parser = engine->data;
	char *text;

	if (parser->text_end + 1 > parser->text_room && collect(engine, "", 0) != 0)
		return NULL;
	text = parser->text + parser->text_start;
	*ret_length = parser->text_end - parser->text_start;
	text[*ret_length] = 0;
	parser->text_end++;
	parser->text_start = parser->text_end;
	return text;
}

static int on_begin(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;

	parser->in_message = true;
	return 0;
}

static int on_url(llhttp_t *engine, const char *at, size_t length)
{
	struct atl_parser *parser = engine->data;

	if (parser->text_end - parser->text_start + length > parser->limits->target_max)
		return fail(parser, ATL_ERR_URI_TOO_LONG, "the target is too long");
	return collect(engine, at, length);
}

static int on_url_complete(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;
	size_t length;

	parser->head.target = finish_string(engine, &length);
	return parser->head.target ? 0 : HPE_USER;
}

static int grow_headers(struct atl_parser *parser)
{
	size_t room = parser->headers_room ? parser->headers_room * 2 : HEADERS_START;
	struct atl_req_header *headers;

	if (room > parser->limits->headers_max)
		room = parser->limits->headers_max;
	headers = ATL_ARENA_ARRAY(parser->arena, struct atl_req_header, room);
	if (!headers)
		return fail(parser, ATL_ERR_NOMEM, "out of memory");
	if (parser->head.header_count)
		memcpy(headers, parser->headers, parser->head.header_count * sizeof(*headers));
	parser->headers = headers;
	parser->headers_room = room;
	return 0;
}

static int on_field_complete(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;
	size_t length;
	char *name;

	parser->head_bytes += 4; /* colon, space and line end */
	if (parser->head_done)
		return 0;
	if (parser->head.header_count >= parser->limits->headers_max)
		return fail(parser, ATL_ERR_HEADERS_TOO_LARGE, "too many headers");
	if (parser->head.header_count == parser->headers_room && grow_headers(parser) != 0)
		return HPE_USER;
	name = finish_string(engine, &length);
	if (!name)
		return HPE_USER;
	parser->headers[parser->head.header_count].name = name;
	return 0;
}

static int on_value_complete(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;
	size_t length;
	char *value;

	if (parser->head_done)
		return 0;
	value = finish_string(engine, &length);
	if (!value)
		return HPE_USER;
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		value[--length] = 0;
	while (*value == ' ' || *value == '\t')
		value++;
	parser->headers[parser->head.header_count++].value = value;
	return 0;
}

static int obey(struct atl_parser *parser, enum atl_parser_do what)
{
	switch (what) {
	case ATL_PARSER_GO:
		return 0;
	case ATL_PARSER_STOP:
		return HPE_PAUSED;
	case ATL_PARSER_NO_BODY:
		return 1;
	case ATL_PARSER_FAIL:
		break;
	}
	return fail(parser, ATL_ERR_CANCELLED, "refused");
}

/* llhttp lets "gzip, chunked" pass; the body would still be compressed after our decoding. */
static bool only_chunked(const struct atl_parser_head *head)
{
	for (size_t i = 0; i < head->header_count; i++)
		if (strcasecmp(head->headers[i].name, "Transfer-Encoding") == 0 &&
		    strcasecmp(head->headers[i].value, "chunked") != 0)
			return false;
	return head->chunked;
}

static int on_headers_complete(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;
	struct atl_parser_head *head = &parser->head;

	if (engine->http_major != 1 || engine->http_minor > 1) {
		fail(parser, ATL_ERR_INVALID, "the version is neither HTTP/1.0 nor HTTP/1.1");
		return -1;
	}
	if (engine->type == HTTP_REQUEST) {
		head->method = llhttp_method_name(engine->method);
	} else {
		head->status = engine->status_code;
	}
	head->minor = engine->http_minor;
	head->headers = parser->headers;
	head->has_length = (engine->flags & F_CONTENT_LENGTH) != 0;
	head->content_length = head->has_length ? engine->content_length : 0;
	head->chunked = (engine->flags & F_CHUNKED) != 0;
	head->upgrade = engine->upgrade != 0;
	head->keep_alive = llhttp_should_keep_alive(engine) != 0;
	if ((engine->flags & F_TRANSFER_ENCODING) && head->minor == 0) {
		fail(parser, ATL_ERR_INVALID, "a transfer coding in HTTP/1.0");
		return -1;
	}
	if (engine->type == HTTP_REQUEST && (engine->flags & F_TRANSFER_ENCODING) && !only_chunked(head)) {
		fail(parser, ATL_ERR_INVALID, "the only transfer coding understood is chunked");
		return -1;
	}
	parser->head_done = true;
	parser->head_bytes = 0;
	{
		int rc = obey(parser, parser->ops->on_head(parser->arg, head));

		return rc == HPE_USER ? -1 : rc;
	}
}

static int on_body(llhttp_t *engine, const char *at, size_t length)
{
	struct atl_parser *parser = engine->data;

	if (!length)
		return 0;
	parser->body_bytes += length;
	return obey(parser, parser->ops->on_body(parser->arg, at, length));
}

static int on_message_complete(llhttp_t *engine)
{
	struct atl_parser *parser = engine->data;

	parser->complete = true;
	parser->in_message = false;
	parser->ops->on_complete(parser->arg);
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_url_complete = on_url_complete,
	.on_header_field = collect,
	.on_header_field_complete = on_field_complete,
	.on_header_value = collect,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void atl_parser_init(struct atl_parser *parser, enum atl_parser_kind kind, const struct atl_parser_limits *limits,
		     const struct atl_parser_ops *ops, void *arg)
{
	memset(parser, 0, sizeof(*parser));
	parser->ops = ops;
	parser->limits = limits;
	parser->arg = arg;
	llhttp_init(engine_of(parser), kind == ATL_PARSER_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	engine_of(parser)->data = parser;
}

void atl_parser_begin(struct atl_parser *parser, struct atl_arena *arena)
{
	parser->arena = arena;
	memset(&parser->head, 0, sizeof(parser->head));
	parser->headers = NULL;
	parser->text = NULL;
	parser->text_room = parser->text_start = parser->text_end = 0;
	parser->headers_room = 0;
	parser->head_bytes = 0;
	parser->raw_bytes = parser->body_bytes = 0;
	parser->err = ATL_OK;
	parser->reason = NULL;
	parser->head_done = false;
	parser->in_message = false;
	parser->complete = false;
}

/* Framing may cost a few bytes per body byte (tiny chunks), but not go on without any. */
static bool chunk_overhead_ok(struct atl_parser *parser, bool body_before, size_t used)
{
	if (!parser->head_done || !body_before || parser->complete)
		return true;
	parser->raw_bytes += used;
	return parser->raw_bytes <= parser->body_bytes * 9 + ATL_PARSER_CHUNK_SLACK;
}

enum atl_err atl_parser_feed(struct atl_parser *parser, const char *data, size_t length, size_t *ret_used)
{
	llhttp_t *engine = engine_of(parser);
	bool body_before = parser->head_done;
	size_t used = length;
	llhttp_errno_t rc;

	*ret_used = 0;
	if (parser->err)
		return parser->err;
	if (parser->complete || length == 0)
		return ATL_OK;
	rc = llhttp_execute(engine, data, length);
	if (rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE) {
		used = (size_t)(llhttp_get_error_pos(engine) - data);
		if (rc == HPE_PAUSED)
			llhttp_resume(engine);
		else
			llhttp_resume_after_upgrade(engine);
	} else if (rc != HPE_OK) {
		if (!parser->err) {
			parser->err = ATL_ERR_INVALID;
			parser->reason = llhttp_get_error_reason(engine);
		}
		return parser->err;
	}
	*ret_used = used;
	if (!chunk_overhead_ok(parser, body_before, used))
		return fail(parser, ATL_ERR_INVALID, "too much chunk framing"), parser->err;
	return ATL_OK;
}

enum atl_err atl_parser_eof(struct atl_parser *parser)
{
	llhttp_t *engine = engine_of(parser);
	llhttp_errno_t rc;

	if (parser->err)
		return parser->err;
	if (parser->complete || !parser->in_message)
		return ATL_OK;
	rc = llhttp_finish(engine);
	if ((rc == HPE_OK || rc == HPE_PAUSED) && parser->complete)
		return ATL_OK;
	parser->err = ATL_ERR_INVALID;
	parser->reason = "the message was cut short";
	return parser->err;
}
