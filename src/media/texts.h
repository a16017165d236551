/* texts.h - the texts found in a picture file, by keyword, before anybody knows what they mean.
 *
 * PNG keywords are kept as they are; Exif and XMP texts get the keyword under which a PNG has the same
 * ("parameters", "prompt", "workflow", "atelier"); XMP packets are "XML:com.adobe.xmp".
 *
 * Threads: pure functions. Ownership: texts are copies in the arena.
 * Limits:  ATL_TEXTS_MAX texts, ATL_TEXTS_BYTES_MAX bytes together; what is beyond is left out.
 */
#ifndef ATL_MEDIA_TEXTS_H
#define ATL_MEDIA_TEXTS_H

#include "base/arena.h"
#include "base/buf.h"

#define ATL_TEXTS_MAX 64
#define ATL_TEXTS_BYTES_MAX ((size_t)8 << 20)
#define ATL_TEXTS_XMP "XML:com.adobe.xmp"

struct atl_text {
	const char *key;
	const char *text; /* valid UTF-8, NUL-terminated, no NUL inside */
	size_t length;
};
struct atl_texts {
	struct atl_text items[ATL_TEXTS_MAX];
	size_t count, bytes;
};
enum atl_charset { ATL_CHARSET_UTF8, ATL_CHARSET_LATIN1, ATL_CHARSET_UTF16LE, ATL_CHARSET_UTF16BE };

/* What is not valid in its character set is Latin-1 (8 bits) or replaced (UTF-16); a text ends at the first NUL. */
void atl_texts_add(struct atl_arena *arena, struct atl_texts *texts, const char *key, enum atl_charset charset,
		   const void *data, size_t length);
const struct atl_text *atl_texts_find(const struct atl_texts *texts, const char *key); /* the first; NULL: none */
/* UTF-8 of `data` in the arena; NULL when memory is missing. */
char *atl_text_decode(struct atl_arena *arena, enum atl_charset charset, const void *data, size_t length,
		      size_t *ret_length);

#endif
