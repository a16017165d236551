/* credentials.c - see credentials.h. */
#include "worker/credentials.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "media/credentials.h"
#include "media/picture.h"
#include "worker/c2pa.h"
#include "worker/decode.h"
#include "worker/sandbox.h"

#define CPU_ENOUGH_S (ATL_SANDBOX_CPU_S / 3)
#define LARGE_INPUT ((size_t)1 << 20)

struct request {
	struct atl_buf texts[ATL_CREDENTIAL_PARENT]; /* by enum atl_credential_part */
	struct atl_buf parent, file;
	int algorithm;
};

static void request_init(struct request *r)
{
	*r = (struct request){0};
	for (size_t i = 0; i < ATL_COUNT(r->texts); i++)
		atl_buf_init(&r->texts[i], ATL_CREDENTIALS_TEXT_MAX);
	atl_buf_init(&r->parent, ATL_FRAME_PAYLOAD_MAX + 1);
	atl_buf_init(&r->file, ATL_FRAME_PAYLOAD_MAX + 1);
}

static void request_finish(struct request *r)
{
	bool large = r->parent.length + r->file.length > LARGE_INPUT;

	for (size_t i = 0; i < ATL_COUNT(r->texts); i++)
		atl_buf_finish(&r->texts[i]);
	atl_buf_finish(&r->parent);
	atl_buf_finish(&r->file);
	if (large)
		malloc_trim(0);
}

/* 1: SIGN or READ came, in *ret_part; 0: nobody asks any more; -1: something else was said. */
static int receive(struct request *r, uint64_t wait_ms, unsigned *ret_part)
{
	struct atl_frame frame;
	struct atl_buf payload;
	int rc = 0;

	for (bool first = true; rc == 0; first = false) {
		atl_buf_init(&payload, ATL_FRAME_PAYLOAD_MAX + 1);
		if (atl_channel_receive(DECODE_SERVER_FD, atl_monotonic_ms() + wait_ms, &frame, &payload, NULL)) {
			atl_buf_finish(&payload);
			return first ? 0 : -1;
		}
		wait_ms = DECODE_TALK_MS;
		rc = frame.type == ATL_FRAME_CREDENTIAL ? 0 : -1;
		if (rc == 0 && frame.item < ATL_CREDENTIAL_PARENT) {
			atl_buf_reset(&r->texts[frame.item]);
			atl_buf_add(&r->texts[frame.item], payload.data, payload.length);
			rc = r->texts[frame.item].failed ? -1 : 0;
			r->algorithm = frame.item == ATL_CREDENTIAL_CHAIN ? (int)frame.id : r->algorithm;
		} else if (rc == 0) {
			struct atl_buf *to = frame.item == ATL_CREDENTIAL_PARENT ? &r->parent : &r->file;
			atl_buf_finish(to);
			*to = payload;
			atl_buf_init(&payload, 1);
			*ret_part = frame.item;
			rc = frame.item == ATL_CREDENTIAL_PARENT ? 0 : frame.item <= ATL_CREDENTIAL_READ ? 1 : -1;
		}
		atl_buf_finish(&payload);
	}
	return rc;
}

/* The key is the server's. */
static intptr_t ask_for_signature(const void *arg, const unsigned char *data, uintptr_t length, unsigned char *out,
				  uintptr_t room)
{
	struct atl_frame frame = {.type = ATL_FRAME_TO_SIGN, .id = 1};
	struct atl_buf payload;
	intptr_t got = -1;

	atl_buf_init(&payload, C2PA_SIGNATURE_MAX);
	if (atl_channel_send(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, data, length, NULL, 0, NULL) == ATL_OK &&
	    atl_channel_receive(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, &payload, NULL) == ATL_OK &&
	    frame.type == ATL_FRAME_SIGNATURE && payload.length <= room) {
		memcpy(out, payload.data, payload.length);
		got = (intptr_t)payload.length;
	}
	atl_buf_finish(&payload);
	return got;
}

static struct c2pa_piece piece(const struct atl_buf *buf)
{
	return (struct c2pa_piece){buf->data, buf->length, atl_picture_type(atl_picture_sniff(buf->data, buf->length))};
}

static bool serve(struct c2pa *c2pa, const struct request *r, unsigned part, bool last)
{
	const struct c2pa_claim claim = {.settings = r->texts[ATL_CREDENTIAL_SETTINGS].data,
					 .manifest = r->texts[ATL_CREDENTIAL_MANIFEST].data,
					 .chain = r->texts[ATL_CREDENTIAL_CHAIN].data,
					 .ingredient = r->parent.length ? r->texts[ATL_CREDENTIAL_INGREDIENT].data : NULL,
					 .parent = piece(&r->parent),
					 .algorithm = r->algorithm,
					 .sign = ask_for_signature};
	const struct c2pa_piece file = piece(&r->file);
	char why[C2PA_WHY_SIZE] = "This kind of file takes no Content Credentials.";
	struct atl_frame frame = {.type = ATL_FRAME_ERROR, .id = 1, .item = last};
	struct atl_buf out;

	atl_buf_init(&out, ATL_FRAME_PAYLOAD_MAX);
	bool done = file.type && (r->parent.length == 0 || claim.parent.type) &&
		    (part == ATL_CREDENTIAL_SIGN ? c2pa_sign(c2pa, &claim, &file, &out, why)
						 : c2pa_read(c2pa, claim.settings, &file, &out, why));
	frame.type = done ? ATL_FRAME_CREDENTIALS : ATL_FRAME_ERROR;
	bool sent = atl_channel_send(DECODE_SERVER_FD, atl_monotonic_ms() + DECODE_TALK_MS, &frame, done ? out.data : why,
				     done ? out.length : strlen(why), NULL, 0, NULL) == ATL_OK;
	atl_buf_finish(&out);
	return sent;
}

static bool is_last(unsigned served)
{
	struct timespec used;
	return served >= ATL_PICTURE_PER_CHILD || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0 ||
	       used.tv_sec >= CPU_ENOUGH_S;
}

int credentials_main(const char *library)
{
	char why[C2PA_WHY_SIZE] = "";
	struct atl_errinfo info = {0};
	struct c2pa *c2pa = c2pa_open(library, why);

	if (!c2pa || atl_sandbox_enter(&info) != ATL_OK) {
		fprintf(stderr, "atelier-decode: %s\n", c2pa ? info.detail : why);
		return 1;
	}
	for (unsigned served = 1;; served++) {
		struct request request;
		unsigned part = 0;
		bool last = is_last(served);

		request_init(&request);
		int got = receive(&request, served == 1 ? DECODE_TALK_MS : ATL_CREDENTIALS_IDLE_MS, &part);
		if (got == 1)
			got = serve(c2pa, &request, part, last) && !last ? 1 : 0;
		request_finish(&request);
		if (got != 1)
			_Exit(got == 0 ? 0 : 3); /* threads of the library are not waited for: the sandbox refuses what that needs */
	}
}
