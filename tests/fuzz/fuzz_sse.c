/* fuzz_sse.c - the event stream decoder: the same events however the input is cut; never beyond its cap. */
#include <stdlib.h>
#include <string.h>

#include "provider/sse_parse.h"

#define CAP 256

static bool note(void *arg, const char *event, const char *data, size_t length)
{
	struct atl_buf *out = arg;

	if (length > CAP || data[length] != 0)
		abort();
	atl_buf_addf(out, "[%s|%zu|", event, length);
	atl_buf_add(out, data, length);
	return true;
}

static enum atl_err decode(const uint8_t *data, size_t size, size_t piece, struct atl_buf *out)
{
	struct atl_sse sse;
	enum atl_err err = ATL_OK;

	atl_sse_init(&sse, CAP, note, out);
	for (size_t at = 0; at < size && !err; at += piece)
		err = atl_sse_feed(&sse, (const char *)data + at, size - at < piece ? size - at : piece);
	if (!err)
		err = atl_sse_end(&sse);
	atl_sse_finish(&sse);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_buf whole, cut;
	size_t piece = size ? data[0] % 7 + 1 : 1;

	atl_buf_init(&whole, 1 << 22);
	atl_buf_init(&cut, 1 << 22);
	if (size && (decode(data, size, size, &whole) != decode(data, size, piece, &cut) || whole.length != cut.length ||
		     (whole.length && memcmp(whole.data, cut.data, whole.length) != 0)))
		abort();
	atl_buf_finish(&whole);
	atl_buf_finish(&cut);
	return 0;
}
