/* rights_models.c - models for somebody whose role or key is limited to certain ones; see rights.h. */
#include "base/str.h"
#include "core/models/model.h"
#include "core/people/rights.h"
#include "core/pictures/picture_model.h"

/* ---- language models ---- */

enum atl_err atl_rights_models(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, struct atl_model **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_model *items;
	size_t count, kept = 0;
	enum atl_err err = atl_models_list(app, arena, who->user_id, &items, &count, info);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		if (atl_rights_model(who, items[i].id, NULL) == ATL_OK)
			items[kept++] = items[i];
	*ret = items;
	*ret_count = kept;
	return ATL_OK;
}

enum atl_err atl_rights_default(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, const char **wanted,
				struct atl_errinfo *info)
{
	struct atl_model *items;
	const char *usual;
	size_t count;
	enum atl_err err;

	if (!atl_str_empty(*wanted) || !atl_rights_limited(who))
		return ATL_OK;
	usual = atl_models_effective(app, arena, who->user_id, NULL);
	if (!usual || atl_rights_model(who, usual, NULL) == ATL_OK) /* none: what follows says so */
		return ATL_OK;
	err = atl_rights_models(app, arena, who, &items, &count, info);
	if (err)
		return err;
	for (size_t pass = 0; pass < 2; pass++) /* one that is ready first */
		for (size_t i = 0; i < count; i++)
			if (items[i].ready || pass == 1) {
				*wanted = items[i].id;
				return ATL_OK;
			}
	return atl_rights_model(who, usual, info);
}

/* ---- picture models ---- */

enum atl_err atl_rights_picture_models(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who,
				       struct atl_picture_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_picture_model *items;
	const struct atl_picture_model *usual;
	size_t count, kept = 0;
	enum atl_err err = atl_picture_model_list(app, arena, &items, &count, info);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		if (atl_rights_model(who, items[i].id, NULL) == ATL_OK)
			items[kept++] = items[i];
	usual = atl_picture_model_default(app, arena, items, kept);
	for (size_t i = 0; i < kept; i++)
		items[i].is_default = &items[i] == usual;
	*ret = items;
	*ret_count = kept;
	return ATL_OK;
}

enum atl_err atl_rights_picture_model(struct atl_app *app, struct atl_arena *arena, const struct atl_identity *who, const char *id,
				      struct atl_picture_model *ret, struct atl_errinfo *info)
{
	struct atl_picture_model found, *items;
	size_t count;
	enum atl_err err = atl_picture_model_find(app, arena, id, &found, info);

	if (err)
		return err;
	if (!atl_str_empty(id) || atl_rights_model(who, found.id, NULL) == ATL_OK) {
		err = atl_rights_model(who, found.id, info);
		if (!err)
			*ret = found;
		return err;
	}
	err = atl_rights_picture_models(app, arena, who, &items, &count, info);
	for (size_t i = 0; !err && i < count; i++)
		if (items[i].is_default && items[i].ready) {
			*ret = items[i];
			return ATL_OK;
		}
	return err ? err : atl_rights_model(who, found.id, info);
}
