/* https.h - the server's own TLS, from the settings tls_cert and tls_key.
 *
 * Life cycle: https_up() before the server, https_down() after it. Threads: the main one.
 */
#ifndef ATL_APP_HTTPS_H
#define ATL_APP_HTTPS_H

#include "app/config.h"
#include "os/tls.h"

/* *ret is NULL when neither is set; one without the other is refused. */
enum atl_err https_up(const struct atl_config *config, struct atl_tls **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Takes renewed files into use: `now`, or when they have changed. What cannot be read is a line in the log. NULL: nothing. */
void https_check(struct atl_tls *tls, bool now);

#endif
