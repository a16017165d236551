#include "fixture.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ftw.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "db/db.h"
#include "net/fetch.h"
#include "os/loop.h"

void fixture_write(const char *path, const void *data, size_t length, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, length), (ssize_t)length);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void add_le(struct atl_buf *b, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		atl_buf_addc(b, (char)(value >> (8 * i)));
}

static void add_text(struct atl_buf *b, const char *text)
{
	add_le(b, strlen(text), 8);
	atl_buf_adds(b, text);
}

void fixture_model(struct fixture *f, const char *file, int context_length)
{
	char path[256];
	struct atl_buf b;
	atl_buf_init(&b, 65536);
	atl_buf_adds(&b, "GGUF");
	add_le(&b, 3, 4);
	add_le(&b, 0, 8); /* tensors */
	add_le(&b, 2, 8); /* keys */
	add_text(&b, "general.architecture");
	add_le(&b, 8, 4);
	add_text(&b, "llama");
	add_text(&b, "llama.context_length");
	add_le(&b, 4, 4);
	add_le(&b, (uint64_t)context_length, 4);
	snprintf(path, sizeof path, "%s/%s", f->models, file);
	fixture_write(path, b.data, b.length, 0600);
	atl_buf_finish(&b);
}

void fixture_open(struct fixture *f, const char *const *allow)
{
	static bool once;
	char url[128];
	memset(f, 0, sizeof *f);
	if (!once) {
		assert_int_equal(atl_crypto_init(), ATL_OK);
		assert_int_equal(atl_fetch_global_init(), ATL_OK);
		once = true;
	}
	strcpy(f->dir, "/tmp/atl-core-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->models, sizeof f->models, "%s/models", f->dir);
	snprintf(f->program, sizeof f->program, "%s/llama-server", f->dir);
	assert_int_equal(mkdir(f->models, 0700), 0);
	assert_int_equal(atl_guard_init(&f->guard, allow, NULL), ATL_OK);
	assert_int_equal(atl_loop_create("test", &f->loop, NULL), ATL_OK);
	snprintf(url, sizeof url, "sqlite:%s/test.db", f->dir);
	assert_int_equal(atl_db_open(url, &f->app.db, NULL), ATL_OK);
	assert_int_equal(atl_db_migrate(f->app.db, NULL), ATL_OK);
	memset(f->key, 7, sizeof f->key);
	f->app.data_dir = f->dir;
	f->app.models_dir = f->models;
	f->app.master_key = f->key;
	f->app.guard = &f->guard;
	f->app.loops = &f->loop;
	f->app.loop_count = 1;
	f->app.engine_program = f->program;
	f->app.engine_gpu_layers = -1;
	atl_arena_init(&f->arena, 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

void fixture_close(struct fixture *f)
{
	atl_loop_destroy(f->loop);
	atl_db_close(f->app.db);
	atl_guard_finish(&f->guard);
	atl_arena_finish(&f->arena);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static enum atl_err user_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"INSERT INTO users (id, name, name_folded, role, password_hash, preferences, created_at, updated_at) "
			"VALUES (?, ?, ?, 'owner', '', '{}', 1, 1)",
			"sss", arg, arg, arg);
}

void fixture_user(struct fixture *f, const char *id)
{
	assert_int_equal(atl_db_tx(f->app.db, user_fn, (void *)id, NULL), ATL_OK);
}
