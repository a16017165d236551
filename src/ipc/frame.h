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
#define ATL_FRAME_PAYLOAD_MAX (((uint32_t)64 << 20) + 4096) /* 64 MiB of data and what is said about it */

enum atl_frame_type {
	ATL_FRAME_DECODE = 1,  /* server -> decode child: struct atl_decode_ask, then the file's bytes */
	ATL_FRAME_PICTURE = 2, /* child -> server: struct atl_decode_item, then the encoded picture */
	ATL_FRAME_END = 3,     /* child -> server: struct atl_decode_end */
	ATL_FRAME_ERROR = 4,   /* child -> server: one sentence, UTF-8, not terminated */
	/* the picture engine, docs/ipc.md; JSON payloads */
	ATL_FRAME_HELLO = 5,	/* engine -> server: what it is and can */
	ATL_FRAME_INPUT = 6,	/* server -> engine: `item` of enum atl_engine_input, 12 bytes of size, then raw rows */
	ATL_FRAME_GENERATE = 7, /* server -> engine: the request; inputs came before it */
	ATL_FRAME_CANCEL = 8,	/* server -> engine: end the run at the next step */
	ATL_FRAME_UNLOAD = 9,	/* server -> engine: give the model's memory back */
	ATL_FRAME_PROGRESS = 10, /* engine -> server */
	ATL_FRAME_PREVIEW = 11, /* engine -> server: a small PNG of picture `item` */
	ATL_FRAME_RESULT = 12,	/* engine -> server: size and seed; the rows are in the descriptor that comes along */
	ATL_FRAME_LOG = 13,	/* engine -> server: a note for the person */
	ATL_FRAME_DONE = 14,	/* engine -> server: the run is over, all results were sent */
	ATL_FRAME_CLASSIFY = 15, /* server -> classifier: ATL_CLASSIFY_SIZE bytes of RGB rows */
	ATL_FRAME_SCORE = 16,	/* classifier -> server: u32 score in millionths; item 1: it leaves after this answer */
	/* Content Credentials (media/credentials.h), docs/ipc.md */
	ATL_FRAME_CREDENTIAL = 17, /* server -> decode child: `item` of enum atl_credential_part; SIGN and READ begin */
	ATL_FRAME_TO_SIGN = 18,	   /* child -> server: the bytes to be signed */
	ATL_FRAME_SIGNATURE = 19,  /* server -> child: their signature */
	ATL_FRAME_CREDENTIALS = 20 /* child -> server: the signed file, or what was read as JSON; `item` 1: it leaves */
};
#define ATL_FRAME_TYPE_LAST ATL_FRAME_CREDENTIALS

/* Texts of the library, a picture's parent, and last the file. CHAIN: u32 algorithm in the frame's id, then PEM. */
enum atl_credential_part {
	ATL_CREDENTIAL_SETTINGS,
	ATL_CREDENTIAL_MANIFEST,
	ATL_CREDENTIAL_CHAIN,
	ATL_CREDENTIAL_INGREDIENT,
	ATL_CREDENTIAL_PARENT,
	ATL_CREDENTIAL_SIGN,
	ATL_CREDENTIAL_READ
};
/* COSE's; the numbers are the library's. */
enum atl_credential_algorithm { ATL_CREDENTIAL_ES256, ATL_CREDENTIAL_ES384, ATL_CREDENTIAL_ES512, ATL_CREDENTIAL_PS256 };

enum atl_engine_input { ATL_INPUT_INIT, ATL_INPUT_MASK, ATL_INPUT_CONTROL, ATL_INPUT_REFERENCE /* and following */ };
#define ATL_INPUT_HEAD_SIZE 12 /* u32 width, height, channels */

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
#define ATL_DECODE_SIDE_MAX 16384
#define ATL_DECODE_ASK_SIZE 64
enum atl_decode_form { ATL_DECODE_NONE, ATL_DECODE_WEBP, ATL_DECODE_PNG, ATL_DECODE_AUTO };
enum atl_decode_flag {
	ATL_DECODE_BLURHASH = 1,
	ATL_DECODE_PHASH = 2,
	ATL_DECODE_COVER = 4,	   /* raw: scaled to cover, the middle kept; otherwise stretched */
	ATL_DECODE_FROM_ALPHA = 8, /* raw: the grey plane is what is transparent */
	ATL_DECODE_STEALTH = 16,   /* text hidden in the lowest bits, if there is any */
	ATL_DECODE_LABEL = 32,	   /* the kept picture gets the visible label (media/label.h) */
	ATL_DECODE_FLAGS = 63
};
struct atl_decode_ask {
	uint32_t max_pixels;   /* refuse pictures with more */
	uint32_t max_side;     /* the kept picture is scaled down to this */
	uint32_t kind;	       /* enum atl_picture_kind, as sniffed */
	uint32_t flags;	       /* enum atl_decode_flag */
	uint32_t keep;	       /* enum atl_decode_form of the kept picture */
	uint32_t quality;      /* of the kept picture as WebP, 1 to 100 */
	uint32_t raw_channels; /* 0: no raw rows; 1 grey, 3 RGB */
	uint32_t raw_width, raw_height;
	uint32_t width_count;
	uint32_t at_percent; /* of a video's length, the frame there; 0: the poster */
	uint16_t widths[ATL_DECODE_WIDTHS_MAX]; /* thumbnails to make as well, WebP */
};
#define ATL_DECODE_ITEM_SIZE 16
enum atl_decode_what { ATL_DECODE_KEPT, ATL_DECODE_THUMB, ATL_DECODE_RAW, ATL_DECODE_TEXT };
struct atl_decode_item {
	uint16_t what;	      /* enum atl_decode_what */
	uint16_t form;	      /* enum atl_decode_form; raw: channels */
	uint32_t asked_width; /* of a thumbnail; 0 otherwise */
	uint32_t width, height;
};
#define ATL_DECODE_END_SIZE 64
#define ATL_DECODE_BLURHASH_MAX 32
struct atl_decode_end {
	uint32_t width, height; /* of the source, upright */
	uint32_t duration_ms;	/* 0: not moving, or not known */
	uint32_t frames;	/* 0: not known */
	uint32_t alpha;		/* 1: some of it is transparent */
	uint32_t last;		/* 1: the child leaves after this answer */
	uint64_t phash;
	char blurhash[ATL_DECODE_BLURHASH_MAX]; /* terminated; empty when not asked */
};

#define ATL_CLASSIFY_SIDE 256
#define ATL_CLASSIFY_SIZE ((size_t)ATL_CLASSIFY_SIDE * ATL_CLASSIFY_SIDE * 3)
#define ATL_SCORE_SIZE 4
#define ATL_SCORE_ONE 1000000u
void atl_score_encode(uint32_t score, unsigned char out[ATL_SCORE_SIZE]);
enum atl_err atl_score_decode(const unsigned char *data, size_t length, uint32_t *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;

void atl_decode_ask_encode(const struct atl_decode_ask *ask, unsigned char out[ATL_DECODE_ASK_SIZE]);
enum atl_err atl_decode_ask_decode(const unsigned char *data, size_t length, struct atl_decode_ask *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
void atl_decode_item_encode(const struct atl_decode_item *item, unsigned char out[ATL_DECODE_ITEM_SIZE]);
enum atl_err atl_decode_item_decode(const unsigned char *data, size_t length, struct atl_decode_item *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;
void atl_decode_end_encode(const struct atl_decode_end *end, unsigned char out[ATL_DECODE_END_SIZE]);
enum atl_err atl_decode_end_decode(const unsigned char *data, size_t length, struct atl_decode_end *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

#endif
