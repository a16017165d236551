/* oidc_documents.c - what sign-in services publish about themselves, kept in the database.
 *
 * Who asks a service first claims it in a transaction (discovered_at, keys_tried_at), so that many sign-ins at once, or
 * tokens with invented key names, do not become many requests.
 */
#include "core/access/oidc_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "db/db.h"

#define FAILED_AGAIN_MS 5000

struct documents {
	struct atl_arena *arena;
	const char *issuer, *text;
	int64_t now, max_age_ms;
	bool claimed;
	const char *discovery, *keys;
};

struct atl_oidc_caller atl_oidc_caller(struct atl_app *app, struct atl_arena *arena)
{
	return (struct atl_oidc_caller){ app->loops[0], app->guard, arena };
}

static enum atl_err load_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct documents *d = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT discovery, keys FROM login_documents WHERE issuer = ?", "s",
				     d->issuer);

	d->discovery = d->keys = NULL;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	d->discovery = atl_col_text(rows, 0, d->arena);
	d->keys = atl_col_text(rows, 1, d->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err claim_discovery_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct documents *d = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "INSERT INTO login_documents (issuer, discovery, discovered_at, keys_tried_at) "
					  "VALUES (?, '', ?, 0) ON CONFLICT (issuer) DO UPDATE SET discovered_at = "
					  "excluded.discovered_at WHERE login_documents.discovered_at <= CASE WHEN "
					  "login_documents.discovery = '' THEN ? ELSE ? END",
					  "siii", d->issuer, d->now, d->now - FAILED_AGAIN_MS, d->now - ATL_OIDC_FRESH_MS);

	d->claimed = changed > 0;
	return err;
}

static enum atl_err store_discovery_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct documents *d = arg;

	return atl_exec(conn, info, "UPDATE login_documents SET discovery = ? WHERE issuer = ?", "ss", d->text, d->issuer);
}

enum atl_err atl_oidc_service(struct atl_app *app, struct atl_arena *arena, const char *issuer,
			      struct atl_oidc_service *ret, struct atl_errinfo *info)
{
	struct atl_oidc_caller caller = atl_oidc_caller(app, arena);
	struct documents d = { .arena = arena, .issuer = issuer, .now = atl_now_ms() };
	enum atl_err err = atl_db_tx(app->db, claim_discovery_tx, &d, info), asked = ATL_OK;

	if (!err)
		err = atl_db_read(app->db, load_read, &d, info);
	if (err)
		return err;
	if (d.claimed) {
		asked = atl_oidc_discover(&caller, issuer, &d.text, info);
		if (!asked)
			asked = atl_oidc_read(&caller, d.text, issuer, ret, info);
		if (!asked)
			return atl_db_tx(app->db, store_discovery_tx, &d, info);
		atl_warn("oidc", "%s: %s", issuer, info->detail);
	}
	if (!atl_str_empty(d.discovery)) { /* an old description is better than none */
		memset(info, 0, sizeof(*info));
		return atl_oidc_read(&caller, d.discovery, issuer, ret, info);
	}
	return asked ? asked : atl_fail(info, ATL_ERR_UNAVAILABLE, "The sign-in service could not be reached just now. Try again.");
}

static enum atl_err claim_keys_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct documents *d = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE login_documents SET keys_tried_at = ? WHERE issuer = ? AND keys_tried_at <= ?",
					  "isi", d->now, d->issuer, d->now - d->max_age_ms);

	d->claimed = changed > 0;
	return err;
}

static enum atl_err store_keys_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct documents *d = arg;

	return atl_exec(conn, info, "UPDATE login_documents SET keys = ? WHERE issuer = ?", "ss", d->text, d->issuer);
}

/* The keys, asked for if that was last done max_age_ms ago. *ret NULL: there are none. What fails is logged. */
static enum atl_err keys_of(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_service *service,
			    int64_t max_age_ms, const char **ret, bool *ret_asked, struct atl_errinfo *info)
{
	struct atl_oidc_caller caller = atl_oidc_caller(app, arena);
	struct documents d = { .arena = arena, .issuer = service->issuer, .now = atl_now_ms(), .max_age_ms = max_age_ms };
	enum atl_err err = atl_db_tx(app->db, claim_keys_tx, &d, info);

	if (!err && d.claimed) {
		err = atl_oidc_keys(&caller, service->jwks_uri, &d.text, info);
		if (!err)
			err = atl_db_tx(app->db, store_keys_tx, &d, info);
		if (err)
			atl_warn("oidc", "%s: %s", service->issuer, info->detail);
	}
	memset(info, 0, sizeof(*info));
	*ret_asked = d.claimed;
	err = atl_db_read(app->db, load_read, &d, info);
	*ret = d.keys;
	return err;
}

static enum atl_err verify(struct atl_arena *arena, const char *text, const char *token,
			   const struct atl_jwt_expect *expect, struct atl_jwt_claims *ret, struct atl_errinfo *info)
{
	struct atl_json *keys;

	if (!text || atl_json_parse(arena, text, strlen(text), &keys, NULL) != ATL_OK)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "The keys of the sign-in service could not be fetched.");
	return atl_jwt_verify(arena, token, keys, expect, ret, info);
}

enum atl_err atl_oidc_verify(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_service *service,
			     const char *token, const struct atl_jwt_expect *expect, struct atl_jwt_claims *ret,
			     struct atl_errinfo *info)
{
	const char *keys;
	bool asked;
	enum atl_err err = keys_of(app, arena, service, ATL_OIDC_FRESH_MS, &keys, &asked, info);

	if (!err)
		err = verify(arena, keys, token, expect, ret, info);
	if (err == ATL_ERR_NOT_FOUND && !asked) { /* the service may have changed its keys */
		memset(info, 0, sizeof(*info));
		err = keys_of(app, arena, service, ATL_OIDC_KEYS_AGAIN_MS, &keys, &asked, info);
		if (!err)
			err = verify(arena, keys, token, expect, ret, info);
	}
	return err == ATL_ERR_NOT_FOUND ? atl_fail_context(info, ATL_ERR_UNPROCESSABLE, "Sign-in") : err;
}
