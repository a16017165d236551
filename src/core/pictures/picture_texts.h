/* picture_texts.h - the operator's entries of the model registry as they are stored, kept in memory. Only src/core.
 *
 * Every job looks for its model several times; the table is read once and again after a change. On a shared database
 * others may change it, so there it is read again after ATL_PICTURE_TEXTS_MS.
 *
 * Life cycle: atl_picture_texts_create() .. atl_picture_texts_destroy(). Threads: any that may read the database.
 * Ownership:  what get() returns is a copy in the given arena. Limits: ATL_PICTURE_MODELS_MAX entries.
 */
#ifndef ATL_CORE_PICTURE_TEXTS_H
#define ATL_CORE_PICTURE_TEXTS_H

#include "base/arena.h"
#include "db/db.h"

#define ATL_PICTURE_TEXTS_MS 1000

struct atl_picture_text {
	const char *id, *text;
};
struct atl_picture_texts;
enum atl_err atl_picture_texts_create(struct atl_db *db, struct atl_picture_texts **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_texts_destroy(struct atl_picture_texts *texts); /* NULL is allowed */
enum atl_err atl_picture_texts_get(struct atl_picture_texts *texts, struct atl_arena *arena, struct atl_picture_text **ret,
				   size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* The table was changed, and the change is committed. */
void atl_picture_texts_forget(struct atl_picture_texts *texts);

#endif
