/* The policy's reading: whatever stands before it, a text that must be refused is; and nothing is written out of bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/safety/policy.h"
#include "core/safety/policy_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_word(void *user, const char *word, size_t length)
{
	if (length == 0 || length > ATL_POLICY_WORD_MAX || memchr(word, ' ', length))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char tail[] = "\nnude preteen\n";
	const struct atl_policy_sink sink = { .word = on_word };
	struct atl_policy_text texts[2] = { { (const char *)data, size }, { tail, sizeof(tail) - 1 } };
	char *text = malloc(size + sizeof(tail));
	struct atl_errinfo info = { 0 };

	if (!text || atl_log_init(ATL_LOG_ERROR, ATL_LOG_LOGFMT, NULL, NULL))
		abort();
	if (atl_policy_check(NULL, ATL_ENTRY_MESSAGE, NULL, texts, 2, &info) != ATL_ERR_POLICY)
		abort();
	memcpy(text, data, size);
	memcpy(text + size, tail, sizeof(tail));
	if (atl_policy_check_text(NULL, ATL_ENTRY_MESSAGE, NULL, text, &info) != ATL_ERR_POLICY && !memchr(data, 0, size))
		abort();
	if (atl_policy_check(NULL, ATL_ENTRY_MESSAGE, NULL, texts, 1, &info) != ATL_ERR_POLICY)
		atl_policy_scan((const char *)data, size, false, &sink);
	atl_log_finish();
	free(text);
	return 0;
}
