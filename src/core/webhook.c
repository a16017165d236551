/* webhook.c - see webhook.h. */
#include "core/webhook.h"

#include "net/guard.h"

enum atl_err atl_webhook_prepare(struct atl_app *app, const char *user_id, const char *url, struct atl_errinfo *info)
{
	enum atl_err err = atl_guard_url(app->guard, url, info);

	return err ? atl_fail_field(info, err, "webhook_url", "%s", atl_err_sentence(err)) : ATL_OK;
}
