/* Webhooks over the API: made, told about an ended job with a signature that can be checked, tried again, logged. */
#include "support.h"

#include <stdio.h>

#include "../unit/net/scripted.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/jobs/job.h"
#include "core/jobs/webhook.h"

static enum atl_err run(struct atl_job_run *run, struct atl_errinfo *info)
{
	return atl_str_eq(run->job->prompt, "fail") ? atl_fail(info, ATL_ERR_UPSTREAM, "The service fell over.") : ATL_OK;
}

static bool repeatable(struct atl_app *app, const struct atl_job *job)
{
	return true;
}

static int64_t one(struct atl_app *app, const char *provider_id)
{
	return 1;
}

static int64_t unknown(struct atl_app *app, const struct atl_job *job)
{
	return 0;
}

static const struct atl_job_kind scripted_kind = { "fake", run, repeatable, one, unknown };
static const struct atl_job_kind *const kinds[] = { &scripted_kind, NULL };

static const char *submit(struct site *site, const char *prompt, const char *webhook_url, enum atl_err want)
{
	struct atl_job_new new = { .kind = "fake", .task = "txt2img", .origin = "api", .model = "fake/noop",
				   .provider_id = "prv_fake", .prompt = prompt, .request = "{\"secret_size\":4}",
				   .webhook_url = webhook_url };
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	struct atl_arena arena;
	struct atl_job job;
	const char *id = NULL;
	enum atl_err err;

	atl_identity_internal(&identity, owner.id, "Olga", ATL_ROLE_OWNER);
	atl_arena_init(&arena, 0);
	err = atl_job_submit(&site->app, &identity, &arena, &new, &job, &info);
	if (!err) {
		id = fmt("%s", job.id);
		assert_ok(atl_job_wait(&site->app, &arena, owner.id, id, WAIT_MS, &job, &info), &info);
	}
	atl_arena_finish(&arena);
	assert_int_equal(err, want);
	return id;
}

/* Looked at until the newest delivery is in this state: it is written after the answer came, by a thread of its own. */
static struct atl_req *delivery(struct site *site, const char *state, int64_t attempt)
{
	uint64_t end = atl_monotonic_ms() + WAIT_MS;
	struct atl_req *req;

	for (;;) {
		req = expect(ask(site, &owner, "GET /api/v1/webhooks/deliveries", NULL), 200);
		if (atl_str_eq(text_at(req, "items.0.state"), state) && int_at(req, "items.0.attempt") == attempt &&
		    int_at(req, "items.0.response_status") != 0)
			return req;
		if (atl_monotonic_ms() > end)
			fail_msg("not %s: %s", state, req->out.data);
	}
}

static const char *header_of(const char *request, const char *name)
{
	const char *at = strcasestr(request, name);

	assert_non_null(at);
	at += strlen(name);
	return fmt("%.*s", (int)strcspn(at, "\r"), at);
}

static void check_signature(const char *request, const char *secret)
{
	const char *body = strstr(request, "\r\n\r\n") + 4;
	const char *text = fmt("%s.%s.%s", header_of(request, "webhook-id: "), header_of(request, "webhook-timestamp: "), body);
	unsigned char mac[ATL_SHA256_SIZE];
	struct atl_buf key, shown;

	atl_buf_init(&key, 64);
	atl_buf_init(&shown, 64);
	assert_true(atl_base64_decode(&key, ATL_BASE64_STANDARD, secret + 6, strlen(secret) - 6));
	assert_int_equal(key.length, 32);
	atl_hmac_sha256(key.data, key.length, text, strlen(text), mac);
	atl_base64_encode(&shown, ATL_BASE64_STANDARD, mac, sizeof(mac));
	assert_string_equal(header_of(request, "webhook-signature: "), fmt("v1,%.*s", (int)shown.length, shown.data));
	atl_buf_finish(&key);
	atl_buf_finish(&shown);
}

static void allow_loopback(struct site *site)
{
	static const char *const allow[] = { "127.0.0.1", NULL };
	struct atl_errinfo info = { 0 };

	atl_guard_finish(&site->guard);
	assert_ok(atl_guard_init(&site->guard, allow, &info), &info);
}

static void test_private_addresses_are_refused(void **state)
{
	struct site *site = *state;

	expect_problem(ask(site, &owner, "POST /api/v1/webhooks", "{\"url\":\"http://127.0.0.1:9/x\"}"), 403, "outbound_refused",
		       "url");
	expect_problem(ask(site, &owner, "POST /api/v1/webhooks", "{\"url\":\"gopher://example.com/\"}"), 403, "outbound_refused",
		       "url");
	submit(site, "noop", "http://169.254.169.254/latest", ATL_ERR_OUTBOUND);
	submit(site, "noop", "https://example.com/hook", ATL_ERR_CONFLICT); /* nothing could sign it */
}

static void test_told(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	const struct scripted_reply replies[] = { { ok, sizeof(ok) - 1, 0, true }, { busy, sizeof(busy) - 1, 0, true },
						  { ok, sizeof(ok) - 1, 0, true } };
	struct site *site = *state;
	struct scripted server;
	const char *secret, *hook, *job, *id;
	struct atl_req *req;

	allow_loopback(site);
	ears_open(site, owner.id);
	scripted_start(&server, site->loop, replies, 3);
	req = expect(ask(site, &owner, "POST /api/v1/webhooks", fmt("{\"url\":\"http://127.0.0.1:%d/hook\"}", server.port)), 201);
	secret = text_at(req, "secret");
	hook = text_at(req, "id");
	assert_int_equal(strncmp(secret, "whsec_", 6), 0);
	ears_wait(site, "webhook.changed", hook);
	req = expect(ask(site, &owner, "GET /api/v1/webhooks", NULL), 200);
	assert_int_equal(count_at(req, "items"), 1);
	assert_string_equal(text_at(req, "items.0.secret"), "");
	job = submit(site, "noop", NULL, ATL_OK);
	req = delivery(site, "delivered", 1);
	assert_string_equal(text_at(req, "items.0.job_id"), job);
	assert_string_equal(text_at(req, "items.0.event"), "job.done");
	ears_wait(site, "webhook.delivery", "pending");
	ears_wait(site, "webhook.delivery", "delivered");
	assert_int_equal(int_at(req, "items.0.response_status"), 200);
	assert_int_equal(strncmp(server.seen[0], "POST /hook HTTP/1.1\r\n", 21), 0);
	check_signature(server.seen[0], secret);
	assert_non_null(strstr(server.seen[0], "\"type\":\"job.done\""));
	assert_null(strstr(server.seen[0], "secret_size")); /* without the request */

	submit(site, "fail", NULL, ATL_OK); /* the receiver is busy: later */
	req = delivery(site, "pending", 1);
	assert_string_equal(text_at(req, "items.0.event"), "job.failed");
	assert_string_equal(text_at(req, "items.0.error_detail"), "It answered with status 503.");
	assert_false(is_null_at(req, "items.0.next_at"));
	id = text_at(req, "items.0.id");
	expect(ask(site, &owner, fmt("POST /api/v1/webhooks/deliveries/%s/redeliver", id), NULL), 202);
	delivery(site, "delivered", 1);
	assert_string_equal(header_of(server.seen[1], "webhook-id: "), header_of(server.seen[2], "webhook-id: "));

	req = expect(ask(site, &owner, fmt("PATCH /api/v1/webhooks/%s", hook), "{\"enabled\":false}"), 200);
	assert_int_equal(int_at(req, "enabled"), 0);
	submit(site, "noop", NULL, ATL_OK);
	req = expect(ask(site, &owner, "GET /api/v1/webhooks/deliveries?limit=1", NULL), 200);
	assert_string_equal(text_at(req, "items.0.id"), id); /* nothing new */
	job = submit(site, "noop", fmt("http://127.0.0.1:%d/own", server.port), ATL_OK);
	req = delivery(site, "delivered", 1);
	assert_string_equal(text_at(req, "items.0.job_id"), job);
	assert_true(is_null_at(req, "items.0.webhook_id"));
	check_signature(server.seen[3], secret);
	expect(ask(site, &owner, fmt("DELETE /api/v1/webhooks/%s", hook), NULL), 204);
	expect_problem(ask(site, &owner, fmt("DELETE /api/v1/webhooks/%s", hook), NULL), 404, "not_found", NULL);
	ears_close(site);
	scripted_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private_addresses_are_refused),
		cmocka_unit_test(test_told),
	};

	site_kinds = kinds;
	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
