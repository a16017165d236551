/* login_rules.c - see login_rules.h. */
#include "core/access/login_rules.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct atl_json_field RULE_FIELDS[] = {
	{ "claim", ATL_JT_STR, offsetof(struct atl_role_rule, claim), ATL_JF_REQUIRED },
	{ "value", ATL_JT_STR, offsetof(struct atl_role_rule, value), ATL_JF_REQUIRED },
	{ "role", ATL_JT_STR, offsetof(struct atl_role_rule, role), ATL_JF_REQUIRED },
};
static const struct atl_json_desc RULE = { "RoleRule", NULL, RULE_FIELDS, ATL_COUNT(RULE_FIELDS),
	sizeof(struct atl_role_rule), ATL_JSON_NO_PRESENT, false };

static bool plain(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (!length || length > ATL_LOGIN_CLAIM_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static bool is_domain(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length < 3 || length > 253 || !strchr(text, '.') || strstr(text, "..") || text[0] == '.' || text[length - 1] == '.')
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == length;
}

enum atl_err atl_login_rules_check(const struct atl_items *rules, const struct atl_strs *domains, struct atl_errinfo *info)
{
	const struct atl_role_rule *items = rules->items;

	if (rules->count > ATL_LOGIN_RULES_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "role_rules", "At most %d rules.", ATL_LOGIN_RULES_MAX);
	for (size_t i = 0; i < rules->count; i++) {
		if (!plain(items[i].claim) || !plain(items[i].value))
			return atl_fail_field(info, ATL_ERR_INVALID, "role_rules", "Name a claim and a value, 1 to %d bytes each.",
					      ATL_LOGIN_CLAIM_MAX);
		if (atl_str_eq(items[i].role, "owner"))
			return atl_fail_field(info, ATL_ERR_INVALID, "role_rules", "No service makes owners. Choose another role.");
	}
	if (domains->count > ATL_LOGIN_DOMAINS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "domains", "At most %d domains.", ATL_LOGIN_DOMAINS_MAX);
	for (size_t i = 0; i < domains->count; i++)
		if (!is_domain(domains->items[i]))
			return atl_fail_field(info, ATL_ERR_INVALID, "domains", "\"%.80s\" is not a domain such as example.org.",
					      domains->items[i]);
	return ATL_OK;
}

/* ---- to the database and back ---- */

static enum atl_err keep(struct atl_arena *arena, struct atl_buf *out, const char **ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_buf_err(out, info);

	*ret = err ? NULL : atl_arena_strdup(arena, out->data);
	atl_buf_finish(out);
	return err || *ret ? err : atl_fail(info, ATL_ERR_NOMEM, "keep sign-in rules");
}

enum atl_err atl_login_rules_write(struct atl_arena *arena, const struct atl_items *rules, const char **ret,
				   struct atl_errinfo *info)
{
	const struct atl_role_rule *items = rules->items;
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 262144);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < rules->count; i++)
		atl_json_encode(&w, NULL, &RULE, &items[i]);
	atl_jw_end_array(&w);
	return keep(arena, &out, ret, info);
}

enum atl_err atl_login_domains_write(struct atl_arena *arena, const struct atl_strs *domains, const char **ret,
				     struct atl_errinfo *info)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 65536);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < domains->count; i++) {
		char small[256];
		size_t at = 0;

		for (const char *c = domains->items[i]; *c && at < sizeof(small) - 1; c++)
			small[at++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
		small[at] = '\0';
		atl_jw_str(&w, NULL, small);
	}
	atl_jw_end_array(&w);
	return keep(arena, &out, ret, info);
}

static enum atl_err parse_list(struct atl_arena *arena, const char *json, struct atl_json **ret, struct atl_errinfo *info)
{
	if (!json || atl_json_parse(arena, json, strlen(json), ret, NULL) != ATL_OK || (*ret)->kind != ATL_JSON_ARRAY)
		return atl_fail(info, ATL_ERR_CONFIG, "The rules of a sign-in service are damaged in the database.");
	return ATL_OK;
}

enum atl_err atl_login_rules_read(struct atl_arena *arena, const char *json, struct atl_items *ret, struct atl_errinfo *info)
{
	struct atl_role_rule *rules;
	struct atl_json *tree;
	enum atl_err err = parse_list(arena, json, &tree, info);

	*ret = (struct atl_items){ NULL, 0 };
	if (err || !tree->count)
		return err;
	rules = ATL_ARENA_ARRAY(arena, struct atl_role_rule, tree->count);
	if (!rules)
		return atl_fail(info, ATL_ERR_NOMEM, "read sign-in rules");
	for (const struct atl_json *item = tree->child; !err && item; item = item->next)
		err = atl_json_decode(arena, item, &RULE, &rules[ret->count++], info);
	ret->items = rules;
	return err;
}

enum atl_err atl_login_domains_read(struct atl_arena *arena, const char *json, struct atl_strs *ret, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = parse_list(arena, json, &tree, info);

	*ret = (struct atl_strs){ NULL, 0 };
	if (err || !tree->count)
		return err;
	ret->items = ATL_ARENA_ARRAY(arena, const char *, tree->count);
	if (!ret->items)
		return atl_fail(info, ATL_ERR_NOMEM, "read sign-in rules");
	for (const struct atl_json *item = tree->child; item; item = item->next)
		if (item->kind == ATL_JSON_STRING)
			ret->items[ret->count++] = item->string;
	return ATL_OK;
}

/* ---- what they say ---- */

static bool is_value(const struct atl_json *claim, const char *value)
{
	char text[32];

	switch (claim->kind) {
	case ATL_JSON_STRING: return atl_str_eq(claim->string, value);
	case ATL_JSON_BOOL: return atl_str_eq(claim->number != 0 ? "true" : "false", value);
	case ATL_JSON_NUMBER:
		snprintf(text, sizeof(text), "%lld", (long long)claim->integer);
		return claim->is_integer && atl_str_eq(text, value);
	default: return false;
	}
}

static bool fits(const struct atl_role_rule *rule, const struct atl_json *claims)
{
	const struct atl_json *claim = atl_json_get(claims, rule->claim);

	if (!claim)
		claim = atl_json_path(claims, rule->claim);
	if (!claim)
		return false;
	if (claim->kind != ATL_JSON_ARRAY)
		return is_value(claim, rule->value);
	for (const struct atl_json *item = claim->child; item; item = item->next)
		if (is_value(item, rule->value))
			return true;
	return false;
}

const char *atl_login_role(const struct atl_items *rules, const struct atl_json *claims)
{
	const struct atl_role_rule *items = rules->items;

	for (size_t i = 0; i < rules->count; i++)
		if (fits(&items[i], claims))
			return items[i].role;
	return NULL;
}

const char *atl_login_email_domain(const char *email)
{
	const char *at = email ? strrchr(email, '@') : NULL;

	return at ? at + 1 : NULL;
}

bool atl_login_domain_listed(const struct atl_strs *domains, const char *domain)
{
	for (size_t i = 0; domain && i < domains->count; i++)
		if (atl_str_ieq(domains->items[i], domain))
			return true;
	return false;
}

bool atl_login_domain_fits(const struct atl_strs *domains, const char *domain_claim, const struct atl_jwt_claims *claims)
{
	if (!domains->count)
		return true;
	if (domain_claim)
		return atl_login_domain_listed(domains, atl_json_str(claims->all, domain_claim, NULL));
	return claims->email_verified && atl_login_domain_listed(domains, atl_login_email_domain(claims->email));
}
