/* asset_int.h - what the files of core/pictures/asset share: the row and how it is read. Only src/core/pictures/asset*.c, board.c, share.c,
 * upload.c and report_counts.c include it.
 *
 * Threads: inside a transaction or a read.
 */
#ifndef ATL_CORE_ASSET_INT_H
#define ATL_CORE_ASSET_INT_H

#include "core/pictures/asset.h"

/* Columns of `assets a`, in the order of atl_asset_row(). A literal, so that statements stay literals. */
#define ATL_ASSET_COLUMNS                                                                                             \
	"a.id, a.user_id, a.sha256, a.media_type, a.kind, a.origin, a.size_bytes, a.width, a.height, a.duration_ms, "  \
	"a.library, a.job_id, a.task, a.model, a.job_index, a.title, a.prompt, a.seed, a.character_id, "              \
	"a.conversation_id, a.starred, a.rating, a.blur_hash, a.version, a.created_at, a.updated_at, a.deleted_at, " \
	"a.message_id, a.held, (SELECT k.state FROM picture_checks k WHERE k.asset_id = a.id)"
#define ATL_ASSET_COLUMN_COUNT 30

const char *atl_asset_variant(int64_t width); /* "w64"; NULL: not one of the widths */
void atl_asset_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_asset *out);
/* The same of columns that begin at `at`. */
void atl_asset_row_at(struct atl_rows *rows, int at, struct atl_arena *arena, struct atl_asset *out);
/* The user's asset, also one in the trash. */
enum atl_err atl_asset_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
struct atl_recall;
/* What the params of an asset say, as the readers of other tools' files say it. False: nothing, or no prompt. */
bool atl_asset_recall(struct atl_arena *arena, const char *params_json, struct atl_recall *ret);
/* What was found in an upload, as JSON for its row; NULL: too much. */
const char *atl_asset_credentials_note(struct atl_arena *arena, const struct atl_asset_credentials *credentials);
/* One reference less on its blob, after the asset's row is gone. */
enum atl_err atl_asset_release_in(struct atl_conn *conn, const char *sha256, struct atl_errinfo *info) ATL_MUST_USE;
/* Remove this blob if nothing refers to it and nobody has put it lately: after the transaction. */
enum atl_err atl_asset_sweep_blob(struct atl_app *app, const char *sha256, int64_t put_before_ms,
				  struct atl_errinfo *info) ATL_MUST_USE;

/* The same for all such blobs. */
enum atl_err atl_asset_sweep_unused(struct atl_app *app, int64_t put_before_ms, struct atl_errinfo *info) ATL_MUST_USE;

/* asset_collect.c, in a transaction: the row of an input and its reference on the file, unless something names it. */
enum atl_err atl_asset_collect_in(struct atl_conn *conn, const char *id, const char *sha256, bool *ret_gone,
				  struct atl_errinfo *info) ATL_MUST_USE;

#define ATL_ASSET_PUT_GRACE_MS ((int64_t)60 * 60 * 1000) /* from the bytes to their asset's row */

#endif
