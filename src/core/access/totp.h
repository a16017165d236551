/* totp.h - codes of authenticator apps (RFC 6238): HMAC-SHA-1, six digits, 30 seconds.
 *
 * Threads: pure functions.
 */
#ifndef ATL_CORE_TOTP_H
#define ATL_CORE_TOTP_H

#include "base/buf.h"

#define ATL_TOTP_SECRET_SIZE 20
#define ATL_TOTP_DIGITS 6
#define ATL_TOTP_STEP_S 30
#define ATL_TOTP_WINDOW 1 /* steps to either side, for clocks that differ */

void atl_totp_code(const void *secret, size_t length, uint64_t step, char out[ATL_TOTP_DIGITS + 1]);
/* Is it the code of a step around now that is later than `after`? *ret_step: which. Looks at all of them, in one time. */
bool atl_totp_check(const void *secret, size_t length, int64_t now_s, int64_t after, const char *code,
		    int64_t *ret_step) ATL_MUST_USE;
void atl_base32_encode(struct atl_buf *out, const void *data, size_t length); /* RFC 4648, without padding */

#endif
