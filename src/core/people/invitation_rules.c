/* invitation_rules.c - who may sign up at all, kept as the setting `sign_up`: {"mode": "...", "domains": [...]}. */
#include "base/buf.h"
#include "base/str.h"
#include "core/people/invitation.h"
#include "core/server/setting.h"

const char *const atl_sign_up_modes[] = { "closed", "invitation", "domain", "open", NULL };

static bool find_mode(const char *name, enum atl_sign_up_mode *ret)
{
	for (int i = 0; atl_sign_up_modes[i]; i++) {
		if (!atl_str_eq(atl_sign_up_modes[i], name))
			continue;
		*ret = (enum atl_sign_up_mode)i;
		return true;
	}
	return false;
}

static void read_domains(const struct atl_json *list, struct atl_arena *arena, struct atl_strs *out)
{
	out->items = ATL_ARENA_ARRAY(arena, const char *, ATL_SIGN_UP_DOMAINS_MAX);
	if (!out->items || !list || list->kind != ATL_JSON_ARRAY)
		return;
	for (const struct atl_json *item = list->child; item && out->count < ATL_SIGN_UP_DOMAINS_MAX; item = item->next)
		if (item->kind == ATL_JSON_STRING)
			out->items[out->count++] = item->string;
}

void atl_sign_up_rules(struct atl_app *app, struct atl_arena *arena, struct atl_sign_up_rules *ret)
{
	struct atl_json *tree;
	const struct atl_json *mode;
	const char *json;

	*ret = (struct atl_sign_up_rules){ .mode = ATL_SIGN_UP_CLOSED };
	if (atl_setting_get(app, ATL_SETTING_SIGN_UP, arena, &json, NULL) != ATL_OK ||
	    atl_json_parse(arena, json, strlen(json), &tree, NULL) != ATL_OK || tree->kind != ATL_JSON_OBJECT)
		return;
	mode = atl_json_get(tree, "mode");
	if (!mode || mode->kind != ATL_JSON_STRING || !find_mode(mode->string, &ret->mode))
		return;
	read_domains(atl_json_get(tree, "domains"), arena, &ret->domains);
}

/* "example.org": letters, digits, '-' and '.', one dot at least, none at an end; in small letters. */
static const char *clean_domain(const char *text, struct atl_arena *arena)
{
	size_t length = strlen(text);
	char *copy = atl_arena_strdup(arena, text);

	if (!copy || length < 3 || length > 253 || !strchr(text, '.') || strstr(text, "..") || text[0] == '.' ||
	    text[length - 1] == '.')
		return NULL;
	for (size_t i = 0; i < length; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + 32);
		if (!((copy[i] >= 'a' && copy[i] <= 'z') || (copy[i] >= '0' && copy[i] <= '9') || copy[i] == '-' || copy[i] == '.'))
			return NULL;
	}
	return copy;
}

static enum atl_err write_rules(const char *mode, const struct atl_strs *domains, struct atl_arena *arena,
				struct atl_buf *out, struct atl_errinfo *info)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "mode", mode);
	atl_jw_array(&w, "domains");
	for (size_t i = 0; i < domains->count; i++) {
		const char *domain = clean_domain(domains->items[i], arena);

		if (!domain)
			return atl_fail_field(info, ATL_ERR_INVALID, "domains", "\"%.80s\" is not a domain such as example.org.",
					      domains->items[i]);
		atl_jw_str(&w, NULL, domain);
	}
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
	return atl_buf_err(out, info);
}

enum atl_err atl_sign_up_set_rules(struct atl_app *app, const struct atl_identity *who, const char *mode,
				   const struct atl_strs *domains, struct atl_errinfo *info)
{
	enum atl_sign_up_mode kind;
	struct atl_arena arena;
	struct atl_buf out;
	enum atl_err err;

	if (!find_mode(mode, &kind))
		return atl_fail_field(info, ATL_ERR_INVALID, "mode", "closed, invitation, domain or open.");
	if (domains->count > ATL_SIGN_UP_DOMAINS_MAX || (kind == ATL_SIGN_UP_DOMAIN && domains->count == 0))
		return atl_fail_field(info, ATL_ERR_INVALID, "domains", "Name 1 to %d domains.", ATL_SIGN_UP_DOMAINS_MAX);
	atl_arena_init(&arena, 0);
	atl_buf_init(&out, 65536);
	err = write_rules(mode, domains, &arena, &out, info);
	if (!err)
		err = atl_setting_set(app, who, ATL_SETTING_SIGN_UP, out.data, info);
	atl_buf_finish(&out);
	atl_arena_finish(&arena);
	return err;
}
