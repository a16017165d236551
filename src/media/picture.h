/* picture.h - untrusted pictures and videos: decoded, scaled and encoded anew in the sandboxed child `atelier-decode`.
 *
 * The server itself only looks at the first bytes. A child has no network, opens no file, and dies at its memory or
 * time limit. Whatever happens to it is ATL_ERR_PICTURE for this picture and nothing else. Metadata is dropped.
 *
 * A child that answered stays for the next picture of the same owner (never of another: who takes over a child by a
 * hostile file sees nothing of others), until ATL_PICTURE_PER_CHILD or ATL_PICTURE_IDLE_MS.
 *
 * Life cycle: atl_pictures_create() .. atl_pictures_destroy(), which ends the children: before the loop ends.
 * Threads:    atl_picture_open() and atl_picture_decode() block: pool threads. Limits: the constants below.
 */
#ifndef ATL_MEDIA_PICTURE_H
#define ATL_MEDIA_PICTURE_H

#include "base/arena.h"
#include "media/sniff.h"
#include "os/loop.h"

#define ATL_PICTURE_BYTES_MAX ((size_t)20 << 20)	 /* a file of atl_picture_decode() */
#define ATL_PICTURE_LIBRARY_BYTES_MAX ((size_t)64 << 20) /* a file of atl_picture_open() */
#define ATL_PICTURE_PIXELS_MAX 50000000u
#define ATL_PICTURE_KEEP_SIDE 1024    /* what atl_picture_decode() keeps */
#define ATL_PICTURE_LIBRARY_SIDE 8192 /* what atl_picture_open() keeps unless asked for less */
#define ATL_PICTURE_QUALITY 92
#define ATL_PICTURE_RAW_BYTES_MAX ((size_t)64 << 20)
#define ATL_PICTURE_TIMEOUT_MS 40000
#define ATL_PICTURE_AT_ONCE 2	  /* children at a time; others wait */
#define ATL_PICTURE_PER_CHILD 32  /* pictures, then a new child */
#define ATL_PICTURE_IDLE_MS 5000  /* a child without work leaves */
#define ATL_PICTURE_OWNER_MAX 64

struct atl_pictures;

enum atl_picture_form { ATL_PICTURE_NONE, ATL_PICTURE_AS_WEBP, ATL_PICTURE_AS_PNG, ATL_PICTURE_AS_AUTO };

/* Rows of exactly width x height, 8 bits a channel, without padding; what is transparent becomes white. */
struct atl_picture_raw_ask {
	unsigned channels; /* 0: none; 1 grey, 3 RGB */
	unsigned width, height;
	bool cover; /* true: scaled to cover, the middle kept; false: stretched */
	/* With 1 channel: 255 where the picture is transparent ("paint anew"), 0 where it is opaque. A picture without
	 * an alpha channel gives its brightness instead. */
	bool mask_from_alpha;
};

struct atl_picture_options {
	const char *owner; /* whose file it is (user id); NULL: a child of its own */
	enum atl_picture_form keep; /* AUTO: PNG where something is transparent, otherwise WebP */
	unsigned keep_side;	    /* 0: ATL_PICTURE_LIBRARY_SIDE */
	unsigned quality;	    /* of WebP; 0: ATL_PICTURE_QUALITY */
	const unsigned *widths;	    /* thumbnails, WebP; at most 8 */
	size_t width_count;
	bool blurhash, phash;
	bool label;   /* the kept picture gets the visible label (media/label.h) */
	bool stealth; /* look for text hidden in the lowest bits (media/stealth.h) */
	struct atl_picture_raw_ask raw;
	unsigned at_percent; /* the frame there of a video's length, to 100; 0: the poster frame */
};

struct atl_picture_out {
	unsigned asked_width; /* 0: the kept picture */
	unsigned width, height;
	enum atl_picture_form form; /* AS_WEBP or AS_PNG */
	const void *data;
	size_t length;
};
struct atl_picture {
	enum atl_picture_kind kind;
	unsigned width, height; /* of the source, upright */
	bool alpha;		/* something in it is transparent */
	uint64_t duration_ms;	/* of an animation or video; 0: none, or not said */
	unsigned frames;	/* 0: not known */
	struct atl_picture_out *outs; /* the kept picture (where asked), then one for each asked width */
	size_t out_count;
	const unsigned char *raw; /* NULL: not asked */
	const char *stealth;	  /* hidden text for atl_metadata_read_text(); NULL: none, or not asked */
	size_t stealth_length;
	uint64_t phash;		  /* media/phash.h */
	char blurhash[32];	  /* media/blurhash.h; "": not asked */
};

/* `program`: path of atelier-decode. Children are started from `loop`. */
enum atl_err atl_pictures_create(struct atl_loop *loop, const char *program, struct atl_pictures **ret,
				 struct atl_errinfo *info) ATL_MUST_USE;
void atl_pictures_destroy(struct atl_pictures *pictures);
/* How long a child may take for one picture, instead of ATL_PICTURE_TIMEOUT_MS. Before the first picture. */
void atl_pictures_set_timeout(struct atl_pictures *pictures, unsigned timeout_ms);

/* Results in the arena. Nothing is enlarged but raw rows: a thumbnail of a small picture is narrower than asked.
 * Of a video the poster frame is taken, of an animation the first.
 * Errors: PICTURE (with the reason in words), TOO_LARGE, NOMEM, IO, INVALID (an ask out of range). */
enum atl_err atl_picture_open(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
			      const struct atl_picture_options *ask, struct atl_picture *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* The same for a small stored picture such as an avatar: still pictures only, kept as WebP of ATL_PICTURE_KEEP_SIDE. */
enum atl_err atl_picture_decode(struct atl_pictures *pictures, struct atl_arena *arena, const void *data, size_t length,
				const unsigned *widths, size_t width_count, struct atl_picture *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* "image/webp", "image/png" */
const char *atl_picture_form_type(enum atl_picture_form form);

#endif
