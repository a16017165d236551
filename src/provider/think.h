/* think.h - splits "<think>...</think>" at the beginning of a reply from the text after it, piece by piece.
 *
 * Only at the very beginning (white space before it is dropped with it); later tags are text. Bytes that may be the
 * start of a tag are held back until they are decided. JSON strings are whole characters, so pieces stay whole.
 *
 * Life cycle: a zeroed struct is ready; atl_think_feed()* .. atl_think_end(). Threads: one at a time. Pure.
 */
#ifndef ATL_PROVIDER_THINK_H
#define ATL_PROVIDER_THINK_H

#include "base/err.h"

enum atl_think_state { ATL_THINK_BEFORE, ATL_THINK_INSIDE, ATL_THINK_AFTER, ATL_THINK_TEXT };

struct atl_think {
	enum atl_think_state state;
	size_t held_length;
	char held[32];
};
typedef void atl_think_out(void *arg, bool reasoning, const char *text, size_t length);

void atl_think_feed(struct atl_think *think, const char *text, size_t length, atl_think_out *out, void *arg);
void atl_think_end(struct atl_think *think, atl_think_out *out, void *arg);

#endif
