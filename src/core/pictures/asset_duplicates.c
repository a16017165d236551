/* asset_duplicates.c - pictures that look alike, by their perceptual hashes.
 *
 * Two hashes of 64 bits that differ in at most d bits are equal in one of d + 1 parts at least: only hashes that share
 * a part are compared. Equal hashes are taken together first, so that a thousand empty pictures are one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/pictures/asset_int.h"

#define GROUPS_MAX 200
#define SHOWN_MAX 1000 /* assets of all groups */

static const struct atl_json_field FIELDS[] = {
	{"items", ATL_JT_LIST, offsetof(struct atl_asset_group, items), ATL_JF_REQUIRED, .sub = &atl_asset_desc},
};
const struct atl_json_desc atl_asset_group_desc = {"AssetGroup",
						   "Assets that look alike.",
						   FIELDS,
						   ATL_COUNT(FIELDS),
						   sizeof(struct atl_asset_group),
						   ATL_JSON_NO_PRESENT,
						   false};

struct print {
	uint64_t hash;
	const char *id;
	size_t root; /* of its group: an index into the prints */
};
struct search {
	struct atl_arena *arena;
	const char *user_id;
	unsigned distance;
	struct print *prints; /* by hash, then as they came: the newest first */
	size_t count;
	struct atl_asset_group *groups;
	size_t group_count;
};

static int by_hash(const void *a, const void *b)
{
	const struct print *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return strcmp(y->id, x->id);
}

static size_t root_of(struct print *prints, size_t at)
{
	while (prints[at].root != at) {
		prints[at].root = prints[prints[at].root].root;
		at = prints[at].root;
	}
	return at;
}

static void join(struct print *prints, size_t a, size_t b)
{
	a = root_of(prints, a);
	b = root_of(prints, b);
	if (a != b)
		prints[a > b ? a : b].root = a > b ? b : a;
}

/* Join what is equal in the bits [from, from + width) and near in all. `heads`: one print for each hash. */
static void join_band(struct search *s, const size_t *heads, size_t head_count, unsigned from, unsigned width,
		      size_t *first, size_t *next)
{
	size_t buckets = (size_t)1 << width;
	uint64_t mask = buckets - 1;
	for (size_t i = 0; i < buckets; i++)
		first[i] = SIZE_MAX;
	for (size_t i = 0; i < head_count; i++) {
		uint64_t hash = s->prints[heads[i]].hash;
		size_t bucket = (size_t)((hash >> from) & mask);
		for (size_t j = first[bucket]; j != SIZE_MAX; j = next[j])
			if ((unsigned)__builtin_popcountll(hash ^ s->prints[heads[j]].hash) <= s->distance)
				join(s->prints, heads[i], heads[j]);
		next[i] = first[bucket];
		first[bucket] = i;
	}
}

static enum atl_err join_all(struct search *s, struct atl_errinfo *info)
{
	unsigned bands = s->distance + 1, widest = (64 + bands - 1) / bands;
	if (widest > 16)
		widest = 16; /* parts need not cover everything: shorter ones only compare more */
	size_t *heads = ATL_ARENA_ARRAY(s->arena, size_t, s->count + 1), head_count = 0;
	size_t *next = ATL_ARENA_ARRAY(s->arena, size_t, s->count + 1);
	size_t *first = ATL_ARENA_ARRAY(s->arena, size_t, (size_t)1 << widest);
	if (!heads || !next || !first)
		return atl_fail(info, ATL_ERR_NOMEM, "duplicates");
	for (size_t i = 0; i < s->count; i++) {
		if (i == 0 || s->prints[i].hash != s->prints[i - 1].hash)
			heads[head_count++] = i;
		s->prints[i].root = heads[head_count - 1];
	}
	for (unsigned band = 0; band < bands; band++) {
		unsigned from = band * 64 / bands, width = (band + 1) * 64 / bands - from;
		join_band(s, heads, head_count, from, width > widest ? widest : width, first, next);
	}
	return ATL_OK;
}

static enum atl_err read_prints(struct atl_conn *conn, struct search *s, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	s->count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, phash FROM assets WHERE user_id = ? AND library = 1 AND deleted_at IS NULL "
				     "AND phash IS NOT NULL ORDER BY id DESC LIMIT ?",
				     "si", s->user_id, (int64_t)ATL_ASSET_DUPLICATES_MAX);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		const char *id = atl_col_text(rows, 0, s->arena);
		if (!id) {
			atl_rows_close(rows);
			return atl_fail(info, ATL_ERR_NOMEM, "duplicates");
		}
		s->prints[s->count++] = (struct print){.id = id, .hash = (uint64_t)atl_col_int(rows, 1)};
	}
	return err;
}

struct size {
	size_t root, members;
};

static int by_members(const void *a, const void *b)
{
	const struct size *x = a, *y = b;
	if (x->members != y->members)
		return x->members > y->members ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

static enum atl_err read_group(struct atl_conn *conn, struct search *s, const struct size *size, size_t room,
			       struct atl_errinfo *info)
{
	struct atl_asset_group *group = &s->groups[s->group_count];
	struct atl_asset *items = ATL_ARENA_ARRAY(s->arena, struct atl_asset, room);
	enum atl_err err = items ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "duplicates");
	group->items = (struct atl_items){.items = items};
	for (size_t i = size->root; i < s->count && group->items.count < room && !err; i++)
		if (root_of(s->prints, i) == size->root)
			err = atl_asset_get_in(conn, s->arena, s->user_id, s->prints[i].id, &items[group->items.count++],
					       info);
	s->group_count++;
	return err;
}

static enum atl_err read_groups(struct atl_conn *conn, struct search *s, struct atl_errinfo *info)
{
	struct size *sizes = ATL_ARENA_ARRAY(s->arena, struct size, s->count + 1);
	size_t shown = 0;
	enum atl_err err = ATL_OK;
	s->groups = ATL_ARENA_ARRAY(s->arena, struct atl_asset_group, GROUPS_MAX);
	if (!sizes || !s->groups)
		return atl_fail(info, ATL_ERR_NOMEM, "duplicates");
	for (size_t i = 0; i < s->count; i++) {
		sizes[i].root = i;
		sizes[root_of(s->prints, i)].members++;
	}
	qsort(sizes, s->count, sizeof *sizes, by_members);
	s->group_count = 0;
	for (size_t i = 0; i < s->count && sizes[i].members > 1 && i < GROUPS_MAX && shown + 1 < SHOWN_MAX && !err; i++) {
		size_t room = sizes[i].members < SHOWN_MAX - shown ? sizes[i].members : SHOWN_MAX - shown;
		err = read_group(conn, s, &sizes[i], room, info);
		shown += room;
	}
	return err;
}

static enum atl_err search_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct search *s = arg;
	enum atl_err err = read_prints(conn, s, info);
	if (err)
		return err;
	qsort(s->prints, s->count, sizeof *s->prints, by_hash);
	err = join_all(s, info);
	return err ? err : read_groups(conn, s, info);
}

enum atl_err atl_asset_duplicates(struct atl_app *app, struct atl_arena *arena, const char *user_id, int64_t distance,
				  struct atl_items *ret, struct atl_errinfo *info)
{
	struct search s = {.arena = arena, .user_id = user_id, .distance = (unsigned)distance};
	if (distance < 0 || distance > ATL_ASSET_DISTANCE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "distance", "must be from 0 to %d", ATL_ASSET_DISTANCE_MAX);
	s.prints = ATL_ARENA_ARRAY(arena, struct print, ATL_ASSET_DUPLICATES_MAX);
	if (!s.prints)
		return atl_fail(info, ATL_ERR_NOMEM, "duplicates");
	enum atl_err err = atl_db_read(app->db, search_fn, &s, info);
	if (!err)
		*ret = (struct atl_items){s.groups, s.group_count};
	return err;
}
