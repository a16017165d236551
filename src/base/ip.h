/* ip.h - IP addresses and blocks of them as 16 bytes: IPv4 in its mapped form (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2),
 * so that both kinds compare alike. A block is its first address and how many of the 128 bits count.
 *
 * Threads: pure functions.
 */
#ifndef ATL_BASE_IP_H
#define ATL_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>

#define ATL_IP_MAPPED_BITS 96 /* before the bits of an IPv4 address */

struct atl_ip {
	unsigned char bytes[16];
	bool v4; /* written as four decimal numbers */
};
/* An address and nothing else: no zone ("fe80::1%eth0" is not one that others mean as well), no short or octal forms. */
bool atl_ip_read(const char *text, struct atl_ip *ret);
bool atl_ip_in(const unsigned char address[16], const unsigned char block[16], unsigned bits);

#endif
