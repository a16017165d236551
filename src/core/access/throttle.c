/* throttle.c - counting failed sign-ins by address, device and name. */
#include "core/access/throttle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "core/access/rate.h"

#define KEY_SIZE 320
#define CALL_ENTRIES_MAX 3 /* one call makes at most so many */

struct entry {
	unsigned failures;
	int64_t last_ms, wait_until_ms;
	bool good; /* pair of name and address: the name signed in here */
};

struct atl_throttle {
	pthread_mutex_t lock;
	/* guarded by lock */
	struct atl_map entries; /* "a <address>", "d <device>", "n <name>", "p <address> <name>" */
};

enum atl_err atl_throttle_create(struct atl_throttle **ret)
{
	struct atl_throttle *throttle = calloc(1, sizeof(*throttle));

	if (!throttle)
		return ATL_ERR_NOMEM;
	pthread_mutex_init(&throttle->lock, NULL);
	atl_map_init(&throttle->entries);
	*ret = throttle;
	return ATL_OK;
}

static void free_entry(const char *key, void *value, void *arg)
{
	free(value);
}

void atl_throttle_destroy(struct atl_throttle *throttle)
{
	if (!throttle)
		return;
	atl_map_each(&throttle->entries, free_entry, NULL);
	atl_map_finish(&throttle->entries);
	pthread_mutex_destroy(&throttle->lock);
	free(throttle);
}

enum sweep_what { SWEEP_OLD, SWEEP_FAILURES, SWEEP_ALL };
struct sweep {
	struct atl_map *map;
	int64_t now;
	enum sweep_what what;
};

static void sweep_entry(const char *key, void *value, void *arg)
{
	struct sweep *sweep = arg;
	struct entry *entry = value;

	if (sweep->what == SWEEP_OLD && sweep->now - entry->last_ms < ATL_THROTTLE_FORGET_MS)
		return;
	if (sweep->what == SWEEP_FAILURES && entry->good)
		return;
	atl_map_remove(sweep->map, key);
	free(entry);
}

/* Before entries are looked up: what this frees, nobody holds. Where names are at home is forgotten last. */
static void make_room(struct atl_throttle *throttle, int64_t now)
{
	struct sweep sweep = { &throttle->entries, now, SWEEP_OLD };

	for (; throttle->entries.count + CALL_ENTRIES_MAX > ATL_THROTTLE_ENTRIES_MAX && sweep.what <= SWEEP_ALL; sweep.what++)
		atl_map_each(&throttle->entries, sweep_entry, &sweep);
}

static struct entry *entry_of(struct atl_throttle *throttle, const char *key, int64_t now, bool make)
{
	struct entry *entry = atl_map_get(&throttle->entries, key);

	if (entry && now - entry->last_ms >= ATL_THROTTLE_FORGET_MS && !entry->good)
		memset(entry, 0, sizeof(*entry));
	if (entry || !make)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry || atl_map_put(&throttle->entries, key, entry, NULL) != ATL_OK) {
		free(entry);
		return NULL;
	}
	return entry;
}

static void make_keys(const char *remote, const char *name, const char *device, char caller[KEY_SIZE],
		      char pair[KEY_SIZE], char named[KEY_SIZE])
{
	char network[ATL_NETWORK_SIZE], folded[160];
	size_t i;

	atl_network_of(remote, network);
	atl_str_copy(folded, sizeof(folded), name);
	for (i = 0; folded[i]; i++)
		if (folded[i] >= 'A' && folded[i] <= 'Z')
			folded[i] = (char)(folded[i] + 32);
	if (device)
		snprintf(caller, KEY_SIZE, "d %.64s", device);
	else
		snprintf(caller, KEY_SIZE, "a %s", network);
	snprintf(pair, KEY_SIZE, "p %s %s", network, folded);
	snprintf(named, KEY_SIZE, "n %s", folded);
}

static enum atl_err refuse(int64_t wait_ms, struct atl_errinfo *info)
{
	int seconds = (int)((wait_ms + 999) / 1000);

	if (info)
		info->retry_after_s = seconds;
	return atl_fail(info, ATL_ERR_THROTTLED, "Too many attempts from here. Try again in %d seconds.", seconds);
}

enum atl_err atl_throttle_try(struct atl_throttle *throttle, const char *remote, const char *name, const char *device,
			      struct atl_errinfo *info)
{
	char caller_key[KEY_SIZE], pair_key[KEY_SIZE], name_key[KEY_SIZE];
	struct entry *caller, *pair, *named;
	int64_t now = atl_now_ms(), wait;
	unsigned free_tries = ATL_THROTTLE_FREE;
	bool stranger;
	enum atl_err err = ATL_OK;

	make_keys(remote, name, device, caller_key, pair_key, name_key);
	pthread_mutex_lock(&throttle->lock);
	make_room(throttle, now);
	pair = entry_of(throttle, pair_key, now, false);
	named = entry_of(throttle, name_key, now, true);
	if (!named) {
		err = atl_fail(info, ATL_ERR_NOMEM, "count a sign-in");
		goto out;
	}
	/* Many addresses guess one name: strangers share few tries; where the name is at home nothing changes. Who is refused
	 * here gets no entry, so that they push nobody else's out. */
	stranger = !device && !(pair && pair->good) && named->failures > ATL_THROTTLE_GUESSED;
	if (stranger && named->wait_until_ms > now) {
		err = refuse(named->wait_until_ms - now, info);
		goto out;
	}
	if (stranger)
		free_tries = 1;
	caller = entry_of(throttle, caller_key, now, true);
	if (!caller) {
		err = atl_fail(info, ATL_ERR_NOMEM, "count a sign-in");
		goto out;
	}
	if (caller->wait_until_ms > now) {
		err = refuse(caller->wait_until_ms - now, info);
		goto out;
	}
	if (stranger)
		named->wait_until_ms = now + ATL_THROTTLE_STRANGERS_MS;
	caller->failures++;
	caller->last_ms = now;
	named->failures++;
	named->last_ms = now;
	if (caller->failures >= free_tries) {
		unsigned doublings = caller->failures - free_tries;

		wait = doublings > 20 ? ATL_THROTTLE_WAIT_MAX_MS : (int64_t)ATL_THROTTLE_WAIT_MIN_MS << doublings;
		caller->wait_until_ms = now + (wait < ATL_THROTTLE_WAIT_MAX_MS ? wait : ATL_THROTTLE_WAIT_MAX_MS);
	}
out:
	pthread_mutex_unlock(&throttle->lock);
	return err;
}

void atl_throttle_success(struct atl_throttle *throttle, const char *remote, const char *name, const char *device)
{
	char caller_key[KEY_SIZE], pair_key[KEY_SIZE], name_key[KEY_SIZE];
	struct entry *entry;
	int64_t now = atl_now_ms();

	make_keys(remote, name, device, caller_key, pair_key, name_key);
	pthread_mutex_lock(&throttle->lock);
	make_room(throttle, now);
	entry = entry_of(throttle, caller_key, now, false);
	if (entry) {
		entry->failures = 0;
		entry->wait_until_ms = 0;
	}
	entry = entry_of(throttle, name_key, now, false);
	if (entry && entry->failures > 0)
		entry->failures--; /* its own try; guesses of others stay counted */
	entry = entry_of(throttle, pair_key, now, true);
	if (entry) {
		entry->good = true;
		entry->last_ms = now;
	}
	pthread_mutex_unlock(&throttle->lock);
}
