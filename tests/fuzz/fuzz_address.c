/* Addresses, blocks and URLs that people write: what is taken holds itself, and no way of writing reaches a private one. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "core/access/address.h"
#include "net/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void blocks(const char *text)
{
	struct atl_address_blocks list = { .count = 0 };
	struct atl_errinfo info = { 0 };
	char first[ATL_ADDRESS_TEXT_MAX + 1];

	if (atl_address_add(&list, text, &info)) {
		if (!info.detail[0] || list.count)
			abort();
		return;
	}
	if (list.count != 1 || list.items[0].bits > 128)
		abort();
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(text, "/"), text);
	if (!atl_address_in(&list, first) || atl_address_in(&list, "") || atl_address_in(&list, "example.org"))
		abort();
}

/* A rule that is taken lists the address that it is; nothing opens what no operator may open. */
static void rules(const char *text)
{
	const char *const list[] = { text, NULL };
	struct atl_guard guard;
	struct atl_errinfo info = { 0 };
	struct atl_ip ip;

	if (atl_guard_init(&guard, list, &info)) {
		if (!info.detail[0])
			abort();
		return;
	}
	if (atl_ip_read(text, &ip) && !atl_guard_listed(&guard, text))
		abort();
	if (atl_guard_address(&guard, text, 80, "0.0.0.0") || atl_guard_address(&guard, text, 80, "ff02::1"))
		abort();
	atl_guard_finish(&guard);
}

static void urls(const char *text)
{
	static const char *const local[] = { "127.", "10.", "192.168.", "169.254." };
	struct atl_errinfo info = { 0 };
	struct atl_guard guard;
	struct atl_url url;
	struct atl_ip ip;
	enum atl_err err = atl_url_split(text, &url, &info);

	if (err) {
		if (!info.detail[0])
			abort();
		return;
	}
	if (!url.host[0] || url.port < 1 || url.port > 65535 || url.path < text || url.path > text + strlen(text) ||
	    url.numeric != atl_ip_read(url.host, &ip))
		abort();
	if (atl_guard_init(&guard, NULL, &info))
		abort();
	err = atl_guard_url(&guard, text, &info);
	for (size_t i = 0; url.numeric && i < sizeof(local) / sizeof(*local); i++)
		if (!err && strncmp(url.host, local[i], strlen(local[i])) == 0)
			abort();
	atl_guard_finish(&guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	blocks(text);
	rules(text);
	urls(text);
	free(text);
	return 0;
}
