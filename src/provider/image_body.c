/* image_body.c - small parts of what picture services are sent and of what is told about them; see image_http.h. */
#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"
#include "provider/image_http.h"

#define NOTE_MAX 300

static bool is_known(const char *const *known, const char *key)
{
	for (; known && *known; known++)
		if (atl_str_eq(*known, key))
			return true;
	return false;
}

enum atl_err atl_image_extra(struct atl_arena *arena, struct atl_jw *w, const char *extra, const char *const *known,
			     struct atl_errinfo *info)
{
	struct atl_json *root;

	if (atl_str_empty(extra))
		return ATL_OK;
	if (atl_json_parse(arena, extra, strlen(extra), &root, NULL) || root->kind != ATL_JSON_OBJECT)
		return atl_fail_field(info, ATL_ERR_INVALID, "extra", "extra must be a JSON object");
	for (const struct atl_json *member = root->child; member; member = member->next)
		if (!is_known(known, member->key))
			atl_jw_tree(w, member->key, member);
	return ATL_OK;
}

enum atl_err atl_image_deliver(const struct atl_image_run *run, int64_t index, const void *data, size_t length,
			       int64_t seed, const char *revised_prompt, struct atl_errinfo *info)
{
	struct atl_image_result result = { .index = index, .data = data, .length = length, .seed = seed,
		.media_type = atl_image_sniff(data, length), .revised_prompt = revised_prompt };

	if (run->max_result_bytes && length > run->max_result_bytes)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "%s made a file of %zu MB; the limit is %zu MB.",
				run->endpoint->name, length >> 20, run->max_result_bytes >> 20);
	if (!result.media_type)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s gave a file that is neither a picture nor a video "
				"(%zu bytes).", run->endpoint->name, length);
	return run->events->result(run->arg, &result, info);
}

void atl_image_phase(const struct atl_image_run *run, const char *phase, int64_t index)
{
	run->events->progress(run->arg, &(struct atl_image_progress){ .phase = phase, .index = index,
		.queue_position = -1 });
}

void atl_image_notef(const struct atl_image_run *run, const char *fmt, ...)
{
	char text[NOTE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	run->events->note(run->arg, text);
}

size_t atl_image_pictures(const struct atl_image_request *request, const struct atl_image_file **ret, size_t max)
{
	size_t count = 0;

	if (request->init.data && count < max)
		ret[count++] = &request->init;
	for (size_t i = 0; i < request->reference_count && count < max; i++)
		ret[count++] = &request->references[i];
	return count;
}
