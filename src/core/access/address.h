/* address.h - lists of addresses and CIDR blocks, IPv4 and IPv6: where an API key may be used from.
 *
 * A block is kept as 16 bytes, IPv4 in its mapped form (::ffff:a.b.c.d), so that both kinds compare alike.
 * Text: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". Bits behind the prefix must be 0: what is written is what is meant.
 *
 * Threads: pure functions. Limits: ATL_ADDRESS_BLOCKS_MAX blocks in a list.
 */
#ifndef ATL_CORE_ADDRESS_H
#define ATL_CORE_ADDRESS_H

#include "base/err.h"

#define ATL_ADDRESS_BLOCKS_MAX 16
#define ATL_ADDRESS_TEXT_MAX 50 /* bytes of one */

struct atl_address_block {
	unsigned char bytes[16];
	unsigned char bits; /* of the 128 */
};
struct atl_address_blocks {
	struct atl_address_block items[ATL_ADDRESS_BLOCKS_MAX];
	size_t count; /* 0: from anywhere */
};

/* INVALID names the text. */
enum atl_err atl_address_add(struct atl_address_blocks *list, const char *text, struct atl_errinfo *info) ATL_MUST_USE;
/* An empty list holds every address; one that cannot be read is in no list that has blocks. */
bool atl_address_in(const struct atl_address_blocks *list, const char *address);

#endif
