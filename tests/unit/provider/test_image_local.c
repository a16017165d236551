/* The local engine through its provider: the real atelier-image with models of random weights (tests/kit). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "ipc/image.h"
#include "provider/image.h"

#define SIDE 64
#define BYTES (SIDE * SIDE * 3)
#define PATH_SIZE 300
#define NEVER (-1)

static const char *program, *python, *kit;
static char dir[] = "/tmp/atelier-image-XXXXXX";
static char socket_path[PATH_SIZE], model[3 * PATH_SIZE], junk_model[PATH_SIZE], lora_path[PATH_SIZE];
static pid_t child;

struct seen {
	unsigned char rows[2][BYTES];
	int results, previews, sampling_steps, notes;
	int64_t seed;
	bool preview_is_png, step_ms_known;
	atomic_bool cancelled;
	int cancel_at, kill_at; /* sampling steps */
	uint64_t cancelled_ms;
};

static void on_progress(void *arg, const struct atl_image_progress *p)
{
	struct seen *seen = arg;
	if (!atl_str_eq(p->phase, "sampling") || p->step == 0)
		return;
	seen->sampling_steps++;
	seen->step_ms_known |= p->step_ms > 0 && p->steps > 0;
	if (p->step == seen->cancel_at) {
		seen->cancelled_ms = atl_monotonic_ms();
		atomic_store(&seen->cancelled, true);
	}
	if (p->step == seen->kill_at)
		kill(child, SIGKILL);
}

static void on_preview(void *arg, int64_t index, const void *data, size_t length, const char *media_type)
{
	struct seen *seen = arg;
	seen->previews++;
	seen->preview_is_png = length > 8 && memcmp(data, "\x89PNG", 4) == 0 && atl_str_eq(media_type, "image/png");
}

static enum atl_err on_result(void *arg, const struct atl_image_result *result, struct atl_errinfo *info)
{
	struct seen *seen = arg;
	assert_true(result->rgb);
	assert_int_equal(result->length, (size_t)(result->width * result->height * 3));
	assert_true(seen->results < 2);
	if (result->length == BYTES)
		memcpy(seen->rows[seen->results], result->data, BYTES);
	seen->results++;
	seen->seed = result->seed;
	return ATL_OK;
}

static void on_note(void *arg, const char *text)
{
	((struct seen *)arg)->notes++;
}

static const struct atl_image_events EVENTS = {.progress = on_progress, .preview = on_preview, .result = on_result,
					       .note = on_note};

static struct atl_image_request basic(void)
{
	return (struct atl_image_request){
		.task = ATL_IMAGE_TXT2IMG, .model = model, .prompt = "a red cat", .negative_prompt = "", .width = SIDE,
		.height = SIDE, .steps = 4, .clip_skip = ATL_IMAGE_UNSET, .count = 1, .seed = 7, .subseed = ATL_IMAGE_UNSET,
		.cfg_scale = 1, .guidance = NAN, .strength = NAN, .control_strength = NAN};
}

static enum atl_err go_info(const struct atl_image_request *request, struct seen *seen, struct atl_errinfo *info)
{
	struct atl_image_endpoint endpoint = {.kind = "local", .name = "This machine", .base_url = "",
					      .unix_path = socket_path};
	struct atl_image_run run = {.endpoint = &endpoint, .request = request, .events = &EVENTS, .arg = seen,
				    .cancelled = &seen->cancelled, .max_result_bytes = ATL_IMAGE_RESULT_MAX,
				    .timeout_ms = 120000};
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_image_run(&run, &arena, info);
	atl_arena_finish(&arena);
	return err;
}

static struct seen go(const struct atl_image_request *request)
{
	struct seen seen = {.cancel_at = NEVER, .kill_at = NEVER};
	struct atl_errinfo info = {0};
	enum atl_err err = go_info(request, &seen, &info);
	if (err)
		fail_msg("%s: %s", atl_err_name(err), info.detail);
	return seen;
}

static bool same(const struct seen *a, const struct seen *b)
{
	return memcmp(a->rows[0], b->rows[0], BYTES) == 0;
}

/* ---- the child ---- */

static bool start_child(void)
{
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!getenv("ATELIER_IMAGE_LOUD") && !freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(program, program, socket_path, "1", (char *)NULL);
		_exit(127);
	}
	for (uint64_t end = atl_monotonic_ms() + 60000; atl_monotonic_ms() < end;) {
		int fd;
		if (atl_channel_connect(socket_path, &fd, NULL) == ATL_OK) {
			close(fd);
			return true;
		}
		poll(NULL, 0, 5); /* until it listens */
	}
	return false;
}

static int set_up(void **state)
{
	char command[1000];
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof socket_path, "%s/s", dir);
	snprintf(model, sizeof model, "{\"model\":\"%s/tiny.safetensors\",\"taesd\":\"%s/taef1.safetensors\"}", dir, dir);
	snprintf(junk_model, sizeof junk_model, "{\"model\":\"%s/junk.safetensors\"}", dir);
	snprintf(lora_path, sizeof lora_path, "%s/tiny-lora.safetensors", dir);
	snprintf(command, sizeof command, "%s %s %s && head -c 100000 /dev/urandom > %s/junk.safetensors", python, kit, dir, dir);
	return system(command) == 0 && start_child() ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

/* ---- tests ---- */

static void test_steps_and_previews(void **state)
{
	struct atl_image_request q = basic();
	q.previews = true;
	q.steps = 6;
	struct seen seen = go(&q);
	assert_int_equal(seen.results, 1);
	assert_int_equal(seen.sampling_steps, 6);
	assert_true(seen.step_ms_known);
	assert_true(seen.previews >= 5);
	assert_true(seen.preview_is_png);
	assert_int_equal(seen.seed, 7);
}

static void test_seed_and_prompt(void **state)
{
	struct atl_image_request q = basic();
	struct seen first = go(&q), again = go(&q);
	assert_true(same(&first, &again));
	q.seed = 8;
	struct seen other = go(&q);
	assert_false(same(&first, &other));
	q.seed = 7;
	q.prompt = "seventeen boats in the harbour at night";
	other = go(&q);
	assert_false(same(&first, &other));
}

static void test_batch_continues_the_seed(void **state)
{
	struct atl_image_request q = basic();
	q.count = 2;
	struct seen two = go(&q);
	assert_int_equal(two.results, 2);
	assert_int_equal(two.seed, 8);
	q.count = 1;
	q.seed = 8;
	struct seen second = go(&q);
	assert_memory_equal(two.rows[1], second.rows[0], BYTES);
}

static struct atl_image_file rgb(const unsigned char *rows)
{
	return (struct atl_image_file){rows, BYTES, "image/x-rgb", SIDE, SIDE};
}

static void test_img2img(void **state)
{
	unsigned char rows[BYTES];
	struct atl_image_request q = basic();
	struct seen plain = go(&q);
	for (size_t i = 0; i < BYTES; i++)
		rows[i] = (unsigned char)(i / 3 % SIDE * 4);
	q.task = ATL_IMAGE_IMG2IMG;
	q.init = rgb(rows);
	q.strength = 0.5;
	struct seen half = go(&q);
	assert_false(same(&plain, &half));
	memset(rows, 200, sizeof rows);
	struct seen other = go(&q);
	assert_false(same(&half, &other));
}

static void test_inpaint_keeps_the_rest(void **state)
{
	unsigned char rows[BYTES], mask[SIDE * SIDE];
	size_t changed = 0;
	for (size_t i = 0; i < BYTES; i++)
		rows[i] = (unsigned char)(i % 251);
	for (size_t i = 0; i < sizeof mask; i++)
		mask[i] = i % SIDE >= SIDE / 2 ? 255 : 0;
	struct atl_image_request q = basic();
	q.task = ATL_IMAGE_INPAINT;
	q.init = rgb(rows);
	q.strength = 1;
	q.mask = (struct atl_image_file){mask, sizeof mask, "image/x-gray", SIDE, SIDE};
	struct seen painted = go(&q);
	for (size_t i = 0; i < BYTES; i++) {
		if (!mask[i / 3])
			assert_int_equal(painted.rows[0][i], rows[i]);
		else
			changed += painted.rows[0][i] != rows[i];
	}
	assert_true(changed > BYTES / 4);
}

/* Pictures that an instruction is about: the model attends to them beside what it makes. */
static void test_references(void **state)
{
	unsigned char rows[2][BYTES];
	struct atl_image_request q = basic();
	struct seen plain = go(&q);
	for (size_t i = 0; i < BYTES; i++) {
		rows[0][i] = (unsigned char)(i / 3 % SIDE * 4);
		rows[1][i] = (unsigned char)(i / 3 / SIDE * 4);
	}
	struct atl_image_file references[] = {rgb(rows[0]), rgb(rows[1])};
	q.task = ATL_IMAGE_EDIT;
	q.references = references;
	q.reference_count = 1;
	struct seen one = go(&q), again = go(&q);
	assert_true(same(&one, &again));
	assert_false(same(&plain, &one));
	references[0] = references[1];
	struct seen other = go(&q);
	assert_false(same(&one, &other));
	references[0] = rgb(rows[0]);
	q.reference_count = 2;
	struct seen two = go(&q);
	assert_false(same(&one, &two));
	assert_false(same(&other, &two));
}

static void test_lora(void **state)
{
	struct atl_image_request q = basic();
	struct seen plain = go(&q);
	struct atl_image_lora lora = {"tiny-lora", lora_path, 1};
	q.loras = &lora;
	q.lora_count = 1;
	struct seen changed = go(&q);
	assert_false(same(&plain, &changed));
	assert_int_equal(changed.notes, 0);
	lora.weight = 0;
	struct seen zero = go(&q);
	assert_true(same(&plain, &zero));
	lora = (struct atl_image_lora){"gone", "/nonexistent/gone.safetensors", 1};
	struct seen seen = {.cancel_at = NEVER, .kill_at = NEVER};
	struct atl_errinfo info = {0};
	assert_int_equal(go_info(&q, &seen, &info), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "no LoRA gone"));
}

/* True: it ended within a step and a little. */
static bool cancel_is_quick(void)
{
	struct atl_image_request q = basic();
	q.steps = 200;
	q.width = q.height = 256;
	struct seen seen = {.cancel_at = 2, .kill_at = NEVER};
	struct atl_errinfo info = {0};
	uint64_t start = atl_monotonic_ms();
	assert_int_equal(go_info(&q, &seen, &info), ATL_ERR_CANCELLED);
	uint64_t took = atl_monotonic_ms() - seen.cancelled_ms;
	uint64_t step = (seen.cancelled_ms - start) / 2; /* loading counts too: generous, as this machine is shared */
	assert_int_equal(seen.results, 0);
	return took <= step + 400 && seen.sampling_steps < 100;
}

static void test_cancel_within_a_step(void **state)
{
	bool quick = false;
	for (int turn = 0; turn < 5 && !quick; turn++) /* a machine that stands still for a moment spoils one */
		quick = cancel_is_quick();
	assert_true(quick);
	struct atl_image_request q = basic();
	struct seen seen = go(&q);
	assert_int_equal(seen.results, 1);
}

static void fails_with(struct atl_image_request *q, const char *words)
{
	struct seen seen = {.cancel_at = NEVER, .kill_at = NEVER};
	struct atl_errinfo info = {0};
	assert_int_equal(go_info(q, &seen, &info), ATL_ERR_UPSTREAM);
	if (!strstr(info.detail, words))
		fail_msg("%s", info.detail);
	assert_int_equal(seen.results, 0);
}

static void test_junk(void **state)
{
	char taesd_alone[2 * PATH_SIZE];
	struct atl_image_request q = basic();
	q.model = junk_model;
	fails_with(&q, "junk.safetensors is not a complete safetensors or GGUF file");
	snprintf(taesd_alone, sizeof taesd_alone, "{\"model\":\"%s/taef1.safetensors\"}", dir);
	q.model = taesd_alone;
	fails_with(&q, "could not be loaded");
	q = basic();
	q.sampler = "nonsense";
	fails_with(&q, "no sampler nonsense");
	q = basic();
	struct seen seen = go(&q);
	assert_int_equal(seen.results, 1);
}

/* What a film may be is told before the engine begins. Films themselves: tests/system/test_image_film.py. */
static void test_films_that_cannot_be(void **state)
{
	static const struct {
		int64_t frames, fps, duration_s, side;
		const char *field;
	} rows[] = {
		{258, 16, ATL_IMAGE_UNSET, SIDE, "frames"}, {0, 16, ATL_IMAGE_UNSET, SIDE, "frames"},
		{9, 0, ATL_IMAGE_UNSET, SIDE, "fps"},	    {9, 61, ATL_IMAGE_UNSET, SIDE, "fps"},
		{129, 16, ATL_IMAGE_UNSET, 1024, "frames"}, {ATL_IMAGE_UNSET, 16, 17, SIDE, "frames"},
	};
	struct atl_image_request q = basic();
	q.task = ATL_IMAGE_TXT2VID;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct seen seen = {.cancel_at = NEVER, .kill_at = NEVER};
		struct atl_errinfo info = {0};
		q.frames = rows[i].frames;
		q.fps = rows[i].fps;
		q.duration_s = rows[i].duration_s;
		q.width = q.height = rows[i].side;
		assert_int_equal(go_info(&q, &seen, &info), ATL_ERR_INVALID);
		assert_string_equal(info.field, rows[i].field);
	}
	q.width = q.height = SIDE;
	q.frames = 9;
	q.fps = q.duration_s = ATL_IMAGE_UNSET;
	fails_with(&q, "makes no films");
	q = basic();
	struct seen seen = go(&q);
	assert_int_equal(seen.results, 1);
}

static void test_killed(void **state)
{
	struct atl_image_request q = basic();
	struct seen seen = {.cancel_at = NEVER, .kill_at = 2};
	struct atl_errinfo info = {0};
	q.steps = 50;
	assert_int_equal(go_info(&q, &seen, &info), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "memory ran out"));
	waitpid(child, NULL, 0);
	assert_int_equal(go_info(&q, &seen, &info), ATL_ERR_UNAVAILABLE);
	assert_true(start_child());
	q = basic();
	seen = go(&q);
	assert_int_equal(seen.results, 1);
}

static struct atl_engine_hello greeting(struct atl_arena *arena, int *ret_fd)
{
	struct atl_engine_hello hello;
	struct atl_frame frame;
	struct atl_buf in;
	atl_buf_init(&in, ATL_ENGINE_JSON_MAX);
	assert_int_equal(atl_channel_connect(socket_path, ret_fd, NULL), ATL_OK);
	assert_int_equal(atl_channel_receive(*ret_fd, atl_monotonic_ms() + 60000, &frame, &in, NULL), ATL_OK);
	assert_int_equal(frame.type, ATL_FRAME_HELLO);
	assert_int_equal(atl_engine_read(arena, &atl_engine_hello_desc, in.data, in.length, &hello, NULL), ATL_OK);
	atl_buf_finish(&in);
	return hello;
}

static void test_hello_and_unload(void **state)
{
	struct atl_image_request q = basic();
	struct atl_arena arena;
	struct atl_buf in;
	int fd;
	go(&q);
	atl_arena_init(&arena, 0);
	struct atl_engine_hello hello = greeting(&arena, &fd);
	assert_string_equal(hello.model, "tiny.safetensors");
	assert_true(hello.memory_bytes > 0 && hello.samplers.count > 5 && hello.schedulers.count > 5);
	struct atl_frame frame = {.type = ATL_FRAME_UNLOAD};
	atl_buf_init(&in, 1000);
	assert_int_equal(atl_channel_send(fd, atl_monotonic_ms() + 60000, &frame, NULL, 0, NULL, 0, NULL), ATL_OK);
	assert_int_equal(atl_channel_receive(fd, atl_monotonic_ms() + 60000, &frame, &in, NULL), ATL_OK);
	assert_int_equal(frame.type, ATL_FRAME_DONE);
	close(fd);
	hello = greeting(&arena, &fd);
	assert_null(hello.model);
	close(fd);
	atl_buf_finish(&in);
	atl_arena_finish(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_and_previews),
		cmocka_unit_test(test_seed_and_prompt),
		cmocka_unit_test(test_batch_continues_the_seed),
		cmocka_unit_test(test_img2img),
		cmocka_unit_test(test_inpaint_keeps_the_rest),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_lora),
		cmocka_unit_test(test_cancel_within_a_step),
		cmocka_unit_test(test_junk),
		cmocka_unit_test(test_films_that_cannot_be),
		cmocka_unit_test(test_hello_and_unload),
		cmocka_unit_test(test_killed),
	};
	if (argc != 4)
		return 2;
	program = argv[1];
	python = argv[2];
	kit = argv[3];
	return cmocka_run_group_tests_name("image_local", tests, set_up, tear_down);
}
