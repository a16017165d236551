/* form.h - fields of a multipart/form-data request. Only src/api includes it.
 *
 * Threads: the pool thread that has the request. Ownership: texts are in the request's arena.
 */
#ifndef ATL_API_FORM_H
#define ATL_API_FORM_H

#include "net/http.h"
#include "net/multipart.h"

struct atl_form {
	const struct atl_part *parts;
	size_t count;
};
enum atl_err atl_form_read(struct atl_req *req, struct atl_form *ret, struct atl_errinfo *info) ATL_MUST_USE;
bool atl_form_is(const struct atl_req *req); /* the body says that it is one */

/* NULL: not there, a file, or no text. */
const char *atl_form_text(struct atl_req *req, const struct atl_form *form, const char *name);
/* *ret stays when the field is missing or empty. INVALID names the field. */
enum atl_err atl_form_int(struct atl_req *req, const struct atl_form *form, const char *name, int64_t min, int64_t max,
			  int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* A text of at most `max` bytes; INVALID names the field when it is longer or not UTF-8. */
enum atl_err atl_form_words(struct atl_req *req, const struct atl_form *form, const char *name, size_t max, const char **ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* One of `values` (NULL-terminated); *ret stays NULL when the field is missing or empty. INVALID names the field. */
enum atl_err atl_form_choice(struct atl_req *req, const struct atl_form *form, const char *name, const char *const *values,
			     const char **ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
