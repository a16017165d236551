/* think.c - see think.h. */
#include "provider/think.h"

#include <string.h>

#include "base/str.h"

static const char OPEN[] = "<think>";
static const char CLOSE[] = "</think>";
#define OPEN_LENGTH (sizeof(OPEN) - 1)
#define CLOSE_LENGTH (sizeof(CLOSE) - 1)

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void put(atl_think_out *out, void *arg, bool reasoning, const char *text, size_t length)
{
	if (length)
		out(arg, reasoning, text, length);
}

/* One byte at the beginning: white space and the opening tag are held; anything else makes it all text.
 * Returns 0 when the byte was not taken, so that a character of several bytes is passed on whole. */
static size_t before(struct atl_think *think, char c, atl_think_out *out, void *arg)
{
	bool blank_so_far;
	size_t tag = 0;

	for (size_t i = 0; i < think->held_length; i++)
		if (!is_space(think->held[i]))
			tag++;
	blank_so_far = tag == 0 && is_space(c) && think->held_length < sizeof(think->held) - OPEN_LENGTH;
	if (blank_so_far || c == OPEN[tag]) {
		think->held[think->held_length++] = c;
		if (!blank_so_far && tag + 1 == OPEN_LENGTH) {
			think->state = ATL_THINK_INSIDE;
			think->held_length = 0;
		}
		return 1;
	}
	think->state = ATL_THINK_TEXT;
	put(out, arg, false, think->held, think->held_length);
	think->held_length = 0;
	return 0;
}

/* Length of the longest end of `text` that begins the closing tag. */
static size_t partial_close(const char *text, size_t length)
{
	size_t n = length < CLOSE_LENGTH - 1 ? length : CLOSE_LENGTH - 1;

	while (n && memcmp(text + length - n, CLOSE, n) != 0)
		n--;
	return n;
}

static size_t inside(struct atl_think *think, const char *text, size_t length, atl_think_out *out, void *arg)
{
	const char *close;
	size_t keep;

	/* What was held is always a beginning of the closing tag: grow it byte by byte until it is decided. */
	if (think->held_length) {
		think->held[think->held_length] = *text;
		if (memcmp(think->held, CLOSE, think->held_length + 1) == 0) {
			if (++think->held_length == CLOSE_LENGTH) {
				think->state = ATL_THINK_AFTER;
				think->held_length = 0;
			}
			return 1;
		}
		put(out, arg, true, think->held, think->held_length);
		think->held_length = 0;
		return 0; /* the byte may begin a tag, or a character of several bytes */
	}
	close = memmem(text, length, CLOSE, CLOSE_LENGTH);
	if (close) {
		put(out, arg, true, text, (size_t)(close - text));
		think->state = ATL_THINK_AFTER;
		return (size_t)(close - text) + CLOSE_LENGTH;
	}
	keep = partial_close(text, length);
	put(out, arg, true, text, length - keep);
	memcpy(think->held, text + length - keep, keep);
	think->held_length = keep;
	return length;
}

void atl_think_feed(struct atl_think *think, const char *text, size_t length, atl_think_out *out, void *arg)
{
	while (length) {
		size_t used = 1;

		switch (think->state) {
		case ATL_THINK_BEFORE:
			used = before(think, *text, out, arg);
			break;
		case ATL_THINK_INSIDE:
			used = inside(think, text, length, out, arg);
			break;
		case ATL_THINK_AFTER: /* white space between the thought and the reply */
			if (is_space(*text))
				break;
			think->state = ATL_THINK_TEXT;
			used = 0;
			break;
		case ATL_THINK_TEXT:
			out(arg, false, text, length);
			return;
		}
		text += used;
		length -= used;
	}
}

void atl_think_end(struct atl_think *think, atl_think_out *out, void *arg)
{
	put(out, arg, think->state == ATL_THINK_INSIDE, think->held, think->held_length);
	think->held_length = 0;
}
