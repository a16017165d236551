/* llama.h - is the managed llama-server on this unix socket ready?
 *
 * Life cycle: atl_llama_health() .. done, once; or atl_llama_health_cancel(), and done is not called.
 * Threads:    the loop's thread. Limits: ATL_LLAMA_HEALTH_MS for the answer.
 */
#ifndef ATL_PROVIDER_LLAMA_H
#define ATL_PROVIDER_LLAMA_H

#include "os/loop.h"

#define ATL_LLAMA_HEALTH_MS 2000

struct atl_llama_probe;
/* done is never called from inside. 200 is healthy; 503 (loading), no socket yet and the rest are not. */
enum atl_err atl_llama_health(struct atl_loop *loop, const char *unix_path, void (*done)(void *arg, bool healthy),
			      void *arg, struct atl_llama_probe **ret) ATL_MUST_USE;
void atl_llama_health_cancel(struct atl_llama_probe *probe); /* NULL is allowed */

#endif
