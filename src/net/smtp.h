/* smtp.h - hand one message to a mail server: SMTP, with TLS from the start (smtps) or by STARTTLS.
 *
 * The password and the message travel over TLS only; a server on a loopback address may do without. Every address the
 * name resolves to passes the guard (guard.h). Nothing is kept open between messages.
 *
 * Threads: any thread but a loop's (it blocks, ATL_SMTP_TIMEOUT_MS at most). Limits: the constants below.
 */
#ifndef ATL_NET_SMTP_H
#define ATL_NET_SMTP_H

#include "net/guard.h"

#define ATL_SMTP_TIMEOUT_MS 30000
#define ATL_SMTP_CONNECT_MS 10000
#define ATL_SMTP_MESSAGE_MAX ((size_t)256 << 10)

struct atl_smtp {
	char host[256], user[256], password[256]; /* user "": none */
	int port;
	bool tls_first; /* smtps */
};
/* smtp://[user:password@]host[:port] or smtps://. INVALID; nothing of the password is in the detail. */
enum atl_err atl_smtp_parse(const char *url, struct atl_smtp *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_smtp_message {
	const char *from, *to; /* addresses alone; no control characters, spaces or angle brackets: INVALID */
	const char *text;      /* headers and body, lines ended by CRLF */
	size_t length;
};
/* OUTBOUND (the guard), CREDENTIALS (the server does not take the name or password), UNPROCESSABLE (it refuses this
 * message for good: a 5xx), UPSTREAM* (try again later). */
enum atl_err atl_smtp_send(const struct atl_smtp *smtp, const struct atl_guard *guard, const struct atl_smtp_message *message,
			   struct atl_errinfo *info) ATL_MUST_USE;

#endif
