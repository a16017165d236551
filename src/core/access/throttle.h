/* throttle.h - slows down guessing of passwords without locking the owner out.
 *
 * Failures are counted per address (IPv6: per /64) and per name. After ATL_THROTTLE_FREE failures an address waits
 * twice as long for each further one, up to ATL_THROTTLE_WAIT_MAX_MS. A name that many addresses guess at is closed to
 * strangers but for one try in ATL_THROTTLE_STRANGERS_MS of all of them together; addresses from which the name signed in
 * before are not touched by that, nor is a device that holds a cookie of an earlier session of the name: it is counted
 * for itself, not with its address. A refusal comes before any password is looked at.
 *
 * Life cycle: atl_throttle_create() .. atl_throttle_destroy(). Threads: any. Limits: ATL_THROTTLE_ENTRIES_MAX, oldest go.
 */
#ifndef ATL_CORE_THROTTLE_H
#define ATL_CORE_THROTTLE_H

#include "core/app.h"

#define ATL_THROTTLE_FREE 5
#define ATL_THROTTLE_WAIT_MIN_MS 1000
#define ATL_THROTTLE_WAIT_MAX_MS (15 * 60 * 1000)
#define ATL_THROTTLE_GUESSED (4 * ATL_THROTTLE_FREE) /* failures after which a name is closed to strangers */
#define ATL_THROTTLE_STRANGERS_MS 10000
#define ATL_THROTTLE_FORGET_MS (60 * 60 * 1000)
#define ATL_THROTTLE_ENTRIES_MAX 50000

enum atl_err atl_throttle_create(struct atl_throttle **ret) ATL_MUST_USE;
void atl_throttle_destroy(struct atl_throttle *throttle);

/* Before the password is looked at. THROTTLED with retry_after_s. `device`: a token of this browser that the name signed
 * in with before (checked by the caller), or NULL. Counts the try as failed at once, so that parallel tries count. */
enum atl_err atl_throttle_try(struct atl_throttle *throttle, const char *remote, const char *name, const char *device,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* The password was right: forget the failures of this address or device, and remember that the name signs in here. */
void atl_throttle_success(struct atl_throttle *throttle, const char *remote, const char *name, const char *device);

#endif
