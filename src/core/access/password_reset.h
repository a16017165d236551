/* password_reset.h - a new password by a one-time link: asked for by mail, or made by whoever manages people; and the link
 * that proves an address after a sign-up by domain.
 *
 * Asking says and takes the same whether somebody has that address or not (core/people/mail.h). Using a link sets the password
 * and ends every session; API keys stay. A second factor is still asked for at the next sign-in.
 *
 * Threads: pool threads.
 */
#ifndef ATL_CORE_PASSWORD_RESET_H
#define ATL_CORE_PASSWORD_RESET_H

#include "core/people/mail.h"

/* FORBIDDEN: this server sends no mail. INVALID: no address. */
enum atl_err atl_reset_ask(struct atl_app *app, const char *email, struct atl_errinfo *info) ATL_MUST_USE;
/* Whom one may touch is user_admin.h's. *ret_expires_at: ATL_LINK_RESET_MS from now. */
enum atl_err atl_reset_make(struct atl_app *app, const struct atl_identity *who, const char *user_id,
			    char ret_token[ATL_TOKEN_SIZE], int64_t *ret_expires_at, struct atl_errinfo *info) ATL_MUST_USE;
/* GONE: the link. INVALID: the password. */
enum atl_err atl_reset_finish(struct atl_app *app, const char *token, const char *password, const char *remote,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* GONE: the link, or the sign-up rules let that address in no longer. */
enum atl_err atl_verify_finish(struct atl_app *app, const char *token, const char *remote, struct atl_errinfo *info) ATL_MUST_USE;

#endif
