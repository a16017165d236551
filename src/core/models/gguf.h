/* gguf.h - reads the header of a GGUF model file, versions 2 and 3, without trusting it.
 *
 * Every count, length, offset and nesting in the file is checked against what is there before it is used; nothing is
 * allocated by a number from the file. Format: github.com/ggml-org/ggml docs/gguf.md.
 *
 * Threads:    atl_gguf_parse() is pure; atl_gguf_read() blocks: pool threads.
 * Limits:     ATL_GGUF_HEADER_MAX bytes of header, ATL_GGUF_KEYS_MAX keys, ATL_GGUF_TENSORS_MAX tensors.
 */
#ifndef ATL_CORE_GGUF_H
#define ATL_CORE_GGUF_H

#include "base/err.h"

#define ATL_GGUF_HEADER_MAX ((size_t)64 << 20) /* the largest vocabularies need about 20 MiB */
#define ATL_GGUF_KEYS_MAX 65536
#define ATL_GGUF_TENSORS_MAX 1000000
#define ATL_GGUF_TEXT_SIZE 128

struct atl_gguf {
	uint32_t version;
	char architecture[ATL_GGUF_TEXT_SIZE]; /* "llama"; never "" but from atl_gguf_names() */
	char name[ATL_GGUF_TEXT_SIZE];	       /* "" when the file has none */
	char type[32];			       /* "model", "adapter", "mmproj"; "" when not told */
	const char *quantization;	       /* "Q4_K_M"; NULL: unknown or not told */
	int64_t parameters;		       /* elements of all tensors; 0: none or absurd */
	int64_t context_length;		       /* trained; 0: not told */
	int64_t split_count, split_index;      /* parts of a model in several files; count 0: one file */
	bool has_chat_template;
	uint64_t tensor_count;
	uint64_t file_bytes_min; /* a shorter file is cut off */
};

/* `data` is the beginning of the file, or all of it. Errors: UNPROCESSABLE with a sentence; *ret_truncated (may be
 * NULL) tells whether more bytes might have helped. */
enum atl_err atl_gguf_parse(const void *data, size_t length, struct atl_gguf *ret, bool *ret_truncated,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* As above from a file, which must be complete. Errors also: NOT_FOUND, IO, NOMEM. */
enum atl_err atl_gguf_read(const char *path, struct atl_gguf *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As atl_gguf_read(), and tells each tensor's name, perhaps more than once. Picture models need not name their
 * architecture. `name` is only valid inside the call; longer ones are cut. */
enum atl_err atl_gguf_names(const char *path, void (*tensor)(void *arg, const char *name), void *arg, struct atl_gguf *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* May the chat engine load it? UNPROCESSABLE says why not: an adapter, a vision part, a later part of a split model. */
enum atl_err atl_gguf_usable(const struct atl_gguf *gguf, struct atl_errinfo *info) ATL_MUST_USE;

#endif
