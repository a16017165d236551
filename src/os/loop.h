/* loop.h - one event loop per thread: posted messages, timers, sockets, descriptor polling.
 *
 * The only way into a loop from outside is atl_loop_post(). Everything else here runs on the loop's own thread.
 * libuv stays inside src/os.
 *
 * Life cycle: atl_loop_create() starts the thread; atl_loop_stop() asks it to end; atl_loop_destroy() joins it.
 *             Handles (timers, sockets, polls) must be closed by their owners; those left are closed at destroy.
 * Threads:    atl_loop_post(), atl_loop_stop() from any; the rest on the loop thread unless stated.
 * Limits:     nothing called on a loop may block: no file, no SQL, no DNS, no lock held for long.
 */
#ifndef ATL_OS_LOOP_H
#define ATL_OS_LOOP_H

#include "base/buf.h"
#include "base/err.h"

struct atl_loop;
struct atl_timer;
struct atl_poll;

/* Starts the thread; `name` shows in the thread list. */
enum atl_err atl_loop_create(const char *name, struct atl_loop **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_loop_stop(struct atl_loop *loop);
void atl_loop_destroy(struct atl_loop *loop); /* NULL is allowed; not from its own thread */

/* Run fn(arg) on the loop thread soon, in order of posting. Wakes the loop at most once per batch.
 * False: the loop has ended and fn will never run; the caller keeps what arg owns. */
bool atl_loop_post(struct atl_loop *loop, void (*fn)(void *arg), void *arg) ATL_MUST_USE;
bool atl_loop_is_current(const struct atl_loop *loop);
uint64_t atl_loop_now_ms(const struct atl_loop *loop); /* cached monotonic time of this turn */
size_t atl_loop_queue_depth(const struct atl_loop *loop); /* posted and not yet run; any thread */

/* A slot for one pointer per module that keeps state per loop (fetch, server): destroy(value) runs when the loop ends. */
enum atl_loop_slot { ATL_LOOP_SLOT_FETCH, ATL_LOOP_SLOT_FETCH_LOCAL, ATL_LOOP_SLOT_SERVER, ATL_LOOP_SLOT_COUNT };
void *atl_loop_slot_get(struct atl_loop *loop, enum atl_loop_slot slot);
void atl_loop_slot_set(struct atl_loop *loop, enum atl_loop_slot slot, void *value, void (*destroy)(void *value));

/* ---- timers ---- */
enum atl_err atl_timer_create(struct atl_loop *loop, void (*fn)(void *arg), void *arg,
			      struct atl_timer **ret) ATL_MUST_USE;
void atl_timer_start(struct atl_timer *timer, uint64_t after_ms, uint64_t repeat_ms); /* again: re-arms */
void atl_timer_stop(struct atl_timer *timer);
void atl_timer_destroy(struct atl_timer *timer); /* NULL is allowed; fn is not called afterwards */

/* ---- readiness of a foreign descriptor (libcurl, libpq) ---- */
enum { ATL_POLL_READ = 1, ATL_POLL_WRITE = 2 };
enum atl_err atl_poll_create(struct atl_loop *loop, int fd, void (*fn)(void *arg, int events, bool failed), void *arg,
			     struct atl_poll **ret) ATL_MUST_USE;
void atl_poll_set(struct atl_poll *poll, int events); /* 0: none */
void atl_poll_destroy(struct atl_poll *poll);

#endif
