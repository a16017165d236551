/* child.h - child processes: the one function that spawns, and a supervisor that keeps one running.
 *
 * Children get only the environment given here (never ours), close-on-exec descriptors, and die with the server
 * (PR_SET_PDEATHSIG). Their output goes to a ring of lines that can be read for the interface, and to the log at debug.
 *
 * Life cycle: atl_child_spawn() .. on_exit. atl_super_create() .. atl_super_destroy() (stops the child and waits).
 * Threads:    the given loop's thread; atl_super_state()/log() from any.
 * Limits:     ATL_CHILD_LOG_LINES lines kept; back-off ATL_SUPER_BACKOFF_MIN_MS doubling to _MAX_MS, reset after
 *             ATL_SUPER_STABLE_MS healthy.
 */
#ifndef ATL_OS_CHILD_H
#define ATL_OS_CHILD_H

#include "os/loop.h"

#define ATL_CHILD_LOG_LINES 400
#define ATL_CHILD_LOG_LINE_MAX 500
#define ATL_SUPER_BACKOFF_MIN_MS 500
#define ATL_SUPER_BACKOFF_MAX_MS 30000
#define ATL_SUPER_STABLE_MS 60000
#define ATL_SUPER_MISSES_MAX 3 /* reports of "not healthy" in a row after which a healthy child counts as hung: KILL */

struct atl_child;
struct atl_child_spec {
	const char *path;	  /* absolute program path */
	const char *const *argv;  /* NULL-terminated, argv[0] included */
	const char *const *env;	  /* NULL-terminated "K=V"; NULL: only PATH and LANG */
	const char *cwd;	  /* NULL: inherited */
	int pass_fd;		  /* becomes descriptor 3 in the child; -1: none */
};

/* on_line: a line of stdout or stderr (may be NULL). on_exit: exactly once. Strings in `spec` are copied. */
enum atl_err atl_child_spawn(struct atl_loop *loop, const struct atl_child_spec *spec,
			     void (*on_line)(void *arg, const char *line),
			     void (*on_exit)(void *arg, int exit_code, int signal), void *arg, struct atl_child **ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
int atl_child_pid(const struct atl_child *child);
void atl_child_kill(struct atl_child *child, int signal);
void atl_child_destroy(struct atl_child *child); /* SIGKILL if it still runs; callbacks stop */

/* ---- supervisor ---- */
enum atl_super_state { ATL_SUPER_STOPPED, ATL_SUPER_STARTING, ATL_SUPER_HEALTHY, ATL_SUPER_BACKOFF, ATL_SUPER_STOPPING };

struct atl_super;
struct atl_super_ops {
	/* Fill in how to start it this time (key, socket path...). Strings must stay valid until the next call. */
	enum atl_err (*prepare)(void *arg, struct atl_child_spec *spec, struct atl_errinfo *info);
	/* Ask whether it is healthy; answer by atl_super_report(). Called every health_interval_ms,
	 * and every watch_interval_ms while it is healthy. */
	void (*probe)(void *arg, struct atl_super *super);
	void (*on_state)(void *arg, enum atl_super_state state, const char *why); /* may be NULL */
};
struct atl_super_options {
	const char *name;	    /* for the log */
	unsigned start_timeout_ms;  /* not healthy by then: killed and tried again */
	unsigned health_interval_ms;
	unsigned watch_interval_ms; /* 0: health_interval_ms */
	unsigned stop_grace_ms;	    /* TERM, then KILL */
};
enum atl_err atl_super_create(struct atl_loop *loop, const struct atl_super_options *options,
			      const struct atl_super_ops *ops, void *arg, struct atl_super **ret) ATL_MUST_USE;
void atl_super_start(struct atl_super *super);	 /* any thread */
void atl_super_stop(struct atl_super *super);	 /* any thread; ends in STOPPED */
void atl_super_restart(struct atl_super *super); /* any thread; without back-off */
void atl_super_report(struct atl_super *super, bool healthy); /* loop thread */
enum atl_super_state atl_super_get_state(const struct atl_super *super); /* any thread */
const char *atl_super_state_name(enum atl_super_state state); /* "stopped", "starting", "healthy", ... */
/* Copy the last lines, newest last, into `out`; `why` gets the last failure in words. Any thread. */
void atl_super_log(const struct atl_super *super, struct atl_buf *out, char *why, size_t why_size);
unsigned atl_super_restarts(const struct atl_super *super);
void atl_super_destroy(struct atl_super *super); /* any thread but the loop's; waits for the child's end */

#endif
