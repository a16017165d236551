/* tls_session.h - the TLS of one accepted socket; between sock.c and tls.c.
 *
 * Ciphertext goes in with tls_session_input() and waits in `out` until the socket has sent it. No buffer is kept while
 * nothing is under way, so that an idle connection costs little.
 * Threads: the socket's loop.
 */
#ifndef ATL_OS_TLS_SESSION_H
#define ATL_OS_TLS_SESSION_H

#include "base/buf.h"
#include "os/tls.h"

#define TLS_RECORD_MAX 16384 /* plain bytes of one record */
#define TLS_OUT_MAX ((size_t)256 << 20)

struct tls_session;

enum tls_read {
	TLS_READ_DATA,
	TLS_READ_MORE,	/* everything was taken; more has to come */
	TLS_READ_END,	/* the peer said goodbye */
	TLS_READ_BROKEN /* no TLS, or torn; an alert may be in the output */
};

struct tls_session *tls_session_create(struct atl_tls *tls); /* NULL: no memory */
void tls_session_destroy(struct tls_session *session);	     /* NULL is allowed */
/* Lends `data` until tls_session_read() has answered anything but TLS_READ_DATA. */
void tls_session_input(struct tls_session *session, const char *data, size_t length);
enum tls_read tls_session_read(struct tls_session *session, char room[TLS_RECORD_MAX], size_t *ret_length);
/* False: nothing can be sent, for there was no handshake, or it broke, or there is no memory. */
bool tls_session_write(struct tls_session *session, const void *data, size_t length);
void tls_session_goodbye(struct tls_session *session);
struct atl_buf *tls_session_output(struct tls_session *session); /* to be sent, then emptied */

#endif
