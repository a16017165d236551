/* Bodies of multipart/form-data. The first line is the Content-Type, the rest the body. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each part lies inside of the body, in order, and its name is text. */
static void check(const struct atl_part *parts, size_t count, const char *body, size_t length)
{
	const char *at = body;

	if (count > ATL_MULTIPART_PARTS_MAX)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (!parts[i].name || parts[i].data < at || parts[i].data + parts[i].length > body + length)
			abort();
		at = parts[i].data + parts[i].length;
		if (!atl_multipart_find(parts, count, parts[i].name))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line_end = memchr(data, '\n', size);
	size_t type_length = line_end ? (size_t)(line_end - data) : size, length = line_end ? size - type_length - 1 : 0;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct atl_part *parts = NULL;
	size_t count = 0;
	char *type, *body;
	enum atl_err err;

	atl_arena_init(&arena, (size_t)16 << 20);
	type = atl_arena_strndup(&arena, (const char *)data, type_length);
	body = malloc(length + 1); /* of its own, so that one byte too far is seen */
	if (!type || !body)
		abort();
	if (length)
		memcpy(body, line_end + 1, length);
	body[length] = '\0';
	err = atl_multipart_parse(&arena, type, body, length, &parts, &count, &info);
	if (err ? !info.detail[0] : (check(parts, count, body, length), 0))
		abort();
	free(body);
	atl_arena_finish(&arena);
	return 0;
}
