/* fetch_int.h - what fetch.c (libcurl) and fetch_local.c (plain client) share. Nobody else includes it. */
#ifndef ATL_NET_FETCH_INT_H
#define ATL_NET_FETCH_INT_H

#include "net/fetch.h"

#define ATL_FETCH_CONNECT_MS 10000
#define ATL_FETCH_FIRST_BYTE_MS 60000
#define ATL_FETCH_IDLE_MS 60000
#define ATL_FETCH_RESPONSE_MAX ((uint64_t)16 << 20)
#define ATL_FETCH_HEAD_MAX 65536

/* First member of each client's transfer. */
struct atl_fetch {
	void (*cancel)(struct atl_fetch *fetch);
	void (*pause)(struct atl_fetch *fetch);
	void (*resume)(struct atl_fetch *fetch);
};

enum atl_err atl_fetch_local_start(struct atl_loop *loop, const struct atl_fetch_request *request,
				   const struct atl_fetch_ops *ops, void *arg, struct atl_fetch **ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

#endif
