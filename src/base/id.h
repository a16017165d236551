/* id.h - public ids: a three-letter prefix and a ULID ("chr_01J9Z3...").
 *
 * Ids of one process are strictly increasing, also within a millisecond, so ordering by id is ordering by age.
 * Format: github.com/ulid/spec; Crockford base 32, upper case.
 *
 * Threads: any.
 */
#ifndef ATL_BASE_ID_H
#define ATL_BASE_ID_H

#include "base/err.h"

#define ATL_ID_SIZE 31 /* prefix 3 + '_' + 26 + NUL */

void atl_id_new(const char prefix[3], char out[ATL_ID_SIZE]);
bool atl_id_valid(const char *id, const char prefix[3]);
bool atl_id_time_ms(const char *id, int64_t *ret_ms) ATL_MUST_USE;

#endif
