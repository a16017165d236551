/* fal's messages over the API: one that is signed wakes the run that waits for it; all others are refused alike. */
#include "support.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>

#include "../unit/net/scripted.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/pictures/picture.h"
#include "provider/image_fal_hook.h"

#define REQUEST "0191-aaaa"
#define BODY "{\"request_id\":\"0191-aaaa\",\"gateway_request_id\":\"0191-aaaa\",\"status\":\"OK\"}"

static unsigned char public_key[32], secret_key[64];
static struct scripted server;
static struct scripted_reply reply;
static struct atl_buf reply_text;

/* ---- fal's side ---- */
static void serve_keys(struct site *site)
{
	struct atl_buf x;

	atl_buf_init(&x, 128);
	atl_base64_encode(&x, ATL_BASE64_URL, public_key, sizeof(public_key));
	while (x.length && x.data[x.length - 1] == '=')
		x.data[--x.length] = '\0';
	atl_buf_init(&reply_text, 4096);
	atl_buf_addf(&reply_text, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}", x.data);
	reply.bytes = fmt("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", reply_text.length,
			  reply_text.data);
	reply.length = strlen(reply.bytes);
	atl_buf_finish(&reply_text);
	atl_buf_finish(&x);
	scripted_start(&server, site->loop, &reply, 1);
}

struct message {
	const char *token, *request_id, *body;
	int64_t late_s;
	size_t length; /* 0: the body's */
	bool forged, bare;
};

static struct atl_req *send(struct site *site, const struct message *m)
{
	size_t length = m->length ? m->length : strlen(m->body);
	char digest[crypto_hash_sha256_BYTES * 2 + 1], hex[crypto_sign_BYTES * 2 + 1];
	unsigned char hash[crypto_hash_sha256_BYTES], signature[crypto_sign_BYTES];
	const char *headers[5], *text, *at = fmt("%lld", (long long)(atl_now_ms() / 1000 - m->late_s));

	crypto_hash_sha256(hash, (const unsigned char *)m->body, length);
	sodium_bin2hex(digest, sizeof(digest), hash, sizeof(hash));
	text = fmt("%s\nuser-1\n%s\n%s", m->request_id, at, digest);
	crypto_sign_detached(signature, NULL, (const unsigned char *)text, strlen(text), secret_key);
	signature[5] ^= m->forged;
	sodium_bin2hex(hex, sizeof(hex), signature, sizeof(signature));
	headers[0] = fmt("X-Fal-Webhook-Request-Id: %s", m->request_id);
	headers[1] = "X-Fal-Webhook-User-Id: user-1";
	headers[2] = fmt("X-Fal-Webhook-Timestamp: %s", at);
	headers[3] = fmt("X-Fal-Webhook-Signature: %s", hex);
	headers[4] = NULL;
	return ask_data(site, &nobody, m->bare ? headers + 4 : headers, fmt("POST /hooks/fal/%s", m->token), m->body, length);
}

/* The same for every reason. */
static void expect_refused(struct atl_req *req)
{
	expect_problem(req, 404, "not_found", NULL);
	assert_null(strstr(req->out.data, "sign"));
	assert_null(strstr(req->out.data, "fal"));
	assert_string_equal(text_at(req, "detail"), "");
}

static struct atl_fal_hook *join(struct site *site)
{
	struct atl_image_endpoint endpoint = { .kind = "fal", .name = "fal", .base_url = fmt("http://127.0.0.1:%d", server.port),
					       .public_url = "https://studio.example/", .fal_hooks = site->app.fal_hooks, .guard = &site->guard, .loop = site->loop };
	struct atl_fal_hook *hook = atl_fal_hook_join(&endpoint);

	assert_non_null(hook);
	atl_fal_hook_name(hook, "fal-ai/flux/requests/" REQUEST);
	return hook;
}

static bool has_news(struct atl_fal_hook *hook)
{
	atomic_bool never = false;
	struct atl_image_run run = { .cancelled = &never };
	bool news;

	assert_true(atl_fal_hook_wait(hook, &run, 0, &news));
	return news;
}

/* ---- tests ---- */
static void *sleeper(void *arg)
{
	static atomic_bool never;
	struct atl_image_run run = { .cancelled = &never };
	bool news;

	return atl_fal_hook_wait(arg, &run, WAIT_MS * 3, &news) && news ? arg : NULL;
}

static void test_a_signed_message_wakes_the_run(void **state)
{
	struct site *site = *state;
	struct atl_fal_hook *hook = join(site);
	uint64_t began = atl_monotonic_ms();
	pthread_t thread;
	void *woken;

	assert_int_equal(pthread_create(&thread, NULL, sleeper, hook), 0);
	expect(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = REQUEST, .body = BODY }), 204);
	pthread_join(thread, &woken);
	assert_ptr_equal(woken, hook);
	assert_true(atl_monotonic_ms() - began < WAIT_MS);
	atl_fal_hook_leave(hook);
}

/* fal may have started it again under another id; the one we know is in the body then. */
static void test_either_id_is_the_run(void **state)
{
	struct site *site = *state;
	struct atl_fal_hook *hook = join(site);

	expect(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = "0191-bbbb",
					     .body = "{\"request_id\":\"0191-bbbb\",\"gateway_request_id\":\"" REQUEST "\"}" }), 204);
	assert_true(has_news(hook));
	atl_fal_hook_leave(hook);
}

static void test_refusals(void **state)
{
	struct site *site = *state;
	struct atl_fal_hook *hook = join(site);
	const char *token = atl_fal_hook_token(hook);
	const struct message rows[] = {
		{ .token = token, .request_id = REQUEST, .body = BODY, .forged = true },
		{ .token = token, .request_id = REQUEST, .body = BODY, .bare = true },
		{ .token = token, .request_id = REQUEST, .body = BODY, .late_s = 301 + 5 },
		{ .token = token, .request_id = REQUEST, .body = BODY, .late_s = -301 - 5 },
		{ .token = token, .request_id = "0191-bbbb", .body = "{\"request_id\":\"0191-bbbb\"}" },
		{ .token = token, .request_id = "0191-bbbb", .body = "not JSON" },
		{ .token = "00112233445566778899aabbccddeeff", .request_id = REQUEST, .body = BODY },
		{ .token = "x", .request_id = REQUEST, .body = BODY },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		expect_refused(send(site, &rows[i]));
	assert_false(has_news(hook));
	/* and the true one still counts */
	expect(send(site, &(struct message){ .token = token, .request_id = REQUEST, .body = BODY }), 204);
	assert_true(has_news(hook));
	/* once: a replay finds nobody, neither while the run goes on nor after it */
	expect_refused(send(site, &(struct message){ .token = token, .request_id = REQUEST, .body = BODY }));
	token = fmt("%s", token);
	atl_fal_hook_leave(hook);
	expect_refused(send(site, &(struct message){ .token = token, .request_id = REQUEST, .body = BODY }));
}

static void test_too_large(void **state)
{
	static char body[(1 << 20) + 2];
	struct site *site = *state;
	struct atl_fal_hook *hook = join(site);

	memset(body, ' ', sizeof(body) - 1);
	expect(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = REQUEST, .body = body }), 413);
	assert_false(has_news(hook));
	atl_fal_hook_leave(hook);
}

static void test_keys_are_fetched_once(void **state)
{
	struct site *site = *state;
	size_t before = server.requests;

	for (int i = 0; i < 3; i++) {
		struct atl_fal_hook *hook = join(site);

		expect(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = REQUEST, .body = BODY }), 204);
		atl_fal_hook_leave(hook);
	}
	atl_fal_hook_forget_keys(site->app.fal_hooks);
	for (int i = 0; i < 3; i++) { /* what is forged does not make them be asked for again and again */
		struct atl_fal_hook *hook = join(site);

		expect_refused(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = REQUEST, .body = BODY,
							     .forged = true }));
		atl_fal_hook_leave(hook);
	}
	assert_int_equal(server.requests - before, 1);
	assert_true(atl_str_starts(server.seen[0], "GET /.well-known/jwks.json "));
}

/* The guard decides about fal's keys as about every other address. */
static void test_keys_behind_the_guard(void **state)
{
	struct site *site = *state;
	struct atl_guard strict = { 0 };
	struct atl_image_endpoint endpoint = { .base_url = fmt("http://127.0.0.1:%d", server.port), .guard = &strict,
					       .public_url = "https://studio.example", .fal_hooks = site->app.fal_hooks,
					       .loop = site->loop };
	struct atl_fal_hook *hook = atl_fal_hook_join(&endpoint);
	size_t before = server.requests;

	atl_fal_hook_forget_keys(site->app.fal_hooks);
	expect_refused(send(site, &(struct message){ .token = atl_fal_hook_token(hook), .request_id = REQUEST, .body = BODY }));
	assert_int_equal(server.requests, before);
	atl_fal_hook_leave(hook);
	atl_fal_hook_forget_keys(site->app.fal_hooks);
}

/* What a cancelled run says of its cost: a service that can be told to stop may charge for what it had begun. */
static void test_words_of_a_cancelled_run(void **state)
{
	static const struct {
		const char *preset, *words;
	} rows[] = { { "fal", "was told to stop; what it had begun it may still charge for." }, { "openai", "cannot be told to stop" } };
	struct site *site = *state;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/providers",
						    fmt("{\"preset\":\"%s\",\"key\":\"k\"}", rows[i].preset)), 201), "id");
		const char *note = atl_picture_kind.cancel_note(&site->app, &arena, &(struct atl_job){ .provider_id = id });

		assert_non_null(note);
		assert_non_null(strstr(note, rows[i].words));
	}
	assert_null(atl_picture_kind.cancel_note(&site->app, &arena, &(struct atl_job){ .provider_id = scripted_pictures(site) }));
	assert_null(atl_picture_kind.cancel_note(&site->app, &arena, &(struct atl_job){ .provider_id = "local" }));
	atl_arena_finish(&arena);
}

static void test_no_public_address(void **state)
{
	struct site *site = *state;
	struct atl_image_endpoint endpoint = { .base_url = "https://queue.fal.run", .fal_hooks = site->app.fal_hooks };
	atomic_bool never = false;
	struct atl_image_run run = { .cancelled = &never };
	bool news = true;

	assert_null(atl_fal_hook_join(&endpoint));
	endpoint.public_url = "http://192.168.1.5:7860"; /* fal would not get there */
	assert_null(atl_fal_hook_join(&endpoint));
	assert_true(atl_fal_hook_wait(NULL, &run, 1, &news));
	assert_false(news);
	atl_fal_hook_leave(NULL);
}

static int setup(void **state)
{
	static const char *const allow[] = { "127.0.0.1", NULL };
	unsigned char seed[32];
	struct site *site;

	site_setup(state);
	site = *state;
	atl_guard_finish(&site->guard);
	if (atl_guard_init(&site->guard, allow, NULL))
		return 1;
	for (size_t i = 0; i < sizeof(seed); i++)
		seed[i] = (unsigned char)i;
	crypto_sign_seed_keypair(public_key, secret_key, seed);
	serve_keys(site);
	return 0;
}

static int teardown(void **state)
{
	scripted_stop(&server);
	return site_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_signed_message_wakes_the_run),
		cmocka_unit_test(test_either_id_is_the_run),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_keys_are_fetched_once),
		cmocka_unit_test(test_keys_behind_the_guard),
		cmocka_unit_test(test_words_of_a_cancelled_run),
		cmocka_unit_test(test_no_public_address),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
