/* case_server.h - a service on loopback that follows a script: it checks each request and gives the reply to it.
 *
 * One thread, one connection at a time, closed after each answer: the clients tried here ask in sequence. The first
 * mismatch is kept in words, answered with 599, and fails the case.
 *
 * Life cycle: case_server_start() .. case_server_stop(), from the test's thread.
 */
#ifndef TESTS_PROVIDER_CASE_SERVER_H
#define TESTS_PROVIDER_CASE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/json.h"

#define CASE_EXCHANGES_MAX 24
#define CASE_PARKED_MAX 4

struct case_exchange {
	char *request; /* lines; see test_image_cases.c */
	char *reply;
	unsigned times; /* this exchange in sequence; at least 1 */
};
struct case_server {
	/* set before the start */
	struct case_exchange exchanges[CASE_EXCHANGES_MAX];
	size_t exchange_count;
	atomic_bool *cancelled; /* set by the directive !cancel */
	/* after the start */
	int port;
	char base[64], other[64]; /* the same server under two origins */
	/* server thread; read after stop */
	size_t requests;
	char *mismatch; /* malloc'd; NULL: none */
	/* inside */
	int fd;
	int parked[CASE_PARKED_MAX]; /* connections without an answer, until the stop */
	size_t parked_count;
	pthread_t thread;
	struct atl_arena arena;
};
void case_server_start(struct case_server *server);
void case_server_stop(struct case_server *server); /* also frees; `requests` and `mismatch` stay (free the latter) */

/* Text with {base}, {other}, {png64:WxH} replaced, appended to out. */
void case_server_expand(const struct case_server *server, const char *text, struct atl_buf *out);
void case_png(int64_t width, int64_t height, struct atl_buf *out); /* a whole small PNG of that size, black */
bool case_json_subset(const struct atl_json *want, const struct atl_json *have);

#endif
