/* address.c - see address.h. */
#include "core/access/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

#define MAPPED_BITS 96

/* Without a zone ("fe80::1%eth0" is not an address that others mean as well). */
static bool read_address(const char *text, unsigned char out[16], bool *ret_v4)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (inet_pton(AF_INET, text, out + 12) == 1) {
		memcpy(out, mapped, sizeof(mapped));
		*ret_v4 = true;
		return true;
	}
	*ret_v4 = false;
	return inet_pton(AF_INET6, text, out) == 1;
}

static bool covered(const struct atl_address_block *block, const unsigned char address[16])
{
	size_t whole = block->bits / 8, rest = block->bits % 8;

	if (memcmp(block->bytes, address, whole) != 0)
		return false;
	return rest == 0 || ((block->bytes[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

/* Is anything set behind the prefix? */
static bool loose(const struct atl_address_block *block)
{
	for (unsigned bit = block->bits; bit < 128; bit++)
		if (block->bytes[bit / 8] & (0x80u >> (bit % 8)))
			return true;
	return false;
}

enum atl_err atl_address_add(struct atl_address_blocks *list, const char *text, struct atl_errinfo *info)
{
	struct atl_address_block block = { .bits = 128 };
	char address[ATL_ADDRESS_TEXT_MAX + 1];
	size_t length = strcspn(text, "/");
	int64_t bits = 0;
	bool v4;

	if (list->count == ATL_ADDRESS_BLOCKS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "At most %d addresses or blocks.", ATL_ADDRESS_BLOCKS_MAX);
	if (length == 0 || length > ATL_ADDRESS_TEXT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "\"%.60s\" is not an address.", text);
	memcpy(address, text, length);
	address[length] = '\0';
	if (!read_address(address, block.bytes, &v4))
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses",
				      "\"%.60s\" is not an address. Write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32.", text);
	if (text[length] == '/') {
		if (!atl_str_i64(text + length + 1, 0, v4 ? 32 : 128, &bits))
			return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "\"%.60s\": behind the stroke stands 0 to %d.", text,
					      v4 ? 32 : 128);
		block.bits = (unsigned char)(bits + (v4 ? MAPPED_BITS : 0));
	}
	if (loose(&block))
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses",
				      "\"%.60s\" has more in its address than the block holds. Write its first address.", text);
	list->items[list->count++] = block;
	return ATL_OK;
}

bool atl_address_in(const struct atl_address_blocks *list, const char *address)
{
	unsigned char bytes[16];
	bool v4;

	if (list->count == 0)
		return true;
	if (!address || !read_address(address, bytes, &v4))
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (covered(&list->items[i], bytes))
			return true;
	return false;
}
