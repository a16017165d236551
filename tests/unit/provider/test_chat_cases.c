/* test_chat_cases.c - replays tests/cases/chat/NAME.txt: request written, canned replies, events told.
 *
 * A case has settings ("key: value"), then sections: "--- request" (method and path, headers, a line "body" and JSON of
 * which every member must be there), "--- reply" (one per attempt; the last repeats) and "--- events" (every line must
 * be told exactly). In a reply lines end with LF and become CRLF in the head; directives: "!split N" sends N bytes a
 * turn, "!crlf" / "!cr" end body lines so, "!cut" leaves the body unfinished, "!hang" sends nothing more,
 * "!filler N" is N letters without a line end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../net/scripted.h"
#include "base/json.h"
#include "base/str.h"
#include "provider/chat.h"

#define REPLIES_MAX 4

struct test_case {
	struct atl_arena arena;
	char *settings, *request, *events;
	struct atl_buf replies[REPLIES_MAX];
	struct scripted_reply script[REPLIES_MAX];
	size_t reply_count;
};

struct told {
	struct atl_loop *loop;
	struct atl_chat_endpoint endpoint;
	struct atl_chat_request request;
	const char *cancel_at; /* content that makes us cancel */
	struct atl_chat_run *run;
	struct atl_buf content, reasoning, tools;
	enum atl_err err;
	struct atl_errinfo info;
	char finish_reason[64];
	struct atl_chat_usage usage;
	unsigned done_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* ---- reading a case ---- */
static char *read_file(struct atl_arena *arena, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = atl_arena_alloc(arena, 1 << 20);
	size_t length;

	if (!file)
		fail_msg("cannot read %s", path);
	length = fread(text, 1, (1 << 20) - 1, file);
	text[length] = 0;
	fclose(file);
	return text;
}

static const char *setting(struct test_case *c, const char *name)
{
	size_t length = strlen(name);

	for (char *line = c->settings; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return atl_arena_strndup(&c->arena, line + length + 2, strcspn(line + length + 2, "\n"));
	return NULL;
}

static void end_reply(struct atl_buf *out, struct atl_buf *body, bool has_length, bool cut)
{
	if (has_length) {
		atl_buf_add(out, "\r\n", 2);
	} else {
		atl_buf_addf(out, "Transfer-Encoding: chunked\r\n\r\n");
		if (body->length) {
			atl_buf_addf(out, "%zx\r\n", body->length);
			atl_buf_add(out, body->data, body->length);
			atl_buf_adds(out, "\r\n");
		}
		if (!cut)
			atl_buf_adds(out, "0\r\n\r\n");
	}
}

static void add_reply(struct test_case *c, char *text)
{
	struct atl_buf *out = &c->replies[c->reply_count];
	struct scripted_reply *reply = &c->script[c->reply_count++];
	struct atl_buf body;
	const char *line_end = "\n";
	bool head = true, cut = false, hang = false;
	char *save = NULL;

	atl_buf_init(out, 8 << 20);
	atl_buf_init(&body, 8 << 20);
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (strncmp(line, "!split ", 7) == 0)
			reply->split = strtoul(line + 7, &save, 10);
		else if (strcmp(line, "!crlf") == 0)
			line_end = "\r\n";
		else if (strcmp(line, "!cr") == 0)
			line_end = "\r";
		else if (strcmp(line, "!cut") == 0)
			cut = true;
		else if (strcmp(line, "!hang") == 0)
			cut = hang = true;
		else if (strncmp(line, "!filler ", 8) == 0)
			for (size_t i = strtoul(line + 8, &save, 10); i; i--)
				atl_buf_addc(&body, 'x');
		else if (head && !*line)
			head = false;
		else if (head)
			atl_buf_addf(out, "%s\r\n", line);
		else
			atl_buf_addf(&body, "%s%s", line, line_end);
	}
	if (out->length) /* no head at all: silence */
		end_reply(out, &body, false, cut);
	reply->bytes = out->length ? out->data : "";
	reply->length = out->length;
	reply->close = cut && !hang;
	atl_buf_finish(&body);
}

static void parse_case(struct test_case *c, char *text)
{
	char *section = text;

	c->settings = text;
	while (section) {
		char *next = strstr(section, "\n--- ");

		if (next) {
			next[1] = 0;
			next += 5;
		}
		if (section != text) {
			char *body = strchr(section, '\n') + 1;

			if (strncmp(section, "request", 7) == 0)
				c->request = body;
			else if (strncmp(section, "events", 6) == 0)
				c->events = body;
			else if (c->reply_count < REPLIES_MAX)
				add_reply(c, body);
		}
		section = next;
	}
}

/* ---- running ---- */
static void on_delta(void *arg, const char *text, size_t length)
{
	struct told *told = arg;

	if (!atl_utf8_valid(text, length))
		abort();
	atl_buf_add(&told->content, text, length);
	if (told->cancel_at && strstr(told->content.data, told->cancel_at))
		atl_chat_cancel(told->run);
}

static void on_reasoning(void *arg, const char *text, size_t length)
{
	atl_buf_add(&((struct told *)arg)->reasoning, text, length);
}

static void on_tools(void *arg, const char *json)
{
	atl_buf_adds(&((struct told *)arg)->tools, json);
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct told *told = arg;

	pthread_mutex_lock(&told->lock);
	told->err = err;
	told->info = *info;
	if (result) {
		snprintf(told->finish_reason, sizeof(told->finish_reason), "%s", result->finish_reason);
		told->usage = result->usage;
	}
	told->done_count++;
	pthread_cond_signal(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

static void start(void *arg)
{
	static const struct atl_chat_ops OPS = {on_delta, on_reasoning, on_tools, on_done};
	struct told *told = arg;
	struct atl_errinfo info = {0};
	enum atl_err err = atl_chat_start(told->loop, &told->endpoint, &told->request, &OPS, told, &told->run, &info);

	if (err)
		on_done(told, err, &info, NULL);
}

static bool subset(const struct atl_json *want, const struct atl_json *have)
{
	if (!have || want->kind != have->kind)
		return false;
	switch (want->kind) {
	case ATL_JSON_STRING:
		return strcmp(want->string, have->string) == 0;
	case ATL_JSON_NUMBER:
	case ATL_JSON_BOOL:
		return want->number == have->number;
	case ATL_JSON_OBJECT:
		for (const struct atl_json *w = want->child; w; w = w->next)
			if (!subset(w, atl_json_get(have, w->key)))
				return false;
		return true;
	case ATL_JSON_ARRAY:
		if (want->count != have->count)
			return false;
		for (const struct atl_json *w = want->child, *h = have->child; w; w = w->next, h = h->next)
			if (!subset(w, h))
				return false;
		return true;
	default:
		return true;
	}
}

static void check_body(struct test_case *c, const char *seen, const char *want)
{
	const char *body = strstr(seen, "\r\n\r\n") + 4;
	struct atl_json *want_tree, *have_tree;

	assert_int_equal(atl_json_parse(&c->arena, want, strlen(want), &want_tree, NULL), ATL_OK);
	assert_int_equal(atl_json_parse(&c->arena, body, strlen(body), &have_tree, NULL), ATL_OK);
	if (!subset(want_tree, have_tree))
		fail_msg("the body lacks something: %s", body);
}

static void check_request(struct test_case *c, const char *seen)
{
	char *line = c->request;

	while (line && *line) {
		char *next = strchr(line, '\n');

		if (next)
			*next++ = 0;
		if (strcmp(line, "body") == 0) {
			check_body(c, seen, next);
			return;
		}
		if (line[0] == '!') {
			if (strstr(seen, line + 1))
				fail_msg("the request has \"%s\":\n%s", line + 1, seen);
		} else if (!strstr(seen, line)) {
			fail_msg("the request lacks \"%s\":\n%s", line, seen);
		}
		line = next;
	}
}

static void write_escaped(struct atl_buf *out, const char *name, const struct atl_buf *text)
{
	if (!text->length)
		return;
	atl_buf_addf(out, "%s: ", name);
	for (size_t i = 0; i < text->length; i++)
		if (text->data[i] == '\n')
			atl_buf_adds(out, "\\n");
		else
			atl_buf_addc(out, text->data[i]);
	atl_buf_addc(out, '\n');
}

static void check_events(struct test_case *c, const struct told *told, size_t requests)
{
	struct atl_buf out;

	atl_buf_init(&out, 8 << 20);
	write_escaped(&out, "reasoning", &told->reasoning);
	write_escaped(&out, "content", &told->content);
	write_escaped(&out, "tools", &told->tools);
	atl_buf_addf(&out, "done: %s", told->err ? atl_err_slug(told->err) : "ok");
	if (told->finish_reason[0])
		atl_buf_addf(&out, " %s", told->finish_reason);
	if (told->usage.prompt_tokens >= 0 && !told->err)
		atl_buf_addf(&out, " %lld+%lld cached %lld reasoning %lld", (long long)told->usage.prompt_tokens,
			     (long long)told->usage.completion_tokens, (long long)told->usage.cached_tokens,
			     (long long)told->usage.reasoning_tokens);
	atl_buf_addc(&out, '\n');
	if (told->info.detail[0])
		atl_buf_addf(&out, "detail: %s\n", told->info.detail);
	if (told->info.retry_after_s)
		atl_buf_addf(&out, "retry_after_s: %d\n", told->info.retry_after_s);
	atl_buf_addf(&out, "requests: %zu\n", requests);
	assert_string_equal(out.data, c->events);
	if (told->endpoint.api_key && told->endpoint.api_key[0])
		assert_null(strstr(told->info.detail, told->endpoint.api_key));
	atl_buf_finish(&out);
}

static void set_request(struct test_case *c, struct told *told)
{
	struct atl_chat_message *messages = ATL_ARENA_ARRAY(&c->arena, struct atl_chat_message, 3);
	const char *value;
	size_t count = 0;

	value = setting(c, "developer");
	if (value)
		messages[count++] = (struct atl_chat_message){.role = "developer", .content = value};
	messages[count++] = (struct atl_chat_message){.role = "user", .content = "Hello"};
	value = setting(c, "prefill");
	if (value) {
		messages[count++] = (struct atl_chat_message){.role = "assistant", .content = value};
		told->request.continue_last = true;
	}
	told->request.model = "m";
	told->request.messages = messages;
	told->request.message_count = count;
	told->request.stream = !setting(c, "whole");
	told->request.character_slug = setting(c, "character");
	told->request.tools_raw = setting(c, "tools");
	if (setting(c, "sampling")) {
		static const char *const STOP[] = {"a", "b", "c", "d", "e", NULL};

		told->request.sampling = (struct atl_chat_sampling){.present = 511, .temperature = 0.5, .top_p = 0.9,
			.min_p = 0.1, .repeat_penalty = 1.5, .presence_penalty = 0.25, .frequency_penalty = -0.5,
			.top_k = 40, .max_tokens = 99, .seed = 7, .stop = STOP};
	}
}

static void set_endpoint(struct test_case *c, struct told *told, int port)
{
	const char *preset = setting(c, "preset"), *wait = setting(c, "first_byte_ms");
	const char *host = setting(c, "host");

	told->endpoint.preset = atl_chat_preset_find(preset ? preset : "custom");
	assert_non_null(told->endpoint.preset);
	told->endpoint.base_url = atl_arena_printf(&c->arena, "http://%s:%d/v1/", host ? host : "127.0.0.1", port);
	told->endpoint.api_key = setting(c, "key");
	told->endpoint.retry_base_ms = 1;
	told->endpoint.first_byte_ms = wait ? (unsigned)strtoul(wait, NULL, 10) : 5000;
	told->cancel_at = setting(c, "cancel_at");
}

static void run_case(void **state)
{
	struct test_case c = {0};
	struct told told = {.usage = ATL_CHAT_USAGE_NOT_TOLD};
	struct atl_guard guard = {.allow_private = true};
	struct scripted server;

	atl_arena_init(&c.arena, 0);
	parse_case(&c, read_file(&c.arena, *state));
	assert_non_null(c.events);
	pthread_mutex_init(&told.lock, NULL);
	pthread_cond_init(&told.changed, NULL);
	atl_buf_init(&told.content, 1 << 20);
	atl_buf_init(&told.reasoning, 1 << 20);
	atl_buf_init(&told.tools, 1 << 20);
	assert_int_equal(atl_loop_create("test", &told.loop, NULL), ATL_OK);
	scripted_start(&server, told.loop, c.script, c.reply_count);
	set_endpoint(&c, &told, server.port);
	set_request(&c, &told);
	told.endpoint.guard = &guard;
	on_loop(told.loop, start, &told);
	pthread_mutex_lock(&told.lock);
	while (!told.done_count)
		pthread_cond_wait(&told.changed, &told.lock);
	pthread_mutex_unlock(&told.lock);
	check_events(&c, &told, server.requests);
	if (c.request)
		check_request(&c, server.seen[0]);
	scripted_stop(&server);
	atl_loop_destroy(told.loop);
	assert_int_equal(told.done_count, 1);
	for (size_t i = 0; i < c.reply_count; i++)
		atl_buf_finish(&c.replies[i]);
	atl_buf_finish(&told.content);
	atl_buf_finish(&told.reasoning);
	atl_buf_finish(&told.tools);
	atl_arena_finish(&c.arena);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests = calloc((size_t)argc, sizeof(*tests));
	int rc;

	if (argc < 2 || !tests || atl_fetch_global_init())
		return 1;
	for (int i = 1; i < argc; i++) {
		const char *name = strrchr(argv[i], '/');

		tests[i - 1] = (struct CMUnitTest){name ? name + 1 : argv[i], run_case, NULL, NULL, argv[i]};
	}
	rc = _cmocka_run_group_tests("chat", tests, (size_t)argc - 1, NULL, NULL);
	atl_fetch_global_finish();
	free(tests);
	return rc;
}
