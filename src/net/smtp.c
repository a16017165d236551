/* smtp.c - see smtp.h: libcurl's easy interface, which speaks SMTP. */
#include "net/smtp.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define PORT_SMTP 587
#define PORT_SMTPS 465

struct delivery {
	const struct atl_smtp *smtp;
	const struct atl_guard *guard;
	const char *text;
	size_t left;
	bool blocked;
	char error[CURL_ERROR_SIZE];
};

static bool take(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t size, bool needed)
{
	char *text = NULL;
	bool ok = curl_url_get(url, part, &text, flags) == CURLUE_OK && strlen(text) < size;

	if (ok)
		atl_str_copy(out, size, text);
	else
		out[0] = '\0';
	ok = ok || (!needed && !text);
	curl_free(text);
	return ok;
}

/* Spaces and control characters would be further SMTP commands. */
static bool plain(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	return true;
}

enum atl_err atl_smtp_parse(const char *url, struct atl_smtp *ret, struct atl_errinfo *info)
{
	CURLU *parts = curl_url();
	char scheme[16], port[8];
	int64_t number = 0;
	bool ok;

	memset(ret, 0, sizeof(*ret));
	if (!parts)
		return atl_fail(info, ATL_ERR_NOMEM, "read a mail server's address");
	ok = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK && take(parts, CURLUPART_SCHEME, 0, scheme, sizeof(scheme), true) &&
	     take(parts, CURLUPART_HOST, 0, ret->host, sizeof(ret->host), true) &&
	     take(parts, CURLUPART_USER, CURLU_URLDECODE, ret->user, sizeof(ret->user), false) &&
	     take(parts, CURLUPART_PASSWORD, CURLU_URLDECODE, ret->password, sizeof(ret->password), false) &&
	     take(parts, CURLUPART_PORT, 0, port, sizeof(port), false);
	curl_url_cleanup(parts);
	ok = ok && (!port[0] || atl_str_i64(port, 1, 65535, &number)) && ret->host[0] && plain(ret->host) && (atl_str_eq(scheme, "smtp") || atl_str_eq(scheme, "smtps"));
	if (!ok)
		return atl_fail(info, ATL_ERR_INVALID, "The mail server's address is not like smtps://name:password@mail.example.org.");
	ret->tls_first = atl_str_eq(scheme, "smtps");
	ret->port = number ? (int)number : ret->tls_first ? PORT_SMTPS : PORT_SMTP;
	return ATL_OK;
}

static bool is_loopback(const char *host)
{
	return atl_str_starts(host, "127.") || atl_str_eq(host, "[::1]") || atl_str_eq(host, "localhost");
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct delivery *d = arg;
	char text[INET6_ADDRSTRLEN] = "";

	(void)purpose;
	if (to->family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)&to->addr)->sin_addr, text, sizeof(text));
	else if (to->family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)&to->addr)->sin6_addr, text, sizeof(text));
	if (!atl_guard_address(d->guard, d->smtp->host, d->smtp->port, text)) {
		d->blocked = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static size_t give(char *out, size_t size, size_t count, void *arg)
{
	struct delivery *d = arg;
	size_t length = size * count < d->left ? size * count : d->left;

	memcpy(out, d->text, length);
	d->text += length;
	d->left -= length;
	return length;
}

static enum atl_err verdict(CURL *easy, CURLcode code, const struct delivery *d, struct atl_errinfo *info)
{
	long answer = 0;

	if (code == CURLE_OK)
		return ATL_OK;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer);
	if (d->blocked)
		return atl_fail(info, ATL_ERR_OUTBOUND, "The mail server %s is in a network that is not allowed (outbound_private).",
				d->smtp->host);
	if (code == CURLE_LOGIN_DENIED)
		return atl_fail(info, ATL_ERR_CREDENTIALS, "The mail server does not take the name or the password (%ld).", answer);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return atl_fail(info, ATL_ERR_UPSTREAM_TIMEOUT, "The mail server did not answer in time.");
	if (code == CURLE_USE_SSL_FAILED)
		return atl_fail(info, ATL_ERR_UPSTREAM, "The mail server offers no TLS (STARTTLS).");
	if ((code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_WEIRD_SERVER_REPLY) && answer >= 500 && answer < 600)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The mail server refused the message (%ld).", answer);
	return atl_fail(info, ATL_ERR_UPSTREAM, "The mail server did not take the message: %s (%ld).", curl_easy_strerror(code), answer);
}

static bool prepare(CURL *easy, struct delivery *d, const char *url, const char *from, const struct curl_slist *to)
{
	const struct atl_smtp *smtp = d->smtp;
	/* the password never travels in the clear, except to this very machine */
	long tls = smtp->tls_first || !is_loopback(smtp->host) ? CURLUSESSL_ALL : CURLUSESSL_TRY;
	bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from) == CURLE_OK &&
		  curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to) == CURLE_OK &&
		  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
		  curl_easy_setopt(easy, CURLOPT_USE_SSL, tls) == CURLE_OK;

	if (ok && smtp->user[0])
		ok = curl_easy_setopt(easy, CURLOPT_USERNAME, smtp->user) == CURLE_OK &&
		     curl_easy_setopt(easy, CURLOPT_PASSWORD, smtp->password) == CURLE_OK;
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(easy, CURLOPT_READDATA, d);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, d);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)ATL_SMTP_CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ATL_SMTP_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, d->error);
	return ok;
}

enum atl_err atl_smtp_send(const struct atl_smtp *smtp, const struct atl_guard *guard, const struct atl_smtp_message *message,
			   struct atl_errinfo *info)
{
	struct delivery d = { .smtp = smtp, .guard = guard, .text = message->text, .left = message->length };
	char url[320], from[300], to[300];
	struct curl_slist *receivers = NULL;
	CURL *easy = NULL;
	enum atl_err err = ATL_OK;

	if (!plain(message->from) || !plain(message->to) || strpbrk(message->from, "<>") || strpbrk(message->to, "<>") ||
	    strlen(message->from) > 254 || strlen(message->to) > 254 || message->length > ATL_SMTP_MESSAGE_MAX)
		return atl_fail(info, ATL_ERR_INVALID, "This cannot be sent by mail.");
	snprintf(url, sizeof(url), "%s://%s:%d/localhost", smtp->tls_first ? "smtps" : "smtp", smtp->host, smtp->port);
	snprintf(from, sizeof(from), "<%s>", message->from);
	snprintf(to, sizeof(to), "<%s>", message->to);
	easy = curl_easy_init();
	receivers = curl_slist_append(NULL, to);
	if (!easy || !receivers || !prepare(easy, &d, url, from, receivers))
		err = atl_fail(info, ATL_ERR_NOMEM, "send a mail");
	if (!err)
		err = verdict(easy, curl_easy_perform(easy), &d, info);
	curl_slist_free_all(receivers);
	curl_easy_cleanup(easy);
	return err;
}
