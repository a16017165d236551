/* err.c - the error table and the helpers that fill struct atl_errinfo. */
#include "base/err.h"

#include <stdio.h>

#include "base/str.h"

struct row {
	const char *name;
	int status;
	const char *slug;
	const char *sentence;
	bool retryable;
};

static const struct row rows[ATL_ERR_COUNT] = {
	[ATL_OK] = { "ATL_OK", 200, "ok", "It worked.", false },
#define ATL_ERR_X(name, status, slug, sentence, retryable)                                                           \
	[ATL_ERR_##name] = { "ATL_ERR_" #name, status, slug, sentence, retryable },
	ATL_ERR_LIST(ATL_ERR_X)
#undef ATL_ERR_X
};

/* A value outside the table can only come from a mistake of ours. */
static const struct row *row_of(enum atl_err err)
{
	return &rows[(unsigned)err < ATL_ERR_COUNT ? err : ATL_ERR_INTERNAL];
}

const char *atl_err_name(enum atl_err err)
{
	return row_of(err)->name;
}

int atl_err_status(enum atl_err err)
{
	return row_of(err)->status;
}

const char *atl_err_slug(enum atl_err err)
{
	return row_of(err)->slug;
}

const char *atl_err_sentence(enum atl_err err)
{
	return row_of(err)->sentence;
}

bool atl_err_retryable(enum atl_err err)
{
	return row_of(err)->retryable;
}

/* Formats beside the old detail first: the arguments may point into it. */
static void set_detail(struct atl_errinfo *info, bool keep_old, const char *fmt, va_list args) ATL_PRINTF(3, 0);
static void set_detail(struct atl_errinfo *info, bool keep_old, const char *fmt, va_list args)
{
	char text[2 * ATL_ERRINFO_DETAIL_MAX];
	int length = vsnprintf(text, sizeof(text), fmt, args);

	if (length < 0)
		length = 0;
	if ((size_t)length >= sizeof(text))
		length = sizeof(text) - 1;
	text[length] = '\0';
	if (keep_old && info->detail[0])
		snprintf(text + length, sizeof(text) - (size_t)length, ": %s", info->detail);
	(void)atl_str_copy(info->detail, sizeof(info->detail), text);
}

enum atl_err atl_fail(struct atl_errinfo *info, enum atl_err err, const char *fmt, ...)
{
	va_list args;

	if (!info)
		return err;
	va_start(args, fmt);
	set_detail(info, false, fmt, args);
	va_end(args);
	info->code = err;
	info->field[0] = '\0';
	info->quota[0] = '\0';
	return err;
}

enum atl_err atl_fail_field(struct atl_errinfo *info, enum atl_err err, const char *field, const char *fmt, ...)
{
	char copy[ATL_ERRINFO_FIELD_MAX];
	va_list args;

	if (!info)
		return err;
	(void)atl_str_copy(copy, sizeof(copy), field);
	va_start(args, fmt);
	set_detail(info, false, fmt, args);
	va_end(args);
	info->code = err;
	info->quota[0] = '\0';
	(void)atl_str_copy(info->field, sizeof(info->field), copy);
	return err;
}

enum atl_err atl_fail_context(struct atl_errinfo *info, enum atl_err err, const char *fmt, ...)
{
	va_list args;

	if (!info)
		return err;
	va_start(args, fmt);
	set_detail(info, true, fmt, args);
	va_end(args);
	info->code = err;
	return err;
}
