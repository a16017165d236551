/* exchange.h - conversations as files: ours (lossless), SillyTavern's .jsonl, ChatGPT's conversations.json, plain text.
 *
 * A file becomes a list of struct atl_exchange, a conversation as a tree in an array; a conversation of the database
 * becomes the same struct and then a file. Parsing and writing know nothing of the database (exchange.c,
 * exchange_tavern.c, exchange_chatgpt.c, exchange_write.c); storing knows nothing of formats (exchange_store.c).
 *
 * Threads:    parsing and writing are pure functions; atl_exchange_export() and _import() block (SQL): pool threads.
 * Ownership:  everything returned lives in the given arena.
 * Limits:     ATL_EXCHANGE_BYTES_MAX a file, ATL_CONVERSATION_MESSAGES_MAX, ATL_MESSAGE_BYTES_MAX; titles are cut at
 *             ATL_TITLE_MAX. No recursion: the depth of a tree is only bounded by its size.
 * Adding one: a reader is a branch in atl_exchange_parse(), a writer a line in ATL_EXCHANGE_FORMATS.
 */
#ifndef ATL_CORE_EXCHANGE_H
#define ATL_CORE_EXCHANGE_H

#include "core/access/identity.h"
#include "core/app.h"
#include "core/chat/conversation.h"

#define ATL_EXCHANGE_BYTES_MAX ((size_t)64 << 20)
#define ATL_EXCHANGE_ARENA_MAX ((size_t)768 << 20) /* for the tree of a file of that size */
#define ATL_EXCHANGE_FORMAT "atelier.conversation"
#define ATL_EXCHANGE_VERSION 1

/* Invariant after atl_exchange_settle(): parent < own index. */
struct atl_exchange_message {
	int64_t parent; /* index; -1: a root */
	const char *role, *content, *reasoning;
	const char *model;  /* NULL */
	int64_t created_at; /* ms; 0: not known */
	bool active;	    /* of its siblings, the one that was looked at last */
};
struct atl_exchange {
	const char *title;	    /* "": none */
	const char *character_name; /* NULL */
	int64_t created_at;	    /* ms; 0: not known */
	struct atl_exchange_message *messages;
	size_t count, room;
	int64_t current; /* index of the active path's leaf; -1: empty */
};
struct atl_exchange_list {
	struct atl_exchange *items;
	size_t count;
	size_t skipped;	    /* conversations of the file that cannot be used */
	const char *reason; /* of the first of them; NULL */
};

/* Tell the format, read all conversations. At least one: otherwise the first one's error is returned.
 * Errors: JSON, ENCODING, UNPROCESSABLE (unknown kind of file), INVALID, TOO_LARGE, NOMEM. */
enum atl_err atl_exchange_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_exchange_list *ret,
				struct atl_errinfo *info) ATL_MUST_USE;

/* name in ?format=, function, content type, file name extension */
#define ATL_EXCHANGE_FORMATS(X)                                              \
	X(atelier, "atelier", "application/json", "json")                     \
	X(tavern, "sillytavern", "application/jsonl", "jsonl")                 \
	X(text, "text", "text/plain; charset=utf-8", "txt")
struct atl_exchange_format {
	const char *name;
	enum atl_err (*write)(struct atl_arena *arena, const struct atl_exchange *exchange, struct atl_buf *out,
			      struct atl_errinfo *info);
	const char *type, *extension;
};
const struct atl_exchange_format *atl_exchange_format(const char *name); /* NULL: there is none */

/* The whole tree. */
enum atl_err atl_exchange_write_atelier(struct atl_arena *arena, const struct atl_exchange *exchange,
					struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;
/* The active path; siblings are its swipes. */
enum atl_err atl_exchange_write_tavern(struct atl_arena *arena, const struct atl_exchange *exchange,
				       struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;
/* The active path, to be read by people. */
enum atl_err atl_exchange_write_text(struct atl_arena *arena, const struct atl_exchange *exchange,
				     struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;

/* The conversation as a file in `out`; *ret_title names it. NOT_FOUND, TOO_LARGE. */
enum atl_err atl_exchange_export(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				 const char *conversation_id, const struct atl_exchange_format *format,
				 struct atl_buf *out, const char **ret_title, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_imported {
	struct atl_conversation *items;
	size_t count, skipped;
	const char *reason; /* of the first skipped one; NULL */
};
/* Every conversation of the file passes the policy (entry point `import`) and is stored in its own transaction; one that
 * is refused is skipped. When nothing is left its error is returned. Publishes conversation.created. */
enum atl_err atl_exchange_import(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *text, size_t length, struct atl_imported *ret,
				 struct atl_errinfo *info) ATL_MUST_USE;

#endif
