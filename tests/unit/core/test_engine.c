/* The managed engine with a double that speaks just enough HTTP on its socket, and with the real llama-server when
 * ATELIER_LLAMA_SERVER and ATELIER_MODEL name one and a model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/models/engine.h"
#include "core/models/local_model.h"
#include "core/models/model.h"
#include "fixture.h"

#define WAIT_MS 60000

/* Notes its arguments beside itself; ends with code 3 while a file `crash` is there. */
static const char DOUBLE[] =
	"#!/usr/bin/env python3\n"
	"import json, os, socket, sys\n"
	"here = os.path.dirname(os.path.abspath(sys.argv[0]))\n"
	"json.dump(sys.argv, open(here + '/argv.json', 'w'))\n"
	"print('loading', flush=True)\n"
	"if os.path.exists(here + '/crash'):\n"
	"    print('out of memory', file=sys.stderr, flush=True)\n"
	"    sys.exit(3)\n"
	"s = socket.socket(socket.AF_UNIX)\n"
	"s.bind(sys.argv[sys.argv.index('--host') + 1])\n"
	"s.listen()\n"
	"while True:\n"
	"    c, _ = s.accept()\n"
	"    head = c.recv(65536).decode()\n"
	"    body = '{\"tokens\":[1,2,3]}' if head.startswith('POST /tokenize') else '{}'\n"
	"    c.sendall(('HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n"
	"Connection: close\\r\\n\\r\\n%s' % (len(body), body)).encode())\n"
	"    c.close()\n";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	fixture_open(f, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	atl_engine_destroy(f->app.engine);
	fixture_close(f);
	free(f);
	return 0;
}

static const char *state_of(struct fixture *f)
{
	struct atl_engine_status status;
	assert_int_equal(atl_engine_status(f->app.engine, &f->arena, &status, NULL), ATL_OK);
	return status.state;
}

static void create(struct fixture *f)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_engine_create(&f->app, &f->app.engine, &info);
	if (err)
		fail_msg("%s", info.detail);
}

static void install(struct fixture *f)
{
	fixture_write(f->program, DOUBLE, sizeof DOUBLE - 1, 0700);
}

static void test_missing_parts(void **state)
{
	struct fixture *f = *state;
	struct atl_errinfo info = {0};
	struct atl_model_target target;
	create(f);
	atl_engine_start(f->app.engine);
	assert_string_equal(state_of(f), "not_installed");
	install(f);
	atl_engine_restart(f->app.engine);
	assert_string_equal(state_of(f), "no_model");
	assert_false(atl_engine_wait(f->app.engine, WAIT_MS));
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", NULL, &target, &info), ATL_ERR_NO_MODEL);
	assert_non_null(strstr(info.detail, "Download one"));
	fixture_model(f, "a.gguf", 4096);
	atl_engine_models_changed(f->app.engine);
	assert_true(atl_engine_wait(f->app.engine, WAIT_MS));
	assert_string_equal(state_of(f), "healthy");
}

static void read_argv(struct fixture *f, char *out, size_t size)
{
	char path[160];
	snprintf(path, sizeof path, "%s/argv.json", f->dir);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t got = fread(out, 1, size - 1, file);
	out[got] = '\0';
	fclose(file);
}

static void test_starts_and_answers(void **state)
{
	struct fixture *f = *state;
	struct atl_model_target target;
	struct atl_strs log;
	struct atl_model *models;
	char argv[4096];
	size_t count;
	int64_t tokens;
	install(f);
	fixture_model(f, "b.gguf", 2048);
	create(f);
	atl_engine_start(f->app.engine);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", NULL, &target, NULL), ATL_OK);
	assert_string_equal(target.id, "local/b.gguf");
	assert_true(target.ready && target.exact_tokens);
	assert_int_equal(target.context_size, 2048); /* not more than it was trained for */
	read_argv(f, argv, sizeof argv);
	assert_non_null(strstr(argv, "\"-c\", \"4096\"")); /* two slots share it */
	assert_null(strstr(argv, target.endpoint.api_key));
	assert_int_equal(atl_models_count_tokens(&f->app, &target, "hello there", &tokens, NULL), ATL_OK);
	assert_int_equal(tokens, 3);
	assert_int_equal(atl_models_list(&f->app, &f->arena, "", &models, &count, NULL), ATL_OK);
	assert_int_equal(count, 1);
	assert_true(models[0].ready);
	assert_int_equal(atl_engine_log(f->app.engine, &f->arena, &log, NULL), ATL_OK);
	assert_true(log.count > 0);
	assert_string_equal(log.items[0], "loading");
	assert_int_equal(atl_local_model_delete(&f->app, "b.gguf", NULL), ATL_ERR_CONFLICT);
}

static void test_change_restarts(void **state)
{
	struct fixture *f = *state;
	struct atl_errinfo info = {0};
	struct atl_engine_settings s;
	struct atl_model_target target;
	char argv[4096];
	install(f);
	fixture_model(f, "a.gguf", 8192);
	fixture_model(f, "b.gguf", 8192);
	create(f);
	atl_engine_start(f->app.engine);
	assert_true(atl_engine_wait(f->app.engine, WAIT_MS));
	assert_int_equal(atl_engine_settings_get(f->app.engine, &f->arena, &s, NULL), ATL_OK);
	s.model = "none.gguf";
	assert_int_equal(atl_engine_settings_set(f->app.engine, NULL, &s, NULL), ATL_ERR_NOT_FOUND);
	s.model = "b.gguf";
	s.slots = 99;
	assert_int_equal(atl_engine_settings_set(f->app.engine, NULL, &s, &info), ATL_ERR_INVALID);
	assert_string_equal(info.field, "slots");
	s.slots = 3;
	s.context_size = 1024;
	s.threads = 1;
	s.gpu_layers = 0;
	assert_int_equal(atl_engine_settings_set(f->app.engine, NULL, &s, NULL), ATL_OK);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", "local/b.gguf", &target, NULL), ATL_OK);
	assert_true(target.ready);
	assert_int_equal(target.context_size, 1024);
	read_argv(f, argv, sizeof argv);
	assert_non_null(strstr(argv, "b.gguf"));
	assert_non_null(strstr(argv, "\"-c\", \"3072\""));
	assert_non_null(strstr(argv, "\"-ngl\", \"0\""));
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", "local/a.gguf", &target, NULL), ATL_ERR_UPSTREAM_MODEL);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", "b.gguf", &target, NULL), ATL_OK); /* bare */
}

static void test_crash_then_recovery(void **state)
{
	struct fixture *f = *state;
	struct atl_engine_status status;
	char crash[160];
	install(f);
	fixture_model(f, "a.gguf", 8192);
	snprintf(crash, sizeof crash, "%s/crash", f->dir);
	fixture_write(crash, "", 0, 0600);
	create(f);
	atl_engine_start(f->app.engine);
	assert_false(atl_engine_wait(f->app.engine, WAIT_MS)); /* gives up after some failures in a row, not after the time */
	assert_int_equal(atl_engine_status(f->app.engine, &f->arena, &status, NULL), ATL_OK);
	assert_string_equal(status.state, "backoff");
	assert_non_null(strstr(status.why, "code 3"));
	assert_true(status.restarts >= 3);
	unlink(crash);
	atl_engine_restart(f->app.engine);
	assert_true(atl_engine_wait(f->app.engine, WAIT_MS));
}

static void test_real(void **state)
{
	struct fixture *f = *state;
	struct atl_model_target target;
	const char *program = getenv("ATELIER_LLAMA_SERVER"), *model = getenv("ATELIER_MODEL");
	struct atl_local_model imported;
	struct atl_errinfo info = {0};
	int64_t tokens;
	if (atl_str_empty(program) || atl_str_empty(model)) {
		fprintf(stderr, "llama-server: not run (ATELIER_LLAMA_SERVER and ATELIER_MODEL are not set)\n");
		return;
	}
	f->app.engine_program = program;
	f->app.engine_context_size = 1024;
	create(f);
	atl_engine_start(f->app.engine);
	assert_string_equal(state_of(f), "no_model");
	if (atl_local_model_import(&f->app, &f->arena, model, &imported, &info))
		fail_msg("%s", info.detail);
	assert_true(imported.active);
	if (atl_models_resolve(&f->app, &f->arena, "", NULL, &target, &info))
		fail_msg("%s", info.detail);
	assert_true(target.ready);
	assert_int_equal(target.context_size, 1024);
	assert_int_equal(atl_models_count_tokens(&f->app, &target, "Hello, how are you today?", &tokens, NULL), ATL_OK);
	assert_in_range(tokens, 6, 8);
	atl_engine_stop(f->app.engine);
	assert_int_equal(atl_models_resolve(&f->app, &f->arena, "", NULL, &target, &info), ATL_ERR_NO_MODEL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_missing_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starts_and_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash_then_recovery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_real, setup, teardown),
	};
	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
