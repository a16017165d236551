/* ComfyUI workflows over the API: the built-in ones, what is said about inputs, and the look at a server. */
#include "support.h"

#include "../unit/net/scripted.h"
#include "base/str.h"

#define SAMPLER "\"1\":{\"class_type\":\"Loader\",\"inputs\":{}},\"2\":{\"class_type\":\"Magic\",\"inputs\":{}},"                  \
	"\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":7,\"steps\":20,\"cfg\":6.5,\"sampler_name\":\"euler\","        \
	"\"scheduler\":\"normal\",\"denoise\":1,\"model\":[\"1\",0],\"positive\":[\"2\",0],\"negative\":[\"2\",1],"                \
	"\"latent_image\":[\"2\",2]}}"
#define PLAIN "{\"name\":\"Flow\",\"graph\":{" SAMPLER "}}"
#define SAID(items) "{\"inputs\":{\"items\":[" items "]}}"

static const char *make(struct site *site, const char *body)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/workflows", body), 201), "id");
}

static const struct atl_json *input_of(struct atl_req *req, const char *name)
{
	const struct atl_json *items = atl_json_path(json_of(req), "inputs.items");

	for (const struct atl_json *one = items ? items->child : NULL; one; one = one->next)
		if (atl_str_eq(atl_json_str(one, "name", NULL), name))
			return one;
	fail_msg("no input %s: %s", name, req->out.data);
	return NULL;
}

static void test_builtin(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/workflows", NULL), 200);
	const struct atl_json *items = atl_json_get(json_of(req), "items"), *found = NULL;

	for (const struct atl_json *one = items->child; one; one = one->next)
		if (atl_str_eq(atl_json_str(one, "id", ""), "builtin:txt2img"))
			found = one;
	assert_non_null(found);
	assert_true(atl_json_bool(found, "builtin", false));
	assert_false(atl_json_bool(found, "mine", true));
	req = expect(ask(site, &owner, "GET /api/v1/workflows/builtin:txt2img", NULL), 200);
	assert_true(count_at(req, "graph") > 3);
	input_of(req, "prompt");
	expect(ask(site, &owner, "PATCH /api/v1/workflows/builtin:txt2img", "{\"name\":\"Mine\"}"), 404);
	expect(ask(site, &owner, "DELETE /api/v1/workflows/builtin:txt2img", NULL), 404);
	expect_problem(ask(site, &owner, "GET /api/v1/workflows/builtin:nothing", NULL), 404, "not_found", "workflow_id");
}

static void test_inputs_said(void **state)
{
	struct site *site = *state;
	const char *line = fmt("PATCH /api/v1/workflows/%s", make(site, PLAIN));
	struct atl_req *req = expect(ask(site, &owner, line,
					 SAID("{\"name\":\"steps\",\"label\":\"Patience\",\"minimum\":4,\"maximum\":30},"
					      "{\"name\":\"cfg_scale\",\"fixed\":true}")), 200);

	assert_string_equal(atl_json_str(input_of(req, "steps"), "label", ""), "Patience");
	assert_int_equal(atl_json_int(input_of(req, "steps"), "maximum", 0), 30);
	assert_true(atl_json_bool(input_of(req, "cfg_scale"), "fixed", false));
	assert_false(atl_json_bool(input_of(req, "steps"), "fixed", true));
	assert_string_equal(atl_json_str(input_of(req, "seed"), "label", ""), "seed"); /* nothing was said */
	/* another graph: what was said stays with the name */
	req = expect(ask(site, &owner, line, "{\"graph\":{" SAMPLER ",\"4\":{\"class_type\":\"Magic\",\"inputs\":{\"x\":1}}}}"), 200);
	assert_string_equal(atl_json_str(input_of(req, "steps"), "label", ""), "Patience");
	assert_true(atl_json_bool(input_of(req, "cfg_scale"), "fixed", false));
	req = expect(ask(site, &owner, line, "{\"name\":\"Other\"}"), 200);
	assert_string_equal(atl_json_str(input_of(req, "steps"), "label", ""), "Patience");

	expect_problem(ask(site, &owner, line, SAID("{\"name\":\"nobody\"}")), 400, "invalid_request", "inputs.nobody");
	expect_problem(ask(site, &owner, line, SAID("{\"name\":\"steps\",\"minimum\":5,\"maximum\":4}")), 400, "invalid_request",
		       "inputs.steps");
	expect_problem(ask(site, &owner, line, SAID("{\"name\":\"steps\",\"maximum\":10}")), 400, "invalid_request", "inputs.steps");
	expect_problem(ask(site, &owner, line, SAID("{\"name\":\"steps\",\"maximum\":\"ten\"}")), 400, "invalid_request", "inputs.steps");
	expect_problem(ask(site, &owner, line, SAID("{\"name\":\"sampler\",\"minimum\":1}")), 400, "invalid_request", "inputs.sampler");
	expect_problem(ask(site, &owner, line, "{\"inputs\":[]}"), 400, "invalid_request", "inputs");
	req = expect(ask(site, &owner, line, SAID("")), 200); /* all of it is taken back */
	assert_string_equal(atl_json_str(input_of(req, "steps"), "label", ""), "steps");
}

/* What has no default cannot be fixed: nothing could be put in its place. */
static void test_required_is_not_fixed(void **state)
{
	struct site *site = *state;
	const char *id = make(site, "{\"name\":\"Photo\",\"graph\":{\"1\":{\"class_type\":\"LoadImage\",\"inputs\":"
				    "{\"image\":\"{{photo}}\"}}}}");

	expect_problem(ask(site, &owner, fmt("PATCH /api/v1/workflows/%s", id), SAID("{\"name\":\"photo\",\"fixed\":true}")), 400,
		       "invalid_request", "inputs.photo");
}

static void test_editor_format(void **state)
{
	struct site *site = *state;
	struct atl_req *req = ask(site, &owner, "POST /api/v1/workflows",
				  "{\"name\":\"Flow\",\"graph\":{\"nodes\":[],\"links\":[],\"version\":0.4}}");

	expect_problem(req, 400, "invalid_request", NULL);
	assert_non_null(strstr(text_at(req, "detail"), "Export (API)"));
}

static void allow_loopback(struct site *site)
{
	static const char *const allow[] = { "127.0.0.1", NULL };
	struct atl_errinfo info = { 0 };

	atl_guard_finish(&site->guard);
	assert_ok(atl_guard_init(&site->guard, allow, &info), &info);
}

static const char *make_provider(struct site *site, const char *preset, const char *url)
{
	return text_at(expect(ask(site, &owner, "POST /api/v1/providers",
				  fmt("{\"preset\":\"%s\",\"name\":\"Studio\",\"base_url\":\"%s\"}", preset, url)), 201), "id");
}

#define REPLY(json) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" json
static void test_check(void **state)
{
	static const char none[] = REPLY("{}"), loader[] = REPLY("{\"Loader\":{\"input\":{\"required\":{}}}}"),
			  magic[] = REPLY("{\"Magic\":{\"input\":{\"required\":{}}}}"),
			  sampler[] = REPLY("{\"KSampler\":{\"input\":{\"required\":{\"sampler_name\":[[\"euler\"]],\"scheduler\":[[\"karras\"]]}}}}"),
			  better[] = REPLY("{\"KSampler\":{\"input\":{\"required\":{\"sampler_name\":[[\"euler\"]],\"scheduler\":[[\"normal\"]]}}}}");
#define R(text) { text, sizeof(text) - 1, 0, true }
	const struct scripted_reply replies[] = { R(loader), R(none), R(better), R(loader), R(magic), R(sampler), R(loader), R(magic),
						  R(better) };
	struct site *site = *state;
	struct scripted server;
	const char *line = fmt("POST /api/v1/workflows/%s/check", make(site, PLAIN)), *body, *fake;
	struct atl_req *req;

	allow_loopback(site);
	scripted_start(&server, site->loop, replies, ATL_COUNT(replies));
	body = fmt("{\"provider_id\":\"%s\"}", make_provider(site, "comfyui", fmt("http://127.0.0.1:%d", server.port)));
	server.requests = 0; /* making it has asked nothing that is counted here */
	req = expect(ask(site, &owner, line, body), 200);
	assert_int_equal(int_at(req, "ready"), 0);
	assert_non_null(strstr(text_at(req, "detail"), "lacks the nodes Magic."));
	req = expect(ask(site, &owner, line, body), 200);
	assert_int_equal(int_at(req, "ready"), 0);
	assert_non_null(strstr(text_at(req, "detail"), "normal for scheduler"));
	req = expect(ask(site, &owner, line, body), 200);
	assert_int_equal(int_at(req, "ready"), 1);
	assert_true(is_null_at(req, "detail"));
	fake = make_provider(site, "fake", "https://8.8.8.8/v1");
	expect_problem(ask(site, &owner, line, fmt("{\"provider_id\":\"%s\"}", fake)), 400, "invalid_request", "provider_id");
	expect_problem(ask(site, &owner, line, "{\"provider_id\":\"prv_none\"}"), 404, "not_found", NULL);
	expect(ask(site, &owner, "POST /api/v1/workflows/wfl_none/check", body), 404);
	scripted_stop(&server);
	expect_problem(ask(site, &owner, line, body), 502, "upstream_failed", NULL); /* nobody answers: not a verdict */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builtin), cmocka_unit_test(test_inputs_said), cmocka_unit_test(test_required_is_not_fixed),
		cmocka_unit_test(test_editor_format), cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, site_setup, site_teardown);
}
