/* route.c - see route.h. */
#include "net/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/str.h"

struct route_node {
	char *segment; /* literal; NULL for the root, {name} and {name*} */
	size_t length;
	struct route_node **children; /* literals, sorted by segment */
	size_t child_count;
	struct route_node *param; /* {name} */
	struct route_node *rest;  /* {name*} */
	const struct atl_route *routes[ATL_METHOD_COUNT];
	unsigned allowed;
};

struct span {
	const char *text;
	size_t length;
};

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	if (order)
		return order;
	return a_length < b_length ? -1 : a_length > b_length;
}

/* Binary search; *ret_at is where it is or would be. */
static struct route_node *find_child(const struct route_node *node, const char *text, size_t length, size_t *ret_at)
{
	size_t low = 0, high = node->child_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct route_node *child = node->children[middle];
		int order = compare(child->segment, child->length, text, length);

		if (order == 0) {
			*ret_at = middle;
			return child;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return NULL;
}

static struct route_node *add_literal(struct route_node *node, const char *text, size_t length)
{
	size_t at;
	struct route_node *child = find_child(node, text, length, &at);
	struct route_node **grown;

	if (child)
		return child;
	grown = realloc(node->children, (node->child_count + 1) * sizeof(struct route_node *));
	if (!grown)
		return NULL;
	node->children = grown;
	child = calloc(1, sizeof(*child));
	if (!child)
		return NULL;
	child->segment = strndup(text, length);
	child->length = length;
	if (!child->segment) {
		free(child);
		return NULL;
	}
	memmove(grown + at + 1, grown + at, (node->child_count - at) * sizeof(struct route_node *));
	grown[at] = child;
	node->child_count++;
	return child;
}

static struct route_node *add_slot(struct route_node **slot)
{
	if (!*slot)
		*slot = calloc(1, sizeof(**slot));
	return *slot;
}

static enum atl_err add_route(struct route_node *root, const struct atl_route *route, struct atl_errinfo *info)
{
	struct route_node *node = root;
	const char *at = route->path;
	size_t params = 0, segments = 0;

	if (*at != '/' || !route->handler || (unsigned)route->method >= ATL_METHOD_COUNT)
		return atl_fail(info, ATL_ERR_CONFIG, "route %s: no leading slash, handler or method", route->path);
	while (*at) {
		const char *text = ++at;
		size_t length = strcspn(text, "/");

		at = text + length;
		if (++segments > ROUTE_SEGMENTS_MAX)
			return atl_fail(info, ATL_ERR_CONFIG, "route %s: too many segments", route->path);
		if (length > 2 && text[0] == '{' && text[length - 1] == '}') {
			bool rest = text[length - 2] == '*';

			if (++params > ATL_HTTP_PARAMS_MAX || (rest && *at))
				return atl_fail(info, ATL_ERR_CONFIG, "route %s: too many parameters, or {*} inside",
						route->path);
			node = add_slot(rest ? &node->rest : &node->param);
		} else if (memchr(text, '{', length) || memchr(text, '}', length)) {
			return atl_fail(info, ATL_ERR_CONFIG, "route %s: a parameter must be a whole segment",
					route->path);
		} else {
			node = add_literal(node, text, length);
		}
		if (!node)
			return ATL_ERR_NOMEM;
	}
	if (node->routes[route->method])
		return atl_fail(info, ATL_ERR_CONFIG, "route %s: two rows for one method", route->path);
	node->routes[route->method] = route;
	node->allowed |= 1u << route->method;
	return ATL_OK;
}

enum atl_err route_table_init(struct route_table *table, const struct atl_route *const *tables,
			      struct atl_errinfo *info)
{
	table->root = calloc(1, sizeof(*table->root));
	if (!table->root)
		return ATL_ERR_NOMEM;
	for (; tables && *tables; tables++) {
		for (const struct atl_route *route = *tables; route->path; route++) {
			enum atl_err err = add_route(table->root, route, info);

			if (err) {
				route_table_finish(table);
				return err;
			}
		}
	}
	return ATL_OK;
}

static void free_node(struct route_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->child_count; i++)
		free_node(node->children[i]);
	free_node(node->param);
	free_node(node->rest);
	free(node->children);
	free(node->segment);
	free(node);
}

void route_table_finish(struct route_table *table)
{
	free_node(table->root);
	table->root = NULL;
}

struct search {
	const struct span *segments;
	size_t count;
	size_t captured[ATL_HTTP_PARAMS_MAX]; /* segment index of each parameter */
	size_t capture_count;
	bool last_is_rest;
};

/* Depth first, literal before parameter before rest. The depth is bounded by the tree's, not by the path's. */
static const struct route_node *search(struct search *s, const struct route_node *node, size_t index)
{
	const struct route_node *found;
	size_t unused;

	if (index == s->count)
		return node->allowed ? node : NULL;
	found = find_child(node, s->segments[index].text, s->segments[index].length, &unused);
	if (found && (found = search(s, found, index + 1)))
		return found;
	if (node->param && s->segments[index].length && s->capture_count < ATL_HTTP_PARAMS_MAX) {
		s->captured[s->capture_count++] = index;
		if ((found = search(s, node->param, index + 1)))
			return found;
		s->capture_count--;
	}
	if (node->rest && s->capture_count < ATL_HTTP_PARAMS_MAX) {
		s->captured[s->capture_count++] = index;
		s->last_is_rest = true;
		return node->rest;
	}
	return NULL;
}

/* Split the raw path; segments with escapes are decoded. False: too deep. */
static enum atl_err split(struct atl_arena *arena, const char *path, struct span *out, size_t *ret_count)
{
	size_t count = 0;

	while (*path == '/') {
		const char *text = path + 1;
		size_t length = strcspn(text, "/");

		if (count == ROUTE_SEGMENTS_MAX) {
			*ret_count = 0;
			return ATL_OK;
		}
		out[count].text = text;
		out[count].length = length;
		if (memchr(text, '%', length)) {
			char *decoded;

			if (!atl_percent_decode(arena, text, length, false, &decoded))
				return ATL_ERR_NOMEM;
			out[count].text = decoded;
			out[count].length = strlen(decoded);
		}
		count++;
		path = text + length;
	}
	*ret_count = count;
	return ATL_OK;
}

enum atl_err route_find(const struct route_table *table, enum atl_method method, const char *path,
			struct atl_arena *arena, struct route_match *out)
{
	struct span segments[ROUTE_SEGMENTS_MAX];
	struct search s = {.segments = segments};
	const struct route_node *node;
	enum atl_err err;

	memset(out, 0, sizeof(*out));
	err = split(arena, path, segments, &s.count);
	if (err || !s.count)
		return err;
	node = search(&s, table->root, 0);
	if (!node)
		return ATL_OK;
	out->allowed = node->allowed;
	out->route = node->routes[method];
	if (!out->route && method == ATL_HEAD)
		out->route = node->routes[ATL_GET];
	for (size_t i = 0; i < s.capture_count; i++) {
		const struct span *segment = &segments[s.captured[i]];

		if (s.last_is_rest && i + 1 == s.capture_count) {
			char *rest;
			const char *raw = path;

			for (size_t skip = 0; skip <= s.captured[i]; skip++)
				raw = strchr(raw, '/') + 1;
			if (!atl_percent_decode(arena, raw, strlen(raw), false, &rest))
				return ATL_ERR_NOMEM;
			out->params[i] = rest;
		} else {
			out->params[i] = atl_arena_strndup(arena, segment->text, segment->length);
		}
		if (!out->params[i])
			return ATL_ERR_NOMEM;
	}
	return ATL_OK;
}

/* No "." or "..", no empty segment in the middle, nothing a file system or a log would trip over. */
static bool path_clean(const char *path)
{
	for (const char *at = path; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '\\')
			return false;
		if (*at != '/')
			continue;
		if (at[1] == '/')
			return false;
		if (at[1] == '.' && (!at[2] || at[2] == '/' || (at[2] == '.' && (!at[3] || at[3] == '/'))))
			return false;
	}
	return true;
}

enum atl_err route_path_decode(struct atl_arena *arena, const char *raw, const char **ret, struct atl_errinfo *info)
{
	const char *path = raw;

	if (*raw != '/')
		return atl_fail(info, ATL_ERR_INVALID, "the target does not start with a slash");
	if (strchr(raw, '%')) {
		char *decoded;

		if (!atl_percent_decode(arena, raw, strlen(raw), false, &decoded))
			return atl_fail(info, ATL_ERR_INVALID, "the path has a bad escape");
		path = decoded;
	}
	if (!path_clean(path))
		return atl_fail(info, ATL_ERR_INVALID, "the path has empty or dot segments or a forbidden character");
	*ret = path;
	return ATL_OK;
}
