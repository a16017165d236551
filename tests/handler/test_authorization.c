/* Who may do what: every route of every table, asked by every kind of identity, answers as its permission says. The
 * handlers are replaced by one that only says that it was reached; then the true ones are asked for other people's
 * objects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/jobs/job.h"
#include "support.h"

#define REACHED 299
#define ROUTES_MAX 64
#define TABLES_MAX 64

/* ---- the tables with another handler ---- */

static struct atl_route rows[TABLES_MAX][ROUTES_MAX];
static const struct atl_route *tables[TABLES_MAX + 1];

static void reached(struct atl_req *req)
{
	atl_res_empty(req, REACHED);
	if (req->route->flags & ATL_ROUTE_LOOP)
		atl_res_send(req);
}

static void copy_tables(void)
{
	for (size_t t = 0; atl_api_tables[t]; t++) {
		size_t r;

		assert_true(t < TABLES_MAX);
		for (r = 0; atl_api_tables[t][r].path; r++) {
			assert_true(r + 1 < ROUTES_MAX);
			rows[t][r] = atl_api_tables[t][r];
			rows[t][r].handler = reached;
		}
		tables[t] = rows[t];
	}
}

/* ---- the identities ---- */

enum standing { NOBODY, STALE, SIGNED_IN };
struct identity {
	const char *name;
	enum standing standing;
	uint32_t permissions;
	bool cookie, own_page, token; /* of requests by cookie: what proves our own page */
	struct person person;
};
enum { NO_ONE, OWNER, OWNER_BARE, OWNER_NO_TOKEN, OWNER_FOREIGN, OWNER_CROSS_SITE, USER, ADMIN, MODERATOR,
       GUEST, CUSTOM, GUESTS_KEY, CUSTOM_KEY, KEY_CHAT, KEY_CHARACTERS,
       KEY_MODELS, KEY_ADMIN, KEY_USERS_ADMIN, KEY_X, KEY_REVOKED, KEY_EXPIRED, KEY_WRONG, COOKIE_WRONG,
       SUSPENDED, SUSPENDED_KEY, ADMINS_KEY, MODERATORS_KEY, X_ADMIN, X_GUEST, X_CUSTOM, X_REVOKED, X_EXPIRED, X_SUSPENDED, IDENTITIES };
static struct identity identities[IDENTITIES];

static uint32_t scope(const char *name)
{
	uint32_t mask = 0;

	assert_true(atl_scope_permissions(name, &mask));
	return mask | ATL_PERM_BIT(ATL_PERM_PUBLIC) | ATL_PERM_BIT(ATL_PERM_SESSION);
}

static void cookie_identity(int index, const char *name, const struct person *of, const char *csrf, const char *from)
{
	struct identity *identity = &identities[index];
	size_t count = 0;

	identity->name = name;
	identity->standing = SIGNED_IN;
	identity->permissions = atl_role_permissions(of == &owner ? ATL_ROLE_OWNER : ATL_ROLE_MEMBER);
	identity->cookie = true;
	identity->token = csrf != NULL;
	identity->own_page = atl_str_eq(from, "Origin: http://localhost");
	identity->person.headers[count++] = of->cookie;
	if (csrf)
		identity->person.headers[count++] = csrf;
	if (from)
		identity->person.headers[count++] = from;
}

static void key_identity(struct site *site, int index, const char *name, const struct person *of, const char *scopes)
{
	struct identity *identity = &identities[index];

	identity->name = name;
	identity->standing = SIGNED_IN;
	identity->permissions = scope(scopes) & atl_role_permissions(of == &owner ? ATL_ROLE_OWNER : ATL_ROLE_MEMBER);
	person_key(site, of, scopes, &identity->person);
	identity->person.headers[0] = identity->person.authorization;
}

static struct person user, admin, moderator, guest, custom, suspended;

/* Somebody with another role than owner or member, by cookie from our own page. */
static void role_identity(int index, const char *name, const struct person *of, uint32_t permissions)
{
	cookie_identity(index, name, of, of->csrf, "Origin: http://localhost");
	identities[index].permissions = permissions;
}

/* The same key in the other header. */
static void x_identity(int index, const char *name, int of)
{
	struct identity *identity = &identities[index];

	*identity = identities[of];
	identity->name = name;
	identity->person.headers[0] = fmt("x-api-key: %s", identities[of].person.authorization + strlen("Authorization: Bearer "));
}

/* Made while all was well. */
static void make_suspended(struct site *site)
{
	key_identity(site, SUSPENDED_KEY, "suspended person's key", &suspended, "admin");
	expect(ask(site, &identities[SUSPENDED_KEY].person, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &owner, fmt("POST /api/v1/users/%s/suspend", suspended.id), "{}"), 200);
	identities[SUSPENDED_KEY].standing = STALE;
	identities[SUSPENDED] = (struct identity){ .name = "suspended person" };
	identities[SUSPENDED].person.headers[0] = suspended.cookie;
	identities[SUSPENDED].person.headers[1] = suspended.csrf;
	identities[SUSPENDED].person.headers[2] = "Origin: http://localhost";
}

/* A role that an operator made: characters, and nothing of chat. Keys were made while both were members. */
static void make_roles(struct site *site)
{
	uint32_t basic = atl_role_permissions(ATL_ROLE_CUSTOM);

	execute(site->app.db, "INSERT INTO roles (id, name, name_folded, permissions, version, created_at, updated_at) VALUES "
			      "('rol_1', 'Scribe', 'scribe', '[\"characters.use\",\"audit.read\",\"no such\"]', 1, 1, 1)");
	key_identity(site, GUESTS_KEY, "guest's key: admin", &guest, "admin");
	key_identity(site, CUSTOM_KEY, "custom role's key: admin", &custom, "admin");
	execute(site->app.db, fmt("UPDATE users SET role = 'guest' WHERE id = '%s'", guest.id));
	execute(site->app.db, fmt("UPDATE users SET role = 'rol_1' WHERE id = '%s'", custom.id));
	atl_auth_forget_user(site->app.auth, guest.id);
	atl_auth_forget_user(site->app.auth, custom.id);
	role_identity(ADMIN, "admin", &admin, atl_role_permissions(ATL_ROLE_ADMIN));
	role_identity(MODERATOR, "moderator", &moderator, atl_role_permissions(ATL_ROLE_MODERATOR));
	role_identity(GUEST, "guest", &guest, atl_role_permissions(ATL_ROLE_GUEST));
	role_identity(CUSTOM, "custom role", &custom, basic | ATL_PERM_BIT(ATL_PERM_CHARACTERS_USE) |
						      ATL_PERM_BIT(ATL_PERM_AUDIT_READ));
	identities[GUESTS_KEY].permissions = identities[GUEST].permissions & scope("admin");
	identities[CUSTOM_KEY].permissions = identities[CUSTOM].permissions & scope("admin");
}

/* The session says what it may, in names. */
static void test_session_names_its_permissions(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &identities[CUSTOM].person, "GET /api/v1/session", NULL), 200);
	const char *text = fmt("%s", req->out.data);

	assert_string_equal(text_at(req, "user.role"), "rol_1");
	assert_string_equal(text_at(req, "user.role_name"), "Scribe");
	assert_non_null(strstr(text, "\"characters.use\""));
	assert_non_null(strstr(text, "\"audit.read\""));
	assert_null(strstr(text, "\"chat.use\""));
	assert_null(strstr(text, "\"people.manage\""));
	req = expect(ask(site, &admin, "GET /api/v1/status", NULL), 200);
	assert_non_null(strstr(req->out.data, "\"people.manage\""));
	req = expect(ask(site, &nobody, "GET /api/v1/status", NULL), 200);
	assert_int_equal(count_at(req, "permissions"), 1); /* "public" */
}

static void make_identities(struct site *site)
{
	struct person *revoked = &identities[KEY_REVOKED].person;
	struct atl_req *req;

	identities[NO_ONE] = (struct identity){ .name = "nobody" };
	cookie_identity(OWNER, "owner", &owner, owner.csrf, "Origin: http://localhost");
	cookie_identity(OWNER_BARE, "owner's cookie alone", &owner, NULL, NULL);
	cookie_identity(OWNER_NO_TOKEN, "owner, own page, no token", &owner, NULL, "Origin: http://localhost");
	cookie_identity(OWNER_FOREIGN, "owner, foreign page", &owner, owner.csrf, "Origin: https://evil.example");
	cookie_identity(OWNER_CROSS_SITE, "owner, other site", &owner, owner.csrf, "Sec-Fetch-Site: cross-site");
	cookie_identity(USER, "second user", &user, user.csrf, "Origin: http://localhost");
	make_roles(site);
	key_identity(site, KEY_CHAT, "key: chat", &owner, "chat");
	key_identity(site, KEY_CHARACTERS, "key: characters", &owner, "characters");
	key_identity(site, KEY_MODELS, "key: models", &owner, "models");
	key_identity(site, KEY_ADMIN, "key: admin", &owner, "admin");
	key_identity(site, KEY_USERS_ADMIN, "second user's key: admin", &user, "admin");
	key_identity(site, KEY_X, "x-api-key: chat", &owner, "chat");
	identities[KEY_X].person.headers[0] =
		fmt("x-api-key: %s", identities[KEY_X].person.authorization + strlen("Authorization: Bearer "));
	key_identity(site, KEY_REVOKED, "revoked key", &owner, "admin");
	expect(ask(site, revoked, "GET /api/v1/me", NULL), 200);
	expect(ask(site, &owner, fmt("DELETE /api/v1/keys/%s", revoked->session_id), NULL), 204);
	identities[KEY_REVOKED].standing = STALE;
	key_identity(site, KEY_EXPIRED, "expired key", &owner, "admin");
	execute(site->app.db, fmt("UPDATE api_keys SET expires_at = 1000 WHERE id = '%s'",
				  identities[KEY_EXPIRED].person.session_id));
	atl_auth_forget(site->app.auth, identities[KEY_EXPIRED].person.session_id);
	identities[KEY_EXPIRED].standing = STALE;
	req = expect(ask(site, &identities[KEY_EXPIRED].person, "GET /api/v1/me", NULL), 401);
	assert_string_equal(text_at(req, "slug"), "api_key_expired");
	identities[KEY_WRONG] = (struct identity){ .name = "wrong key", .standing = STALE };
	identities[KEY_WRONG].person.headers[0] = "Authorization: Bearer atl_0000000000000000000000000000000000000000000";
	identities[COOKIE_WRONG] = (struct identity){ .name = "stale cookie" };
	make_suspended(site);
	key_identity(site, ADMINS_KEY, "admin's key: admin", &admin, "admin");
	identities[ADMINS_KEY].permissions = atl_role_permissions(ATL_ROLE_ADMIN) & scope("admin");
	key_identity(site, MODERATORS_KEY, "moderator's key: admin", &moderator, "admin");
	identities[MODERATORS_KEY].permissions = atl_role_permissions(ATL_ROLE_MODERATOR) & scope("admin");
	x_identity(X_ADMIN, "x-api-key: admin's", ADMINS_KEY);
	x_identity(X_GUEST, "x-api-key: guest's", GUESTS_KEY);
	x_identity(X_CUSTOM, "x-api-key: custom role's", CUSTOM_KEY);
	x_identity(X_REVOKED, "x-api-key: revoked", KEY_REVOKED);
	x_identity(X_EXPIRED, "x-api-key: expired", KEY_EXPIRED);
	x_identity(X_SUSPENDED, "x-api-key: suspended person's", SUSPENDED_KEY);
	identities[COOKIE_WRONG].person.headers[0] = "Cookie: " ATL_COOKIE_NAME "=0000000000000000000000000000000000000000000";
}

/* What must happen, said a second time and independently of authorize.c. */
static int wanted_status(const struct atl_route *route, const struct identity *identity)
{
	enum atl_permission perm;
	bool changes = route->method != ATL_GET && route->method != ATL_HEAD;

	assert_true(atl_permission_find(route->permission, &perm));
	if (identity->standing == STALE)
		return 401;
	if (perm == ATL_PERM_PUBLIC) {
		bool foreign = identity == &identities[OWNER_FOREIGN] || identity == &identities[OWNER_CROSS_SITE];

		return changes && foreign ? 403 : REACHED;
	}
	if (identity->standing == NOBODY)
		return 401;
	if (changes && identity->cookie && !(identity->own_page && identity->token))
		return 403;
	return identity->permissions & ATL_PERM_BIT(perm) ? REACHED : 403;
}

/* "{id}" becomes something of the right form, "{name*}" two levels. */
static const char *concrete(const char *path)
{
	struct atl_buf out;
	const char *text;

	atl_buf_init(&out, 1024);
	for (; *path; path++) {
		if (*path != '{') {
			atl_buf_addc(&out, *path);
			continue;
		}
		path += strcspn(path, "}");
		atl_buf_adds(&out, path[-1] == '*' ? "a/b" : "abc");
	}
	text = fmt("%s", out.data);
	atl_buf_finish(&out);
	return text;
}

static void test_matrix(void **state)
{
	struct site *site = *state;
	struct atl_server_options options = site->options;
	struct atl_mock *mock;
	int routes = 0, wrong = 0;

	make_identities(site);
	copy_tables();
	options.tables = tables;
	mock = atl_mock_create(&options);
	assert_non_null(mock);
	for (size_t t = 0; tables[t]; t++) {
		for (const struct atl_route *route = tables[t]; route->path; route++, routes++) {
			const char *path = concrete(route->path);

			for (size_t i = 0; i < IDENTITIES; i++) {
				struct atl_req *req = atl_mock_request(mock, atl_method_name(route->method), path,
								       identities[i].person.headers, NULL);
				int wanted = wanted_status(route, &identities[i]);

				if (req->status == wanted)
					continue;
				print_error("%s %s (%s) as %s: %d instead of %d\n", atl_method_name(route->method), route->path,
					    route->permission, identities[i].name, req->status, wanted);
				wrong++;
			}
		}
	}
	atl_mock_destroy(mock);
	assert_int_equal(wrong, 0);
	assert_true(routes > 50);
}

/* Every identity at the door of the socket: a cookie must come from our own page, a key from anywhere. Runs after the matrix,
 * whose identities it takes. */
static void test_socket_matrix(void **state)
{
	static const char *const upgrade[] = { "Upgrade: websocket", "Connection: Upgrade", NULL };
	struct site *site = *state;
	struct atl_server_options options = site->options;
	struct atl_mock *mock;
	int wrong = 0;

	options.tables = tables;
	mock = atl_mock_create(&options);
	assert_non_null(mock);
	for (size_t i = 0; i < IDENTITIES; i++) {
		const struct identity *identity = &identities[i];
		const char *headers[ATL_COUNT(identity->person.headers) + ATL_COUNT(upgrade)];
		bool may = identity->permissions & ATL_PERM_BIT(ATL_PERM_CHAT_USE);
		int wanted = identity->standing != SIGNED_IN ? 401 :
			     (identity->cookie && !identity->own_page) || !may ? 403 : REACHED;
		struct atl_req *req;
		size_t count = 0;

		for (size_t k = 0; identity->person.headers[k]; k++)
			headers[count++] = identity->person.headers[k];
		for (size_t k = 0; k < ATL_COUNT(upgrade); k++)
			headers[count++] = upgrade[k];
		req = atl_mock_request(mock, "GET", "/api/v1/ws", headers, NULL);
		if (req->status == wanted)
			continue;
		print_error("the socket as %s: %d instead of %d\n", identity->name, req->status, wanted);
		wrong++;
	}
	atl_mock_destroy(mock);
	assert_int_equal(wrong, 0);
}

/* A page elsewhere cannot open a WebSocket with our cookie. */
static void test_socket_needs_own_page(void **state)
{
	static const char *const plain[] = { "Upgrade: websocket", "Connection: Upgrade", NULL };
	static const char *const foreign[] = { "Upgrade: websocket", "Connection: Upgrade", "Origin: http://evil.example",
					       NULL };
	struct person bare = { .headers = { owner.cookie, NULL } };

	expect_problem(ask_with(*state, &bare, plain, "GET /api/v1/ws", NULL), 403, "foreign_origin", NULL);
	expect_problem(ask_with(*state, &bare, foreign, "GET /api/v1/ws", NULL), 403, "foreign_origin", NULL);
}

/* ---- other people's objects ---- */

struct object {
	const char *prefix; /* of the route's path */
	const char *id;
};

/* It waits for a day that does not come. */
static const char *make_job(struct site *site, const char *task)
{
	struct atl_job_new new = { .kind = "picture", .task = task, .origin = "api", .model = "m", .provider_id = "local",
				   .prompt = "a boat", .request = "{}", .not_before = atl_now_ms() + 86400000 };
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;
	const char *id;

	atl_identity_internal(&identity, owner.id, "Olga", ATL_ROLE_OWNER);
	atl_arena_init(&arena, 0);
	assert_ok(atl_job_submit(&site->app, &identity, &arena, &new, &job, &info), &info);
	id = fmt("%s", job.id);
	atl_arena_finish(&arena);
	return id;
}

static enum atl_err insert_delivery(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"INSERT INTO webhook_deliveries (id, user_id, job_id, url, event, payload, state, attempt, response_status, "
			"created_at, updated_at) VALUES (?, ?, 'job_x', 'https://192.0.2.1/', 'job.done', '{}', 'failed', 1, 500, 1, 1)",
			"ss", (const char *)arg, owner.id);
}

static const char *make_delivery(struct site *site)
{
	struct atl_errinfo info = { 0 };
	char id[ATL_ID_SIZE];

	atl_id_new("whd", id);
	assert_ok(atl_db_tx(site->app.db, insert_delivery, id, &info), &info);
	return fmt("%s", id);
}

static const char *make_passkey(struct site *site)
{
	char id[ATL_ID_SIZE];

	atl_id_new("psk", id);
	execute(site->app.db, fmt("INSERT INTO passkeys (id, user_id, name, rp_id, credential_id, public_key, alg, sign_count, synced, "
				  "created_at) VALUES ('%s', '%s', 'Mine', 'localhost', '%s', 'a', -7, 0, 0, 1)", id, owner.id, id));
	return fmt("%s", id);
}

/* The owner's link with a sign-in service. */
static const char *make_login(struct site *site)
{
	char id[ATL_ID_SIZE];

	atl_id_new("lgn", id);
	execute(site->app.db, fmt("INSERT INTO external_logins (id, issuer, subject, user_id, label, created_at) VALUES "
				  "('%s', 'https://id.example', '%s', '%s', '', 1)", id, id, owner.id));
	return fmt("%s", id);
}

/* What a moderator decided about something of the owner's, and the word about it. */
static const char *make_notice(struct site *site)
{
	execute(site->app.db, fmt("INSERT INTO reports (id, target_kind, target_id, owner_id, kind, state, voices, due_at, "
				  "decision, reason, answer, decided_at, appeal_note, appeal_outcome, appeal_answer, created_at, "
				  "updated_at) VALUES ('rpt_01AAAAAAAAAAAAAAAAAAAAAAAA', 'character', 'chr_x', '%s', 'spam', "
				  "'decided', 1, 1, 'remove', 'spam', '', %lld, '', '', '', 1, 1) ON CONFLICT (id) DO NOTHING",
				  owner.id, (long long)atl_now_ms()));
	execute(site->app.db, fmt("INSERT INTO notices (id, user_id, kind, report_id, target_kind, target_id, decision, reason, "
				  "answer, created_at) VALUES ('ntc_01AAAAAAAAAAAAAAAAAAAAAAAA', '%s', 'decided', "
				  "'rpt_01AAAAAAAAAAAAAAAAAAAAAAAA', 'character', 'chr_x', 'remove', 'spam', '', 1) "
				  "ON CONFLICT (id) DO NOTHING", owner.id));
	return "ntc_01AAAAAAAAAAAAAAAAAAAAAAAA";
}

static size_t make_objects(struct site *site, struct object *objects)
{
	const char *character = make_character(site, &owner, "Ada");
	const char *conversation = make_conversation(site, &owner, character);
	static struct person key;
	static size_t styles_made;
	size_t n = 0;

	person_key(site, &owner, "chat", &key);
	objects[n++] = (struct object){ "/api/v1/characters/{id}", character };
	objects[n++] = (struct object){ "/api/v1/conversations/{id}", conversation };
	objects[n++] = (struct object){ "/api/v1/messages/{id}", add_message(site, &owner, conversation, "Hello") };
	objects[n++] = (struct object){ "/api/v1/sessions/{id}", owner.session_id };
	objects[n++] = (struct object){ "/api/v1/me/logins/{id}", make_login(site) };
	objects[n++] = (struct object){ "/api/v1/me/passkeys/{id}", make_passkey(site) };
	objects[n++] = (struct object){ "/api/v1/keys/{id}", key.session_id };
	objects[n++] = (struct object){ "/api/v1/notices/{id}", make_notice(site) };
	objects[n++] = (struct object){ "/api/v1/personas/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/personas", "{\"name\":\"Me\"}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/folders/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/folders", "{\"name\":\"Work\"}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/assets/{id}", make_asset(site, &owner, "good.png") };
	objects[n++] = (struct object){ "/api/v1/boards/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/boards", "{\"name\":\"Work\"}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/uploads/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/uploads", "{\"size_bytes\":9}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/shares/{id}",
					text_at(expect(ask(site, &owner, fmt("POST /api/v1/assets/%s/shares",
									    make_asset(site, &owner, "good.jpg")), "{}"), 201), "key") };
	objects[n++] = (struct object){ "/api/v1/jobs/{id}", make_job(site, "txt2img") };
	execute(site->app.db, fmt("INSERT INTO grids (id, user_id, prompt, model, axes, cell_count, created_at) VALUES "
				  "('grd_01AAAAAAAAAAAAAAAAAAAAAAAA', '%s', 'a boat', 'm', '{\"axes\":[]}', 0, 1) "
				  "ON CONFLICT (id) DO NOTHING", owner.id));
	objects[n++] = (struct object){ "/api/v1/grids/{id}", "grd_01AAAAAAAAAAAAAAAAAAAAAAAA" };
	objects[n++] = (struct object){ "/api/v1/webhooks/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/webhooks",
							   "{\"url\":\"https://example.com/\"}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/webhooks/deliveries/{id}", make_delivery(site) };
	objects[n++] = (struct object){ "/generate/{task_id}", make_job(site, "txt2img") };
	objects[n++] = (struct object){ "/v1/videos/{id}", make_job(site, "txt2vid") };
	objects[n++] = (struct object){ "/api/v1/styles/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/styles",
							   fmt("{\"name\":\"Ink %zu\",\"prompt\":\"ink\",\"shared\":true}", styles_made++)),
						       201), "id") };
	objects[n++] = (struct object){ "/api/v1/workflows/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/workflows",
							   "{\"name\":\"Flow\",\"graph\":{\"1\":{\"class_type\":\"SaveImage\",\"inputs\":"
							   "{\"images\":[\"2\",0]}},\"2\":{\"class_type\":\"LoadImage\",\"inputs\":"
							   "{\"image\":\"a.png\"}}}}"), 201), "id") };
	objects[n++] = (struct object){ "/api/v1/wildcards/{id}",
					text_at(expect(ask(site, &owner, "POST /api/v1/wildcards",
							   "{\"name\":\"tree\",\"entries\":\"oak\"}"), 200), "id") };
	return n;
}

/* A body that is good for the route, so that only the id can be what is wrong. */
static const char *body_for(const struct atl_route *route)
{
	if (!route->in)
		return NULL;
	if (strstr(route->path, "/pictures"))
		return "{\"what\":\"scene\"}";
	if (strstr(route->path, "/check"))
		return "{\"provider_id\":\"x\"}";
	if (strstr(route->path, "/messages") || strstr(route->path, "/edit"))
		return strstr(route->path, "/regenerate") || strstr(route->path, "/continue") ? "{}" : "{\"content\":\"x\"}";
	return strstr(route->path, "passkeys") || strstr(route->path, "folders") || strstr(route->path, "personas") ||
			       strstr(route->path, "boards") ? "{\"name\":\"x\"}" : "{}";
}

/* Routes with an id that every user may call: each must be among the objects above, or be listed here with the reason. */
static void test_no_route_is_forgotten(void **state)
{
	static const char *const others[] = {
		"/v1/models/{id*}",	     /* models and providers belong to the server */
		"/api/v1/providers/{id}/",
		"/api/v1/me/exports/{export}", /* by somebody else: test_privacy.c */
		"/api/v1/reports/{id}/appeal", /* the rest is for moderators; this by somebody else: test_reports.c */
	};
	struct object objects[32];
	size_t count = make_objects(*state, objects);

	for (size_t t = 0; atl_api_tables[t]; t++) {
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			enum atl_permission perm;
			bool covered = !strchr(route->path, '{');

			assert_true(atl_permission_find(route->permission, &perm));
			covered |= perm == ATL_PERM_PUBLIC;
			covered |= !(atl_role_permissions(ATL_ROLE_MEMBER) & ATL_PERM_BIT(perm));
			for (size_t i = 0; i < count; i++)
				covered |= strncmp(route->path, objects[i].prefix, strlen(objects[i].prefix)) == 0;
			for (size_t i = 0; i < ATL_COUNT(others); i++)
				covered |= strncmp(route->path, others[i], strlen(others[i])) == 0;
			if (!covered)
				fail_msg("%s: nobody tries it with another user's id", route->path);
		}
	}
}

static void test_other_peoples_objects(void **state)
{
	struct site *site = *state;
	struct object objects[32];
	size_t count = make_objects(site, objects);
	int asked = 0, wrong = 0;

	for (size_t t = 0; atl_api_tables[t]; t++) {
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			for (size_t i = 0; i < count; i++) {
				size_t length = strlen(objects[i].prefix), front = strcspn(objects[i].prefix, "{");
				struct atl_req *req;

				if (strncmp(route->path, objects[i].prefix, length) != 0)
					continue;
				req = ask(site, &user,
					  fmt("%s %.*s%s%s", atl_method_name(route->method), (int)front, route->path,
					      objects[i].id, route->path + length), body_for(route));
				asked++;
				if (req->status == 404)
					continue;
				print_error("%s %s: %d\n%.300s\n", atl_method_name(route->method), route->path, req->status,
					    req->out.length ? req->out.data : "");
				wrong++;
			}
		}
	}
	assert_int_equal(wrong, 0);
	assert_true(asked > 30);
	/* and nothing happened to them */
	expect(ask(site, &owner, fmt("GET /api/v1/characters/%s", objects[0].id), NULL), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/conversations/%s", objects[1].id), NULL), 200);
	expect(ask(site, &owner, fmt("GET /api/v1/messages/%s", objects[2].id), NULL), 200);
}

static int setup(void **state)
{
	site_setup(state);
	person_create(*state, "Uma", ATL_ROLE_MEMBER, &user);
	person_create(*state, "Ada", ATL_ROLE_ADMIN, &admin);
	person_create(*state, "Mo", ATL_ROLE_MODERATOR, &moderator);
	person_create(*state, "Gus", ATL_ROLE_MEMBER, &guest);
	person_create(*state, "Cat", ATL_ROLE_MEMBER, &custom);
	person_create(*state, "Sue", ATL_ROLE_MEMBER, &suspended);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_socket_matrix),
		cmocka_unit_test(test_session_names_its_permissions),
		cmocka_unit_test(test_socket_needs_own_page),
		cmocka_unit_test(test_other_peoples_objects),
		cmocka_unit_test(test_no_route_is_forgotten),
	};

	return cmocka_run_group_tests(tests, setup, site_teardown);
}
