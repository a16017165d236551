/* support.h - a running server on a free loopback port and a blocking client, for the tests of src/net.
 *
 * Every read has a deadline (CLIENT_DEADLINE_S): a test fails rather than hangs.
 */
#ifndef TESTS_NET_SUPPORT_H
#define TESTS_NET_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/http.h"

#define CLIENT_DEADLINE_S 60

struct site {
	struct atl_loop *loops[2];
	struct atl_pool *pool;
	struct atl_server *server;
	int port;
	char dir[64]; /* temporary, for uploads and files */
};

/* Start with these routes; `tweak` may change the options (NULL: none). */
void site_start(struct site *site, const struct atl_route *routes, void (*tweak)(struct atl_server_options *options),
		void *app);
void site_stop(struct site *site);

/* ---- client ---- */
int client_connect(const struct site *site);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t length);
bool client_send_some(int fd, const void *data, size_t length); /* false: the server closed */
bool client_closed(int fd); /* wait for the end of the connection; false: data came instead */

struct answer {
	int status;
	char head[8192];
	char *body; /* malloc'd, NUL-terminated, chunks decoded */
	size_t length;
	bool cut; /* the connection ended before the body did */
};
/* Read one response. `head_only`: it answers HEAD. Fails the test when none comes. */
void client_read(int fd, struct answer *out, bool head_only);
void answer_free(struct answer *answer);
const char *answer_header(const struct answer *answer, const char *name); /* static buffer; NULL */
/* Send text, read the one answer, close. */
void client_once(const struct site *site, const char *request, struct answer *out);
/* Read exactly length bytes; false: the end came first. */
bool client_read_bytes(int fd, void *out, size_t length);
/* Read until `needle` was seen; everything lands in `out`. */
void client_read_until(int fd, char *out, size_t size, const char *needle);

#endif
