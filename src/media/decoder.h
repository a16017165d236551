/* decoder.h - the children behind picture.h: started, kept warm for their owner, ended.
 *
 * Life cycle: struct atl_pictures is created and destroyed by picture.h's functions, which are in decoder.c.
 * Threads:    pool threads; a taken decoder belongs to its taker until it is given back.
 * Limits:     ATL_PICTURE_AT_ONCE processes, working or warm.
 */
#ifndef ATL_MEDIA_DECODER_H
#define ATL_MEDIA_DECODER_H

#include "media/picture.h"

struct atl_decoder;

/* What the program is started with (NULL-terminated, borrowed for good) instead of its name alone. Before the first. */
void atl_decoder_set_argv(struct atl_pictures *pictures, const char *const *argv);

/* Waits for a turn. A warm child of this owner where there is one and `fresh` is false, otherwise a new one. */
enum atl_err atl_decoder_take(struct atl_pictures *pictures, const char *owner, bool fresh, struct atl_decoder **ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
int atl_decoder_fd(const struct atl_decoder *decoder);
unsigned atl_decoder_timeout_ms(const struct atl_decoder *decoder);
bool atl_decoder_was_warm(const struct atl_decoder *decoder);
/* The turn ends. `again`: it answered and may be used again; false: it is ended, and how it ended is returned
 * (a signal is negative). */
int atl_decoder_give(struct atl_decoder *decoder, bool again);

#endif
