/* test_parse.c - the pure parts: event stream decoder, think splitter, breaker, presets, tool calls, the fake provider. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../net/scripted.h"
#include "base/str.h"
#include "provider/fake_chat.h"
#include "provider/sse_parse.h"
#include "provider/think.h"
#include "provider/tool_calls.h"

/* ---- event stream ---- */
static bool note_event(void *arg, const char *event, const char *data, size_t length)
{
	struct atl_buf *out = arg;

	atl_buf_addf(out, "[%s|", event);
	atl_buf_add(out, data, length);
	atl_buf_adds(out, "]");
	return strcmp(data, "stop") != 0;
}

static const struct {
	const char *stream, *events;
} STREAMS[] = {
	{"data: a\n\ndata: b\n\n", "[|a][|b]"},
	{"data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]"},
	{"data: a\r\rdata: b\r\r", "[|a][|b]"},
	{"\xef\xbb\xbf" "data: a\n\n", "[|a]"},
	{"\xef\xbb" "data: a\n\n", ""},
	{"data:a\ndata:  b\n\n", "[|a\n b]"},
	{": c\n:\n\ndata\n\n", "[|]"},
	{"event: x\nid: 1\ndata: a\n\ndata: b\n\n", "[x|a][|b]"},
	{"event: x\n\ndata: b\n\n", "[|b]"},
	{"nothing\nDATA: a\ndatax: a\n\n", ""},
	{"data: a", "[|a]"},
	{"data: \xe2\x82\xac\n\n", "[|\xe2\x82\xac]"},
	{"data: stop\n\ndata: more\n\n", "[|stop]"},
};

static void test_streams_split_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATL_COUNT(STREAMS); i++) {
		size_t length = strlen(STREAMS[i].stream);

		for (size_t piece = 1; piece <= length; piece++) {
			struct atl_buf out;
			struct atl_sse sse;
			enum atl_err err = ATL_OK;

			atl_buf_init(&out, 4096);
			atl_sse_init(&sse, 64, note_event, &out);
			for (size_t at = 0; at < length && !err; at += piece)
				err = atl_sse_feed(&sse, STREAMS[i].stream + at, length - at < piece ? length - at : piece);
			if (!err)
				err = atl_sse_end(&sse);
			assert_string_equal(out.data ? out.data : "", STREAMS[i].events);
			assert_int_equal(err, strstr(STREAMS[i].stream, "stop") ? ATL_ERR_CANCELLED : ATL_OK);
			atl_sse_finish(&sse);
			atl_buf_finish(&out);
		}
	}
}

static void test_stream_caps(void **state)
{
	static const char LONG[] = "data: 0123456789012345678901234567890123456789\n\n";
	static const char MANY[] = "data: 0123456789\ndata: 0123456789\ndata: 0123456789\n\n";
	struct atl_buf out;
	struct atl_sse sse;

	(void)state;
	atl_buf_init(&out, 4096);
	atl_sse_init(&sse, 24, note_event, &out);
	assert_int_equal(atl_sse_feed(&sse, LONG, sizeof(LONG) - 1), ATL_ERR_TOO_LARGE);
	assert_int_equal(atl_sse_feed(&sse, "data: a\n\n", 9), ATL_ERR_TOO_LARGE);
	atl_sse_reset(&sse);
	assert_int_equal(atl_sse_feed(&sse, LONG, 30), ATL_ERR_TOO_LARGE);
	atl_sse_reset(&sse);
	assert_int_equal(atl_sse_feed(&sse, MANY, sizeof(MANY) - 1), ATL_ERR_TOO_LARGE);
	atl_sse_reset(&sse);
	assert_int_equal(out.length, 0);
	assert_int_equal(atl_sse_feed(&sse, "data: a\n\n", 9), ATL_OK);
	assert_string_equal(out.data, "[|a]");
	atl_sse_finish(&sse);
	atl_buf_finish(&out);
}

/* ---- think ---- */
struct thoughts {
	struct atl_buf reasoning, text;
};

static void note_thought(void *arg, bool reasoning, const char *text, size_t length)
{
	struct thoughts *t = arg;

	atl_buf_add(reasoning ? &t->reasoning : &t->text, text, length);
}

/* Cuts only between characters, as deltas are whole characters; each piece told must then be whole too. */
static void note_whole(void *arg, bool reasoning, const char *text, size_t length)
{
	assert_true(atl_utf8_valid(text, length));
	note_thought(arg, reasoning, text, length);
}

static const struct {
	const char *in, *reasoning, *text;
} THOUGHTS[] = {
	{"<think>why</think>\n\nHi", "why", "Hi"},
	{" \n<think>\xe2\x82\xac</\xe2\x82\xac</think>\xe2\x82\xac", "\xe2\x82\xac</\xe2\x82\xac", "\xe2\x82\xac"},
	{"<think><</think></think>", "<", "</think>"},
	{"<think>never closed </thi", "never closed </thi", ""},
	{"<think></think>Hi", "", "Hi"},
	{"<thin ice", "", "<thin ice"},
	{"<\xc3\xa9", "", "<\xc3\xa9"},
	{"Hi <think>no</think>", "", "Hi <think>no</think>"},
	{"                                              <think>far", "",
	 "                                              <think>far"},
	{"  ", "", "  "},
	{"", "", ""},
};

static void test_thoughts_split_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATL_COUNT(THOUGHTS); i++) {
		size_t length = strlen(THOUGHTS[i].in);

		for (size_t piece = 1; piece <= length + 1; piece++) {
			struct atl_think think = {0};
			struct thoughts told;
			size_t at = 0;

			atl_buf_init(&told.reasoning, 4096);
			atl_buf_init(&told.text, 4096);
			while (at < length) {
				size_t end = at + piece < length ? at + piece : length;

				while (end < length && ((unsigned char)THOUGHTS[i].in[end] & 0xc0) == 0x80)
					end++;
				atl_think_feed(&think, THOUGHTS[i].in + at, end - at, note_whole, &told);
				at = end;
			}
			atl_think_end(&think, note_whole, &told);
			assert_string_equal(told.reasoning.data ? told.reasoning.data : "", THOUGHTS[i].reasoning);
			assert_string_equal(told.text.data ? told.text.data : "", THOUGHTS[i].text);
			atl_buf_finish(&told.reasoning);
			atl_buf_finish(&told.text);
		}
	}
}

/* ---- breaker ---- */
static void test_breaker(void **state)
{
	struct atl_breaker breaker = {0};
	uint64_t wait = 0;

	(void)state;
	for (int i = 0; i < ATL_BREAKER_FAILURES - 1; i++)
		atl_breaker_failure(&breaker, 1000);
	assert_true(atl_breaker_allow(&breaker, 1000, NULL));
	atl_breaker_success(&breaker); /* the row is broken */
	for (int i = 0; i < ATL_BREAKER_FAILURES; i++) {
		assert_true(atl_breaker_allow(&breaker, 1000, NULL));
		atl_breaker_failure(&breaker, 1000);
	}
	assert_false(atl_breaker_allow(&breaker, 2000, &wait));
	assert_int_equal(wait, ATL_BREAKER_PAUSE_MS - 1000);
	assert_true(atl_breaker_allow(&breaker, 1000 + ATL_BREAKER_PAUSE_MS, NULL));
	assert_false(atl_breaker_allow(&breaker, 1000 + ATL_BREAKER_PAUSE_MS, NULL)); /* one trial */
	atl_breaker_neutral(&breaker);
	assert_true(atl_breaker_allow(&breaker, 1001 + ATL_BREAKER_PAUSE_MS, NULL));
	atl_breaker_failure(&breaker, 10000);
	assert_false(atl_breaker_allow(&breaker, 10000 + 2 * ATL_BREAKER_PAUSE_MS - 1, NULL));
	assert_true(atl_breaker_allow(&breaker, 10000 + 2 * ATL_BREAKER_PAUSE_MS, NULL));
	atl_breaker_success(&breaker);
	assert_true(atl_breaker_allow(&breaker, 10000, NULL));
	assert_true(atl_breaker_counts(ATL_ERR_UPSTREAM_CUT));
	assert_false(atl_breaker_counts(ATL_ERR_UPSTREAM_AUTH));
	assert_false(atl_breaker_counts(ATL_ERR_CANCELLED));
}

/* ---- presets ---- */
static void test_presets_are_whole(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct atl_chat_preset *p; (p = atl_chat_preset_at(count)); count++) {
		assert_ptr_equal(atl_chat_preset_find(p->preset), p);
		assert_true(p->name[0] && p->models_query);
		/* a service that chats has a field for the length; the others make pictures */
		assert_true(p->no_chat ? p->picture_kind && p->picture_kind[0] : p->max_tokens && p->max_tokens[0]);
		assert_true(p->base_url[0] || strcmp(p->preset, "custom") == 0);
		assert_true(!p->needs_key || p->key_help_url);
		assert_int_equal(p->local, atl_str_starts(p->base_url, "http://127.0.0.1"));
	}
	assert_int_equal(count, 11);
	assert_null(atl_chat_preset_find("nobody"));
	assert_non_null(atl_chat_preset_find("fake"));
}

/* ---- tool calls ---- */
static void test_tool_call_limits(void **state)
{
	static const char BAD[] = "[{\"index\":64}]", NEGATIVE[] = "[{\"index\":-1}]", WRONG[] = "[5]";
	struct atl_tool_calls calls = {0};
	struct atl_arena arena;
	struct atl_json *tree;

	(void)state;
	atl_arena_init(&arena, 0);
	assert_int_equal(atl_json_parse(&arena, BAD, strlen(BAD), &tree, NULL), ATL_OK);
	assert_int_equal(atl_tool_calls_add(&calls, tree), ATL_ERR_TOO_LARGE);
	assert_int_equal(atl_json_parse(&arena, NEGATIVE, strlen(NEGATIVE), &tree, NULL), ATL_OK);
	assert_int_equal(atl_tool_calls_add(&calls, tree), ATL_ERR_UPSTREAM_FORMAT);
	assert_int_equal(atl_json_parse(&arena, WRONG, strlen(WRONG), &tree, NULL), ATL_OK);
	assert_int_equal(atl_tool_calls_add(&calls, tree), ATL_ERR_UPSTREAM_FORMAT);
	atl_tool_calls_finish(&calls);
	atl_arena_finish(&arena);
}

/* ---- the fake ---- */
struct scene {
	struct atl_loop *loop;
	struct atl_chat_endpoint endpoint;
	struct atl_chat_run *run;
	struct atl_buf out;
	bool cancel;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void fake_delta(void *arg, const char *text, size_t length)
{
	struct scene *scene = arg;

	atl_buf_add(&scene->out, text, length);
	if (scene->cancel)
		atl_chat_cancel(scene->run);
}

static void fake_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct scene *scene = arg;

	pthread_mutex_lock(&scene->lock);
	atl_buf_addf(&scene->out, "|%s|%s|%s", err ? atl_err_slug(err) : "ok", info->detail, result->finish_reason);
	scene->done = true;
	pthread_cond_signal(&scene->changed);
	pthread_mutex_unlock(&scene->lock);
}

static void fake_start(void *arg)
{
	static const struct atl_chat_ops OPS = {.on_delta = fake_delta, .on_done = fake_done};
	static const struct atl_chat_request NOTHING;
	struct scene *scene = arg;

	assert_int_equal(atl_chat_start(scene->loop, &scene->endpoint, &NOTHING, &OPS, scene, &scene->run, NULL), ATL_OK);
}

static void play(const struct atl_chat_script *script, bool cancel, const char *expected)
{
	struct scene scene = {.endpoint = {.preset = atl_chat_preset_find("fake"), .script = script}, .cancel = cancel};

	atl_buf_init(&scene.out, 4096);
	pthread_mutex_init(&scene.lock, NULL);
	pthread_cond_init(&scene.changed, NULL);
	assert_int_equal(atl_loop_create("test", &scene.loop, NULL), ATL_OK);
	on_loop(scene.loop, fake_start, &scene);
	pthread_mutex_lock(&scene.lock);
	while (!scene.done)
		pthread_cond_wait(&scene.changed, &scene.lock);
	pthread_mutex_unlock(&scene.lock);
	assert_string_equal(scene.out.data, expected);
	atl_loop_destroy(scene.loop);
	atl_buf_finish(&scene.out);
}

static void test_fake(void **state)
{
	static const struct atl_chat_step STEPS[] = {{ATL_CHAT_STEP_DELTA, 1, "Hel"}, {ATL_CHAT_STEP_REASONING, 0, "x"},
						     {ATL_CHAT_STEP_DELTA, 1, "lo"}};
	static const struct atl_chat_step HANG[] = {{ATL_CHAT_STEP_DELTA, 0, "Hel"}, {ATL_CHAT_STEP_HANG, 0, NULL}};
	static const struct atl_chat_script GOOD = {.steps = STEPS, .step_count = 3};
	static const struct atl_chat_script BAD = {.steps = STEPS, .step_count = 1, .err = ATL_ERR_UPSTREAM_CUT, .detail = "cut"};
	static const struct atl_chat_script SILENT = {.steps = HANG, .step_count = 2};

	(void)state;
	play(&GOOD, false, "Hello|ok||stop");
	play(&BAD, false, "Hel|upstream_cut|cut|");
	play(&SILENT, true, "Hel|cancelled|It was stopped.|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_split_anywhere),
		cmocka_unit_test(test_stream_caps),
		cmocka_unit_test(test_thoughts_split_anywhere),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_presets_are_whole),
		cmocka_unit_test(test_tool_call_limits),
		cmocka_unit_test(test_fake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
