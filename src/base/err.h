/* err.h - every error the server can answer with, as one table.
 *
 * Functions that can fail return enum atl_err and are ATL_MUST_USE. Details for people go to a caller-owned
 * struct atl_errinfo (NULL is allowed: the details are then dropped). Out-parameters are set only on success.
 *
 * Threads:    pure functions.
 * Adding one: a line in ATL_ERR_LIST; the slug is public and never changes afterwards.
 */
#ifndef ATL_BASE_ERR_H
#define ATL_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATL_MUST_USE __attribute__((warn_unused_result))
#define ATL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* name, HTTP status, slug, sentence (title of the problem document), retryable */
#define ATL_ERR_LIST(X)                                                                                              \
	X(NOMEM, 503, "out_of_memory", "The server is out of memory.", true)                                         \
	X(INTERNAL, 500, "internal", "Something failed inside the server.", false)                                   \
	X(IO, 500, "io", "Reading or writing a file failed.", false)                                                 \
	X(DB, 500, "database", "The database refused an operation.", false)                                          \
	X(DB_BUSY, 503, "database_busy", "The database is busy.", true)                                              \
	X(SCHEMA_NEWER, 500, "schema_newer", "The database was written by a newer version of Atelier.", false)       \
	X(CONFIG, 500, "config", "The configuration has a mistake.", false)                                          \
	X(INVALID, 400, "invalid_request", "The request has a mistake.", false)                                      \
	X(JSON, 400, "invalid_json", "The body is not valid JSON.", false)                                           \
	X(ENCODING, 400, "invalid_encoding", "The text is not valid UTF-8.", false)                                  \
	X(AUTH, 401, "not_signed_in", "Sign in first.", false)                                                       \
	X(CREDENTIALS, 401, "bad_credentials", "The name or the password is wrong.", false)                          \
	X(SECOND_FACTOR, 401, "second_factor_required", "Enter the code of your authenticator app.", false)          \
	X(KEY, 401, "invalid_api_key", "The API key is not valid.", false)                                           \
	X(KEY_EXPIRED, 401, "api_key_expired", "The API key has expired.", false)                                    \
	X(FORBIDDEN, 403, "forbidden", "Your role does not allow this.", false)                                      \
	X(FEATURE_NOT_ALLOWED, 403, "feature_not_allowed", "Your role does not have this.", false)                   \
	X(MODEL_NOT_ALLOWED, 403, "model_not_allowed", "This model is not open to you.", false)                      \
	X(STORAGE_FULL, 403, "storage_full", "Your room for files is used up.", false)                               \
	X(KEY_ADDRESS, 403, "api_key_address", "The API key does not work from this address.", false)                \
	X(IMPERSONATED, 403, "not_while_impersonating", "This is not possible in another person's name.", false)     \
	X(ORIGIN, 403, "foreign_origin", "The request came from another site.", false)                               \
	X(CSRF, 403, "csrf", "The request lacks the page's token. Reload the page.", false)                          \
	X(POLICY, 403, "refused_by_policy", "This request is refused by the safety rules.", false)                   \
	X(MODE_NOT_OFFERED, 403, "mode_not_offered", "Atelier does not offer this.", false)                          \
	X(OUTBOUND, 403, "outbound_refused", "This address may not be reached.", false)                              \
	X(NOT_FOUND, 404, "not_found", "There is nothing here.", false)                                              \
	X(METHOD, 405, "method_not_allowed", "This address does not take that method.", false)                       \
	X(TIMEOUT, 408, "request_timeout", "The request took too long to arrive.", true)                             \
	X(CONFLICT, 409, "conflict", "This does not fit the current state.", false)                                  \
	X(GONE, 410, "gone", "This is no longer here.", false)                                                       \
	X(PRECONDITION, 412, "precondition_failed", "It was changed meanwhile. Reload and try again.", false)        \
	X(TOO_LARGE, 413, "too_large", "The request is larger than allowed.", false)                                 \
	X(URI_TOO_LONG, 414, "uri_too_long", "The address is longer than allowed.", false)                           \
	X(MEDIA_TYPE, 415, "unsupported_media_type", "This content type is not accepted here.", false)               \
	X(RANGE, 416, "range_not_satisfiable", "The asked range is outside the file.", false)                        \
	X(HOST, 421, "unknown_host", "This server does not answer for that host name.", false)                       \
	X(UNPROCESSABLE, 422, "unprocessable", "The content cannot be used.", false)                                 \
	X(PICTURE, 422, "bad_picture", "The picture cannot be read.", false)                                         \
	X(CONTEXT, 400, "context_too_long", "The text is longer than the model's context.", false)                   \
	X(THROTTLED, 429, "throttled", "Too many attempts. Wait a moment.", true)                                    \
	X(RATE_LIMITED, 429, "rate_limited", "Too many requests. Wait a moment.", true)                              \
	X(QUOTA, 429, "quota_exceeded", "Your allowance is used up.", false)                                         \
	X(COST, 402, "cost_ceiling", "This would cost more than was allowed for it.", false)                         \
	X(HEADERS_TOO_LARGE, 431, "headers_too_large", "The request's headers are larger than allowed.", false)      \
	X(CANCELLED, 499, "cancelled", "It was stopped.", false)                                                     \
	X(UNSUPPORTED, 501, "unsupported", "This is not supported.", false)                                          \
	X(UPSTREAM, 502, "upstream_failed", "The provider failed.", true)                                            \
	X(UPSTREAM_AUTH, 502, "upstream_key_refused", "The provider refused the key.", false)                        \
	X(UPSTREAM_QUOTA, 502, "upstream_quota", "The account at the provider has no credit left.", false)           \
	X(UPSTREAM_RATE, 429, "upstream_rate_limited", "The provider asks to slow down.", true)                      \
	X(UPSTREAM_MODEL, 404, "model_not_found", "The provider does not have this model.", false)                   \
	X(UPSTREAM_REFUSED, 422, "content_refused", "The provider refused the content.", false)                      \
	X(UPSTREAM_FORMAT, 502, "upstream_malformed", "The provider's answer cannot be read.", true)                 \
	X(UPSTREAM_CUT, 502, "upstream_cut", "The connection to the provider broke.", true)                          \
	X(UNAVAILABLE, 503, "unavailable", "This is not available right now.", true)                                 \
	X(NO_MODEL, 503, "no_model", "No language model is ready.", true)                                            \
	X(INTERRUPTED, 500, "interrupted", "The server stopped while this was being worked on.", true)               \
	X(SHUTDOWN, 503, "shutting_down", "The server is shutting down.", true)                                      \
	X(DISK, 507, "disk_full", "There is not enough disk space.", false)                                          \
	X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", "The provider took too long to answer.", true)

enum atl_err {
	ATL_OK = 0,
#define ATL_ERR_X(name, status, slug, sentence, retryable) ATL_ERR_##name,
	ATL_ERR_LIST(ATL_ERR_X)
#undef ATL_ERR_X
		ATL_ERR_COUNT
};

#define ATL_ERRINFO_DETAIL_MAX 512
#define ATL_ERRINFO_FIELD_MAX 96
#define ATL_ERRINFO_QUOTA_MAX 256

/* What a person needs beside the code. Zero-initialise before the first use. */
struct atl_errinfo {
	enum atl_err code;
	int retry_after_s;                    /* 0: not known */
	char field[ATL_ERRINFO_FIELD_MAX];    /* JSON path of the offending field, or "" */
	char detail[ATL_ERRINFO_DETAIL_MAX];  /* one or two sentences, or "" */
	char quota[ATL_ERRINFO_QUOTA_MAX];    /* QUOTA: which one and until when, a JSON object (core/books/quota.h), or "" */
};

const char *atl_err_name(enum atl_err err);     /* "ATL_ERR_NOMEM" */
int atl_err_status(enum atl_err err);           /* HTTP status; 200 for ATL_OK */
const char *atl_err_slug(enum atl_err err);     /* "out_of_memory" */
const char *atl_err_sentence(enum atl_err err); /* "The server is out of memory." */
bool atl_err_retryable(enum atl_err err);

/* Record `err` with a formatted detail in `info` and return `err`, for `return atl_fail(...)`. */
enum atl_err atl_fail(struct atl_errinfo *info, enum atl_err err, const char *fmt, ...) ATL_PRINTF(3, 4);

/* As atl_fail(), and names the offending field (JSON path). */
enum atl_err atl_fail_field(struct atl_errinfo *info, enum atl_err err, const char *field, const char *fmt, ...)
	ATL_PRINTF(4, 5);

/* Put "context: " in front of the detail that is there (a field stays named), make `err` the code and return it. */
enum atl_err atl_fail_context(struct atl_errinfo *info, enum atl_err err, const char *fmt, ...) ATL_PRINTF(3, 4);

#endif
