/* second_factor.h - the second step of a sign-in: codes of an authenticator app, and recovery codes.
 *
 * The app's secret is sealed with the master key and the person's id. A code works once; recovery codes are shown once,
 * kept as hashes and work once each. Between the steps stands a token in a cookie: ATL_SECOND_STEP_MS old at most and
 * good for ATL_SECOND_TRIES wrong codes; all tokens of one person together for ATL_SECOND_TRIES_ALL.
 *
 * Threads: pool threads.
 */
#ifndef ATL_CORE_SECOND_FACTOR_H
#define ATL_CORE_SECOND_FACTOR_H

#include "base/arena.h"
#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_SECOND_STEP_MS (5 * 60 * 1000)
#define ATL_SECOND_TRIES 5
#define ATL_SECOND_TRIES_ALL 30
#define ATL_RECOVERY_CODES 10
#define ATL_SECOND_CODE_MAX 40

struct atl_second_factor {
	bool enabled;
	int64_t confirmed_at;
	int64_t recovery_codes_left;
};
enum atl_err atl_second_factor_get(struct atl_app *app, const char *user_id, struct atl_second_factor *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

/* A new secret, which counts once a code of it was given. CONFLICT: it is on already. *ret_url: otpauth:// for the app. */
enum atl_err atl_second_factor_begin(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char **ret_secret, const char **ret_url, struct atl_errinfo *info) ATL_MUST_USE;
/* INVALID (field "code"): wrong. The recovery codes are not told again. */
enum atl_err atl_second_factor_confirm(struct atl_app *app, const struct atl_identity *who, const char *code,
				       struct atl_arena *arena, struct atl_strs *ret_codes,
				       struct atl_errinfo *info) ATL_MUST_USE;
/* `who` may be another than the person (user_admin.h says who may; the person's sessions end), NULL: the command line.
 * NOT_FOUND: it is not on. */
enum atl_err atl_second_factor_remove(struct atl_app *app, const struct atl_identity *who, const char *user_id,
				      struct atl_errinfo *info) ATL_MUST_USE;
/* Use a code up. CREDENTIALS: wrong or used. */
enum atl_err atl_second_factor_use(struct atl_app *app, const char *user_id, const char *code, const char *remote,
				   struct atl_errinfo *info) ATL_MUST_USE;

/* The first step is done. */
enum atl_err atl_second_step_begin(struct atl_app *app, const char *user_id, char ret_token[ATL_TOKEN_SIZE],
				   struct atl_errinfo *info) ATL_MUST_USE;
/* Whose it is; counts a try. GONE: too old, or too many tries. */
enum atl_err atl_second_step_try(struct atl_app *app, const char *token, char ret_user_id[ATL_ID_SIZE],
				 struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_second_step_end(struct atl_app *app, const char *token, struct atl_errinfo *info) ATL_MUST_USE;

#endif
