/* tls.h - TLS for accepted sockets: a certificate and its key from PEM files, shared by listeners, exchanged while running.
 *
 * TLS 1.2 and 1.3 of OpenSSL with the suites of Mozilla's "intermediate" advice; ALPN offers http/1.1. A socket of a
 * listener with such a context (os/sock.h) hands plain bytes to its owner and takes plain bytes from it.
 *
 * Life cycle: atl_tls_create() .. atl_tls_destroy(), after the last listener and socket that use it.
 * Threads:    any; sockets begun before a reload keep the certificate they began with.
 * Errors:     a sentence that names the file; a failed reload keeps what was there.
 */
#ifndef ATL_OS_TLS_H
#define ATL_OS_TLS_H

#include <stdint.h>

#include "base/err.h"

struct atl_tls;

/* `cert_path`: the certificate, followed by those that lead to its issuer. `key_path`: its key, without a password. */
enum atl_err atl_tls_create(const char *cert_path, const char *key_path, struct atl_tls **ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* Reads both files again. */
enum atl_err atl_tls_reload(struct atl_tls *tls, struct atl_errinfo *info) ATL_MUST_USE;
/* As above when one of the files has changed since they were read; *ret_changed says so. */
enum atl_err atl_tls_reload_changed(struct atl_tls *tls, bool *ret_changed, struct atl_errinfo *info) ATL_MUST_USE;
int64_t atl_tls_ends_ms(struct atl_tls *tls); /* when the certificate ceases to be valid, ms since 1970 */
void atl_tls_destroy(struct atl_tls *tls);    /* NULL is allowed */

#endif
