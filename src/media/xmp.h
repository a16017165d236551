/* xmp.h - the properties of an XMP packet that concern us: read by their qualified name, written as one packet.
 *
 * Source: XMP specification part 1 (ISO 16684-1) 7; IPTC NewsCodes "Digital Source Type". This is no XML parser: it
 * looks for the property's name, as attribute or element, and takes the text there.
 * Threads: pure functions.
 */
#ifndef ATL_MEDIA_XMP_H
#define ATL_MEDIA_XMP_H

#include "base/arena.h"
#include "base/buf.h"

/* The text of the property `name` ("sdcpp:parameters"); NULL: not there. Nested elements' texts are run together. */
const char *atl_xmp_get(struct atl_arena *arena, const char *packet, const char *name);
bool atl_xmp_ai_marked(const char *packet); /* its digital source type is one of generated media */

/* A whole packet with the digital source type and, when not NULL, our JSON as atelier:recall. */
void atl_xmp_write(struct atl_buf *out, bool composite, const char *atelier);
#define ATL_XMP_RECALL "atelier:recall"

#endif
