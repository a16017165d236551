/* parts.h - what `atelier serve` is made of, brought up in the order of one table and taken down in the reverse order.
 *
 * Ownership: the caller owns the struct, zeroed but for app.version, app.started_ms and config; the rest belongs to the
 * parts. It stays where it is while they are up: they point into it. Threads: the main one.
 */
#ifndef ATL_APP_PARTS_H
#define ATL_APP_PARTS_H

#include "app/beside.h"
#include "app/config.h"
#include "base/crypto.h"
#include "core/app.h"
#include "media/watermark.h"
#include "net/guard.h"
#include "net/http.h"

#define ATL_DRAIN_MS 10000 /* what a stop may take */
#define ATL_LOOPS_MAX 64

struct atl_parts {
	struct atl_app app;
	struct atl_config config;
	char setup_token[ATL_TOKEN_SIZE];
	struct atl_loop *loops[ATL_LOOPS_MAX];
	struct atl_guard guard;
	struct atl_server_options options;
	struct atl_tls *tls;
	char **hosts, **trusted_proxies, **outbound_private;
	const char *smtp_url, *smtp_from;
	char upload_dir[ATL_BESIDE_PATH_SIZE], models_dir[ATL_BESIDE_PATH_SIZE], classifier_dir[ATL_BESIDE_PATH_SIZE];
	char decode_program[ATL_BESIDE_PATH_SIZE], picture_program[ATL_BESIDE_PATH_SIZE];
	char classifier_program[ATL_BESIDE_PATH_SIZE], credentials_library[ATL_BESIDE_PATH_SIZE];
	unsigned char watermark_key[ATL_WATERMARK_KEY_SIZE];
};

/* All of them, or none: what is up when one fails is taken down again. */
enum atl_err atl_parts_up(struct atl_parts *s, struct atl_errinfo *info) ATL_MUST_USE;
/* The server begins to stop; requests are still being answered. */
void atl_parts_drain(struct atl_parts *s);
void atl_parts_down(struct atl_parts *s);

#endif
