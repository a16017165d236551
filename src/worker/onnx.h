/* onnx.h - the one model of atelier-classify, run by ONNX Runtime's C library, which is loaded from a file.
 *
 * The library is no dependency of the build: it comes as a file of a package (docs/dependencies.md), and its C interface is
 * a versioned table of functions of which onnx.c knows the few rows it calls.
 *
 * Life cycle: onnx_open() once, before the sandbox; the process ends with it. Threads: the program's only one, also for
 * computing. Errors: a sentence for the log.
 */
#ifndef ATL_WORKER_ONNX_H
#define ATL_WORKER_ONNX_H

#include "base/err.h"

#define ONNX_MODEL_MAX ((size_t)256 << 20)

struct onnx;
struct onnx_names { /* as the model calls them */
	const char *input, *output;
};

enum atl_err onnx_open(const char *library, const char *model, struct onnx **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Runs it over a tensor of this shape (it is not changed) and copies `out_count` numbers of the result. */
enum atl_err onnx_run(struct onnx *onnx, const struct onnx_names *names, float *in, const int64_t *shape, size_t rank,
		      float *out, size_t out_count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
