/* guard.c - see guard.h. Addresses are compared as base/ip.h has them. */
#include "net/guard.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/ip.h"
#include "base/str.h"

struct atl_guard_rule {
	bool is_name;
	int port; /* 0: any */
	unsigned prefix;
	unsigned char address[16];
	char name[256];
};

/* Not reachable from the public internet, or not a host at all (`never`: not even for the operator). */
static const struct {
	const char *address;
	unsigned prefix;
	bool never;
} CLOSED[] = {
	{"0.0.0.0", 8, true},	    {"224.0.0.0", 4, true},   {"240.0.0.0", 4, true},
	{"::", 128, true},	    {"ff00::", 8, true},      {"10.0.0.0", 8, false},
	{"100.64.0.0", 10, false},  {"127.0.0.0", 8, false},  {"169.254.0.0", 16, false},
	{"172.16.0.0", 12, false},  {"192.0.0.0", 24, false}, {"192.0.2.0", 24, false},
	{"192.88.99.0", 24, false}, {"192.168.0.0", 16, false}, {"198.18.0.0", 15, false},
	{"198.51.100.0", 24, false}, {"203.0.113.0", 24, false}, {"::1", 128, false},
	{"64:ff9b:1::", 48, false}, {"100::", 64, false},     {"2001::", 23, false},
	{"2001:db8::", 32, false},  {"3fff::", 20, false},    {"5f00::", 16, false},
	{"fc00::", 7, false},	    {"fe80::", 10, false},    {"fec0::", 10, false},
};

/* Also with a zone, which names a network of this machine and no other address. */
static bool read_address(const char *text, struct atl_ip *ret)
{
	char bare[64];
	char *zone;

	if (!atl_str_copy(bare, sizeof(bare), text))
		return false;
	zone = strchr(bare, '%');
	if (zone)
		*zone = 0;
	return atl_ip_read(bare, ret);
}

/* An IPv4 address wrapped in an IPv6 one (mapped, compatible, NAT64, 6to4) becomes the mapped form. */
static void unwrap(unsigned char a[16])
{
	static const unsigned char NAT64[12] = {0, 0x64, 0xff, 0x9b};
	static const unsigned char ZERO[12];
	unsigned char inner[4];

	if (memcmp(a, NAT64, 12) == 0 || (memcmp(a, ZERO, 12) == 0 && (a[12] || a[13])))
		memcpy(inner, a + 12, 4);
	else if (a[0] == 0x20 && a[1] == 0x02)
		memcpy(inner, a + 2, 4);
	else
		return;
	memset(a, 0, 10);
	memset(a + 10, 0xff, 2);
	memcpy(a + 12, inner, 4);
}

enum verdict { OPEN, CLOSED_PRIVATE, CLOSED_NEVER };

static enum verdict classify(const unsigned char address[16])
{
	struct atl_ip block;

	for (size_t i = 0; i < ATL_COUNT(CLOSED); i++) {
		if (!atl_ip_read(CLOSED[i].address, &block))
			return CLOSED_NEVER;
		if (atl_ip_in(address, block.bytes, CLOSED[i].prefix + (block.v4 ? ATL_IP_MAPPED_BITS : 0)))
			return CLOSED[i].never ? CLOSED_NEVER : CLOSED_PRIVATE;
	}
	return OPEN;
}

/* ---- rules ---- */
static bool port_of(const char *text, int *ret)
{
	uint64_t port;

	if (!atl_str_u64(text, 65535, &port) || port == 0)
		return false;
	*ret = (int)port;
	return true;
}

static bool lower_host(char *out, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (length && text[length - 1] == '.')
		length--;
	if (!length || length >= size)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
			return false;
		out[i] = (char)tolower((unsigned char)text[i]);
	}
	out[length] = 0;
	return true;
}

static bool read_rule(const char *text, struct atl_guard_rule *rule)
{
	char host[256];
	char *mark;
	uint64_t prefix = 0;
	struct atl_ip ip;
	bool has_prefix = false;

	memset(rule, 0, sizeof(*rule));
	if (!atl_str_copy(host, sizeof(host), text))
		return false;
	mark = strchr(host, '/');
	if (mark) {
		*mark = 0;
		has_prefix = true;
		if (!atl_str_u64(mark + 1, 128, &prefix))
			return false;
	} else if (host[0] == '[') {
		mark = strchr(host, ']');
		if (!mark || (mark[1] && (mark[1] != ':' || !port_of(mark + 2, &rule->port))))
			return false;
		*mark = 0;
		memmove(host, host + 1, strlen(host));
	} else if ((mark = strchr(host, ':')) && mark == strrchr(host, ':')) {
		*mark = 0;
		if (!port_of(mark + 1, &rule->port))
			return false;
	}
	if (!read_address(host, &ip)) {
		rule->is_name = true;
		return !has_prefix && lower_host(rule->name, sizeof(rule->name), host);
	}
	if (ip.v4 && prefix > 32)
		return false;
	memcpy(rule->address, ip.bytes, sizeof(rule->address));
	rule->prefix = has_prefix ? (unsigned)prefix + (ip.v4 ? ATL_IP_MAPPED_BITS : 0) : 128;
	return true;
}

enum atl_err atl_guard_init(struct atl_guard *guard, const char *const *allow, struct atl_errinfo *info)
{
	size_t count = 0;

	memset(guard, 0, sizeof(*guard));
	while (allow && allow[count])
		count++;
	if (count > ATL_GUARD_ALLOW_MAX)
		return atl_fail(info, ATL_ERR_CONFIG, "At most %d allowed addresses.", ATL_GUARD_ALLOW_MAX);
	if (!count)
		return ATL_OK;
	guard->rules = calloc(count, sizeof(*guard->rules));
	if (!guard->rules)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for the allowed addresses.");
	guard->rule_count = count;
	for (size_t i = 0; i < count; i++) {
		if (read_rule(allow[i], &guard->rules[i]))
			continue;
		atl_guard_finish(guard);
		return atl_fail(info, ATL_ERR_CONFIG, "\"%.100s\" is no host name, address or CIDR block.", allow[i]);
	}
	return ATL_OK;
}

void atl_guard_finish(struct atl_guard *guard)
{
	free(guard->rules);
	memset(guard, 0, sizeof(*guard));
}

enum atl_err atl_guard_init_peers(struct atl_guard *guard, const char *const *peers, struct atl_errinfo *info)
{
	enum atl_err err = atl_guard_init(guard, peers, info);

	for (size_t i = 0; !err && i < guard->rule_count; i++) {
		const struct atl_guard_rule *rule = &guard->rules[i];

		if (rule->port || (rule->is_name && !atl_str_eq(rule->name, "unix")))
			err = atl_fail(info, ATL_ERR_CONFIG, "\"%.100s\" is no address and no CIDR block.", peers[i]);
	}
	if (err)
		atl_guard_finish(guard);
	return err;
}

bool atl_guard_listed(const struct atl_guard *guard, const char *address)
{
	struct atl_ip ip;
	bool numeric = read_address(address, &ip);

	for (size_t i = 0; i < guard->rule_count; i++) {
		const struct atl_guard_rule *rule = &guard->rules[i];

		if (rule->is_name ? atl_str_eq(rule->name, address) : numeric && atl_ip_in(ip.bytes, rule->address, rule->prefix))
			return true;
	}
	return false;
}

bool atl_guard_address(const struct atl_guard *guard, const char *host, int port, const char *address)
{
	struct atl_ip ip;
	enum verdict verdict;

	if (!guard || !read_address(address, &ip))
		return false;
	unwrap(ip.bytes);
	verdict = classify(ip.bytes);
	if (verdict == OPEN)
		return true;
	if (verdict == CLOSED_NEVER)
		return false;
	if (guard->allow_private)
		return true;
	for (size_t i = 0; i < guard->rule_count; i++) {
		const struct atl_guard_rule *rule = &guard->rules[i];

		if (rule->port && rule->port != port)
			continue;
		if (rule->is_name ? host && atl_str_ieq(rule->name, host) : atl_ip_in(ip.bytes, rule->address, rule->prefix))
			return true;
	}
	return false;
}

/* ---- URLs ---- */
static bool looks_numeric(const char *host)
{
	const char *label = strrchr(host, '.');

	label = label ? label + 1 : host;
	return isdigit((unsigned char)*label) != 0;
}

static enum atl_err split_authority(const char *start, const char *end, struct atl_url *url, struct atl_errinfo *info)
{
	char text[300];
	char *host = text, *mark;
	struct atl_ip ip;

	if (end == start || (size_t)(end - start) >= sizeof(text))
		return atl_fail(info, ATL_ERR_INVALID, "The address has no usable host.");
	memcpy(text, start, (size_t)(end - start));
	text[end - start] = 0;
	if (strchr(text, '@'))
		return atl_fail(info, ATL_ERR_INVALID, "An address must not carry a user name.");
	if (text[0] == '[') {
		host++;
		mark = strchr(host, ']');
		if (!mark || (mark[1] && mark[1] != ':'))
			return atl_fail(info, ATL_ERR_INVALID, "The address has a broken IPv6 host.");
		*mark++ = 0;
		if (!atl_ip_read(host, &ip) || ip.v4)
			return atl_fail(info, ATL_ERR_INVALID, "The address has a broken IPv6 host.");
		if (!atl_str_copy(url->host, sizeof(url->host), host))
			return atl_fail(info, ATL_ERR_INVALID, "The host is too long.");
		url->numeric = true;
	} else {
		mark = strchr(host, ':');
		if (mark) {
			*mark = 0;
			if (!mark[1])
				return atl_fail(info, ATL_ERR_INVALID, "The address has an empty port.");
		} else {
			mark = host + strlen(host);
		}
		if (!lower_host(url->host, sizeof(url->host), host))
			return atl_fail(info, ATL_ERR_INVALID, "The host has characters that do not belong there.");
		url->numeric = looks_numeric(url->host);
		if (url->numeric && (!atl_ip_read(url->host, &ip) || !ip.v4))
			return atl_fail(info, ATL_ERR_INVALID, "Write an IPv4 address as four decimal numbers.");
	}
	if (mark > text && (size_t)(mark - text) < (size_t)(end - start) && mark[1] && !port_of(mark + 1, &url->port))
		return atl_fail(info, ATL_ERR_INVALID, "The port is not a number from 1 to 65535.");
	return ATL_OK;
}

enum atl_err atl_url_split(const char *url, struct atl_url *ret, struct atl_errinfo *info)
{
	struct atl_url out = {0};
	const char *start, *end;
	enum atl_err err;

	if (!url)
		return atl_fail(info, ATL_ERR_INVALID, "The address is empty.");
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '\\')
			return atl_fail(info, ATL_ERR_INVALID, "The address has characters that do not belong there.");
	if (strncasecmp(url, "https://", 8) == 0) {
		out.https = true;
		out.port = 443;
		start = url + 8;
	} else if (strncasecmp(url, "http://", 7) == 0) {
		out.port = 80;
		start = url + 7;
	} else {
		return atl_fail(info, ATL_ERR_OUTBOUND, "Only http:// and https:// addresses are reached.");
	}
	end = start + strcspn(start, "/?#");
	err = split_authority(start, end, &out, info);
	if (err)
		return err;
	out.path = end;
	*ret = out;
	return ATL_OK;
}

enum atl_err atl_guard_url(const struct atl_guard *guard, const char *url, struct atl_errinfo *info)
{
	struct atl_url parts;
	enum atl_err err = atl_url_split(url, &parts, info);

	if (err)
		return err;
	if (parts.numeric && !atl_guard_address(guard, parts.host, parts.port, parts.host))
		return atl_fail(info, ATL_ERR_OUTBOUND,
				"%s is a private address. Add it to the allowed addresses to reach it.", parts.host);
	return ATL_OK;
}
