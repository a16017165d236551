/* inflate.h - bounded inflation of untrusted zlib and gzip data.
 *
 * Threads: pure functions. Limits: the buffer's maximum; work stops as soon as it is passed.
 */
#ifndef ATL_MEDIA_INFLATE_H
#define ATL_MEDIA_INFLATE_H

#include "base/buf.h"

/* Append what `data` (zlib or gzip) inflates to. False: damaged, cut short, or more than the buffer may take; nothing
 * is appended then. Room for the buffer's maximum is taken for the time of the call. */
bool atl_inflate(const void *data, size_t length, struct atl_buf *out) ATL_MUST_USE;
uint32_t atl_crc32(uint32_t crc, const void *data, size_t length); /* of PNG and gzip; start with 0 */

#endif
