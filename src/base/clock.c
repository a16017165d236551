/* clock.c - time; the replaceable wall clock is one of the process's few globals (see docs/base.md). */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)
#define MIN_MS INT64_C(-62167219200000) /* 0000-01-01 */
#define MAX_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999 */

typedef int64_t (*now_fn)(void);
static _Atomic(now_fn) replaced;

static uint64_t read_clock(clockid_t id, uint64_t units_per_s)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * units_per_s + (uint64_t)ts.tv_nsec / (UINT64_C(1000000000) / units_per_s);
}

int64_t atl_now_ms(void)
{
	now_fn now = atomic_load_explicit(&replaced, memory_order_relaxed);

	return now ? now() : (int64_t)read_clock(CLOCK_REALTIME, 1000);
}

uint64_t atl_monotonic_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000);
}

uint64_t atl_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000);
}

void atl_clock_set(int64_t (*now_ms)(void))
{
	atomic_store(&replaced, now_ms);
}

/* Days since 1970-01-01 of a proleptic Gregorian date; years count from March, so the leap day is the last one. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	*ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

static void put(char *out, int value, int width)
{
	while (width-- > 0) {
		out[width] = (char)('0' + value % 10);
		value /= 10;
	}
}

void atl_rfc3339_format(int64_t ms, char out[ATL_RFC3339_SIZE])
{
	static const char shape[] = "0000-00-00T00:00:00.000Z";
	int year, month, day, rest;
	int64_t days;

	ms = ms < MIN_MS ? MIN_MS : ms > MAX_MS ? MAX_MS : ms;
	days = ms / DAY_MS - (ms % DAY_MS < 0);
	rest = (int)(ms - days * DAY_MS);
	date_of(days, &year, &month, &day);
	for (size_t i = 0; i < sizeof(shape); i++)
		out[i] = shape[i];
	put(out, year, 4);
	put(out + 5, month, 2);
	put(out + 8, day, 2);
	put(out + 11, rest / 3600000, 2);
	put(out + 14, rest / 60000 % 60, 2);
	put(out + 17, rest / 1000 % 60, 2);
	put(out + 20, rest % 1000, 3);
}

/* Exactly `width` digits at *p, which moves on. -1: not digits. */
static int take(const char **p, int width)
{
	int value = 0;

	for (; width > 0; width--, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

static bool skip(const char **p, char c)
{
	if ((**p | 0x20) != (c | 0x20))
		return false;
	(*p)++;
	return true;
}

static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* ".678" and the like; digits beyond milliseconds are dropped. */
static bool fraction(const char **p, int *ret_ms)
{
	int scale = 100, ms = 0, count = 0;

	if (**p != '.')
		return true;
	for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, count++, scale /= 10)
		ms += (**p - '0') * scale;
	*ret_ms = ms;
	return count > 0;
}

/* "Z" or "+hh:mm"; the offset in minutes. */
static bool zone(const char **p, int *ret_minutes)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes;

	if (skip(p, 'Z'))
		return true;
	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	hours = take(p, 2);
	if (hours < 0 || hours > 23 || **p != ':')
		return false;
	(*p)++;
	minutes = take(p, 2);
	if (minutes < 0 || minutes > 59)
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

bool atl_rfc3339_parse(const char *text, int64_t *ret_ms)
{
	int year, month, day, hour, minute, second, ms = 0, offset = 0;
	const char *p = text;

	if (!p || (year = take(&p, 4)) < 0 || *p++ != '-')
		return false;
	if ((month = take(&p, 2)) < 1 || month > 12 || *p++ != '-')
		return false;
	if ((day = take(&p, 2)) < 1 || day > month_days(year, month) || !skip(&p, 'T'))
		return false;
	if ((hour = take(&p, 2)) < 0 || hour > 23 || *p++ != ':')
		return false;
	if ((minute = take(&p, 2)) < 0 || minute > 59 || *p++ != ':')
		return false;
	if ((second = take(&p, 2)) < 0 || second > 59 || !fraction(&p, &ms) || !zone(&p, &offset) || *p)
		return false;
	*ret_ms = days_of(year, month, day) * DAY_MS + ((int64_t)(hour * 60 + minute - offset) * 60 + second) * 1000 + ms;
	return true;
}
