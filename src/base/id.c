/* id.c - monotonic ULIDs; the last one given out is one of the process's few globals (see docs/base.md). */
#include "base/id.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"

#define ULID_LENGTH 26
#define TIME_MAX INT64_C(0xFFFFFFFFFFFF) /* 48 bits */

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t last_ms = -1;		/* guarded by lock */
static unsigned char last_random[10]; /* guarded by lock */

/* The next time and random part; within a millisecond, or when the clock went back, the last one plus one. */
static int64_t advance(unsigned char random[10])
{
	int64_t now = atl_now_ms();
	int i = 9;

	now = now < 0 ? 0 : now > TIME_MAX ? TIME_MAX : now;
	if (now <= last_ms) {
		while (i >= 0 && ++last_random[i] == 0)
			i--;
		if (i < 0)
			last_ms++; /* the random part ran over: borrow the next millisecond */
	} else {
		last_ms = now;
		atl_random(last_random, sizeof(last_random));
	}
	memcpy(random, last_random, sizeof(last_random));
	return last_ms;
}

void atl_id_new(const char prefix[3], char out[ATL_ID_SIZE])
{
	unsigned char random[10];
	int64_t ms;

	pthread_mutex_lock(&lock);
	ms = advance(random);
	pthread_mutex_unlock(&lock);

	memcpy(out, prefix, 3);
	out[3] = '_';
	out += 4;
	for (int i = 9; i >= 0; i--, ms >>= 5)
		out[i] = alphabet[ms & 31];
	for (unsigned i = 0; i < 16; i++) { /* 16 groups of 5 bits out of 10 bytes */
		unsigned bit = i * 5, two = (unsigned)random[bit / 8] << 8 | (bit / 8 < 9 ? random[bit / 8 + 1] : 0);

		out[10 + i] = alphabet[two >> (11 - bit % 8) & 31];
	}
	out[ULID_LENGTH] = '\0';
}

static bool ulid_valid(const char *ulid)
{
	if (ulid[0] < '0' || ulid[0] > '7') /* 26 digits hold 130 bits, a ULID has 128 */
		return false;
	for (unsigned i = 0; i < ULID_LENGTH; i++)
		if (!ulid[i] || !strchr(alphabet, ulid[i]))
			return false;
	return ulid[ULID_LENGTH] == '\0';
}

bool atl_id_valid(const char *id, const char prefix[3])
{
	return id && strncmp(id, prefix, 3) == 0 && id[3] == '_' && ulid_valid(id + 4);
}

bool atl_id_time_ms(const char *id, int64_t *ret_ms)
{
	int64_t ms = 0;

	if (!id || strnlen(id, 4) < 4 || id[3] != '_' || !ulid_valid(id + 4))
		return false;
	for (unsigned i = 0; i < 10; i++)
		ms = ms << 5 | (strchr(alphabet, id[4 + i]) - alphabet);
	*ret_ms = ms;
	return true;
}
