/* login_provider.c - see login_provider.h. */
#include "core/access/login_provider.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/user_admin.h"
#include "core/server/keyring.h"
#include "db/db.h"
#include "provider/oauth.h"

#define COLUMNS \
	"id, preset, name, issuer, client_id, secret_sealed, new_people, enabled, created_at, updated_at, domains, role_rules"

static const struct preset {
	const char *name, *label, *issuer, *issuer_too; /* issuer NULL: the owner's */
	const char *domain_claim;
} presets[] = {
	{ "google", "Google", "https://accounts.google.com", "accounts.google.com", "hd" },
	{ "generic", NULL, NULL, NULL, NULL },
};
const char *const atl_login_presets[] = { "google", "github", "discord", "generic", NULL };
const char *const atl_login_new_people[] = { "none", "rules", "all", NULL };

static const struct preset *find_preset(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(presets); i++)
		if (atl_str_eq(presets[i].name, name))
			return &presets[i];
	return NULL;
}

const char *atl_login_issuer_too(const char *preset)
{
	const struct preset *found = find_preset(preset);

	return found ? found->issuer_too : NULL;
}

const char *atl_login_domain_claim(const char *preset)
{
	const struct preset *found = find_preset(preset);

	return found ? found->domain_claim : NULL;
}

/* ---- reading ---- */

struct lookup {
	const char *id; /* NULL: all */
	struct atl_arena *arena;
	struct atl_login_provider *rows;
	const char *sealed; /* of the last */
	size_t count;
};

static enum atl_err read_rules(struct atl_rows *rows, struct atl_arena *arena, struct atl_login_provider *row,
			       struct atl_errinfo *info)
{
	enum atl_err err;

	row->takes_new = !atl_str_eq(row->new_people, "none");
	err = atl_login_domains_read(arena, atl_col_text(rows, 10, arena), &row->domains, info);

	return err ? err : atl_login_rules_read(arena, atl_col_text(rows, 11, arena), &row->role_rules, info);
}

static enum atl_err lookup_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct lookup *lookup = arg;
	struct atl_rows *rows;
	enum atl_err err = lookup->id ?
				   atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM login_providers WHERE id = ?", "s", lookup->id) :
				   atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM login_providers ORDER BY created_at, id LIMIT ?",
					     "i", (int64_t)ATL_LOGIN_PROVIDERS_MAX);

	lookup->count = 0;
	if (err)
		return err;
	while (lookup->count < ATL_LOGIN_PROVIDERS_MAX && atl_rows_next(rows, &err, info)) {
		struct atl_login_provider *row = &lookup->rows[lookup->count++];

		lookup->sealed = atl_col_text(rows, 5, lookup->arena);
		*row = (struct atl_login_provider){
			.id = atl_col_text(rows, 0, lookup->arena), .preset = atl_col_text(rows, 1, lookup->arena),
			.name = atl_col_text(rows, 2, lookup->arena), .issuer = atl_col_text(rows, 3, lookup->arena),
			.client_id = atl_col_text(rows, 4, lookup->arena), .has_secret = lookup->sealed != NULL,
			.new_people = atl_col_text(rows, 6, lookup->arena), .enabled = atl_col_int(rows, 7) != 0,
			.created_at = atl_col_int(rows, 8), .updated_at = atl_col_int(rows, 9),
		};
		err = read_rules(rows, lookup->arena, row, info);
		if (err) {
			atl_rows_close(rows);
			return err;
		}
		if (lookup->id) {
			atl_rows_close(rows);
			break;
		}
	}
	return err;
}

enum atl_err atl_login_provider_list(struct atl_app *app, struct atl_arena *arena, struct atl_login_provider **ret,
				     size_t *ret_count, struct atl_errinfo *info)
{
	struct lookup lookup = { .arena = arena,
				 .rows = ATL_ARENA_ARRAY(arena, struct atl_login_provider, ATL_LOGIN_PROVIDERS_MAX) };
	enum atl_err err = lookup.rows ? atl_db_read(app->db, lookup_read, &lookup, info) :
					 atl_fail(info, ATL_ERR_NOMEM, "list sign-in services");

	*ret = lookup.rows;
	*ret_count = err ? 0 : lookup.count;
	return err;
}

static enum atl_err get(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_login_provider *ret,
			const char **ret_sealed, struct atl_errinfo *info)
{
	struct lookup lookup = { .id = id, .arena = arena, .rows = ret };
	enum atl_err err = atl_db_read(app->db, lookup_read, &lookup, info);

	if (!err && lookup.count == 0)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such sign-in service.");
	if (ret_sealed)
		*ret_sealed = lookup.sealed;
	return err;
}

enum atl_err atl_login_provider_get(struct atl_app *app, struct atl_arena *arena, const char *id,
				    struct atl_login_provider *ret, struct atl_errinfo *info)
{
	return get(app, arena, id, ret, NULL, info);
}

enum atl_err atl_login_provider_secret(struct atl_app *app, struct atl_arena *arena, const char *id, char **ret,
				       struct atl_errinfo *info)
{
	struct atl_login_provider row;
	struct atl_buf raw, plain;
	const char *sealed;
	enum atl_err err = get(app, arena, id, &row, &sealed, info);

	*ret = NULL;
	if (err || !sealed)
		return err;
	atl_buf_init(&raw, 8192);
	atl_buf_init(&plain, 8192);
	if (!atl_base64_decode(&raw, ATL_BASE64_STANDARD, sealed, strlen(sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The secret of %s is damaged in the database.", row.name);
	else
		err = atl_secret_open(app, &plain, id, raw.data, raw.length, info);
	if (!err && !(*ret = atl_arena_strndup(arena, plain.data, plain.length)))
		err = atl_fail(info, ATL_ERR_NOMEM, "open a secret");
	if (*ret)
		atl_log_secret(*ret);
	atl_wipe(plain.data, plain.length);
	atl_buf_finish(&raw);
	atl_buf_finish(&plain);
	return err;
}

/* ---- writing ---- */

static enum atl_err seal(struct atl_app *app, struct atl_arena *arena, const char *id, const char *secret,
			 const char **ret, struct atl_errinfo *info)
{
	struct atl_buf raw, text;
	enum atl_err err;

	atl_buf_init(&raw, 8192);
	atl_buf_init(&text, 16384);
	err = atl_seal(&raw, app->master_key, id, secret, strlen(secret));
	if (!err)
		atl_base64_encode(&text, ATL_BASE64_STANDARD, raw.data, raw.length);
	*ret = err || text.failed ? NULL : atl_arena_strdup(arena, text.data);
	atl_buf_finish(&raw);
	atl_buf_finish(&text);
	return *ret ? ATL_OK : atl_fail(info, err ? err : ATL_ERR_NOMEM, "The secret could not be sealed.");
}

static enum atl_err check_text(const char *field, const char *text, size_t max, struct atl_errinfo *info)
{
	size_t length = text ? strlen(text) : 0;

	if (length == 0 || length > max)
		return atl_fail_field(info, ATL_ERR_INVALID, field, "Give 1 to %zu bytes.", max);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return atl_fail_field(info, ATL_ERR_INVALID, field, "No control characters.");
	return ATL_OK;
}

static enum atl_err check(struct atl_app *app, const struct atl_login_provider *row, struct atl_errinfo *info)
{
	enum atl_err err = check_text("name", row->name, ATL_LOGIN_NAME_MAX * 4, info);

	if (!err)
		err = check_text("issuer", row->issuer, ATL_LOGIN_TEXT_MAX - 40, info);
	if (!err)
		err = check_text("client_id", row->client_id, ATL_LOGIN_TEXT_MAX, info);
	if (!err && strchr(row->issuer, '?'))
		err = atl_fail(info, ATL_ERR_INVALID, "An issuer has no query.");
	if (!err)
		err = atl_oidc_url(app->guard, row->issuer, info);
	if (err && !info->field[0])
		atl_str_copy(info->field, sizeof(info->field), "issuer");
	return err;
}

struct save {
	const struct atl_identity *who;
	const struct atl_login_provider *row;
	const char *sealed; /* NULL: stays */
	const char *domains, *role_rules; /* as text */
	bool is_new, clear;
};

static enum atl_err insert(struct atl_conn *conn, const struct save *save, struct atl_errinfo *info)
{
	const struct atl_login_provider *row = save->row;
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM login_providers", "");

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_LOGIN_PROVIDERS_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d sign-in services already.", ATL_LOGIN_PROVIDERS_MAX);
	return err ? err :
		     atl_exec(conn, info,
			      "INSERT INTO login_providers (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "sssssssiiiss",
			      row->id, row->preset, row->name, row->issuer, row->client_id, save->sealed, row->new_people,
			      (int64_t)row->enabled, row->created_at, row->updated_at, save->domains, save->role_rules);
}

static enum atl_err update(struct atl_conn *conn, const struct save *save, struct atl_errinfo *info)
{
	const struct atl_login_provider *row = save->row;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(
		conn, &changed, info,
		"UPDATE login_providers SET name = ?, issuer = ?, client_id = ?, secret_sealed = CASE WHEN ? = 1 THEN NULL ELSE "
		"coalesce(?, secret_sealed) END, new_people = ?, enabled = ?, updated_at = ?, domains = ?, role_rules = ? WHERE id = ?",
		"sssissiisss", row->name, row->issuer, row->client_id, (int64_t)save->clear, save->sealed, row->new_people,
		(int64_t)row->enabled, row->updated_at, save->domains, save->role_rules, row->id);

	return err || changed ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such sign-in service.");
}

/* Nobody gives by a rule what they could not give by hand. */
static enum atl_err may_give(struct atl_conn *conn, const struct save *save, struct atl_errinfo *info)
{
	const struct atl_role_rule *rules = save->row->role_rules.items;
	enum atl_err err = ATL_OK;

	for (size_t i = 0; !err && i < save->row->role_rules.count; i++)
		err = atl_role_may_give(conn, save->who, rules[i].role, info);
	if (err && info->field[0])
		atl_str_copy(info->field, sizeof(info->field), "role_rules");
	return err;
}

static enum atl_err save_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct save *save = arg;
	struct atl_audit audit = { .who = save->who, .action = save->is_new ? "login_provider.create" : "login_provider.change",
				   .target_kind = "login_provider", .target_id = save->row->id, .note = save->row->issuer };
	enum atl_err err = may_give(conn, save, info);

	if (!err)
		err = save->is_new ? insert(conn, save, info) : update(conn, save, info);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "issuer", "This sign-in service is there already.");
	if (!err) /* what was published is asked for anew: the owner may have put something right */
		err = atl_exec(conn, info, "DELETE FROM login_documents WHERE issuer = ?", "s", save->row->issuer);
	return err ? err : atl_audit(conn, &audit, info);
}

/* What the row will be; `row` is what it was. */
static enum atl_err apply(struct atl_login_provider *row, bool is_new, const struct atl_login_change *change,
			  struct atl_errinfo *info)
{
	const char *name = is_new ? change->preset : row->preset, *label, *issuer;
	const struct preset *preset = find_preset(name);
	const struct atl_oauth_quirks *oauth = atl_oauth_find(name);

	if (!preset && !oauth)
		return atl_fail_field(info, ATL_ERR_INVALID, "preset", "There is no such preset.");
	if (!is_new && change->issuer && !atl_str_eq(change->issuer, row->issuer) && row->has_secret && !change->secret)
		return atl_fail_field(info, ATL_ERR_INVALID, "secret", "Give the secret again: it would go to another address.");
	label = preset ? preset->label : oauth->label;
	issuer = change->issuer ? change->issuer : row->issuer ? row->issuer : oauth ? oauth->issuer : NULL;
	row->preset = preset ? preset->name : oauth->name;
	row->name = change->name ? change->name : row->name ? row->name : label;
	row->issuer = preset && preset->issuer ? preset->issuer : issuer;
	row->client_id = change->client_id ? change->client_id : row->client_id;
	if (change->new_people)
		row->new_people = change->new_people;
	if (change->domains)
		row->domains = *change->domains;
	if (change->role_rules)
		row->role_rules = *change->role_rules;
	if (change->enabled)
		row->enabled = *change->enabled;
	if (change->secret)
		row->has_secret = change->secret[0] != '\0';
	return ATL_OK;
}

enum atl_err atl_login_provider_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, const struct atl_login_change *change,
				     struct atl_login_provider *ret, struct atl_errinfo *info)
{
	struct save save = { .who = who, .row = ret, .is_new = id == NULL,
			     .clear = change->secret && !change->secret[0] };
	char new_id[ATL_ID_SIZE];
	enum atl_err err = ATL_OK;

	*ret = (struct atl_login_provider){ .enabled = true, .new_people = atl_login_new_people[0] };
	if (id) {
		err = atl_login_provider_get(app, arena, id, ret, info);
	} else {
		atl_id_new("lgp", new_id);
		ret->id = atl_arena_strdup(arena, new_id);
		ret->created_at = atl_now_ms();
	}
	if (!err)
		err = apply(ret, id == NULL, change, info);
	if (!err)
		err = check(app, ret, info);
	if (!err)
		err = atl_login_rules_check(&ret->role_rules, &ret->domains, info);
	if (!err)
		err = atl_login_domains_write(arena, &ret->domains, &save.domains, info);
	if (!err)
		err = atl_login_rules_write(arena, &ret->role_rules, &save.role_rules, info);
	if (!err && change->secret && change->secret[0]) {
		err = check_text("secret", change->secret, ATL_LOGIN_TEXT_MAX, info);
		if (!err)
			err = seal(app, arena, ret->id, change->secret, &save.sealed, info);
	}
	ret->updated_at = atl_now_ms();
	return err ? err : atl_db_tx(app->db, save_tx, &save, info);
}

struct removal {
	const struct atl_identity *who;
	const char *id;
};

static enum atl_err delete_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct removal *removal = arg;
	struct atl_audit audit = { .who = removal->who, .action = "login_provider.delete", .target_kind = "login_provider",
				   .target_id = removal->id };
	int64_t changed = 0;
	enum atl_err err = atl_exec(conn, info,
				    "DELETE FROM login_documents WHERE issuer = (SELECT issuer FROM login_providers WHERE id = ?)", "s",
				    removal->id);

	if (!err)
		err = atl_exec_count(conn, &changed, info, "DELETE FROM login_providers WHERE id = ?", "s", removal->id);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such sign-in service.");
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_login_provider_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				       struct atl_errinfo *info)
{
	struct removal removal = { who, id };

	return atl_db_tx(app->db, delete_tx, &removal, info);
}
