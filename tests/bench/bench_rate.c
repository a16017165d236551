/* What rate limits cost a request: a user's, a key's and an address's bucket and the text of the headers.
 *
 *	meson compile -C build/release bench_rate && build/release/tests/bench/bench_rate [threads]
 *
 * Prints processor time per request, for few callers (all in cache) and for more callers than there are buckets.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/str.h"
#include "core/access/rate.h"

#define REQUESTS 2000000
#define THREADS_MAX 64

struct run {
	struct atl_rates *rates;
	unsigned callers, seed;
	double ns;
	size_t bytes; /* of headers, so that nothing is optimised away */
};

static void *work(void *arg)
{
	struct run *run = arg;
	char user[32], key[32], remote[32], text[ATL_RATE_LINES_SIZE];
	struct timespec begin, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned caller = (i * 2654435761u + run->seed) % run->callers;
		struct atl_rate of_user, of_key, of_site;
		int64_t now_us = (int64_t)atl_monotonic_us();

		/* ids differ in their last bytes, as true ones do */
		memcpy(user, "usr_01M7ZPGPDYADVC3WNB00000000", 31);
		memcpy(key, "key_01M7ZPGPDYADVC3WNB00000000", 31);
		memcpy(remote, "2001:db8:0000:0000::1", 22);
		for (unsigned k = 0; k < 6; k++)
			user[29 - k] = key[29 - k] = remote[k < 4 ? 13 - k : 22 - k] = (char)('a' + (caller >> 4 * k & 15));
		atl_rate_take(run->rates, ATL_RATE_GENERATE, ATL_RATE_USER, user, now_us, &of_user);
		atl_rate_take(run->rates, ATL_RATE_GENERATE, ATL_RATE_KEY, key, now_us, &of_key);
		atl_rate_take(run->rates, ATL_RATE_GENERATE, ATL_RATE_SITE, remote, now_us, &of_site);
		run->bytes += atl_rate_lines(&of_user, text);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	run->ns = ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / REQUESTS;
	return NULL;
}

static void measure(unsigned threads, unsigned callers)
{
	const struct atl_rates_options options = { .per_minute = { [ATL_RATE_GENERATE] = ATL_RATE_MAX } };
	struct run runs[THREADS_MAX] = { 0 };
	pthread_t ids[THREADS_MAX];
	struct atl_rates *rates;
	double sum = 0;

	if (atl_rates_create(&options, &rates) != ATL_OK)
		exit(1);
	for (unsigned i = 0; i < threads; i++) {
		runs[i] = (struct run){ .rates = rates, .callers = callers, .seed = i * 7919 };
		if (pthread_create(&ids[i], NULL, work, &runs[i]) != 0)
			exit(1);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		sum += runs[i].ns;
	}
	printf("%u threads, %u callers: %.0f ns a request\n", threads, callers, sum / threads);
	atl_rates_destroy(rates);
}

int main(int argc, char **argv)
{
	int64_t threads = 2;

	if (atl_crypto_init() != ATL_OK || (argc > 1 && !atl_str_i64(argv[1], 1, THREADS_MAX, &threads)))
		return 1;
	measure(1, 10);
	measure((unsigned)threads, 10);
	measure((unsigned)threads, 2 * ATL_RATE_BUCKETS);
	return 0;
}
