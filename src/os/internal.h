/* internal.h - what the files of src/os share: the libuv loop behind struct atl_loop and handle bookkeeping.
 *
 * Every handle's `data` points to a struct whose first member is struct atl_handle, so that the loop can close what
 * its owners left over.
 */
#ifndef ATL_OS_INTERNAL_H
#define ATL_OS_INTERNAL_H

#include <uv.h>

#include "os/loop.h"

struct atl_handle {
	void (*close)(void *self);
};

uv_loop_t *atl_loop_uv(struct atl_loop *loop);
char *atl_loop_read_buffer(struct atl_loop *loop); /* ATL_SOCK_READ_SIZE bytes, for the length of one callback */
enum atl_err atl_err_from_uv(int status);
void atl_signals_block(void); /* this thread: asynchronous signals go to the main thread; no SIGPIPE */

#endif
