/* fuzz_image_answer.c - what picture services answer: errors in words without the key, base64, fal's places and logs,
 * key sets of signed messages. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/str.h"
#include "provider/image_fal.h"
#include "provider/image_http.h"

#define KEY "sekret-key"

static const struct atl_image_endpoint ENDPOINT = { .name = "Service", .base_url = "https://queue.fal.run", .key = KEY };

static void error_words(const char *text, size_t length, int status)
{
	struct atl_image_run run = { .endpoint = &ENDPOINT };
	struct atl_image_answer answer = { .status = status, .content_type = "", .raw_head = text, .body = text,
		.length = length };
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_image_http_error(&run, &answer, "submit", &info);

	if (!err || strstr(info.detail, KEY) || strstr(info.field, KEY))
		abort();
}

static void picture(struct atl_arena *arena, const char *text)
{
	struct atl_image_file file = { 0 };

	if (atl_image_unbase64(arena, text, &file, NULL) == ATL_OK &&
	    (!file.length || !atl_str_eq(atl_image_sniff(file.data, file.length), file.media_type)))
		abort();
}

static void fal(struct atl_arena *arena, const char *text, size_t length)
{
	struct atl_json *root;
	int64_t step = 0, steps = 1;
	const char *remote;

	if (atl_fal_log_steps(text, &step, &steps) && (step < 0 || step > steps || steps < 1))
		abort();
	if (atl_json_parse(arena, text, length, &root, NULL))
		return;
	remote = atl_fal_remote(arena, ENDPOINT.base_url, "fal-ai/flux/dev", root);
	if (remote && (strstr(remote, "..") || strchr(remote, '?') || strstr(remote, "://")))
		abort();
}

static void signed_message(const char *text, size_t length)
{
	char signature[ATL_ED25519_SIGNATURE_SIZE * 2 + 1];
	struct atl_fal_webhook webhook = { "1", "u", "1790000000", signature, text, length };

	memset(signature, 'a', sizeof(signature) - 1);
	signature[sizeof(signature) - 1] = 0;
	if (atl_fal_webhook_check(text, length, &webhook, 1790000000000, NULL) == ATL_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int STATUS[] = { 400, 401, 403, 404, 413, 422, 429, 500 };
	struct atl_arena arena;
	char *text;

	if (!size || memchr(data, 0, size))
		return 0;
	atl_arena_init(&arena, 0);
	text = atl_arena_strndup(&arena, (const char *)data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		error_words(text, size - 1, STATUS[data[0] / 4 % ATL_COUNT(STATUS)]);
		break;
	case 1:
		picture(&arena, text);
		break;
	case 2:
		fal(&arena, text, size - 1);
		break;
	default:
		signed_message(text, size - 1);
		break;
	}
	atl_arena_finish(&arena);
	return 0;
}
