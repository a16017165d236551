/* macros.h - the text macros of cards: {{char}}, {{user}}, {{random:a,b}}, {{pick:a,b}}, {{roll:2d6}} and friends.
 *
 * {{random}} and {{roll}} differ each time; {{pick}} is stable for the same seed (the conversation) and text position.
 * Case is ignored; unknown macros stay as they are; {{// comment}} disappears. <USER>, <BOT> and <CHAR> are the old
 * spellings. Results are not expanded again.
 *
 * Threads: pure but for random. Limits: the output buffer's maximum.
 */
#ifndef ATL_CORE_MACROS_H
#define ATL_CORE_MACROS_H

#include "base/buf.h"

struct atl_macros {
	const char *char_name;
	const char *user_name;
	const char *seed; /* conversation id */
	int64_t now_ms;	  /* {{time}}, {{date}}; UTC */
};

void atl_macros_expand(const struct atl_macros *macros, const char *text, struct atl_buf *out);

#endif
