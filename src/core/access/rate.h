/* rate.h - how fast requests may come: one token bucket for each user, key or address and class of route.
 *
 * A bucket holds as many requests as its class allows a minute and refills evenly. It is kept as one number, how far
 * ahead of the clock its requests have run (GCRA), in a table of fixed size: what makes room is the bucket of a set that
 * is nearest to full, which loses the least. So taking costs the same however many there are, and memory is bounded.
 *
 * Several servers share buckets through Redis (redis.h, shared.h): each decides from its own table at once and settles
 * what it took a few times a second. Together they may let through what comes in between, no more.
 *
 * Life cycle: atl_rates_create() .. atl_rates_destroy(). Threads: any; never blocks on I/O.
 * Limits:     ATL_RATE_BUCKETS buckets, ATL_RATE_UNSETTLED of them waiting to be settled.
 * Adding one: a class is a line of ATL_RATE_CLASSES, its setting in app/config.h, and net/http.h's list.
 */
#ifndef ATL_CORE_RATE_H
#define ATL_CORE_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ATL_RATE_BUCKETS 65536
#define ATL_RATE_UNSETTLED 4096
#define ATL_RATE_WINDOW_S 60
#define ATL_RATE_ADDRESS_FACTOR 10 /* people who are signed in share an address's bucket so many times as large */
#define ATL_RATE_MAX 1000000	   /* a minute */

/* name in headers, as in net/http.h's enum atl_route_class */
#define ATL_RATE_CLASSES(X) \
	X(READ, "read")     \
	X(WRITE, "write")   \
	X(GENERATE, "generate") \
	X(UPLOAD, "upload") \
	X(SIGN_IN, "sign-in")

enum atl_rate_class {
#define ATL_RATE_CLASS_X(name, text) ATL_RATE_##name,
	ATL_RATE_CLASSES(ATL_RATE_CLASS_X)
#undef ATL_RATE_CLASS_X
		ATL_RATE_CLASS_COUNT
};

/* Whose bucket: a user's, a key's, an address of strangers, an address of people who are signed in. */
enum atl_rate_scope { ATL_RATE_USER, ATL_RATE_KEY, ATL_RATE_ADDRESS, ATL_RATE_SITE, ATL_RATE_SCOPE_COUNT };

struct atl_rates;

struct atl_rates_options {
	int per_minute[ATL_RATE_CLASS_COUNT]; /* 0: no limit */
	bool local;			      /* refuse this machine's own programs, too */
	bool shared;			      /* settled with other servers: buckets have the same names everywhere */
};
enum atl_err atl_rates_create(const struct atl_rates_options *options, struct atl_rates **ret) ATL_MUST_USE;
void atl_rates_destroy(struct atl_rates *rates); /* NULL is allowed */
bool atl_rates_local(const struct atl_rates *rates);

/* What a bucket says after one request. limit 0: there is none, nothing was counted. */
struct atl_rate {
	const char *policy; /* RateLimit-Policy's value */
	const char *name;   /* of the policy, quoted */
	const char *head;   /* both header lines up to the number that remains */
	size_t head_length;
	int64_t limit, remaining;
	int reset_s;	   /* until it is full again */
	int retry_after_s; /* above 0: refused */
};
/* Take one request from the bucket of `id` ("" is one, too). An address is counted by its network where it is IPv6.
 * `now_us`: atl_monotonic_us(), asked once for all buckets of a request. */
void atl_rate_take(struct atl_rates *rates, enum atl_rate_class class, enum atl_rate_scope scope, const char *id,
		   int64_t now_us, struct atl_rate *ret);
/* The header lines of a bucket, each ending in CR LF: "RateLimit-Policy: ...", "RateLimit: ...". */
#define ATL_RATE_LINES_SIZE 256
size_t atl_rate_lines(const struct atl_rate *rate, char out[ATL_RATE_LINES_SIZE]);

/* ---- settling with other servers ---- */
struct atl_rate_debt {
	uint64_t bucket;
	int64_t taken_us; /* by us since the last time: how far that moved the bucket */
	int64_t debt_us;  /* all servers together are so far ahead of the clock */
	int64_t ceiling_us; /* a bucket never runs further ahead */
};
/* Up to `max` buckets that were used since. They come back by atl_rates_settled(), or never where nobody answers. */
size_t atl_rates_collect(struct atl_rates *rates, struct atl_rate_debt *debts, size_t max);
void atl_rates_settled(struct atl_rates *rates, const struct atl_rate_debt *debts, size_t count);

/* An address as it is counted: an IPv6 customer has a /64 at least. */
#define ATL_NETWORK_SIZE 64
void atl_network_of(const char *remote, char out[ATL_NETWORK_SIZE]);

#endif
