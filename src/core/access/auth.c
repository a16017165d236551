/* auth.c - the cache of credentials: one lock, two maps (valid and refused), a generation against
 * races with revoking. */
#include "core/access/auth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "core/access/api_key.h"
#include "core/access/session.h"
#include "core/people/rights.h"
#include "db/db.h"

#define HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)
#define FLUSH_BATCH 500
#define ENDED_MAX 10000

struct entry {
	struct atl_identity identity;
	uint64_t fetched_ms; /* monotonic */
	int64_t used_at;     /* wall clock, of the last use */
	bool dirty;	     /* used_at is not in the database yet */
	bool refused;	     /* the secret is not valid */
};

struct end {
	uint64_t at_ms;
};

struct atl_auth_cache {
	atomic_uint_fast64_t last_end_ms; /* of all in `ended`; 0: none */
	struct atl_rights_book *rights; /* set at create */
	pthread_mutex_t lock;
	/* guarded by lock */
	struct atl_map known;	/* hash -> entry */
	struct atl_map refused; /* apart, so that a stranger's guesses push nobody out */
	struct atl_map ended;	/* id -> struct end; starts over at ENDED_MAX, which is told as an end of everything before */
	uint64_t ended_all_ms;	/* what was ended before that is not known any more */
	uint64_t generation;	/* counts forgetting: a lookup that began before must not be remembered */
	void (*told)(void *arg, const char *id, bool user);
	void *told_arg;
};

static void free_entry(const char *key, void *value, void *arg)
{
	free(value);
}

static void clear(struct atl_map *map)
{
	atl_map_each(map, free_entry, NULL);
	atl_map_finish(map);
	atl_map_init(map);
}

enum atl_err atl_auth_create(struct atl_auth_cache **ret)
{
	struct atl_auth_cache *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return ATL_ERR_NOMEM;
	if (atl_rights_book_create(&auth->rights) != ATL_OK) {
		free(auth);
		return ATL_ERR_NOMEM;
	}
	pthread_mutex_init(&auth->lock, NULL);
	atl_map_init(&auth->known);
	atl_map_init(&auth->refused);
	atl_map_init(&auth->ended);
	*ret = auth;
	return ATL_OK;
}

void atl_auth_destroy(struct atl_auth_cache *auth)
{
	if (!auth)
		return;
	clear(&auth->known);
	clear(&auth->refused);
	clear(&auth->ended);
	atl_map_finish(&auth->known);
	atl_map_finish(&auth->refused);
	atl_map_finish(&auth->ended);
	pthread_mutex_destroy(&auth->lock);
	atl_rights_book_destroy(auth->rights);
	free(auth);
}

struct atl_rights_book *atl_auth_rights(struct atl_auth_cache *auth)
{
	return auth ? auth->rights : NULL;
}

/* A cookie and a key of the same text must not meet in the cache. */
static void secret_hash(enum atl_identity_channel channel, const char *secret, char out[HASH_SIZE + 1])
{
	out[0] = channel == ATL_CHANNEL_COOKIE ? 'c' : 'k';
	atl_sha256_hex(secret, strlen(secret), out + 1);
}

enum atl_auth_answer atl_auth_cached(struct atl_auth_cache *auth, enum atl_identity_channel channel, const char *secret,
				     struct atl_identity *ret)
{
	enum atl_auth_answer answer = ATL_AUTH_ASK;
	uint64_t now = atl_monotonic_ms();
	int64_t wall = atl_now_ms();
	char hash[HASH_SIZE + 1];
	struct entry *entry;

	secret_hash(channel, secret, hash);
	pthread_mutex_lock(&auth->lock);
	entry = atl_map_get(&auth->known, hash);
	if (entry && now - entry->fetched_ms < ATL_AUTH_CACHE_MS &&
	    (!entry->identity.expires_at_ms || entry->identity.expires_at_ms > wall)) {
		entry->used_at = wall;
		entry->dirty = true;
		*ret = entry->identity;
		ret->channel = channel;
		answer = ATL_AUTH_KNOWN;
	} else if (!entry) {
		entry = atl_map_get(&auth->refused, hash);
		if (entry && now - entry->fetched_ms < ATL_AUTH_MISS_MS)
			answer = ATL_AUTH_REFUSED;
	}
	pthread_mutex_unlock(&auth->lock);
	return answer;
}

/* Keep what the database said. Failing to is harmless: the next request asks again. */
static void remember(struct atl_auth_cache *auth, const char *hash, const struct atl_identity *identity,
		     uint64_t generation)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	struct atl_map *map;
	void *old = NULL;

	if (!entry)
		return;
	entry->fetched_ms = atl_monotonic_ms();
	if (identity) {
		entry->identity = *identity;
		entry->used_at = atl_now_ms();
		entry->dirty = true;
	} else {
		entry->refused = true;
	}
	pthread_mutex_lock(&auth->lock);
	map = identity ? &auth->known : &auth->refused;
	if (generation != auth->generation) {
		free(entry);
		goto out;
	}
	if (map->count >= ATL_AUTH_CACHE_MAX)
		clear(map);
	if (atl_map_put(map, hash, entry, &old) != ATL_OK)
		free(entry);
	free(old);
out:
	pthread_mutex_unlock(&auth->lock);
}

enum atl_err atl_auth_lookup(struct atl_app *app, enum atl_identity_channel channel, const char *secret,
			     struct atl_identity *ret, struct atl_errinfo *info)
{
	struct atl_auth_cache *auth = app->auth;
	char hash[HASH_SIZE + 1];
	uint64_t generation;
	enum atl_err err;

	secret_hash(channel, secret, hash);
	pthread_mutex_lock(&auth->lock);
	generation = auth->generation;
	pthread_mutex_unlock(&auth->lock);
	if (channel == ATL_CHANNEL_COOKIE)
		err = atl_session_find(app, hash + 1, ret, NULL, info);
	else
		err = atl_api_key_find(app, hash + 1, ret, info);
	if (!err) {
		ret->channel = channel;
		remember(auth, hash, ret, generation);
	} else if (err == ATL_ERR_AUTH || err == ATL_ERR_KEY) {
		remember(auth, hash, NULL, generation);
	}
	return err;
}

struct forget {
	struct atl_map *map;
	const char *id, *user_id;
};

static void forget_entry(const char *key, void *value, void *arg)
{
	struct forget *forget = arg;
	struct entry *entry = value;

	if (forget->id && !atl_str_eq(entry->identity.session_id, forget->id) &&
	    !atl_str_eq(entry->identity.key_id, forget->id))
		return;
	if (forget->user_id && !atl_str_eq(entry->identity.user_id, forget->user_id))
		return;
	atl_map_remove(forget->map, key);
	free(entry);
}

static void forget(struct atl_auth_cache *auth, const char *id, const char *user_id, bool tell)
{
	struct forget what = { &auth->known, id, user_id };

	pthread_mutex_lock(&auth->lock);
	auth->generation++;
	atl_map_each(&auth->known, forget_entry, &what);
	if (!id) /* whose secrets were refused is not known: a lifted suspension counts at once, too */
		clear(&auth->refused);
	if (tell && auth->told)
		auth->told(auth->told_arg, id ? id : user_id, id == NULL);
	pthread_mutex_unlock(&auth->lock);
}

void atl_auth_forget(struct atl_auth_cache *auth, const char *session_or_key_id)
{
	forget(auth, session_or_key_id, NULL, true);
}

void atl_auth_forget_user(struct atl_auth_cache *auth, const char *user_id)
{
	forget(auth, NULL, user_id, true);
}

void atl_auth_forget_here(struct atl_auth_cache *auth, const char *session_or_key_id, const char *user_id)
{
	forget(auth, session_or_key_id, user_id, false);
}

void atl_auth_on_forget(struct atl_auth_cache *auth, void (*told)(void *arg, const char *id, bool user), void *arg)
{
	pthread_mutex_lock(&auth->lock);
	auth->told = told;
	auth->told_arg = arg;
	pthread_mutex_unlock(&auth->lock);
}

void atl_auth_end(struct atl_auth_cache *auth, const char *id)
{
	struct end *end = calloc(1, sizeof(*end));
	uint64_t now = atl_monotonic_ms();
	void *old = NULL;

	pthread_mutex_lock(&auth->lock);
	if (auth->ended.count >= ENDED_MAX) {
		clear(&auth->ended);
		auth->ended_all_ms = now;
	}
	if (end)
		end->at_ms = now;
	if (!end || atl_map_put(&auth->ended, id, end, &old) != ATL_OK) {
		free(end);
		auth->ended_all_ms = now; /* rather too many than one too few */
	}
	free(old);
	atomic_store(&auth->last_end_ms, now + 1);
	pthread_mutex_unlock(&auth->lock);
}

static bool was_ended(struct atl_auth_cache *auth, const char *id, uint64_t since_ms)
{
	const struct end *end = *id ? atl_map_get(&auth->ended, id) : NULL;

	return end && end->at_ms >= since_ms;
}

bool atl_auth_ended(struct atl_auth_cache *auth, const struct atl_identity *who, uint64_t since_ms)
{
	bool ended;

	if (!auth || atomic_load(&auth->last_end_ms) <= since_ms)
		return false;
	pthread_mutex_lock(&auth->lock);
	ended = (auth->ended_all_ms && auth->ended_all_ms >= since_ms) || was_ended(auth, who->user_id, since_ms) ||
		was_ended(auth, who->key_id, since_ms) || was_ended(auth, who->session_id, since_ms);
	pthread_mutex_unlock(&auth->lock);
	return ended;
}

struct use {
	char id[ATL_ID_SIZE];
	bool key;
	int64_t used_at;
};
struct uses {
	struct use items[FLUSH_BATCH];
	size_t count;
};

static void collect(const char *key, void *value, void *arg)
{
	struct uses *uses = arg;
	struct entry *entry = value;
	struct use *use;

	if (!entry->dirty || uses->count == FLUSH_BATCH)
		return;
	use = &uses->items[uses->count++];
	use->key = entry->identity.key_id[0] != '\0';
	memcpy(use->id, use->key ? entry->identity.key_id : entry->identity.session_id, ATL_ID_SIZE);
	use->used_at = entry->used_at;
	entry->dirty = false;
}

static enum atl_err flush_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct uses *uses = arg;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; !err && i < uses->count; i++) {
		const struct use *use = &uses->items[i];

		if (use->key)
			err = atl_exec(conn, info, "UPDATE api_keys SET last_used_at = ? WHERE id = ?", "is", use->used_at,
				       use->id);
		else
			err = atl_exec(conn, info, "UPDATE sessions SET last_seen_at = ? WHERE id = ?", "is", use->used_at,
				       use->id);
	}
	return err;
}

enum atl_err atl_auth_flush(struct atl_app *app, struct atl_errinfo *info)
{
	struct uses *uses = malloc(sizeof(*uses));
	enum atl_err err = ATL_OK;

	if (!uses)
		return atl_fail(info, ATL_ERR_NOMEM, "write times of last use");
	do {
		uses->count = 0;
		pthread_mutex_lock(&app->auth->lock);
		atl_map_each(&app->auth->known, collect, uses);
		pthread_mutex_unlock(&app->auth->lock);
		if (uses->count > 0)
			err = atl_db_tx(app->db, flush_tx, uses, info);
	} while (!err && uses->count == FLUSH_BATCH);
	free(uses);
	return err;
}
