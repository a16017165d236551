/* multipart.h - multipart/form-data bodies (RFC 7578) taken apart in memory: pure.
 *
 * Threads:    pure functions. Ownership: names are in the arena, data points into the body.
 * Limits:     ATL_MULTIPART_PARTS_MAX parts, ATL_MULTIPART_HEAD_MAX bytes of headers a part.
 */
#ifndef ATL_NET_MULTIPART_H
#define ATL_NET_MULTIPART_H

#include "base/arena.h"

#define ATL_MULTIPART_PARTS_MAX 128
#define ATL_MULTIPART_HEAD_MAX 4096

struct atl_part {
	const char *name;      /* never NULL */
	const char *file_name; /* NULL: a plain value */
	const char *type;      /* NULL: not said */
	const char *data;      /* not terminated */
	size_t length;
};
/* `content_type`: the request's header. MEDIA_TYPE: it is no multipart/form-data; INVALID: broken, with what. */
enum atl_err atl_multipart_parse(struct atl_arena *arena, const char *content_type, const char *body, size_t length,
				 struct atl_part **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* The first part of this name; NULL: none. */
const struct atl_part *atl_multipart_find(const struct atl_part *parts, size_t count, const char *name);

#endif
