/* stmt_cache.h - prepared statements of one connection, found by the address of their SQL and then by its text.
 *
 * SQL is nearly always a literal, so the address finds the entry without hashing the text; the text is compared all
 * the same, because a buffer may hold another statement the next time. When the cache is full, the statement unused
 * for longest goes.
 *
 * Life cycle: atl_stmt_cache_init() .. atl_stmt_cache_finish(). Threads: one at a time, with its connection.
 * Limits:     ATL_STMT_CACHE_MAX statements.
 */
#ifndef ATL_DB_STMT_CACHE_H
#define ATL_DB_STMT_CACHE_H

#include "base/err.h"

#define ATL_STMT_CACHE_MAX 256
#define ATL_STMT_CACHE_SLOTS 512 /* a power of two */

struct atl_stmt {
	char *key; /* own copy: parameter kinds, ':' and SQL; NULL: free */
	const char *sql; /* into key */
	uint64_t hash;
	uint64_t used; /* tick of the last use */
	bool busy;     /* a query is open on it: it must not go */
	void *handle;  /* the driver's */
	int64_t number;
};

struct atl_stmt_cache {
	struct atl_stmt items[ATL_STMT_CACHE_MAX];
	int count;
	uint64_t tick;
	uint16_t by_address[ATL_STMT_CACHE_SLOTS]; /* index + 1; a hint, checked against the text */
	uint16_t by_text[ATL_STMT_CACHE_SLOTS];	   /* index + 1; open addressing, the truth */
	void (*drop)(struct atl_stmt *stmt, void *arg);
	void *arg;
};

/* `drop` frees a statement's handle. */
void atl_stmt_cache_init(struct atl_stmt_cache *cache, void (*drop)(struct atl_stmt *stmt, void *arg), void *arg);
void atl_stmt_cache_finish(struct atl_stmt_cache *cache);

/* NULL: not there. `kinds` tells apart statements of one text whose parameters are of different kinds. */
struct atl_stmt *atl_stmt_cache_find(struct atl_stmt_cache *cache, const char *kinds, const char *sql);
/* Add what find() did not find. The entry is valid until the next add() unless busy. NULL: out of memory, or every
 * statement is busy. */
struct atl_stmt *atl_stmt_cache_add(struct atl_stmt_cache *cache, const char *kinds, const char *sql);
void atl_stmt_cache_remove(struct atl_stmt_cache *cache, struct atl_stmt *stmt);

#endif
