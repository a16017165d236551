/* local_model.c - see local_model.h. The header cache is guarded by `lock`, which also makes "is the name free, then
 * move" one step. */
#include "core/models/local_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "core/models/engine.h"
#include "core/models/gguf.h"
#include "os/file.h"

#define OFF(member) offsetof(struct atl_local_model, member)
#define ENDING ".gguf"
#define CACHE_MAX 64
#define COPY_CHUNK ((size_t)16 << 20)

static const struct atl_json_field FIELDS[] = {
	{"file", ATL_JT_STR, OFF(file), ATL_JF_REQUIRED},
	{"size_bytes", ATL_JT_INT, OFF(size_bytes), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"architecture", ATL_JT_STR, OFF(architecture), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"parameters", ATL_JT_INT, OFF(parameters), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"context_length", ATL_JT_INT, OFF(context_length), ATL_JF_REQUIRED | ATL_JF_NULLABLE,
	 .doc = "as trained"},
	{"quantization", ATL_JT_STR, OFF(quantization), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"error", ATL_JT_STR, OFF(error), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "why it cannot be used"},
	{"active", ATL_JT_BOOL, OFF(active), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_local_model_desc = {
	"LocalModel", "A model file on this machine.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_local_model),
	ATL_JSON_NO_PRESENT, false};

struct remembered {
	char *path; /* NULL: free */
	int64_t size, changed_ns;
	struct atl_gguf gguf;
	enum atl_err err;
	char detail[ATL_ERRINFO_DETAIL_MAX];
};
static struct remembered cache[CACHE_MAX];
static size_t cache_next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t changed_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static struct remembered *recall(const char *path, const struct stat *st)
{
	for (size_t i = 0; i < CACHE_MAX; i++)
		if (cache[i].path && atl_str_eq(cache[i].path, path) && cache[i].size == (int64_t)st->st_size &&
		    cache[i].changed_ns == changed_ns(st))
			return &cache[i];
	return NULL;
}

static void forget_slot(struct remembered *r)
{
	free(r->path);
	r->path = NULL;
}

static void remember(const char *path, const struct stat *st, const struct atl_gguf *gguf, enum atl_err err,
		     const char *detail)
{
	char *copy = strdup(path);
	if (!copy)
		return;
	for (size_t i = 0; i < CACHE_MAX; i++)
		if (atl_str_eq(cache[i].path, path))
			forget_slot(&cache[i]);
	struct remembered *r = &cache[cache_next];
	cache_next = (cache_next + 1) % CACHE_MAX;
	forget_slot(r);
	*r = (struct remembered){.path = copy, .size = st->st_size, .changed_ns = changed_ns(st), .err = err};
	r->gguf = *gguf;
	atl_str_copy(r->detail, sizeof r->detail, detail);
}

/* The header, from memory or the file. An error of this call is about the machine; *ret_bad is about the model. */
static enum atl_err header(const char *path, const struct stat *st, struct atl_gguf *ret, enum atl_err *ret_bad,
			   struct atl_errinfo *bad)
{
	pthread_mutex_lock(&lock);
	struct remembered *known = recall(path, st);
	if (known) {
		*ret = known->gguf;
		*ret_bad = known->err;
		atl_str_copy(bad->detail, sizeof bad->detail, known->detail);
	}
	pthread_mutex_unlock(&lock);
	if (known)
		return ATL_OK;
	memset(ret, 0, sizeof *ret);
	enum atl_err err = atl_gguf_read(path, ret, bad);
	if (!err)
		err = atl_gguf_usable(ret, bad);
	if (err == ATL_ERR_NOMEM || err == ATL_ERR_NOT_FOUND)
		return err;
	*ret_bad = err;
	if (err == ATL_ERR_IO)
		return ATL_OK;
	pthread_mutex_lock(&lock);
	remember(path, st, ret, err, bad->detail);
	pthread_mutex_unlock(&lock);
	return ATL_OK;
}

enum atl_err atl_local_model_name_check(const char *file, struct atl_errinfo *info)
{
	if (atl_str_empty(file) || !atl_file_name_ok(file) || file[0] == '.' || strlen(file) > ATL_LOCAL_MODEL_FILE_MAX ||
	    !atl_utf8_valid(file, strlen(file)))
		return atl_fail_field(info, ATL_ERR_INVALID, "file", "This is not a file name for a model.");
	if (!atl_str_ends(file, ENDING) || strlen(file) == strlen(ENDING))
		return atl_fail_field(info, ATL_ERR_INVALID, "file", "A model file's name ends in .gguf.");
	return ATL_OK;
}

/* Fill in what is known of models_dir/file. */
static enum atl_err describe(struct atl_app *app, struct atl_arena *arena, const char *file,
			     struct atl_local_model *ret, struct atl_errinfo *info)
{
	struct atl_local_model m = {.file = atl_arena_strdup(arena, file),
				    .path = atl_arena_printf(arena, "%s/%s", app->models_dir, file)};
	struct atl_errinfo bad = {0};
	enum atl_err bad_err = ATL_OK;
	struct atl_gguf gguf;
	struct stat st;
	if (!m.file || !m.path)
		return atl_fail(info, ATL_ERR_NOMEM, "describe model");
	if (stat(m.path, &st) != 0 || !S_ISREG(st.st_mode))
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no model file of this name.");
	enum atl_err err = header(m.path, &st, &gguf, &bad_err, &bad);
	if (err)
		return atl_fail(info, err, "%s", bad.detail);
	m.size_bytes = st.st_size;
	m.name = gguf.name[0] ? atl_arena_strdup(arena, gguf.name)
			      : atl_arena_strndup(arena, file, strlen(file) - strlen(ENDING));
	m.architecture = gguf.architecture[0] ? atl_arena_strdup(arena, gguf.architecture) : NULL;
	m.parameters = gguf.parameters;
	m.context_length = gguf.context_length;
	m.has_chat_template = gguf.has_chat_template;
	m.quantization = gguf.quantization;
	if (bad_err)
		m.error = atl_arena_strdup(arena, bad.detail[0] ? bad.detail : atl_err_sentence(bad_err));
	m.active = atl_engine_is_active(app->engine, file);
	if (!m.name || (bad_err && !m.error))
		return atl_fail(info, ATL_ERR_NOMEM, "describe model");
	*ret = m;
	return ATL_OK;
}

enum atl_err atl_local_models_list(struct atl_app *app, struct atl_arena *arena, struct atl_local_model **ret,
				   size_t *ret_count, struct atl_errinfo *info)
{
	const char **names;
	size_t count, used = 0;
	enum atl_err err = atl_dir_list(arena, app->models_dir, &names, &count, info);
	if (err == ATL_ERR_NOT_FOUND) {
		*ret = NULL;
		*ret_count = 0;
		return ATL_OK;
	}
	if (err)
		return err;
	struct atl_local_model *items =
		ATL_ARENA_ARRAY(arena, struct atl_local_model, count < ATL_LOCAL_MODELS_MAX ? count + 1 : ATL_LOCAL_MODELS_MAX);
	if (!items)
		return atl_fail(info, ATL_ERR_NOMEM, "list models");
	for (size_t i = 0; i < count && used < ATL_LOCAL_MODELS_MAX; i++) {
		if (atl_local_model_name_check(names[i], NULL) != ATL_OK)
			continue;
		err = describe(app, arena, names[i], &items[used], info);
		if (err == ATL_ERR_NOT_FOUND)
			continue; /* deleted meanwhile */
		if (err)
			return err;
		used++;
	}
	*ret = items;
	*ret_count = used;
	return ATL_OK;
}

enum atl_err atl_local_model_get(struct atl_app *app, struct atl_arena *arena, const char *file,
				 struct atl_local_model *ret, struct atl_errinfo *info)
{
	if (atl_local_model_name_check(file, NULL) != ATL_OK)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no model file of this name.");
	return describe(app, arena, file, ret, info);
}

enum atl_err atl_local_models_room(struct atl_app *app, uint64_t bytes, struct atl_errinfo *info)
{
	uint64_t available;
	enum atl_err err = atl_disk_free(app->models_dir, &available, info);
	if (err)
		return err;
	if (available >= ATL_LOCAL_MODEL_RESERVE_BYTES && available - ATL_LOCAL_MODEL_RESERVE_BYTES >= bytes)
		return ATL_OK;
	return atl_fail(info, ATL_ERR_DISK, "The model needs %llu MiB and %llu MiB must stay free; %llu MiB are free.",
			(unsigned long long)(bytes >> 20), (unsigned long long)(ATL_LOCAL_MODEL_RESERVE_BYTES >> 20),
			(unsigned long long)(available >> 20));
}

/* errno as one of ours. */
static enum atl_err os_fail(struct atl_errinfo *info, const char *what)
{
	int code = errno;
	return atl_fail(info, code == ENOSPC || code == EDQUOT ? ATL_ERR_DISK : ATL_ERR_IO, "%s: %s", what, strerror(code));
}

static enum atl_err copy_bytes(int from, int to, struct atl_errinfo *info)
{
	char *chunk = NULL;
	enum atl_err err = ATL_OK;
	for (;;) {
		ssize_t moved = chunk ? -1 : copy_file_range(from, NULL, to, NULL, COPY_CHUNK, 0);
		if (moved > 0)
			continue;
		if (moved == 0)
			break;
		if (!chunk && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
			err = os_fail(info, "copy model");
			break;
		}
		if (!chunk && !(chunk = malloc(COPY_CHUNK))) {
			err = atl_fail(info, ATL_ERR_NOMEM, "copy model");
			break;
		}
		ssize_t got = read(from, chunk, COPY_CHUNK);
		if (got == 0)
			break;
		for (ssize_t done = 0; got > 0 && done < got;) {
			ssize_t put = write(to, chunk + done, (size_t)(got - done));
			if (put < 0)
				got = -1;
			else
				done += put;
		}
		if (got < 0) {
			err = os_fail(info, "copy model");
			break;
		}
	}
	free(chunk);
	if (!err && fsync(to) != 0)
		err = os_fail(info, "write model");
	return err;
}

/* A copy beside its later name, hidden until it is complete. */
static enum atl_err copy_to(struct atl_app *app, struct atl_arena *arena, const char *from, const char *file,
			    const char **ret_temp, struct atl_errinfo *info)
{
	uint64_t bytes;
	int in = -1, out = -1;
	const char *temp = atl_arena_printf(arena, "%s/.%s.partial", app->models_dir, file);
	if (!temp)
		return atl_fail(info, ATL_ERR_NOMEM, "copy model");
	enum atl_err err = atl_file_size(from, &bytes, info);
	if (!err)
		err = atl_local_models_room(app, bytes, info);
	if (!err)
		err = atl_file_open(from, O_RDONLY, 0, &in, info);
	if (!err)
		err = atl_file_open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600, &out, info);
	if (!err)
		err = copy_bytes(in, out, info);
	if (in >= 0)
		close(in);
	if (out >= 0) {
		close(out);
		if (err)
			unlink(temp);
	}
	if (!err)
		*ret_temp = temp;
	return err;
}

static enum atl_err check_file(const char *path, struct atl_errinfo *info)
{
	struct atl_gguf gguf;
	enum atl_err err = atl_gguf_read(path, &gguf, info);
	return err ? err : atl_gguf_usable(&gguf, info);
}

/* Give `from` its name, or with `keep` add the name to it. */
static enum atl_err place(const char *from, const char *to, bool keep, int *ret_errno, struct atl_errinfo *info)
{
	struct stat st;
	enum atl_err err = ATL_OK;
	*ret_errno = 0;
	pthread_mutex_lock(&lock);
	if (lstat(to, &st) == 0)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There is a model file of this name already.");
	else if ((keep ? link(from, to) : rename(from, to)) != 0)
		*ret_errno = errno;
	pthread_mutex_unlock(&lock);
	return err;
}

static enum atl_err move_in(struct atl_app *app, struct atl_arena *arena, const char *file, const char *from, bool keep,
			    struct atl_local_model *ret, struct atl_errinfo *info)
{
	const char *to = atl_arena_printf(arena, "%s/%s", app->models_dir, file), *temp = NULL;
	int code;
	if (!to)
		return atl_fail(info, ATL_ERR_NOMEM, "move model");
	enum atl_err err = atl_dir_make(app->models_dir, 0755, info);
	if (!err)
		err = place(from, to, keep, &code, info);
	if (err)
		return err;
	if (code) { /* another file system, or links are not allowed */
		err = copy_to(app, arena, from, file, &temp, info);
		if (!err)
			err = place(temp, to, false, &code, info);
		if (!err && code) {
			errno = code;
			err = os_fail(info, "move model");
		}
		if (err && temp)
			unlink(temp);
		if (err)
			return err;
		if (!keep)
			unlink(from);
	}
	atl_info("models", "%s is here", file);
	atl_engine_models_changed(app->engine);
	return describe(app, arena, file, ret, info);
}

enum atl_err atl_local_model_take(struct atl_app *app, struct atl_arena *arena, const char *file, const char *from,
				  struct atl_local_model *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_local_model_name_check(file, info);
	if (!err)
		err = check_file(from, info);
	return err ? err : move_in(app, arena, file, from, false, ret, info);
}

enum atl_err atl_local_model_import(struct atl_app *app, struct atl_arena *arena, const char *path,
				    struct atl_local_model *ret, struct atl_errinfo *info)
{
	struct stat st;
	if (atl_str_empty(path) || path[0] != '/')
		return atl_fail_field(info, ATL_ERR_INVALID, "path", "Give the whole path of the file, from / on.");
	char *real = realpath(path, NULL);
	if (!real || stat(real, &st) != 0 || !S_ISREG(st.st_mode)) {
		free(real);
		return atl_fail_field(info, ATL_ERR_INVALID, "path", "There is no such file.");
	}
	const char *slash = strrchr(path, '/');
	enum atl_err err = atl_local_model_name_check(slash + 1, info);
	if (!err)
		err = check_file(real, info);
	if (!err)
		err = move_in(app, arena, slash + 1, real, true, ret, info);
	free(real);
	return err;
}

enum atl_err atl_local_model_delete(struct atl_app *app, const char *file, struct atl_errinfo *info)
{
	char path[4096];
	if (atl_local_model_name_check(file, NULL) != ATL_OK ||
	    snprintf(path, sizeof path, "%s/%s", app->models_dir, file) >= (int)sizeof path)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no model file of this name.");
	if (atl_engine_is_active(app->engine, file))
		return atl_fail(info, ATL_ERR_CONFLICT,
				"The engine has this model loaded. Choose another model or stop the engine first.");
	if (unlink(path) != 0)
		return errno == ENOENT ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no model file of this name.")
				       : os_fail(info, "delete model");
	atl_info("models", "%s is deleted", file);
	return ATL_OK;
}
