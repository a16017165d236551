/* image_input.c - the pictures that come before a request: sizes are checked, rows are copied. See image.h. */
#include <stdlib.h>
#include <string.h>

#include "worker/image.h"

static uint32_t get32(const char *data)
{
	const unsigned char *in = (const unsigned char *)data;
	return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static struct engine_image *place(struct image_inputs *inputs, uint16_t item)
{
	if (item == ATL_INPUT_INIT)
		return &inputs->init;
	if (item == ATL_INPUT_MASK)
		return &inputs->mask;
	if (item == ATL_INPUT_CONTROL)
		return &inputs->control;
	/* in order, so that none is missing in between */
	size_t index = (size_t)(item - ATL_INPUT_REFERENCE);
	return index == inputs->reference_count && index < ATL_ENGINE_REFERENCES_MAX ? &inputs->references[index] : NULL;
}

enum atl_err image_input_add(struct image_inputs *inputs, uint16_t item, const struct atl_buf *payload,
			     struct atl_errinfo *info)
{
	struct engine_image image = {0};
	struct engine_image *to = place(inputs, item);
	if (!to || payload->length < ATL_INPUT_HEAD_SIZE)
		return atl_fail(info, ATL_ERR_INVALID, "An input picture has no place or no size.");
	image.width = get32(payload->data);
	image.height = get32(payload->data + 4);
	image.channels = get32(payload->data + 8);
	size_t length = payload->length - ATL_INPUT_HEAD_SIZE;
	if (image.width - 1 >= ATL_ENGINE_SIDE_MAX || image.height - 1 >= ATL_ENGINE_SIDE_MAX ||
	    image.channels != (item == ATL_INPUT_MASK ? 1u : 3u) ||
	    length != (size_t)image.width * image.height * image.channels)
		return atl_fail(info, ATL_ERR_INVALID, "An input picture has another size than it says.");
	image.data = malloc(length);
	if (!image.data)
		return atl_fail(info, ATL_ERR_NOMEM, "There is not enough memory for the input picture.");
	memcpy(image.data, payload->data + ATL_INPUT_HEAD_SIZE, length);
	free(to->data);
	*to = image;
	inputs->reference_count += item >= ATL_INPUT_REFERENCE;
	return ATL_OK;
}

void image_inputs_finish(struct image_inputs *inputs)
{
	free(inputs->init.data);
	free(inputs->mask.data);
	free(inputs->control.data);
	for (size_t i = 0; i < inputs->reference_count; i++)
		free(inputs->references[i].data);
	*inputs = (struct image_inputs){0};
}
