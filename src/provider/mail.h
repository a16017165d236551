/* mail.h - one plain mail as RFC 5322 wants it, and the mail server that takes it.
 *
 * Text is UTF-8 and travels as base64, subject and sender's name as encoded words: whatever they hold, no header or
 * command can be made of it.
 *
 * Threads: pure, and atl_mail_deliver() as net/smtp.h. Limits: ATL_MAIL_SUBJECT_MAX, ATL_MAIL_TEXT_MAX.
 */
#ifndef ATL_PROVIDER_MAIL_H
#define ATL_PROVIDER_MAIL_H

#include "base/buf.h"
#include "net/smtp.h"

#define ATL_MAIL_SUBJECT_MAX 200
#define ATL_MAIL_TEXT_MAX 16384
#define ATL_MAIL_ADDRESS_MAX 254

struct atl_mail_from {
	char name[128], address[ATL_MAIL_ADDRESS_MAX + 1]; /* name "": none */
};
/* "atelier@example.org" or "Atelier <atelier@example.org>". INVALID. */
enum atl_err atl_mail_from_parse(const char *text, struct atl_mail_from *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_mail {
	const char *to, *subject, *text; /* text: lines ended by \n */
	int64_t now_ms;
	const char *id; /* of the message, unique: letters and digits */
};
/* The whole message. INVALID: an address, or too long. */
enum atl_err atl_mail_write(const struct atl_mail_from *from, const struct atl_mail *mail, struct atl_buf *out,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* Errors of atl_mail_write() and atl_smtp_send(). */
enum atl_err atl_mail_deliver(const struct atl_smtp *smtp, const struct atl_guard *guard, const struct atl_mail_from *from,
			      const struct atl_mail *mail, struct atl_errinfo *info) ATL_MUST_USE;

#endif
