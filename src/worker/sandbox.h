/* sandbox.h - closes the process in: no files, no network, no new programs, bounded memory and time.
 *
 * Call once, after libraries are initialised and before untrusted bytes are read. What is forbidden kills the process
 * (SIGSYS), except where a library asks politely and goes on without: there the call fails.
 */
#ifndef ATL_WORKER_SANDBOX_H
#define ATL_WORKER_SANDBOX_H

#include "base/err.h"

#define ATL_SANDBOX_MEMORY_BYTES ((uint64_t)1 << 30)
#define ATL_SANDBOX_CPU_S 30

enum atl_err atl_sandbox_enter(struct atl_errinfo *info) ATL_MUST_USE;

#endif
