/* ip.c - see ip.h. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <string.h>

bool atl_ip_read(const char *text, struct atl_ip *ret)
{
	static const unsigned char MAPPED[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	ret->v4 = inet_pton(AF_INET, text, ret->bytes + sizeof(MAPPED)) == 1;
	if (!ret->v4)
		return inet_pton(AF_INET6, text, ret->bytes) == 1;
	memcpy(ret->bytes, MAPPED, sizeof(MAPPED));
	return true;
}

bool atl_ip_in(const unsigned char address[16], const unsigned char block[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(address, block, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ block[whole]) >> (8 - rest)) == 0;
}
