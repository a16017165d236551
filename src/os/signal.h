/* signal.h - process signals, delivered on a loop.
 *
 * Life cycle: atl_signal_create() .. atl_signal_destroy(). Threads: the loop's.
 */
#ifndef ATL_OS_SIGNAL_H
#define ATL_OS_SIGNAL_H

#include "os/loop.h"

struct atl_signal;

enum atl_err atl_signal_create(struct atl_loop *loop, int signum, void (*fn)(void *arg), void *arg,
			       struct atl_signal **ret) ATL_MUST_USE;
void atl_signal_destroy(struct atl_signal *sig); /* NULL is allowed; fn is not called afterwards */

#endif
