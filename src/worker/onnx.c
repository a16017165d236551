/* onnx.c - see onnx.h. */
#include "worker/onnx.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/buf.h"
#include "os/file.h"

/* Version 1 of the interface: later libraries give it, too, and its rows never move. */
#define API_VERSION 1
#define FLOAT_TENSOR 1 /* ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT */
#define LOG_ERRORS 3
#define ARENA_ALLOCATOR 1
#define DEFAULT_MEMORY 0

struct status; /* NULL: it went well */

/* Rows of struct OrtApi by their place in the table; what is not called is only counted. */
struct api {
	void *before_message[2];
	const char *(*message)(const struct status *);				       /* 2 */
	struct status *(*create_env)(int level, const char *name, void **ret);	       /* 3 */
	void *before_session[4];
	struct status *(*create_session)(const void *env, const void *model, size_t length, const void *options,
					 void **ret); /* 8, from memory */
	struct status *(*run)(void *session, const void *options, const char *const *input_names, const void *const *inputs,
			      size_t input_count, const char *const *output_names, size_t output_count,
			      void **outputs);				       /* 9 */
	struct status *(*create_options)(void **ret);				       /* 10 */
	void *before_threads[13];
	struct status *(*set_threads)(void *options, int threads);		       /* 24, inside an operation */
	void *before_tensor[24];
	struct status *(*create_tensor)(const void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank,
					int type, void **ret); /* 49 */
	void *before_data[1];
	struct status *(*tensor_data)(void *value, void **ret);			       /* 51 */
	void *before_memory[17];
	struct status *(*create_memory)(int allocator, int type, void **ret);	       /* 69 */
	void *before_release[26];
	void (*release_value)(void *value);					       /* 96 */
};
_Static_assert(offsetof(struct api, create_tensor) == 49 * sizeof(void *), "place of the row");
_Static_assert(offsetof(struct api, release_value) == 96 * sizeof(void *), "place of the row");

struct api_base {
	const struct api *(*get)(uint32_t version);
	const char *(*version)(void);
};

struct onnx {
	const struct api *api;
	void *env, *options, *session, *memory;
};

static enum atl_err check(const struct onnx *onnx, const struct status *status, const char *what, struct atl_errinfo *info)
{
	return status ? atl_fail(info, ATL_ERR_INTERNAL, "%s: %s", what, onnx->api->message(status)) : ATL_OK;
}

static enum atl_err load(struct onnx *onnx, const char *library, struct atl_errinfo *info)
{
	const struct api_base *(*get_base)(void) = NULL;
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return atl_fail(info, ATL_ERR_INTERNAL, "%s", dlerror());
	*(void **)&get_base = dlsym(handle, "OrtGetApiBase");
	const struct api_base *base = get_base ? get_base() : NULL;
	onnx->api = base ? base->get(API_VERSION) : NULL;
	return onnx->api ? ATL_OK : atl_fail(info, ATL_ERR_INTERNAL, "%s is not ONNX Runtime", library);
}

static enum atl_err open_session(struct onnx *onnx, const char *model, struct atl_errinfo *info)
{
	struct atl_buf bytes;
	atl_buf_init(&bytes, ONNX_MODEL_MAX);
	enum atl_err err = atl_file_read(model, ONNX_MODEL_MAX, &bytes, info);
	if (!err)
		err = check(onnx, onnx->api->create_env(LOG_ERRORS, "atelier", &onnx->env), "environment", info);
	if (!err)
		err = check(onnx, onnx->api->create_options(&onnx->options), "options", info);
	if (!err)
		err = check(onnx, onnx->api->set_threads(onnx->options, 1), "threads", info);
	if (!err)
		err = check(onnx,
			    onnx->api->create_session(onnx->env, bytes.data, bytes.length, onnx->options, &onnx->session),
			    model, info);
	if (!err)
		err = check(onnx, onnx->api->create_memory(ARENA_ALLOCATOR, DEFAULT_MEMORY, &onnx->memory), "memory", info);
	atl_buf_finish(&bytes);
	return err;
}

enum atl_err onnx_open(const char *library, const char *model, struct onnx **ret, struct atl_errinfo *info)
{
	struct onnx *onnx = calloc(1, sizeof *onnx);
	if (!onnx)
		return atl_fail(info, ATL_ERR_NOMEM, "model");
	enum atl_err err = load(onnx, library, info);
	if (!err)
		err = open_session(onnx, model, info);
	if (err)
		free(onnx); /* what the library holds goes with the process, which ends now */
	else
		*ret = onnx;
	return err;
}

enum atl_err onnx_run(struct onnx *onnx, const struct onnx_names *names, float *in, const int64_t *shape, size_t rank,
		      float *out, size_t out_count, struct atl_errinfo *info)
{
	void *input = NULL, *output = NULL, *data = NULL;
	size_t count = 1;
	for (size_t i = 0; i < rank; i++)
		count *= (size_t)shape[i];
	enum atl_err err = check(onnx,
				 onnx->api->create_tensor(onnx->memory, in, count * sizeof *in, shape, rank, FLOAT_TENSOR, &input),
				 "tensor", info);
	const char *const input_names[] = {names->input}, *const output_names[] = {names->output};
	const void *const inputs[] = {input};
	if (!err)
		err = check(onnx, onnx->api->run(onnx->session, NULL, input_names, inputs, 1, output_names, 1, &output), "run",
			    info);
	if (!err)
		err = check(onnx, onnx->api->tensor_data(output, &data), "result", info);
	for (size_t i = 0; i < out_count && !err; i++)
		out[i] = ((const float *)data)[i];
	if (output)
		onnx->api->release_value(output);
	if (input)
		onnx->api->release_value(input);
	return err;
}
