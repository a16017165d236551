/* Headers of safetensors files: anything may lie in the models folder. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/models/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = {0};
	struct atl_tensor_file file;
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_tensor_parse(&arena, data, size, size + 1000, &file, &info);
	/* It either understands it, or says why not; nothing lies outside, nothing twice. */
	if (err ? !info.detail[0] : !file.count || !file.family || file.parameters < 0)
		abort();
	for (size_t i = 0; !err && i < file.count; i++)
		if (file.tensors[i].end > size + 1000 || (i && file.tensors[i].begin < file.tensors[i - 1].end))
			abort();
	atl_arena_finish(&arena);
	return 0;
}
