/* Headers of model files: anything may come in an upload. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/models/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = {0};
	struct atl_gguf gguf;
	bool truncated = false;
	enum atl_err err = atl_gguf_parse(data, size, &gguf, &truncated, &info);
	/* It either understands it, or says why not. */
	if (err ? !info.detail[0] : !gguf.architecture[0] || truncated || gguf.parameters < 0)
		abort();
	if (!err && atl_gguf_usable(&gguf, &info) && !info.detail[0])
		abort();
	return 0;
}
