/* buf.h - a growing byte buffer with a mandatory maximum, and an immutable shared one.
 *
 * struct atl_buf: init .. finish; `data` is always NUL-terminated one byte past `length` once something was added
 * (and points to "" before). An append that would pass the maximum, or for which memory is missing, changes nothing
 * and sets `failed`, which sticks: a caller may append many times and look once (atl_buf_err).
 *
 * struct atl_bytes: bytes that several threads read, counted; create .. ref/unref. Used to encode an event once and
 * send it to thousands.
 *
 * Threads: an atl_buf one at a time; atl_bytes any (immutable, atomic count).
 */
#ifndef ATL_BASE_BUF_H
#define ATL_BASE_BUF_H

#include <stdatomic.h>

#include "base/err.h"

struct atl_buf {
	char *data;
	size_t length;
	size_t capacity;
	size_t max;
	bool failed;
};

void atl_buf_init(struct atl_buf *buf, size_t max);
void atl_buf_finish(struct atl_buf *buf);
void atl_buf_reset(struct atl_buf *buf); /* empty, keeps the memory, clears `failed` */
void atl_buf_add(struct atl_buf *buf, const void *data, size_t length);
void atl_buf_adds(struct atl_buf *buf, const char *text);
void atl_buf_addc(struct atl_buf *buf, char c);
void atl_buf_addf(struct atl_buf *buf, const char *fmt, ...) ATL_PRINTF(2, 3);
void atl_buf_consume(struct atl_buf *buf, size_t length); /* drop from the front */
void *atl_buf_reserve(struct atl_buf *buf, size_t length); /* room for `length` more bytes, or NULL (and failed) */
char *atl_buf_take(struct atl_buf *buf); /* the memory moves to the caller (free()); the buffer is empty afterwards */
enum atl_err atl_buf_err(const struct atl_buf *buf, struct atl_errinfo *info) ATL_MUST_USE; /* OK or TOO_LARGE */

struct atl_bytes {
	atomic_uint refs;
	size_t length;
	char data[]; /* NUL-terminated past length */
};

struct atl_bytes *atl_bytes_create(const void *data, size_t length); /* one reference; NULL when out of memory */
struct atl_bytes *atl_bytes_ref(struct atl_bytes *bytes);
void atl_bytes_unref(struct atl_bytes *bytes); /* NULL is allowed */

#endif
