/* fake_chat.h - a scripted provider for tests: delays, pieces, an error. No network.
 *
 * Life cycle: the script is copied; its steps and strings are borrowed until on_done. Threads: the loop's.
 */
#ifndef ATL_PROVIDER_FAKE_CHAT_H
#define ATL_PROVIDER_FAKE_CHAT_H

#include "provider/chat.h"

enum atl_chat_step_kind { ATL_CHAT_STEP_DELTA, ATL_CHAT_STEP_REASONING, ATL_CHAT_STEP_TOOL_CALLS, ATL_CHAT_STEP_HANG };
struct atl_chat_step {
	enum atl_chat_step_kind kind; /* HANG: says nothing more until it is cancelled */
	unsigned delay_ms;
	const char *text;
};
struct atl_chat_script {
	const struct atl_chat_step *steps;
	size_t step_count;
	enum atl_err err; /* how it ends */
	const char *detail;
	const char *finish_reason; /* NULL: "stop" */
	struct atl_chat_usage usage;
};

#endif
