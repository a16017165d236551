/* exchange_chatgpt.c - reading a conversation of ChatGPT's conversations.json. See exchange.h.
 *
 * The tree is an object of nodes {message, parent, children} by id. A node names its parent; the order of siblings is
 * that of the parent's `children`. Only what people and the assistant wrote as text is kept: the children of anything
 * else move up to the nearest node that is kept. Ids may dangle and nodes may run in circles: every node is visited
 * once, and what no root leads to becomes a root.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/chat/exchange_int.h"

struct node {
	const struct atl_json *value;
	size_t file_index;
	int64_t parent; /* node index; -1: none */
	size_t order;	/* among siblings */
	int64_t first, next; /* its first child, its next sibling: node indexes */
	int64_t kept;	     /* message index of itself or of the nearest kept one above; -1 */
	bool seen;
};
struct graph {
	struct node *nodes;
	struct atl_exchange_key *keys;
	size_t count;
};

static enum atl_err fill(struct atl_arena *arena, const struct atl_json *mapping, struct graph *g,
			 struct atl_errinfo *info)
{
	g->nodes = ATL_ARENA_ARRAY(arena, struct node, mapping->count + 1);
	g->keys = ATL_ARENA_ARRAY(arena, struct atl_exchange_key, mapping->count + 1);
	if (!g->nodes || !g->keys)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	for (const struct atl_json *item = mapping->child; item; item = item->next, g->count++) {
		g->nodes[g->count] = (struct node){.value = item, .file_index = g->count, .parent = -1, .order = SIZE_MAX,
						   .first = -1, .next = -1, .kept = -1};
		g->keys[g->count] = (struct atl_exchange_key){item->key, g->count};
	}
	atl_exchange_keys_sort(g->keys, g->count);
	return ATL_OK;
}

/* A node's own word on its parent counts; where it has none, that of the node which calls it its child. */
static void find_parents(struct graph *g)
{
	for (size_t i = 0; i < g->count; i++) {
		int64_t parent = atl_exchange_keys_find(g->keys, g->count, atl_json_str(g->nodes[i].value, "parent", NULL));
		if (parent != (int64_t)i)
			g->nodes[i].parent = parent;
	}
	for (size_t i = 0; i < g->count; i++) {
		const struct atl_json *children = atl_json_get(g->nodes[i].value, "children");
		size_t order = 0;
		if (!children || children->kind != ATL_JSON_ARRAY)
			continue;
		for (const struct atl_json *item = children->child; item; item = item->next, order++) {
			int64_t child = item->kind == ATL_JSON_STRING
						? atl_exchange_keys_find(g->keys, g->count, item->string)
						: -1;
			if (child < 0 || child == (int64_t)i)
				continue;
			if (g->nodes[child].parent < 0)
				g->nodes[child].parent = (int64_t)i;
			if (g->nodes[child].parent == (int64_t)i)
				g->nodes[child].order = order;
		}
	}
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *left = *(struct node *const *)a, *right = *(struct node *const *)b;
	if (left->parent != right->parent)
		return left->parent < right->parent ? -1 : 1;
	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return (left->file_index > right->file_index) - (left->file_index < right->file_index);
}

/* Link each node's children in order; returns the nodes sorted by parent, roots first. */
static struct node **link_children(struct atl_arena *arena, struct graph *g)
{
	struct node **sorted = ATL_ARENA_ARRAY(arena, struct node *, g->count + 1);
	if (!sorted)
		return NULL;
	for (size_t i = 0; i < g->count; i++)
		sorted[i] = g->nodes + i;
	if (g->count)
		qsort(sorted, g->count, sizeof(struct node *), compare_nodes);
	for (size_t i = g->count; i-- > 0;) {
		struct node *parent = sorted[i]->parent >= 0 ? g->nodes + sorted[i]->parent : NULL;
		if (!parent)
			continue;
		sorted[i]->next = parent->first;
		parent->first = (int64_t)sorted[i]->file_index;
	}
	return sorted;
}

/* The text of a message that is kept; NULL: not kept, or out of memory (*failed). */
static const char *text_of(struct atl_arena *arena, const struct atl_json *message, bool *failed)
{
	const struct atl_json *content = atl_json_get(message, "content"), *parts = atl_json_get(content, "parts");
	struct atl_buf buf;
	if (!atl_str_eq(atl_json_str(content, "content_type", NULL), "text") || !parts || parts->kind != ATL_JSON_ARRAY)
		return NULL;
	atl_buf_init(&buf, ATL_EXCHANGE_BYTES_MAX);
	for (const struct atl_json *part = parts->child; part; part = part->next) {
		if (part->kind != ATL_JSON_STRING || !part->string_length)
			continue;
		if (buf.length)
			atl_buf_addc(&buf, '\n');
		atl_buf_add(&buf, part->string, part->string_length);
	}
	const char *text = buf.length && !buf.failed ? atl_arena_strndup(arena, buf.data, buf.length) : NULL;
	*failed = buf.failed || (buf.length && !text);
	atl_buf_finish(&buf);
	return text;
}

static enum atl_err visit(struct atl_arena *arena, struct graph *g, struct node *node, struct atl_exchange *e,
			  struct atl_errinfo *info)
{
	const struct atl_json *message = atl_json_get(node->value, "message");
	const char *role = atl_json_str(atl_json_get(message, "author"), "role", NULL);
	bool failed = false;
	node->kept = node->parent >= 0 && g->nodes[node->parent].seen ? g->nodes[node->parent].kept : -1;
	node->seen = true;
	role = atl_str_eq(role, "user") ? "user" : atl_str_eq(role, "assistant") ? "assistant" : NULL;
	const char *text = role ? text_of(arena, message, &failed) : NULL;
	if (failed)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	if (!text)
		return ATL_OK;
	struct atl_exchange_message item = {
		.parent = node->kept,
		.role = role,
		.content = text,
		.model = atl_json_str(atl_json_get(message, "metadata"), "model_slug", NULL),
		.created_at = atl_exchange_time(atl_json_get(message, "create_time"), true)};
	node->kept = (int64_t)e->count;
	return atl_exchange_add(arena, e, &item, info);
}

/* Parents before children, siblings in order. The stack never holds a node twice: a child has one parent. */
static enum atl_err walk(struct atl_arena *arena, struct graph *g, struct node *from, int64_t *stack,
			 struct atl_exchange *e, struct atl_errinfo *info)
{
	size_t depth = 0;
	enum atl_err err = ATL_OK;
	stack[depth++] = (int64_t)from->file_index;
	while (depth && !err) {
		struct node *node = g->nodes + stack[--depth];
		if (node->seen)
			continue;
		err = visit(arena, g, node, e, info);
		/* below first, beside later: that is the order of a conversation as it is read */
		if (node != from && node->next >= 0)
			stack[depth++] = node->next;
		if (node->first >= 0)
			stack[depth++] = node->first;
	}
	return err;
}

enum atl_err atl_exchange_parse_chatgpt(struct atl_arena *arena, const struct atl_json *root, struct atl_exchange *e,
					struct atl_errinfo *info)
{
	const struct atl_json *mapping = atl_json_get(root, "mapping");
	struct graph g = {0};
	if (!mapping || mapping->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_INVALID, "The conversation's `mapping` is not an object.");
	enum atl_err err = fill(arena, mapping, &g, info);
	if (err)
		return err;
	find_parents(&g);
	struct node **sorted = link_children(arena, &g);
	int64_t *stack = ATL_ARENA_ARRAY(arena, int64_t, g.count + 2);
	if (!sorted || !stack)
		return atl_fail(info, ATL_ERR_NOMEM, "conversation file");
	for (size_t i = 0; i < g.count && !err; i++)
		if (sorted[i]->parent < 0)
			err = walk(arena, &g, sorted[i], stack, e, info);
	for (size_t i = 0; i < g.count && !err; i++) /* circles, and what hangs on them */
		if (!g.nodes[i].seen)
			err = walk(arena, &g, g.nodes + i, stack, e, info);
	if (err)
		return err;
	e->title = atl_json_str(root, "title", "");
	e->created_at = atl_exchange_time(atl_json_get(root, "create_time"), true);
	int64_t current = atl_exchange_keys_find(g.keys, g.count, atl_json_str(root, "current_node", NULL));
	e->current = current >= 0 ? g.nodes[current].kept : -1;
	return ATL_OK;
}
