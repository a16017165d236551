/* support.h - a whole server without sockets for a handler test: database, loops, domain parts, a scripted model.
 *
 * Requests go through the real checks, routing, authorisation and handlers (atl_mock_* of net/http.h). The model that
 * answers is a script of provider/fake_chat.h (model_does()), put in by wrapping core/models/model.h at link time.
 *
 * Life cycle: site_create() .. site_destroy(), a site per test program or per test. With ATELIER_TEST_PG set the
 *             database is a fresh schema there, else SQLite in a temporary folder.
 * Threads:    the test's; replies run on site->loop and in the pool.
 * Limits:     one site at a time.
 */
#ifndef TESTS_HANDLER_SUPPORT_H
#define TESTS_HANDLER_SUPPORT_H

#include "../unit/db/support.h"
#include "api/api.h"
#include "core/access/identity.h"
#include "net/guard.h"
#include "provider/fake_chat.h"

#define WAIT_MS 60000 /* for what must come; only a failing test waits so long */

/* What the scripted model does. Strings and steps live until the replies have ended. */
struct model_script {
	struct atl_chat_script script;
	enum atl_err resolve_err; /* resolving fails instead */
	bool has_fallback;
	struct atl_chat_script fallback;
};

struct ears;
struct site {
	struct atl_app app;
	struct fixture store;
	struct atl_loop *loops[1];
	struct atl_loop *loop;
	struct atl_guard guard;
	struct atl_mock *mock;
	struct atl_server_options options;
	char key_path[96];
	char setup_token[ATL_TOKEN_SIZE];
	char folder[64], upload_dir[96], blob_dir[96], models_dir[96];
	struct ears *ears;
};

/* The kinds of jobs of sites created from now on, NULL-terminated; the picture kind unless set. */
struct atl_job_kind;
extern const struct atl_job_kind *const *site_kinds;

/* Who sends a request: header lines, NULL-terminated. */
struct person {
	char id[ATL_ID_SIZE];
	char session_id[ATL_ID_SIZE];
	char cookie[160], csrf[160], authorization[160];
	const char *headers[8];
};
extern const struct person nobody;

/* support_clock.c: site_create() begins it; held, it stands still until the next site. */
void clock_begin(void);
void clock_hold(void);
void clock_hold_at(int64_t ms); /* 0: it goes on */

struct site *site_create(void);
void site_destroy(struct site *site);
/* End the mock and the running parts and bring them up again on the same data, as a restart does. */
void site_restart(struct site *site);
/* The usual start of a test program: a site with an owner that is signed in by cookie. For group setup. */
int site_setup(void **state);
int site_teardown(void **state);

/* A user with a session: cookie, CSRF token and own origin. The first one is made an owner. */
void person_create(struct site *site, const char *name, enum atl_role role, struct person *out);
/* An API key of that user with these scopes (space separated), as Bearer. */
void person_key(struct site *site, const struct person *of, const char *scopes, struct person *out);
extern struct person owner; /* of site_setup() */

/* ---- asking: "POST /api/v1/..." ; body NULL: none ---- */
struct atl_req *ask(struct site *site, const struct person *who, const char *line, const char *body);
struct atl_req *ask_with(struct site *site, const struct person *who, const char *const *more, const char *line,
			 const char *body); /* with header lines added; NULL-terminated */
struct atl_req *ask_data(struct site *site, const struct person *who, const char *const *more, const char *line,
			 const void *body, size_t length);
/* printf into memory of the site, for lines and bodies */
const char *fmt(const char *format, ...) ATL_PRINTF(1, 2);

/* ---- looking at answers; all of them fail the test with the answer's text ---- */
struct atl_req *expect_(struct atl_req *req, int status, const char *file, int line);
#define expect(req, status) expect_((req), (status), __FILE__, __LINE__)
const struct atl_json *json_of(struct atl_req *req);
const char *text_at(struct atl_req *req, const char *path); /* "" when it is not a string */
int64_t int_at(struct atl_req *req, const char *path);	     /* -1 when it is not an integer */
bool is_null_at(struct atl_req *req, const char *path);	     /* there, and null */
size_t count_at(struct atl_req *req, const char *path);	     /* of an array or object */
void expect_problem_(struct atl_req *req, int status, const char *slug, const char *field, const char *file, int line);
#define expect_problem(req, status, slug, field) expect_problem_((req), (status), (slug), (field), __FILE__, __LINE__)

/* ---- shortcuts: create and return the id, in memory of the site ---- */
const char *make_character(struct site *site, const struct person *who, const char *name);
const char *make_conversation(struct site *site, const struct person *who, const char *character_id);
const char *add_message(struct site *site, const struct person *who, const char *conversation_id, const char *content);

/* A picture of ATELIER_PICTURES uploaded into the library; its bytes. */
const char *make_asset(struct site *site, const struct person *who, const char *file);
struct atl_buf load_picture(const char *file); /* atl_buf_finish() it */

/* The scripted picture service (provider/image_fake.c) as a provider; its models are <id>/picture, <id>/fail ... */
const char *scripted_pictures(struct site *site);
const char *base64_picture(const char *file); /* of ATELIER_PICTURES */

/* ---- events of a user, as lines {"id":..,"event":..,"data":..} ---- */
void ears_open(struct site *site, const char *user_id);
/* Wait until an event with both texts has come since ears_open() or ears_clear(); fails the test when it does not. */
const char *ears_wait(struct site *site, const char *event, const char *text);
void ears_clear(struct site *site);
const char *ears_all(struct site *site); /* everything heard; copy */
void ears_close(struct site *site);

/* ---- the scripted model (support_model.c); replies are prepared side by side in the pool ---- */
/* What it does with replies that are prepared from now on; a site begins with one that says nothing. */
void model_does(const struct model_script *does);
void model_says(struct atl_chat_script script); /* only this */
const char *model_wanted(void); /* the id that was asked for last, "": none; copy */

/* Run fn(arg) on the loop and wait for it. */
void site_on_loop(struct site *site, void (*fn)(void *arg), void *arg);

#endif
