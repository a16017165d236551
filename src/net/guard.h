/* guard.h - which addresses the server may reach: the one SSRF decision.
 *
 * http and https only, no credentials in the URL, and after name resolution no loopback, private, link-local,
 * multicast, unspecified, carrier-grade NAT, documentation or IPv4-mapped form of these - unless the operator listed
 * the host name, address or CIDR block.
 *
 * Life cycle: atl_guard_init() .. atl_guard_finish(); read-only in between. Threads: any.
 */
#ifndef ATL_NET_GUARD_H
#define ATL_NET_GUARD_H

#include "base/err.h"

#define ATL_GUARD_ALLOW_MAX 64

/* A URL taken apart; `path` points into the URL it came from ("" or "/..." or "?..."). */
struct atl_url {
	bool https;
	bool numeric; /* host is an address */
	char host[256]; /* lower case, without brackets */
	int port;
	const char *path;
};
/* http and https only; no user part, no control characters or spaces, no odd forms of an address (hex, octal, short).
 * ATL_ERR_INVALID or ATL_ERR_OUTBOUND (a scheme that is not offered). */
enum atl_err atl_url_split(const char *url, struct atl_url *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_guard_rule;
struct atl_guard {
	struct atl_guard_rule *rules;
	size_t rule_count;
	bool allow_private; /* everything but unspecified/multicast: for providers the operator configured himself */
};
/* `allow`: "10.0.0.0/8", "192.168.1.5", "fd00::/8", "ollama.lan", "ollama.lan:11434"; NULL-terminated or NULL. */
enum atl_err atl_guard_init(struct atl_guard *guard, const char *const *allow, struct atl_errinfo *info) ATL_MUST_USE;
void atl_guard_finish(struct atl_guard *guard);
/* The same for a list of whom to trust: addresses, CIDR blocks and "unix" (the server's own socket), nothing else. */
enum atl_err atl_guard_init_peers(struct atl_guard *guard, const char *const *peers, struct atl_errinfo *info) ATL_MUST_USE;
/* Is the address in the list? */
bool atl_guard_listed(const struct atl_guard *guard, const char *address);
/* Syntax and host of a URL, before resolution. ATL_ERR_OUTBOUND or ATL_ERR_INVALID. */
enum atl_err atl_guard_url(const struct atl_guard *guard, const char *url, struct atl_errinfo *info) ATL_MUST_USE;
/* A resolved numeric address about to be connected to, for `host`. */
bool atl_guard_address(const struct atl_guard *guard, const char *host, int port, const char *address);

#endif
