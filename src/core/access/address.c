/* address.c - see address.h. */
#include "core/access/address.h"

#include <string.h>

#include "base/ip.h"
#include "base/str.h"

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
	struct atl_ip first;
	int64_t bits = 0;

	if (list->count == ATL_ADDRESS_BLOCKS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "At most %d addresses or blocks.", ATL_ADDRESS_BLOCKS_MAX);
	if (length == 0 || length > ATL_ADDRESS_TEXT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "\"%.60s\" is not an address.", text);
	memcpy(address, text, length);
	address[length] = '\0';
	if (!atl_ip_read(address, &first))
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses",
				      "\"%.60s\" is not an address. Write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32.", text);
	memcpy(block.bytes, first.bytes, sizeof(block.bytes));
	if (text[length] == '/') {
		if (!atl_str_i64(text + length + 1, 0, first.v4 ? 32 : 128, &bits))
			return atl_fail_field(info, ATL_ERR_INVALID, "addresses", "\"%.60s\": behind the stroke stands 0 to %d.", text,
					      first.v4 ? 32 : 128);
		block.bits = (unsigned char)(bits + (first.v4 ? ATL_IP_MAPPED_BITS : 0));
	}
	if (loose(&block))
		return atl_fail_field(info, ATL_ERR_INVALID, "addresses",
				      "\"%.60s\" has more in its address than the block holds. Write its first address.", text);
	list->items[list->count++] = block;
	return ATL_OK;
}

bool atl_address_in(const struct atl_address_blocks *list, const char *address)
{
	struct atl_ip ip;

	if (list->count == 0)
		return true;
	if (!address || !atl_ip_read(address, &ip))
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (atl_ip_in(ip.bytes, list->items[i].bytes, list->items[i].bits))
			return true;
	return false;
}
