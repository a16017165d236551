/* scripted.h - an HTTP server on loopback that gives canned answers byte by byte, for the tests of clients.
 *
 * Life cycle: scripted_start() .. scripted_stop(), from the test's thread. The n-th request gets the n-th reply; the
 * last one is repeated. Fields marked (loop) are read by the test after the client is done.
 */
#ifndef TESTS_NET_SCRIPTED_H
#define TESTS_NET_SCRIPTED_H

#include "base/buf.h"
#include "os/loop.h"
#include "os/sock.h"

#define SCRIPTED_REQUESTS_MAX 8

struct scripted_reply {
	const char *bytes;
	size_t length;
	size_t split; /* bytes a turn; 0: all at once */
	bool close;   /* afterwards */
};
struct scripted {
	struct atl_loop *loop;
	struct atl_listener *listener;
	int port;
	const struct scripted_reply *replies;
	size_t reply_count;
	size_t connections, requests;	      /* (loop) */
	char *seen[SCRIPTED_REQUESTS_MAX];    /* (loop) whole requests */
	struct scripted_conn *first;	      /* (loop) */
};
void scripted_start(struct scripted *server, struct atl_loop *loop, const struct scripted_reply *replies, size_t count);
void scripted_hang_up(struct scripted *server); /* close every connection; returns when done */
void scripted_stop(struct scripted *server);

/* Run fn(arg) on the loop and wait for it. */
void on_loop(struct atl_loop *loop, void (*fn)(void *arg), void *arg);

#endif
