/* tool_calls.h - joins the pieces of streamed tool calls into one JSON array.
 *
 * Life cycle: a zeroed struct is ready; add()*, write(), finish(). Threads: one at a time.
 * Limits: ATL_CHAT_TOOL_CALLS_MAX calls, ATL_TOOL_ARGUMENTS_MAX bytes of arguments each.
 */
#ifndef ATL_PROVIDER_TOOL_CALLS_H
#define ATL_PROVIDER_TOOL_CALLS_H

#include "base/json.h"
#include "provider/chat.h"

#define ATL_TOOL_ARGUMENTS_MAX ((size_t)1 << 20)

struct atl_tool_call {
	char id[128], name[128];
	struct atl_buf arguments;
};
struct atl_tool_calls {
	struct atl_tool_call *items[ATL_CHAT_TOOL_CALLS_MAX];
	size_t count;
};
/* `pieces`: an array of {index?, id?, function:{name?, arguments?}}. UPSTREAM_FORMAT, TOO_LARGE, NOMEM. */
enum atl_err atl_tool_calls_add(struct atl_tool_calls *calls, const struct atl_json *pieces) ATL_MUST_USE;
void atl_tool_calls_write(const struct atl_tool_calls *calls, struct atl_buf *out);
void atl_tool_calls_finish(struct atl_tool_calls *calls);

#endif
