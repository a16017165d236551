/* metadata_tools.h - one reader for each tool's JSON; used by metadata_read.c's table.
 *
 * Each fills `recall` (freshly initialised) and returns true when the tree is of its kind. Trees are hostile: any
 * member may be missing, of another type, or a loop.
 * Threads: pure functions.
 */
#ifndef ATL_MEDIA_METADATA_TOOLS_H
#define ATL_MEDIA_METADATA_TOOLS_H

#include "base/json.h"
#include "media/metadata.h"

bool atl_recall_atelier(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_comfyui(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_fooocus(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_invokeai(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_invokeai_old(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_novelai(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
bool atl_recall_swarmui(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
/* InvokeAI's oldest form: `"a prompt [not this]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms`. */
bool atl_recall_dream(struct atl_arena *arena, const char *text, struct atl_recall *recall);

#endif
