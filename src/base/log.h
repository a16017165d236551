/* log.h - the process's log: one line per event, logfmt or JSON.
 *
 * Lines go to stderr or a file: time, level, module, message, and the request id of the calling thread if one is set.
 * Control characters in the message are escaped, so a line is always one line. Secrets never belong here; as a net
 * below the rope, registered secrets (atl_log_secret) are replaced by "[secret]".
 *
 * Life cycle: atl_log_init() once at start; before it, lines go to stderr at level info. atl_log_finish() at exit.
 * Threads:    every function from any thread; a line is written by one write().
 * Limits:     ATL_LOG_LINE_MAX bytes a line; longer ones are cut.
 */
#ifndef ATL_BASE_LOG_H
#define ATL_BASE_LOG_H

#include "base/err.h"

#define ATL_LOG_LINE_MAX 4096
#define ATL_LOG_SECRETS_MAX 64

enum atl_log_level { ATL_LOG_DEBUG, ATL_LOG_INFO, ATL_LOG_WARN, ATL_LOG_ERROR };
enum atl_log_format { ATL_LOG_LOGFMT, ATL_LOG_JSON };

/* `path` NULL: stderr. The file is created 0600 and appended to. */
enum atl_err atl_log_init(enum atl_log_level level, enum atl_log_format format, const char *path,
			  struct atl_errinfo *info) ATL_MUST_USE;
void atl_log_finish(void);
void atl_log_reopen(void); /* after the file was rotated (SIGHUP) */
void atl_log_secret(const char *secret); /* copies; shorter than 8 bytes is ignored */

/* The last lines that were written, oldest first, of this level and above; how many. Long ones are cut. */
#define ATL_LOG_TAIL_LINES 500
#define ATL_LOG_TAIL_TEXT 400
struct atl_log_line {
	enum atl_log_level level;
	char text[ATL_LOG_TAIL_TEXT];
};
size_t atl_log_tail(enum atl_log_level least, struct atl_log_line *out, size_t max);

void atl_log_request_set(const char *request_id); /* this thread; copied; NULL clears */
const char *atl_log_request_get(void);		  /* this thread; "" if none */

bool atl_log_enabled(enum atl_log_level level);
void atl_log_write(enum atl_log_level level, const char *module, const char *fmt, ...) ATL_PRINTF(3, 4);

#define atl_debug(module, ...)                                                     \
	(atl_log_enabled(ATL_LOG_DEBUG) ? atl_log_write(ATL_LOG_DEBUG, module, __VA_ARGS__) : (void)0)
#define atl_info(module, ...) atl_log_write(ATL_LOG_INFO, module, __VA_ARGS__)
#define atl_warn(module, ...) atl_log_write(ATL_LOG_WARN, module, __VA_ARGS__)
#define atl_error(module, ...) atl_log_write(ATL_LOG_ERROR, module, __VA_ARGS__)

#endif
