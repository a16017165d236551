/* frame.h - length-prefixed messages between the server and its children: pure encode and decode.
 *
 * A frame is a 16-byte little-endian header and a payload:
 *   offset 0 u32 magic ATL_FRAME_MAGIC, 4 u16 type, 6 u16 item (index of a result; 0 otherwise), 8 u32 id of the
 *   request, 12 u32 payload length.
 *
 * Threads: pure functions. Limits: ATL_FRAME_PAYLOAD_MAX.
 * Adding one: a line in enum atl_frame_type and its payload in docs/ipc.md.
 */
#ifndef ATL_IPC_FRAME_H
#define ATL_IPC_FRAME_H

#include "base/buf.h"

#define ATL_FRAME_MAGIC 0x464c5441u /* "ATLF" */
#define ATL_FRAME_HEADER_SIZE 16
#define ATL_FRAME_PAYLOAD_MAX ((uint32_t)64 << 20)

enum atl_frame_type {
	ATL_FRAME_DECODE = 1,  /* server -> decode child: struct atl_decode_ask, then the file's bytes */
	ATL_FRAME_PICTURE = 2, /* child -> server: struct atl_decode_item, then the encoded picture */
	ATL_FRAME_END = 3,     /* child -> server: struct atl_decode_end */
	ATL_FRAME_ERROR = 4    /* child -> server: one sentence, UTF-8, not terminated */
};

struct atl_frame {
	uint16_t type;
	uint16_t item;
	uint32_t id;
	uint32_t length; /* of the payload */
};

void atl_frame_encode(const struct atl_frame *frame, unsigned char out[ATL_FRAME_HEADER_SIZE]);
/* ATL_ERR_UPSTREAM_FORMAT: wrong magic, unknown type or a payload over the limit. */
enum atl_err atl_frame_decode(const unsigned char header[ATL_FRAME_HEADER_SIZE], struct atl_frame *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;

/* ---- payloads ---- */
#define ATL_DECODE_WIDTHS_MAX 8
#define ATL_DECODE_ASK_SIZE 36
struct atl_decode_ask {
	uint32_t max_pixels;	 /* refuse pictures with more */
	uint32_t max_side;	 /* the kept picture is scaled down to this */
	uint32_t kind;		 /* enum atl_picture_kind, as sniffed */
	uint16_t width_count;
	uint16_t reserved;
	uint16_t widths[ATL_DECODE_WIDTHS_MAX]; /* thumbnails to make as well */
};
#define ATL_DECODE_ITEM_SIZE 12
struct atl_decode_item {
	uint32_t asked_width; /* 0: the kept picture */
	uint32_t width, height;
};

void atl_decode_ask_encode(const struct atl_decode_ask *ask, unsigned char out[ATL_DECODE_ASK_SIZE]);
enum atl_err atl_decode_ask_decode(const unsigned char *data, size_t length, struct atl_decode_ask *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
void atl_decode_item_encode(const struct atl_decode_item *item, unsigned char out[ATL_DECODE_ITEM_SIZE]);
enum atl_err atl_decode_item_decode(const unsigned char *data, size_t length, struct atl_decode_item *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;

#endif
