/* form.c - see form.h. */
#include "api/form.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

enum atl_err atl_form_read(struct atl_req *req, struct atl_form *ret, struct atl_errinfo *info)
{
	struct atl_part *parts;
	enum atl_err err = atl_multipart_parse(&req->arena, atl_req_header(req, "Content-Type"), req->body, req->body_length,
					       &parts, &ret->count, info);

	ret->parts = err ? NULL : parts;
	return err;
}

bool atl_form_is(const struct atl_req *req)
{
	const char *type = atl_req_header(req, "Content-Type");

	return type && strncasecmp(type, "multipart/", 10) == 0;
}

const char *atl_form_text(struct atl_req *req, const struct atl_form *form, const char *name)
{
	const struct atl_part *part = atl_multipart_find(form->parts, form->count, name);

	return part && !part->file_name && atl_utf8_valid(part->data, part->length) && !memchr(part->data, 0, part->length)
		       ? atl_arena_strndup(&req->arena, part->data, part->length)
		       : NULL;
}

enum atl_err atl_form_int(struct atl_req *req, const struct atl_form *form, const char *name, int64_t min, int64_t max,
			  int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_form_text(req, form, name);

	if (!atl_str_empty(text) && !atl_str_i64(text, min, max, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, name, "must be a whole number from %lld to %lld", (long long)min,
				      (long long)max);
	return ATL_OK;
}

enum atl_err atl_form_words(struct atl_req *req, const struct atl_form *form, const char *name, size_t max, const char **ret,
			    struct atl_errinfo *info)
{
	const struct atl_part *part = atl_multipart_find(form->parts, form->count, name);

	*ret = NULL;
	if (!part)
		return ATL_OK;
	if (part->length > max)
		return atl_fail_field(info, ATL_ERR_INVALID, name, "is longer than %zu bytes", max);
	*ret = atl_form_text(req, form, name);
	return *ret ? ATL_OK : atl_fail_field(info, ATL_ERR_INVALID, name, "must be text in UTF-8");
}

enum atl_err atl_form_choice(struct atl_req *req, const struct atl_form *form, const char *name, const char *const *values,
			     const char **ret, struct atl_errinfo *info)
{
	const char *text = atl_form_text(req, form, name);

	*ret = NULL;
	if (atl_str_empty(text))
		return ATL_OK;
	for (size_t i = 0; values[i]; i++)
		if (atl_str_eq(values[i], text))
			*ret = values[i];
	return *ret ? ATL_OK : atl_fail_field(info, ATL_ERR_INVALID, name, "does not know \"%.40s\"", text);
}
