/* route.h - path matching for the HTTP server: a tree of segments built from the route tables. Pure.
 *
 * A literal segment wins over {name}, and that over {name*}; the tree is searched with backtracking, so the order of
 * the tables does not matter. Two rows for one method and shape are an error at start.
 *
 * Life cycle: route_table_init() .. route_table_finish(); read-only in between. Threads: any.
 * Limits:     ATL_HTTP_PARAMS_MAX parameters; ROUTE_SEGMENTS_MAX segments (deeper paths match nothing).
 */
#ifndef ATL_NET_ROUTE_H
#define ATL_NET_ROUTE_H

#include "net/http.h"

#define ROUTE_SEGMENTS_MAX 32

struct route_node;
struct route_table {
	struct route_node *root;
};

struct route_match {
	const struct atl_route *route; /* for the method asked (HEAD: GET's), or NULL */
	unsigned allowed;	       /* bit per enum atl_method the path takes; 0: no such path */
	const char *params[ATL_HTTP_PARAMS_MAX]; /* decoded, in the arena */
};

enum atl_err route_table_init(struct route_table *table, const struct atl_route *const *tables,
			      struct atl_errinfo *info) ATL_MUST_USE;
void route_table_finish(struct route_table *table);
/* `path` is the raw path, checked by route_path_decode(). NOMEM is the only error; no match leaves `out` empty. */
enum atl_err route_find(const struct route_table *table, enum atl_method method, const char *path,
			struct atl_arena *arena, struct route_match *out) ATL_MUST_USE;

/* Decode a raw path: must start with '/', be UTF-8 after decoding, and have no "." or ".." segment, no empty segment
 * but the last, no backslash, no control character. ATL_ERR_INVALID otherwise. */
enum atl_err route_path_decode(struct atl_arena *arena, const char *raw, const char **ret,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
