/* json.c - reading a parsed tree. */
#include "base/json.h"

#include "base/str.h"

const struct atl_json *atl_json_get(const struct atl_json *object, const char *key)
{
	const struct atl_json *found = NULL;

	if (!object || object->kind != ATL_JSON_OBJECT)
		return NULL;
	for (const struct atl_json *node = object->child; node; node = node->next)
		if (strcmp(node->key, key) == 0)
			found = node;
	return found;
}

const struct atl_json *atl_json_at(const struct atl_json *array, size_t index)
{
	const struct atl_json *node;

	if (!array || array->kind != ATL_JSON_ARRAY || index >= array->count)
		return NULL;
	for (node = array->child; index > 0; index--)
		node = node->next;
	return node;
}

const struct atl_json *atl_json_path(const struct atl_json *root, const char *path)
{
	char part[128];

	while (root) {
		size_t length = strcspn(path, ".");
		uint64_t index;

		if (length >= sizeof(part))
			return NULL;
		memcpy(part, path, length);
		part[length] = '\0';
		if (root->kind == ATL_JSON_ARRAY)
			root = atl_str_u64(part, SIZE_MAX, &index) ? atl_json_at(root, (size_t)index) : NULL;
		else
			root = atl_json_get(root, part);
		if (!path[length])
			return root;
		path += length + 1;
	}
	return NULL;
}

const char *atl_json_str(const struct atl_json *object, const char *key, const char *fallback)
{
	const struct atl_json *node = atl_json_get(object, key);

	return node && node->kind == ATL_JSON_STRING ? node->string : fallback;
}

bool atl_json_integer(const struct atl_json *node, int64_t *ret)
{
	const double limit = 9007199254740992.0; /* 2^53: beyond it a double does not name one integer */

	if (!node || node->kind != ATL_JSON_NUMBER)
		return false;
	if (node->is_integer) {
		*ret = node->integer;
		return true;
	}
	if (!(node->number >= -limit && node->number <= limit) || node->number != (double)(int64_t)node->number)
		return false;
	*ret = (int64_t)node->number;
	return true;
}

int64_t atl_json_int(const struct atl_json *object, const char *key, int64_t fallback)
{
	int64_t value;

	return atl_json_integer(atl_json_get(object, key), &value) ? value : fallback;
}

double atl_json_num(const struct atl_json *object, const char *key, double fallback)
{
	const struct atl_json *node = atl_json_get(object, key);

	return node && node->kind == ATL_JSON_NUMBER ? node->number : fallback;
}

bool atl_json_bool(const struct atl_json *object, const char *key, bool fallback)
{
	const struct atl_json *node = atl_json_get(object, key);

	return node && node->kind == ATL_JSON_BOOL ? node->number != 0 : fallback;
}
