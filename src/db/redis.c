/* redis.c - hiredis 0.14 and later: what both have. */
#include "db/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"

#define ARGS_MAX (3 + ATL_REDIS_KEYS_MAX * 3)
#define NUMBER_SIZE 24

struct atl_redis {
	redisContext *context;
};

/* ---- the address ---- */

static enum atl_err bad_address(const char *what, struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_CONFIG, "redis_url: %s. Write redis://[[user]:password@]host[:port][/database] or "
			"unix:///path[?db=N].", what);
}

/* `length` bytes, percent-decoded. */
static bool take_part(const char *text, size_t length, char out[ATL_REDIS_TEXT_MAX])
{
	struct atl_arena arena;
	char *plain = NULL;
	bool ok;

	atl_arena_init(&arena, 4 * ATL_REDIS_TEXT_MAX);
	ok = atl_percent_decode(&arena, text, length, false, &plain) && strlen(plain) < ATL_REDIS_TEXT_MAX;
	if (ok)
		atl_str_copy(out, ATL_REDIS_TEXT_MAX, plain);
	if (plain)
		atl_wipe(plain, strlen(plain));
	atl_arena_finish(&arena);
	return ok;
}

static bool take_number(const char *text, int64_t max, int *ret)
{
	int64_t number;

	if (!atl_str_i64(text, 0, max, &number))
		return false;
	*ret = (int)number;
	return true;
}

static enum atl_err unix_address(const char *path, struct atl_redis_address *ret, struct atl_errinfo *info)
{
	size_t length = strcspn(path, "?");
	const char *query = path + length;

	if (*path != '/' || !take_part(path, length, ret->host))
		return bad_address("the path of the socket is not understood", info);
	if (*query && (!atl_str_starts(query, "?db=") || !take_number(query + 4, 1000, &ret->database)))
		return bad_address("the database is no number", info);
	return ATL_OK;
}

enum atl_err atl_redis_address(const char *url, struct atl_redis_address *ret, struct atl_errinfo *info)
{
	const char *rest, *at, *slash, *colon;
	size_t length;
	char port[8];

	memset(ret, 0, sizeof(*ret));
	ret->port = 6379;
	if (atl_str_starts(url, "unix://"))
		return unix_address(url + 7, ret, info);
	if (atl_str_starts(url, "rediss://"))
		return bad_address("TLS is not offered; put a tunnel in between", info);
	if (!atl_str_starts(url, "redis://"))
		return bad_address("it does not begin with redis:// or unix://", info);
	rest = url + 8;
	slash = strchr(rest, '/');
	length = slash ? (size_t)(slash - rest) : strlen(rest);
	if (slash && slash[1] && !take_number(slash + 1, 1000, &ret->database))
		return bad_address("the database is no number", info);
	at = memchr(rest, '@', length);
	if (at) {
		colon = memchr(rest, ':', (size_t)(at - rest));
		if (!colon || !take_part(rest, (size_t)(colon - rest), ret->user) ||
		    !take_part(colon + 1, (size_t)(at - colon - 1), ret->password))
			return bad_address("name and password are not understood", info);
		length -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	if (*rest == '[') {
		const char *end = memchr(rest, ']', length);

		if (!end || !take_part(rest + 1, (size_t)(end - rest - 1), ret->host))
			return bad_address("the host is not understood", info);
		length -= (size_t)(end + 1 - rest);
		rest = end + 1;
		colon = length ? rest : NULL;
		if (colon && *colon != ':')
			return bad_address("the host is not understood", info);
	} else {
		colon = memchr(rest, ':', length);
		if (!take_part(rest, colon ? (size_t)(colon - rest) : length, ret->host))
			return bad_address("the host is not understood", info);
	}
	if (!ret->host[0] || ret->host[0] == '/')
		return bad_address("there is no host", info);
	if (colon) {
		size_t digits = length - (size_t)(colon + 1 - rest);

		if (digits >= sizeof(port))
			return bad_address("the port is no number", info);
		memcpy(port, colon + 1, digits);
		port[digits] = '\0';
		if (!take_number(port, 65535, &ret->port))
			return bad_address("the port is no number", info);
	}
	return ATL_OK;
}

/* ---- one connection ---- */

static enum atl_err failed(const struct atl_redis *redis, const char *what, struct atl_errinfo *info)
{
	const redisContext *context = redis->context;

	if (!context || !context->err)
		return atl_fail(info, ATL_ERR_UPSTREAM, "Redis: %s: out of memory", what);
	return atl_fail(info, context->err == REDIS_ERR_IO ? ATL_ERR_UPSTREAM_TIMEOUT : ATL_ERR_UPSTREAM, "Redis: %s: %s", what,
			context->errstr);
}

static void free_reply(redisReply *reply)
{
	if (reply)
		freeReplyObject(reply);
}

static enum atl_err command(struct atl_redis *redis, int argc, const char **argv, const char *what, redisReply **ret,
			    struct atl_errinfo *info)
{
	redisReply *reply = redisCommandArgv(redis->context, argc, argv, NULL);
	enum atl_err err = ATL_OK;

	if (!reply)
		return failed(redis, what, info);
	if (reply->type == REDIS_REPLY_ERROR) {
		bool auth = atl_str_starts(reply->str, "NOAUTH") || atl_str_starts(reply->str, "WRONGPASS") ||
			    atl_str_starts(reply->str, "ERR invalid password");

		err = atl_fail(info, auth ? ATL_ERR_UPSTREAM_AUTH : ATL_ERR_UPSTREAM, "Redis: %s: %.200s", what, reply->str);
	}
	if (!err && ret)
		*ret = reply;
	else
		free_reply(reply);
	return err;
}

static enum atl_err introduce(struct atl_redis *redis, const struct atl_redis_address *address, struct atl_errinfo *info)
{
	char database[NUMBER_SIZE];
	enum atl_err err = ATL_OK;

	if (address->password[0] && address->user[0])
		err = command(redis, 3, (const char *[]){ "AUTH", address->user, address->password }, "sign in", NULL, info);
	else if (address->password[0])
		err = command(redis, 2, (const char *[]){ "AUTH", address->password }, "sign in", NULL, info);
	snprintf(database, sizeof(database), "%d", address->database);
	if (!err && address->database)
		err = command(redis, 2, (const char *[]){ "SELECT", database }, "choose the database", NULL, info);
	return err ? err : atl_redis_ping(redis, info);
}

enum atl_err atl_redis_open(const struct atl_redis_address *address, struct atl_redis **ret, struct atl_errinfo *info)
{
	const struct timeval limit = { .tv_sec = ATL_REDIS_TIMEOUT_MS / 1000,
				       .tv_usec = ATL_REDIS_TIMEOUT_MS % 1000 * 1000 };
	struct atl_redis *redis = calloc(1, sizeof(*redis));
	enum atl_err err = ATL_OK;

	if (!redis)
		return atl_fail(info, ATL_ERR_NOMEM, "connect to Redis");
	if (address->host[0] == '/')
		redis->context = redisConnectUnixWithTimeout(address->host, limit);
	else
		redis->context = redisConnectWithTimeout(address->host, address->port, limit);
	if (!redis->context || redis->context->err || redisSetTimeout(redis->context, limit) != REDIS_OK)
		err = failed(redis, "connect", info);
	if (!err)
		err = introduce(redis, address, info);
	if (err)
		atl_redis_close(redis);
	else
		*ret = redis;
	return err;
}

void atl_redis_close(struct atl_redis *redis)
{
	if (!redis)
		return;
	if (redis->context)
		redisFree(redis->context);
	free(redis);
}

enum atl_err atl_redis_ping(struct atl_redis *redis, struct atl_errinfo *info)
{
	return command(redis, 1, (const char *[]){ "PING" }, "ping", NULL, info);
}

enum atl_err atl_redis_publish(struct atl_redis *redis, const char *channel, const char *message, struct atl_errinfo *info)
{
	return command(redis, 3, (const char *[]){ "PUBLISH", channel, message }, "publish", NULL, info);
}

enum atl_err atl_redis_numbers(struct atl_redis *redis, const char *script, const char *const *keys, size_t key_count,
			       const int64_t *args, size_t arg_count, int64_t *ret, size_t ret_count, struct atl_errinfo *info)
{
	char numbers[2 * ATL_REDIS_KEYS_MAX][NUMBER_SIZE], how_many[NUMBER_SIZE];
	const char *argv[ARGS_MAX];
	redisReply *reply;
	size_t argc = 0;
	enum atl_err err;

	if (key_count > ATL_REDIS_KEYS_MAX || arg_count > ATL_COUNT(numbers))
		return atl_fail(info, ATL_ERR_INTERNAL, "Redis: too many keys for a script");
	snprintf(how_many, sizeof(how_many), "%zu", key_count);
	argv[argc++] = "EVAL";
	argv[argc++] = script;
	argv[argc++] = how_many;
	for (size_t i = 0; i < key_count; i++)
		argv[argc++] = keys[i];
	for (size_t i = 0; i < arg_count; i++) {
		snprintf(numbers[i], NUMBER_SIZE, "%lld", (long long)args[i]);
		argv[argc++] = numbers[i];
	}
	err = command(redis, (int)argc, argv, "run a script", &reply, info);
	if (err)
		return err;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != ret_count)
		err = atl_fail(info, ATL_ERR_UPSTREAM, "Redis: a script's answer is not understood");
	for (size_t i = 0; !err && i < ret_count; i++) {
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			err = atl_fail(info, ATL_ERR_UPSTREAM, "Redis: a script's answer is not understood");
		else
			ret[i] = reply->element[i]->integer;
	}
	free_reply(reply);
	return err;
}

/* ---- listening ---- */

enum atl_err atl_redis_subscribe(struct atl_redis *redis, const char *channel, struct atl_errinfo *info)
{
	return command(redis, 2, (const char *[]){ "SUBSCRIBE", channel }, "listen", NULL, info);
}

int atl_redis_socket(const struct atl_redis *redis)
{
	return redis->context->fd;
}

enum atl_err atl_redis_read(struct atl_redis *redis, struct atl_errinfo *info)
{
	return redisBufferRead(redis->context) == REDIS_OK ? ATL_OK : failed(redis, "listen", info);
}

enum atl_redis_heard atl_redis_hear(struct atl_redis *redis, char *message, size_t size)
{
	enum atl_redis_heard heard = ATL_REDIS_OTHER;
	void *got = NULL;
	redisReply *reply;

	if (redisGetReplyFromReader(redis->context, &got) != REDIS_OK)
		return ATL_REDIS_BROKEN;
	reply = got;
	if (!reply)
		return ATL_REDIS_NOTHING;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[0]->type == REDIS_REPLY_STRING &&
	    atl_str_eq(reply->element[0]->str, "message") && reply->element[2]->type == REDIS_REPLY_STRING) {
		atl_str_copy(message, size, reply->element[2]->str);
		heard = ATL_REDIS_MESSAGE;
	}
	free_reply(reply);
	return heard;
}

enum atl_err atl_redis_poke(struct atl_redis *redis, struct atl_errinfo *info)
{
	int done = 0;

	if (redisAppendCommandArgv(redis->context, 1, (const char *[]){ "PING" }, NULL) != REDIS_OK)
		return failed(redis, "poke", info);
	while (!done)
		if (redisBufferWrite(redis->context, &done) != REDIS_OK)
			return failed(redis, "poke", info);
	return ATL_OK;
}
