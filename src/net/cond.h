/* cond.h - conditional and range requests (RFC 9110), as pure functions. Threads: any. */
#ifndef ATL_NET_COND_H
#define ATL_NET_COND_H

#include "base/err.h"

/* Does If-None-Match (a list, or "*") name this quoted ETag? Weak comparison. NULL header: no. */
bool cond_none_match(const char *header, const char *etag);

enum cond_range { COND_WHOLE, COND_PART, COND_UNSATISFIABLE };
/* One byte range; several ranges, other units and malformed ones mean the whole. */
enum cond_range cond_range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_length);

/* The best of br and gzip that Accept-Encoding allows: 'b', 'g' or 0. `have_br`, `have_gzip`: what there is. */
char cond_encoding(const char *accept, bool have_br, bool have_gzip);

#endif
