/* rate.c - a table of sets of buckets. A set is 8 buckets in neighbouring memory; a lock guards a stripe of sets. */
#include "core/access/rate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"

#define WAYS 8
#define SETS (ATL_RATE_BUCKETS / WAYS)
#define STRIPES 64
#define WINDOW_US ((int64_t)ATL_RATE_WINDOW_S * 1000000)
#define ID_MAX 96
#define LINE_SIZE 48

_Static_assert(3 * LINE_SIZE + 32 + 2 * 20 + 5 <= ATL_RATE_LINES_SIZE, "the header lines fit");

struct bucket {
	uint64_t name; /* 0: free */
	int64_t ahead; /* us: when all that was taken is paid back; in the past: full */
	int64_t unsettled_us;
};

struct limit {
	int64_t count, step_us; /* requests a window; what one costs */
	char name[LINE_SIZE], policy[LINE_SIZE + 32], head[3 * LINE_SIZE + 32];
	size_t head_length;
};

struct atl_rates {
	/* set at create */
	struct limit limits[ATL_RATE_CLASS_COUNT][ATL_RATE_SCOPE_COUNT];
	bool local, shared;
	unsigned char seed[ATL_SIPHASH_KEY_SIZE];
	pthread_mutex_t locks[STRIPES];
	/* each guarded by the lock of its set's stripe */
	struct bucket *buckets;
	pthread_mutex_t unsettled_lock; /* taken inside a stripe's */
	/* guarded by unsettled_lock */
	uint32_t unsettled[ATL_RATE_UNSETTLED]; /* places in buckets */
	size_t unsettled_count;
};

static const char *const class_names[] = {
#define X(name, text) text,
	ATL_RATE_CLASSES(X)
#undef X
};
static const char *const scope_names[] = { "user", "key", "address", "address" };

static void make_limits(struct atl_rates *rates, const struct atl_rates_options *options)
{
	for (int class = 0; class < ATL_RATE_CLASS_COUNT; class++) {
		for (int scope = 0; scope < ATL_RATE_SCOPE_COUNT; scope++) {
			struct limit *limit = &rates->limits[class][scope];

			limit->count = options->per_minute[class];
			if (scope == ATL_RATE_SITE)
				limit->count *= ATL_RATE_ADDRESS_FACTOR;
			if (!limit->count)
				continue;
			limit->step_us = WINDOW_US / limit->count;
			snprintf(limit->name, sizeof(limit->name), "\"%s-%s\"", class_names[class], scope_names[scope]);
			snprintf(limit->policy, sizeof(limit->policy), "%s;q=%lld;w=%d", limit->name,
				 (long long)limit->count, ATL_RATE_WINDOW_S);
			limit->head_length = (size_t)snprintf(limit->head, sizeof(limit->head),
							      "RateLimit-Policy: %s\r\nRateLimit: %s;r=", limit->policy, limit->name);
		}
	}
}

enum atl_err atl_rates_create(const struct atl_rates_options *options, struct atl_rates **ret)
{
	struct atl_rates *rates = calloc(1, sizeof(*rates));

	if (!rates)
		return ATL_ERR_NOMEM;
	rates->buckets = calloc(ATL_RATE_BUCKETS, sizeof(*rates->buckets));
	if (!rates->buckets) {
		free(rates);
		return ATL_ERR_NOMEM;
	}
	rates->local = options->local;
	rates->shared = options->shared;
	if (options->shared)
		memcpy(rates->seed, "atelier rates 1", sizeof(rates->seed));
	else
		atl_random(rates->seed, sizeof(rates->seed));
	make_limits(rates, options);
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&rates->locks[i], NULL);
	pthread_mutex_init(&rates->unsettled_lock, NULL);
	*ret = rates;
	return ATL_OK;
}

void atl_rates_destroy(struct atl_rates *rates)
{
	if (!rates)
		return;
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&rates->locks[i]);
	pthread_mutex_destroy(&rates->unsettled_lock);
	free(rates->buckets);
	free(rates);
}

bool atl_rates_local(const struct atl_rates *rates)
{
	return rates->local;
}

/* Text form suffices: compressed addresses within one network differ only after their fourth group. */
void atl_network_of(const char *remote, char out[ATL_NETWORK_SIZE])
{
	unsigned colons = 0;
	size_t i = 0;

	if (!strchr(remote, ':') || strchr(remote, '.')) {
		atl_str_copy(out, ATL_NETWORK_SIZE, remote);
		return;
	}
	for (; remote[i] && i + 1 < ATL_NETWORK_SIZE; i++) {
		if (remote[i] == ':' && (++colons == 4 || (i > 0 && remote[i - 1] == ':')))
			break;
		out[i] = remote[i];
	}
	out[i] = '\0';
}

static uint64_t name_of(const struct atl_rates *rates, enum atl_rate_class class, enum atl_rate_scope scope,
			const char *id)
{
	char text[2 + ID_MAX], network[ATL_NETWORK_SIZE];
	size_t length;
	uint64_t name;

	if (scope == ATL_RATE_ADDRESS || scope == ATL_RATE_SITE) {
		atl_network_of(id, network);
		id = network;
	}
	text[0] = (char)('a' + class);
	text[1] = (char)('a' + scope);
	length = strnlen(id, ID_MAX);
	memcpy(text + 2, id, length);
	name = atl_siphash(rates->seed, text, length + 2);
	return name ? name : 1;
}

/* The bucket's own place, or the one that is nearest to full, emptied of its name. With the stripe's lock. */
static struct bucket *place_of(struct atl_rates *rates, uint64_t name, bool make)
{
	struct bucket *set = &rates->buckets[name % SETS * WAYS], *least = &set[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].name == name)
			return &set[i];
		if (set[i].ahead < least->ahead)
			least = &set[i];
	}
	if (!make)
		return NULL;
	least->name = name;
	least->ahead = 0;
	least->unsettled_us = 0;
	return least;
}

static pthread_mutex_t *lock_of(struct atl_rates *rates, uint64_t name)
{
	return &rates->locks[name % SETS % STRIPES];
}

/* Remember that other servers are to hear of it. What finds no room is told with a later request. */
static void note_unsettled(struct atl_rates *rates, struct bucket *bucket, int64_t step_us)
{
	if (bucket->unsettled_us > 0) {
		bucket->unsettled_us += step_us;
		return;
	}
	pthread_mutex_lock(&rates->unsettled_lock);
	if (rates->unsettled_count < ATL_RATE_UNSETTLED) {
		rates->unsettled[rates->unsettled_count++] = (uint32_t)(bucket - rates->buckets);
		bucket->unsettled_us = step_us;
	}
	pthread_mutex_unlock(&rates->unsettled_lock);
}

void atl_rate_take(struct atl_rates *rates, enum atl_rate_class class, enum atl_rate_scope scope, const char *id,
		   int64_t now_us, struct atl_rate *ret)
{
	const struct limit *limit = &rates->limits[class][scope];
	int64_t ahead;
	struct bucket *bucket;
	uint64_t name;

	memset(ret, 0, sizeof(*ret));
	if (!limit->count)
		return;
	name = name_of(rates, class, scope, id);
	pthread_mutex_lock(lock_of(rates, name));
	bucket = place_of(rates, name, true);
	ahead = (bucket->ahead > now_us ? bucket->ahead - now_us : 0) + limit->step_us;
	if (ahead <= WINDOW_US) {
		bucket->ahead = now_us + ahead;
		if (rates->shared)
			note_unsettled(rates, bucket, limit->step_us);
	} else {
		ret->retry_after_s = (int)((ahead - WINDOW_US + 999999) / 1000000);
		ahead -= limit->step_us;
	}
	pthread_mutex_unlock(lock_of(rates, name));
	ret->policy = limit->policy;
	ret->name = limit->name;
	ret->head = limit->head;
	ret->head_length = limit->head_length;
	ret->limit = limit->count;
	ret->remaining = ahead < WINDOW_US ? (WINDOW_US - ahead) / limit->step_us : 0;
	if (ret->remaining > limit->count)
		ret->remaining = limit->count;
	ret->reset_s = (int)((ahead + 999999) / 1000000);
}

static char *put_number(char *at, uint64_t number)
{
	char digits[20];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (count)
		*at++ = digits[--count];
	return at;
}

size_t atl_rate_lines(const struct atl_rate *rate, char out[ATL_RATE_LINES_SIZE])
{
	char *at = out + rate->head_length;

	memcpy(out, rate->head, rate->head_length);
	at = put_number(at, (uint64_t)rate->remaining);
	memcpy(at, ";t=", 3);
	at = put_number(at + 3, (uint64_t)rate->reset_s);
	memcpy(at, "\r\n", 2);
	return (size_t)(at + 2 - out);
}

/* ---- settling ---- */

size_t atl_rates_collect(struct atl_rates *rates, struct atl_rate_debt *debts, size_t max)
{
	uint32_t places[64];
	size_t count = 0, wanted;

	do {
		wanted = max - count < ATL_COUNT(places) ? max - count : ATL_COUNT(places);
		pthread_mutex_lock(&rates->unsettled_lock);
		if (wanted > rates->unsettled_count)
			wanted = rates->unsettled_count;
		rates->unsettled_count -= wanted;
		memcpy(places, rates->unsettled + rates->unsettled_count, wanted * sizeof(places[0]));
		pthread_mutex_unlock(&rates->unsettled_lock);
		for (size_t i = 0; i < wanted; i++) {
			struct bucket *bucket = &rates->buckets[places[i]];
			pthread_mutex_t *lock = &rates->locks[places[i] / WAYS % STRIPES];

			pthread_mutex_lock(lock);
			if (bucket->unsettled_us > 0) /* another may have got the place meanwhile */
				debts[count++] = (struct atl_rate_debt){ .bucket = bucket->name,
									 .taken_us = bucket->unsettled_us,
									 .ceiling_us = WINDOW_US };
			bucket->unsettled_us = 0;
			pthread_mutex_unlock(lock);
		}
	} while (wanted > 0 && count < max);
	return count;
}

void atl_rates_settled(struct atl_rates *rates, const struct atl_rate_debt *debts, size_t count)
{
	int64_t now = (int64_t)atl_monotonic_us();

	for (size_t i = 0; i < count; i++) {
		pthread_mutex_t *lock = lock_of(rates, debts[i].bucket);
		struct bucket *bucket;

		pthread_mutex_lock(lock);
		bucket = place_of(rates, debts[i].bucket, false);
		if (bucket) {
			int64_t ahead = now + debts[i].debt_us + bucket->unsettled_us;

			if (ahead > bucket->ahead) /* what others took; never forgives what we know ourselves */
				bucket->ahead = ahead;
		}
		pthread_mutex_unlock(lock);
	}
}
