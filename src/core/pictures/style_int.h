/* style_int.h - what the files of styles share. Only src/core. */
#ifndef ATL_CORE_STYLE_INT_H
#define ATL_CORE_STYLE_INT_H

#include "core/pictures/style.h"
#include "db/db.h"

#define ATL_STYLE_COLUMNS \
	"id, user_id, name, prompt, negative_prompt, model, params, shared, version, created_at, updated_at"
void atl_style_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_style *out);

#endif
