/* redis.h - one connection to Redis: commands, numbers out of a script, messages of a channel. The home of hiredis.
 *
 * A connection is blocking with a time limit on every step, so it belongs in a thread that may wait, never on a loop.
 * After any error it is over: close it and open another one (its owner decides when).
 *
 * Life cycle: atl_redis_open() .. atl_redis_close(). Threads: one at a time.
 * Errors:     CONFIG (the address), UPSTREAM_AUTH (name or password), UPSTREAM_TIMEOUT, UPSTREAM (all else).
 * Limits:     ATL_REDIS_TIMEOUT_MS for connecting and for each answer, ATL_REDIS_KEYS_MAX keys a script.
 */
#ifndef ATL_DB_REDIS_H
#define ATL_DB_REDIS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ATL_REDIS_TIMEOUT_MS 1000
#define ATL_REDIS_KEYS_MAX 256
#define ATL_REDIS_TEXT_MAX 256 /* of each part of an address, and of a message */

struct atl_redis_address {
	char host[ATL_REDIS_TEXT_MAX]; /* or the path of a unix socket, beginning with '/' */
	char user[ATL_REDIS_TEXT_MAX], password[ATL_REDIS_TEXT_MAX];
	int port, database;
};
/* "redis://[[user]:password@]host[:port][/database]" or "unix:///path[?db=N]". CONFIG with a sentence that never quotes
 * the password. */
enum atl_err atl_redis_address(const char *url, struct atl_redis_address *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_redis;
enum atl_err atl_redis_open(const struct atl_redis_address *address, struct atl_redis **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_redis_close(struct atl_redis *redis); /* NULL is allowed */

enum atl_err atl_redis_ping(struct atl_redis *redis, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_redis_publish(struct atl_redis *redis, const char *channel, const char *message,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* Run a Lua script with keys and numbers; it must answer an array of exactly ret_count integers. */
enum atl_err atl_redis_numbers(struct atl_redis *redis, const char *script, const char *const *keys, size_t key_count,
			       const int64_t *args, size_t arg_count, int64_t *ret, size_t ret_count,
			       struct atl_errinfo *info) ATL_MUST_USE;

/* ---- listening: the connection is good for nothing else afterwards ---- */
enum atl_err atl_redis_subscribe(struct atl_redis *redis, const char *channel, struct atl_errinfo *info) ATL_MUST_USE;
int atl_redis_socket(const struct atl_redis *redis); /* readable: read, then hear until there is nothing more */
enum atl_err atl_redis_read(struct atl_redis *redis, struct atl_errinfo *info) ATL_MUST_USE; /* does not wait if readable */
enum atl_redis_heard { ATL_REDIS_NOTHING, ATL_REDIS_MESSAGE, ATL_REDIS_OTHER /* an answer to a ping */, ATL_REDIS_BROKEN };
enum atl_redis_heard atl_redis_hear(struct atl_redis *redis, char *message, size_t size);
/* Ask for a sign of life: heard as OTHER. */
enum atl_err atl_redis_poke(struct atl_redis *redis, struct atl_errinfo *info) ATL_MUST_USE;

#endif
