/* parser.h - incremental HTTP/1.x message parser, both directions: the one home of llhttp.
 *
 * Strict: what llhttp's default mode refuses stays refused (CL with TE, repeated, listed or signed lengths, odd
 * transfer codings, space before the colon, bare LF, folding, NUL, broken chunk sizes). Added here: limits on target,
 * head and header count, transfer codings in HTTP/1.0, versions other than 1.0 and 1.1, and chunk overhead.
 *
 * Life cycle: atl_parser_init(), then for each message atl_parser_begin() and atl_parser_feed() until
 *             `parser->complete`. The parser owns no memory: the head's strings live in the arena given to begin.
 * Threads:    one at a time.
 * Limits:     struct atl_parser_limits; ATL_PARSER_CHUNK_SLACK bytes of chunk framing beyond 8 per body byte.
 */
#ifndef ATL_NET_PARSER_H
#define ATL_NET_PARSER_H

#include "base/arena.h"
#include "base/err.h"

#define ATL_PARSER_STATE_SIZE 128
#define ATL_PARSER_CHUNK_SLACK 16384

struct atl_req_header {
	const char *name;  /* as sent */
	const char *value; /* trimmed */
};

enum atl_parser_kind { ATL_PARSER_REQUEST, ATL_PARSER_RESPONSE };

struct atl_parser_limits {
	size_t target_max;  /* bytes of the request target */
	size_t head_max;    /* bytes of the whole head; also of the trailer */
	size_t headers_max; /* header lines */
};

struct atl_parser_head {
	const char *method; /* requests: "GET"; one of llhttp's list */
	const char *target; /* requests: as sent */
	int status;	    /* responses */
	int minor;	    /* HTTP/1.minor */
	const struct atl_req_header *headers;
	size_t header_count;
	bool has_length;
	uint64_t content_length; /* when has_length */
	bool chunked;
	bool keep_alive;
	bool upgrade; /* Connection: upgrade with an Upgrade header */
};

/* What a callback wants to happen next. */
enum atl_parser_do {
	ATL_PARSER_GO,
	ATL_PARSER_STOP,    /* return from feed after this callback; feed the rest later */
	ATL_PARSER_NO_BODY, /* on_head of a response only: it answers HEAD */
	ATL_PARSER_FAIL	    /* give up: feed answers ATL_ERR_CANCELLED */
};

struct atl_parser_ops {
	enum atl_parser_do (*on_head)(void *arg, const struct atl_parser_head *head);
	enum atl_parser_do (*on_body)(void *arg, const char *data, size_t length);
	void (*on_complete)(void *arg); /* feed returns right after it */
};

struct atl_parser {
	/* set at init */
	_Alignas(16) unsigned char state[ATL_PARSER_STATE_SIZE];
	const struct atl_parser_ops *ops;
	const struct atl_parser_limits *limits;
	void *arg;
	/* the message at hand */
	struct atl_arena *arena;
	struct atl_parser_head head;
	struct atl_req_header *headers;
	char *text;	  /* block being filled */
	size_t text_room; /* of the block */
	size_t text_start, text_end; /* the string being collected */
	size_t headers_room;
	size_t head_bytes;  /* strings of head or trailer so far */
	uint64_t raw_bytes; /* fed since the head was complete */
	uint64_t body_bytes;
	enum atl_err err; /* why it stopped */
	const char *reason;
	bool head_done;
	bool in_message; /* at least one byte of the message was seen */
	bool complete;
};

/* `ops` and `limits` are borrowed for the parser's life. */
void atl_parser_init(struct atl_parser *parser, enum atl_parser_kind kind, const struct atl_parser_limits *limits,
		     const struct atl_parser_ops *ops, void *arg);
/* Get ready for the next message. */
void atl_parser_begin(struct atl_parser *parser, struct atl_arena *arena);
/* Parse; *ret_used gets how much was taken (less than length after STOP or a complete message).
 * Errors: INVALID (`parser->reason` says why), URI_TOO_LONG, HEADERS_TOO_LARGE, NOMEM, CANCELLED (a callback failed). */
enum atl_err atl_parser_feed(struct atl_parser *parser, const char *data, size_t length, size_t *ret_used) ATL_MUST_USE;
/* The peer closed. ATL_OK: between messages, or the end completed a body without length. INVALID: cut. */
enum atl_err atl_parser_eof(struct atl_parser *parser) ATL_MUST_USE;

#endif
