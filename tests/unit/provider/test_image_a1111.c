/* test_image_a1111.c - what the text cases cannot show of the AUTOMATIC1111 service: progress and previews while the
 * POST goes on, and stopping it. Against tests/system/a1111_double.py. Arguments: the Python program, the double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/str.h"
#include "net/fetch.h"
#include "provider/image_services.h"

static const char *python, *double_path;
static struct atl_loop *loop;
static struct atl_guard guard;
static pid_t child;
static int child_in;
static char base_url[64];
static struct seen {
	size_t steps, previews, results;
	int64_t last_step, seed;
	double left_ms;
	bool cancel_at_step;
	atomic_bool cancelled;
} seen;

static void on_progress(void *arg, const struct atl_image_progress *p)
{
	(void)arg;
	assert_true(p->step > seen.last_step);
	assert_int_equal(p->steps, 3);
	seen.steps++;
	seen.last_step = p->step;
	seen.left_ms = p->left_ms;
	if (seen.cancel_at_step)
		atomic_store(&seen.cancelled, true);
}

static void on_preview(void *arg, int64_t index, const void *data, size_t length, const char *media_type)
{
	(void)arg;
	(void)index;
	assert_true(length > 8 && memcmp(data, "\x89PNG", 4) == 0);
	assert_string_equal(media_type, "image/png");
	seen.previews++;
}

static enum atl_err on_result(void *arg, const struct atl_image_result *r, struct atl_errinfo *info)
{
	(void)arg;
	(void)info;
	assert_string_equal(r->media_type, "image/png");
	seen.results++;
	seen.seed = r->seed;
	return ATL_OK;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	fail_msg("an unexpected note: %s", text);
}

static enum atl_err run_prompt(const char *prompt, bool previews, struct atl_errinfo *info)
{
	static const struct atl_image_events events = { .progress = on_progress, .preview = on_preview, .result = on_result,
							.note = on_note };
	struct atl_image_endpoint endpoint = { .kind = "a1111", .name = "Studio", .base_url = base_url, .guard = &guard, .loop = loop };
	struct atl_image_request q = { .task = ATL_IMAGE_TXT2IMG, .model = "", .prompt = prompt, .negative_prompt = "",
		.width = ATL_IMAGE_UNSET, .height = ATL_IMAGE_UNSET, .steps = 3, .clip_skip = ATL_IMAGE_UNSET, .count = 1, .seed = 42,
		.subseed = ATL_IMAGE_UNSET, .subseed_strength = NAN, .cfg_scale = NAN, .guidance = NAN, .strength = NAN,
		.control_strength = NAN, .upscale_factor = NAN, .previews = previews };
	struct atl_image_run run = { .endpoint = &endpoint, .request = &q, .events = &events, .cancelled = &seen.cancelled,
				     .max_result_bytes = 1 << 20, .timeout_ms = 60000, .pause_max_ms = 20 };
	struct atl_arena arena;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_image_a1111.run(&run, &arena, info);
	atl_arena_finish(&arena);
	return err;
}

static bool double_says(const char *text)
{
	struct atl_fetch_result result;
	struct atl_arena arena;
	char url[96];
	bool found;

	atl_arena_init(&arena, 0);
	snprintf(url, sizeof(url), "%s/double", base_url);
	assert_int_equal(atl_fetch_sync(loop, &arena, &(struct atl_fetch_request){ .url = url, .guard = &guard }, &result, NULL), ATL_OK);
	found = strstr(result.body, text) != NULL;
	atl_arena_finish(&arena);
	return found;
}

static int fresh(void **state)
{
	int in[2], out[2];
	char line[16] = "";

	(void)state;
	seen = (struct seen){ 0 };
	assert_int_equal(pipe(in) | pipe(out), 0);
	child = fork();
	if (child == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execlp(python, python, double_path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child_in = in[1];
	for (size_t n = 0; n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n'; n++)
		;
	close(out[0]);
	assert_true(atoi(line) > 0);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", atoi(line));
	return 0;
}

static int done(void **state)
{
	(void)state;
	close(child_in);
	waitpid(child, NULL, 0);
	return 0;
}

static void shows_steps_and_previews(void **state)
{
	struct atl_errinfo info = { 0 };

	(void)state;
	assert_int_equal(run_prompt("a cat", true, &info), ATL_OK);
	assert_int_equal(seen.steps, 3);
	assert_int_equal(seen.previews, 3);
	assert_int_equal(seen.results, 1);
	assert_int_equal(seen.seed, 42);
	assert_true(double_says("\"interrupts\": 0"));
	seen = (struct seen){ 0 };
	assert_int_equal(run_prompt("a cat", false, &info), ATL_OK);
	assert_int_equal(seen.previews, 0);
}

static void stops_the_server(void **state)
{
	struct atl_errinfo info = { 0 };

	(void)state;
	seen.cancel_at_step = true;
	assert_int_equal(run_prompt("wait", true, &info), ATL_ERR_CANCELLED);
	assert_int_equal(seen.results, 0);
	assert_true(double_says("\"interrupts\": 1"));
}

int main(int argc, char **argv)
{
	static const char *const ALLOW[] = { "127.0.0.1", NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_steps_and_previews, fresh, done),
		cmocka_unit_test_setup_teardown(stops_the_server, fresh, done),
	};
	int failed;

	if (argc != 3)
		return 2;
	python = argv[1];
	double_path = argv[2];
	if (atl_crypto_init() || atl_fetch_global_init() || atl_guard_init(&guard, ALLOW, NULL) || atl_loop_create("test", &loop, NULL))
		return 1;
	failed = cmocka_run_group_tests_name("a1111", tests, NULL, NULL);
	atl_loop_destroy(loop);
	atl_guard_finish(&guard);
	atl_fetch_global_finish();
	return failed;
}
