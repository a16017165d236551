/* tensor_file.c - see tensor_file.h. */
#include "core/models/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "os/file.h"

static const struct {
	const char *name;
	unsigned bits;
} TYPES[] = {
	{ "F64", 64 }, { "F32", 32 }, { "F16", 16 }, { "BF16", 16 }, { "I64", 64 }, { "I32", 32 }, { "I16", 16 },
	{ "I8", 8 },   { "U64", 64 }, { "U32", 32 }, { "U16", 16 }, { "U8", 8 },    { "BOOL", 8 }, { "F8_E4M3", 8 },
	{ "F8_E5M2", 8 },
};

/* The first row whose part occurs in a tensor's name decides; earlier rows are the narrower ones. */
static const struct {
	const char *part, *family;
} FAMILIES[] = {
	{ "lora_up", "lora" },
	{ "lora_A", "lora" },
	{ "lora.up", "lora" },
	{ "hada_w1", "lora" },
	{ "lokr_w1", "lora" },
	{ "input_hint_block", "controlnet" },
	{ "controlnet_cond_embedding", "controlnet" },
	{ "conditioner.embedders.1", "sdxl" },
	{ "label_emb", "sdxl" },
	{ "add_embedding.linear_1", "sdxl" },
	{ "cond_stage_model.model.transformer", "sd2" },
	{ "cond_stage_model.transformer", "sd1" },
	{ "text_encoders.llm", "ovis" },
	{ "time_projection.1", "wan" },
	{ "double_blocks.0", "flux" },
	{ "joint_blocks.0", "sd3" },
	{ "input_blocks.0", "sd1" },
	{ "RRDB_trunk", "esrgan" },
	{ "rdb1.conv1", "esrgan" },
	{ "RDB1.conv1", "esrgan" },
	{ "decoder.layers.0", "taesd" },
	{ "model.diffusion_model.", "unknown" }, /* with an autoencoder inside */
	{ "decoder.conv_in", "vae" },
};

static enum atl_err bad(struct atl_errinfo *info, const char *what)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file is not a complete safetensors file: %s. Download it again.", what);
}

static enum atl_err check_magic(const unsigned char *data, size_t length, struct atl_errinfo *info)
{
	/* a header may be as long as a pickle's first bytes read as a number */
	if (length >= 9 && memcmp(data + 4, "\0\0\0\0{", 5) == 0)
		return ATL_OK;
	if (length >= 2 && (memcmp(data, "PK", 2) == 0 || (data[0] == 0x80 && data[1] >= 2 && data[1] <= 5)))
		return atl_fail(info, ATL_ERR_UNPROCESSABLE,
				"This is a pickle file, which may run programs when it is opened. Convert it to safetensors.");
	return length < 9 ? bad(info, "it is too short") : ATL_OK;
}

static bool read_shape(const struct atl_json *shape, struct atl_tensor *t, uint64_t *elements)
{
	if (!shape || shape->kind != ATL_JSON_ARRAY || shape->count > ATL_TENSOR_RANK_MAX)
		return false;
	*elements = 1;
	for (const struct atl_json *n = shape->child; n; n = n->next) {
		int64_t side;

		if (!atl_json_integer(n, &side) || side < 0 ||
		    __builtin_mul_overflow(*elements, (uint64_t)side, elements) || *elements > (uint64_t)1 << 48)
			return false;
		t->shape[t->rank++] = side;
	}
	return true;
}

static enum atl_err read_tensor(const struct atl_json *entry, uint64_t data_size, struct atl_tensor *t, uint64_t *elements,
				struct atl_errinfo *info)
{
	const struct atl_json *offsets = atl_json_get(entry, "data_offsets");
	const char *type = atl_json_str(entry, "dtype", "");
	int64_t begin, end;
	unsigned bits = 0;

	for (size_t i = 0; i < ATL_COUNT(TYPES); i++)
		if (atl_str_eq(TYPES[i].name, type))
			bits = TYPES[i].bits;
	*t = (struct atl_tensor){ .name = entry->key, .type = type };
	if (!bits || !read_shape(atl_json_get(entry, "shape"), t, elements))
		return bad(info, "a tensor has no type or shape");
	if (!offsets || offsets->kind != ATL_JSON_ARRAY || offsets->count != 2 ||
	    !atl_json_integer(atl_json_at(offsets, 0), &begin) || !atl_json_integer(atl_json_at(offsets, 1), &end) ||
	    begin < 0 || end < begin || (uint64_t)end > data_size)
		return bad(info, "a tensor lies outside");
	t->begin = (uint64_t)begin;
	t->end = (uint64_t)end;
	return t->end - t->begin == *elements * bits / 8 ? ATL_OK : bad(info, "a tensor's size does not fit its shape");
}

static int by_place(const void *a, const void *b)
{
	const struct atl_tensor *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

void atl_tensor_traits_note(struct atl_tensor_traits *traits, const char *name)
{
	size_t end = traits->row ? traits->row : ATL_COUNT(FAMILIES) + 1;

	for (size_t row = 1; row < end; row++)
		if (strstr(name, FAMILIES[row - 1].part)) {
			traits->row = row;
			break;
		}
	traits->text |= atl_str_starts(name, "cond_stage_model.") || atl_str_starts(name, "conditioner.") ||
			atl_str_starts(name, "text_encoders.");
	traits->picture |= atl_str_starts(name, "model.diffusion_model.");
	traits->autoencoder |= atl_str_starts(name, "first_stage_model.");
}

const char *atl_tensor_family(const struct atl_tensor_traits *traits)
{
	return traits->row ? FAMILIES[traits->row - 1].family : "unknown";
}

bool atl_tensor_complete(const struct atl_tensor_traits *traits)
{
	return traits->text && traits->picture && traits->autoencoder;
}

static enum atl_err collect(struct atl_arena *arena, const struct atl_json *header, uint64_t data_size,
			    struct atl_tensor_file *file, struct atl_errinfo *info)
{
	if (header->kind != ATL_JSON_OBJECT || header->count > ATL_TENSORS_MAX)
		return bad(info, "its list of tensors is too long or none");
	file->tensors = ATL_ARENA_ARRAY(arena, struct atl_tensor, header->count + 1);
	if (!file->tensors)
		return atl_fail(info, ATL_ERR_NOMEM, "tensors");
	for (const struct atl_json *entry = header->child; entry; entry = entry->next) {
		uint64_t elements = 0; /* set whenever read_tensor() succeeds; the compiler cannot see it */
		enum atl_err err;

		if (atl_str_eq(entry->key, "__metadata__"))
			continue;
		err = read_tensor(entry, data_size, &file->tensors[file->count], &elements, info);
		if (err)
			return err;
		file->count++;
		file->parameters += (int64_t)elements;
	}
	for (size_t i = 0; i < file->count && !file->context; i++)
		if (file->tensors[i].rank == 2 && atl_str_ends(file->tensors[i].name, ".attn2.to_k.weight"))
			file->context = file->tensors[i].shape[1];
	qsort(file->tensors, file->count, sizeof(*file->tensors), by_place);
	for (size_t i = 1; i < file->count; i++)
		if (file->tensors[i].begin < file->tensors[i - 1].end)
			return bad(info, "two tensors overlap");
	return file->count ? ATL_OK : bad(info, "it holds no tensor");
}

enum atl_err atl_tensor_parse(struct atl_arena *arena, const void *data, size_t length, uint64_t file_size,
			      struct atl_tensor_file *ret, struct atl_errinfo *info)
{
	const unsigned char *bytes = data;
	struct atl_tensor_file file = { 0 };
	struct atl_tensor_traits traits = { 0 };
	struct atl_json *header;
	uint64_t header_size = 0;
	enum atl_err err = check_magic(bytes, length, info);

	if (err)
		return err;
	for (size_t i = 8; i-- > 0;)
		header_size = header_size << 8 | bytes[i];
	if (header_size > ATL_TENSOR_HEADER_MAX || header_size > length - 8 || file_size < length)
		return bad(info, "its header does not fit");
	if (atl_json_parse(arena, (const char *)bytes + 8, (size_t)header_size, &header, info) != ATL_OK)
		return bad(info, "its header is not JSON");
	err = collect(arena, header, file_size - 8 - header_size, &file, info);
	if (err)
		return err;
	for (size_t i = 0; i < file.count; i++)
		atl_tensor_traits_note(&traits, file.tensors[i].name);
	file.family = atl_tensor_family(&traits);
	file.complete = atl_tensor_complete(&traits);
	*ret = file;
	return ATL_OK;
}

static enum atl_err read_head(int fd, unsigned char *out, size_t size, size_t *ret_length, struct atl_errinfo *info)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, out + have, size - have);

		if (n < 0 && errno != EINTR)
			return atl_fail(info, ATL_ERR_IO, "reading a model file: %s", strerror(errno));
		if (n == 0)
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	*ret_length = have;
	return ATL_OK;
}

enum atl_err atl_tensor_read(struct atl_arena *arena, const char *path, struct atl_tensor_file *ret,
			     struct atl_errinfo *info)
{
	unsigned char *head = NULL;
	struct stat st;
	size_t length = 0, size;
	int fd;
	enum atl_err err = atl_file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, info);

	if (err)
		return err;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return bad(info, "it is not a file");
	}
	size = (uint64_t)st.st_size < ATL_TENSOR_HEADER_MAX + 8 ? (size_t)st.st_size : ATL_TENSOR_HEADER_MAX + 8;
	head = malloc(size + 1);
	err = head ? read_head(fd, head, size, &length, info) : atl_fail(info, ATL_ERR_NOMEM, "model header");
	if (!err)
		err = atl_tensor_parse(arena, head, length, (uint64_t)st.st_size, ret, info);
	free(head);
	close(fd);
	return err;
}
