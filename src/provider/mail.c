/* mail.c - see mail.h. RFC 5322, 2045, 2047, 3834. */
#include "provider/mail.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/str.h"

#define LINE 76
#define WORD 39 /* bytes of text in one encoded word: 52 letters of base64, 75 with its frame at most */

static bool is_address(const char *text)
{
	const char *at = strchr(text, '@');

	if (!at || at == text || !at[1] || strchr(at + 1, '@') || strlen(text) > ATL_MAIL_ADDRESS_MAX)
		return false;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr("<>()[]\\,;:\"", *c))
			return false;
	return true;
}

enum atl_err atl_mail_from_parse(const char *text, struct atl_mail_from *ret, struct atl_errinfo *info)
{
	const char *open = strrchr(text, '<'), *end = text + strlen(text);
	size_t name = open ? (size_t)(open - text) : 0;

	memset(ret, 0, sizeof(*ret));
	while (name && text[name - 1] == ' ')
		name--;
	if (open && end[-1] == '>' && (size_t)(end - open - 2) < sizeof(ret->address))
		memcpy(ret->address, open + 1, (size_t)(end - open - 2));
	else if (!open)
		atl_str_copy(ret->address, sizeof(ret->address), text);
	if (name >= sizeof(ret->name) || !is_address(ret->address) || !atl_utf8_valid(text, strlen(text)))
		return atl_fail(info, ATL_ERR_INVALID, "The sender is not like Atelier <atelier@example.org>.");
	memcpy(ret->name, text, name);
	return ATL_OK;
}

/* "=?UTF-8?B?...?=", as many as it takes; control characters become spaces. Never splits a character. */
static void encoded_words(struct atl_buf *out, const char *text)
{
	char part[WORD + 1];
	size_t length = strlen(text);

	for (size_t at = 0; at < length;) {
		size_t count = length - at < WORD ? length - at : WORD;

		memcpy(part, text + at, count);
		count -= at + count < length ? atl_utf8_incomplete(part, count) : 0;
		for (size_t i = 0; i < count; i++)
			if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
				part[i] = ' ';
		if (!count) /* no UTF-8 at all */
			return;
		atl_buf_adds(out, at ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
		atl_base64_encode(out, ATL_BASE64_STANDARD, part, count);
		atl_buf_adds(out, "?=");
		at += count;
	}
}

static void date(struct atl_buf *out, int64_t now_ms)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	atl_buf_addf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n", days + (ptrdiff_t)3 * tm.tm_wday, tm.tm_mday,
		     months + (ptrdiff_t)3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Lines end with CRLF inside, too. */
static void body(struct atl_buf *out, const char *text)
{
	struct atl_buf lines, code;

	atl_buf_init(&lines, (size_t)2 * ATL_MAIL_TEXT_MAX + 2);
	atl_buf_init(&code, (size_t)4 * ATL_MAIL_TEXT_MAX);
	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			atl_buf_addc(&lines, '\r');
		if (*c != '\r')
			atl_buf_addc(&lines, *c);
	}
	atl_base64_encode(&code, ATL_BASE64_STANDARD, lines.data, lines.length);
	for (size_t at = 0; at < code.length; at += LINE) {
		atl_buf_add(out, code.data + at, code.length - at < LINE ? code.length - at : LINE);
		atl_buf_adds(out, "\r\n");
	}
	if (lines.failed || code.failed)
		out->failed = true;
	atl_buf_finish(&lines);
	atl_buf_finish(&code);
}

enum atl_err atl_mail_write(const struct atl_mail_from *from, const struct atl_mail *mail, struct atl_buf *out,
			    struct atl_errinfo *info)
{
	if (!is_address(from->address) || !is_address(mail->to) || strlen(mail->subject) > ATL_MAIL_SUBJECT_MAX ||
	    strlen(mail->text) > ATL_MAIL_TEXT_MAX || strspn(mail->id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") !=
							    strlen(mail->id))
		return atl_fail(info, ATL_ERR_INVALID, "This cannot be sent by mail.");
	date(out, mail->now_ms);
	atl_buf_adds(out, "From: ");
	if (from->name[0])
		encoded_words(out, from->name);
	atl_buf_addf(out, "%s<%s>\r\nTo: <%s>\r\nSubject: ", from->name[0] ? " " : "", from->address, mail->to);
	encoded_words(out, mail->subject);
	atl_buf_addf(out,
		     "\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		     "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		     mail->id, strchr(from->address, '@') + 1);
	body(out, mail->text);
	return atl_buf_err(out, info);
}

enum atl_err atl_mail_deliver(const struct atl_smtp *smtp, const struct atl_guard *guard, const struct atl_mail_from *from,
			      const struct atl_mail *mail, struct atl_errinfo *info)
{
	struct atl_buf text;
	enum atl_err err;

	atl_buf_init(&text, ATL_SMTP_MESSAGE_MAX);
	err = atl_mail_write(from, mail, &text, info);
	if (!err)
		err = atl_smtp_send(smtp, guard,
				    &(struct atl_smtp_message){ .from = from->address, .to = mail->to, .text = text.data,
								.length = text.length },
				    info);
	atl_wipe(text.data, text.length);
	atl_buf_finish(&text);
	return err;
}
