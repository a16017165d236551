/* master_key.h - the key that seals secrets at rest: a file of its own, mode 0600, made at the first start.
 *
 * Threads: start-up only. Errors: CONFIG when the file is readable by others or damaged; it is never replaced then.
 */
#ifndef ATL_APP_MASTER_KEY_H
#define ATL_APP_MASTER_KEY_H

#include "base/crypto.h"

enum atl_err atl_master_key_load(const char *path, unsigned char ret_key[ATL_MASTER_KEY_SIZE],
				 struct atl_errinfo *info) ATL_MUST_USE;

#endif
