/* https.c - see https.h. */
#include "app/https.h"

#include "base/clock.h"
#include "base/log.h"

#define MODULE "https"
#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define WARN_DAYS 14

static void say_end(struct atl_tls *tls)
{
	int64_t days = (atl_tls_ends_ms(tls) - atl_now_ms()) / DAY_MS;

	if (days < 0)
		atl_warn(MODULE, "the certificate has ended: browsers refuse it");
	else if (days < WARN_DAYS)
		atl_warn(MODULE, "the certificate ends in %lld days", (long long)days);
	else
		atl_info(MODULE, "the certificate is valid for %lld days more", (long long)days);
}

enum atl_err https_up(const struct atl_config *config, struct atl_tls **ret, struct atl_errinfo *info)
{
	const char *cert = atl_config_text(config, CFG_tls_cert), *key = atl_config_text(config, CFG_tls_key);
	enum atl_err err;

	*ret = NULL;
	if (!cert && !key)
		return ATL_OK;
	if (!cert || !key)
		return atl_fail(info, ATL_ERR_INVALID, "tls_cert and tls_key belong together: set both, or neither");
	err = atl_tls_create(cert, key, ret, info);
	if (!err)
		say_end(*ret);
	return err;
}

void https_check(struct atl_tls *tls, bool now)
{
	struct atl_errinfo info = {0};
	bool changed = true;
	enum atl_err err;

	if (!tls)
		return;
	err = now ? atl_tls_reload(tls, &info) : atl_tls_reload_changed(tls, &changed, &info);
	if (err)
		atl_error(MODULE, "the certificate was not renewed, the one before goes on: %s", info.detail);
	else if (changed)
		say_end(tls);
}
