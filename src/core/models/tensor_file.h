/* tensor_file.h - reads the header of a safetensors file without trusting it, and guesses what kind of model it is.
 *
 * Format: u64 length, JSON of that length, then the data; github.com/huggingface/safetensors. Each tensor's type, shape
 * and place must agree, lie inside the file and overlap with no other. Pickle files (.ckpt, .pt, .pth) hold programs:
 * they are refused with a sentence.
 *
 * Threads:    atl_tensor_parse() is pure; atl_tensor_read() blocks: pool threads.
 * Limits:     ATL_TENSOR_HEADER_MAX bytes of header, ATL_TENSORS_MAX tensors.
 * Adding one: a family is a row in FAMILIES of tensor_file.c.
 */
#ifndef ATL_CORE_TENSOR_FILE_H
#define ATL_CORE_TENSOR_FILE_H

#include "base/arena.h"
#include "base/err.h"

#define ATL_TENSOR_HEADER_MAX ((size_t)16 << 20)
#define ATL_TENSORS_MAX 20000
#define ATL_TENSOR_RANK_MAX 8

struct atl_tensor {
	const char *name, *type; /* "F16" */
	int64_t shape[ATL_TENSOR_RANK_MAX];
	size_t rank;
	uint64_t begin, end; /* in the data */
};
struct atl_tensor_file {
	struct atl_tensor *tensors; /* by place */
	size_t count;
	const char *family; /* "sd1", "sd2", "sdxl", "flux", "ovis", "wan", "lora", "controlnet", "esrgan", "taesd", "vae", "unknown" */
	bool complete;	    /* picture model, its text encoder and its autoencoder in one */
	int64_t parameters; /* elements of all tensors */
	int64_t context;    /* how wide the text is that a UNet or its ControlNet attends to; 0: it has none */
};

/* What the names of a file's tensors tell; {0} first. For files of other forms with the same names (gguf.h). */
struct atl_tensor_traits {
	size_t row; /* of FAMILIES, from 1; 0: none yet */
	bool text, picture, autoencoder;
};
void atl_tensor_traits_note(struct atl_tensor_traits *traits, const char *name);
const char *atl_tensor_family(const struct atl_tensor_traits *traits);
bool atl_tensor_complete(const struct atl_tensor_traits *traits);

/* `data` is the file's beginning, at least its header; `file_size` how long it is. Results are in the arena.
 * Errors: UNPROCESSABLE with a sentence, NOMEM. */
enum atl_err atl_tensor_parse(struct atl_arena *arena, const void *data, size_t length, uint64_t file_size,
			      struct atl_tensor_file *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As above from a file. Errors also: NOT_FOUND, IO. */
enum atl_err atl_tensor_read(struct atl_arena *arena, const char *path, struct atl_tensor_file *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
