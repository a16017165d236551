/* gguf.c - see gguf.h. */
#include "core/models/gguf.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "os/file.h"

#define ALIGNMENT_DEFAULT 32
#define ALIGNMENT_MAX (1 << 20)
#define DIMENSIONS_MAX 8
#define NESTING_MAX 3
#define KEY_SIZE 256

enum value_type { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, VALUE_TYPES };

struct cursor {
	const unsigned char *data;
	size_t length, pos;
	bool truncated;
	struct atl_errinfo *info;
};

struct text {
	const char *data;
	uint64_t length;
};

struct value {
	uint32_t type;
	bool is_int;
	int64_t integer;
	struct text string; /* STRING only */
};

/* Size of a block and its elements, by ggml type; elements 0: unknown. */
static const struct {
	unsigned short elements, bytes;
} TENSOR_TYPES[] = {
	[0] = {1, 4},	   [1] = {1, 2},     [2] = {32, 18},   [3] = {32, 20},   [6] = {32, 22},   [7] = {32, 24},
	[8] = {32, 34},	   [9] = {32, 36},   [10] = {256, 84}, [11] = {256, 110}, [12] = {256, 144}, [13] = {256, 176},
	[14] = {256, 210}, [15] = {256, 292}, [16] = {256, 66}, [17] = {256, 74}, [18] = {256, 98},  [19] = {256, 50},
	[20] = {32, 18},   [21] = {256, 110}, [22] = {256, 82}, [23] = {256, 136}, [24] = {1, 1},    [25] = {1, 2},
	[26] = {1, 4},	   [27] = {1, 8},    [28] = {1, 8},    [29] = {256, 56}, [30] = {1, 2},    [34] = {256, 54},
	[35] = {256, 66},  [39] = {32, 17},
};

/* general.file_type, llama.cpp's LLAMA_FTYPE_*. */
static const char *const FILE_TYPES[] = {
	[0] = "F32",	  [1] = "F16",	   [2] = "Q4_0",   [3] = "Q4_1",    [7] = "Q8_0",    [8] = "Q5_0",
	[9] = "Q5_1",	  [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M", [13] = "Q3_K_L", [14] = "Q4_K_S",
	[15] = "Q4_K_M",  [16] = "Q5_K_S", [17] = "Q5_K_M", [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
	[21] = "Q2_K_S",  [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL", [26] = "IQ3_S",
	[27] = "IQ3_M",	  [28] = "IQ2_S",  [29] = "IQ2_M",  [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
	[36] = "TQ1_0",	  [37] = "TQ2_0",  [38] = "MXFP4",
};

static enum atl_err bad(struct cursor *c, const char *what)
{
	return atl_fail(c->info, ATL_ERR_UNPROCESSABLE, "The model file is damaged: %s.", what);
}

static enum atl_err cut(struct cursor *c)
{
	c->truncated = true;
	return atl_fail(c->info, ATL_ERR_UNPROCESSABLE, "The model file is damaged: its header is cut off.");
}

static enum atl_err skip(struct cursor *c, uint64_t count)
{
	if (count > c->length - c->pos)
		return cut(c);
	c->pos += (size_t)count;
	return ATL_OK;
}

static enum atl_err read_le(struct cursor *c, unsigned bytes, uint64_t *ret)
{
	if (bytes > c->length - c->pos)
		return cut(c);
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)c->data[c->pos + i] << (8 * i);
	c->pos += bytes;
	*ret = value;
	return ATL_OK;
}

static enum atl_err read_text(struct cursor *c, struct text *ret)
{
	uint64_t length = 0;
	enum atl_err err = read_le(c, 8, &length);
	if (err)
		return err;
	if (length > ATL_GGUF_HEADER_MAX)
		return bad(c, "a text is longer than a header may be");
	if (length > c->length - c->pos)
		return cut(c);
	*ret = (struct text){(const char *)c->data + c->pos, length};
	c->pos += (size_t)length;
	return ATL_OK;
}

static unsigned scalar_bytes(uint32_t type)
{
	static const unsigned char BYTES[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
	return type < VALUE_TYPES ? BYTES[type] : 0;
}

static enum atl_err skip_array(struct cursor *c, unsigned depth)
{
	uint64_t type = 0, count = 0;
	enum atl_err err = read_le(c, 4, &type);
	if (!err)
		err = read_le(c, 8, &count);
	if (err)
		return err;
	if (depth >= NESTING_MAX)
		return bad(c, "lists are nested too deeply");
	unsigned bytes = scalar_bytes((uint32_t)type);
	if (bytes) {
		if (count > ATL_GGUF_HEADER_MAX / bytes)
			return bad(c, "a list is longer than a header may be");
		return skip(c, count * bytes);
	}
	if (type != STRING && type != ARRAY)
		return bad(c, "it has a value of an unknown type");
	/* Each item takes at least 8 bytes, so the count is bounded by what is there. */
	if (count > ATL_GGUF_HEADER_MAX / 8)
		return bad(c, "a list is longer than a header may be");
	for (uint64_t i = 0; i < count && !err; i++) {
		struct text ignored;
		err = type == STRING ? read_text(c, &ignored) : skip_array(c, depth + 1);
	}
	return err;
}

static enum atl_err read_value(struct cursor *c, struct value *ret)
{
	uint64_t type = 0, raw = 0;
	enum atl_err err = read_le(c, 4, &type);
	if (err)
		return err;
	*ret = (struct value){.type = (uint32_t)type};
	if (type == STRING)
		return read_text(c, &ret->string);
	if (type == ARRAY)
		return skip_array(c, 0);
	unsigned bytes = scalar_bytes((uint32_t)type);
	if (type >= VALUE_TYPES || !bytes)
		return bad(c, "it has a value of an unknown type");
	err = read_le(c, bytes, &raw);
	if (err)
		return err;
	ret->is_int = type != F32 && type != F64 && type != BOOL && raw <= INT64_MAX;
	ret->integer = ret->is_int ? (int64_t)raw : 0;
	return ATL_OK;
}

static bool key_is(const struct text *key, const char *name)
{
	return key->length == strlen(name) && memcmp(key->data, name, (size_t)key->length) == 0;
}

/* Text for people: cut on a character border; what is not UTF-8 or has control characters is left out. */
static void copy_text(char *out, size_t size, const struct value *value)
{
	out[0] = '\0';
	if (value->type != STRING || !atl_utf8_valid(value->string.data, (size_t)value->string.length))
		return;
	size_t length = atl_utf8_cut(value->string.data, (size_t)value->string.length, size - 1);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)value->string.data[i] < 0x20)
			return;
	memcpy(out, value->string.data, length);
	out[length] = '\0';
}

struct found { /* what is only understood when all keys are read */
	struct atl_gguf *gguf;
	struct {
		char key[KEY_SIZE];
		int64_t value;
	} context[4]; /* "<architecture>.context_length" may come before general.architecture */
	size_t context_count;
	int64_t alignment;
};

static void note(struct found *f, const struct text *key, const struct value *value)
{
	static const char CONTEXT[] = ".context_length";
	struct atl_gguf *g = f->gguf;
	size_t tail = sizeof CONTEXT - 1;
	if (key_is(key, "general.architecture"))
		copy_text(g->architecture, sizeof g->architecture, value);
	else if (key_is(key, "general.name"))
		copy_text(g->name, sizeof g->name, value);
	else if (key_is(key, "general.type"))
		copy_text(g->type, sizeof g->type, value);
	else if (key_is(key, "general.file_type") && value->is_int && value->integer < (int64_t)ATL_COUNT(FILE_TYPES))
		g->quantization = FILE_TYPES[value->integer];
	else if (key_is(key, "general.alignment") && value->is_int)
		f->alignment = value->integer;
	else if (key_is(key, "split.count") && value->is_int)
		g->split_count = value->integer;
	else if (key_is(key, "split.no") && value->is_int)
		g->split_index = value->integer;
	else if (key_is(key, "tokenizer.chat_template") && value->type == STRING)
		g->has_chat_template = value->string.length > 0;
	else if (key->length > tail && key->length < KEY_SIZE && value->is_int && f->context_count < 4 &&
		 memcmp(key->data + key->length - tail, CONTEXT, tail) == 0) {
		size_t length = (size_t)key->length - tail;
		memcpy(f->context[f->context_count].key, key->data, length);
		f->context[f->context_count].key[length] = '\0';
		f->context[f->context_count++].value = value->integer;
	}
}

static enum atl_err read_keys(struct cursor *c, uint64_t count, struct found *f)
{
	for (uint64_t i = 0; i < count; i++) {
		struct text key;
		struct value value;
		enum atl_err err = read_text(c, &key);
		if (!err)
			err = read_value(c, &value);
		if (err)
			return err;
		note(f, &key, &value);
	}
	return ATL_OK;
}

struct listener { /* of atl_gguf_names() */
	void (*tensor)(void *arg, const char *name);
	void *arg;
};

static void tell(const struct listener *listener, const struct text *name)
{
	char plain[ATL_GGUF_TEXT_SIZE];
	size_t length = name->length < sizeof plain ? (size_t)name->length : sizeof plain - 1;
	if (!listener)
		return;
	memcpy(plain, name->data, length);
	plain[length] = '\0';
	listener->tensor(listener->arg, plain);
}

/* One tensor's description; *end becomes the largest end of a tensor within the data part. */
static enum atl_err read_tensor(struct cursor *c, const struct listener *listener, uint64_t *elements_total, uint64_t *end)
{
	struct text name;
	uint64_t dimensions = 0, type = 0, offset = 0, elements = 1;
	enum atl_err err = read_text(c, &name);
	if (!err)
		err = read_le(c, 4, &dimensions);
	if (err)
		return err;
	if (dimensions > DIMENSIONS_MAX)
		return bad(c, "a tensor has too many dimensions");
	tell(listener, &name);
	for (uint64_t i = 0; i < dimensions; i++) {
		uint64_t size = 0;
		err = read_le(c, 8, &size);
		if (err)
			return err;
		if (__builtin_mul_overflow(elements, size, &elements) || elements > INT64_MAX / 8)
			return bad(c, "a tensor is absurdly large");
	}
	err = read_le(c, 4, &type);
	if (!err)
		err = read_le(c, 8, &offset);
	if (err)
		return err;
	*elements_total = *elements_total > INT64_MAX - elements ? INT64_MAX : *elements_total + elements;
	if (type >= ATL_COUNT(TENSOR_TYPES) || !TENSOR_TYPES[type].elements)
		return ATL_OK; /* a newer type: its size is not known */
	uint64_t blocks = elements / TENSOR_TYPES[type].elements, bytes, last;
	if (__builtin_mul_overflow(blocks, (uint64_t)TENSOR_TYPES[type].bytes, &bytes) ||
	    __builtin_add_overflow(bytes, offset, &last) || last > INT64_MAX)
		return bad(c, "a tensor is absurdly large");
	if (last > *end)
		*end = last;
	return ATL_OK;
}

static enum atl_err read_header(struct cursor *c, uint64_t *ret_tensors, uint64_t *ret_keys, uint32_t *ret_version)
{
	uint64_t version = 0;
	if (c->length < 4)
		return cut(c);
	if (memcmp(c->data, "GGUF", 4) != 0)
		return atl_fail(c->info, ATL_ERR_UNPROCESSABLE, "This is not a GGUF model file.");
	c->pos = 4;
	enum atl_err err = read_le(c, 4, &version);
	if (err)
		return err;
	if (version == UINT64_C(0x02000000) || version == UINT64_C(0x03000000))
		return atl_fail(c->info, ATL_ERR_UNPROCESSABLE, "The model file is for big-endian machines.");
	if (version < 2 || version > 3)
		return atl_fail(c->info, ATL_ERR_UNPROCESSABLE, "GGUF version %llu cannot be read; 2 and 3 can.",
				(unsigned long long)version);
	err = read_le(c, 8, ret_tensors);
	if (!err)
		err = read_le(c, 8, ret_keys);
	if (err)
		return err;
	if (*ret_tensors > ATL_GGUF_TENSORS_MAX || *ret_keys > ATL_GGUF_KEYS_MAX)
		return bad(c, "it claims more tensors or keys than any model has");
	*ret_version = (uint32_t)version;
	return ATL_OK;
}

static enum atl_err parse(const void *data, size_t length, const struct listener *listener, struct atl_gguf *ret,
			  bool *ret_truncated, struct atl_errinfo *info)
{
	struct cursor c = {.data = data, .length = length, .info = info};
	struct atl_gguf gguf = {0};
	struct found found = {.gguf = &gguf, .alignment = ALIGNMENT_DEFAULT};
	uint64_t keys = 0, elements = 0, end = 0;
	enum atl_err err = read_header(&c, &gguf.tensor_count, &keys, &gguf.version);
	if (!err)
		err = read_keys(&c, keys, &found);
	for (uint64_t i = 0; !err && i < gguf.tensor_count; i++)
		err = read_tensor(&c, listener, &elements, &end);
	if (!err && (found.alignment < 1 || found.alignment > ALIGNMENT_MAX ||
		     (found.alignment & (found.alignment - 1)) != 0))
		err = bad(&c, "its alignment is not a power of two");
	if (!err && !gguf.architecture[0] && !listener)
		err = bad(&c, "it does not name its architecture");
	if (ret_truncated)
		*ret_truncated = c.truncated;
	if (err)
		return err;
	for (size_t i = 0; i < found.context_count; i++)
		if (atl_str_eq(found.context[i].key, gguf.architecture))
			gguf.context_length = found.context[i].value;
	gguf.parameters = elements >= INT64_MAX ? 0 : (int64_t)elements;
	uint64_t alignment = (uint64_t)found.alignment;
	gguf.file_bytes_min = (c.pos + alignment - 1) / alignment * alignment + end;
	if (!end)
		gguf.file_bytes_min = c.pos;
	*ret = gguf;
	return ATL_OK;
}

enum atl_err atl_gguf_parse(const void *data, size_t length, struct atl_gguf *ret, bool *ret_truncated,
			    struct atl_errinfo *info)
{
	return parse(data, length, NULL, ret, ret_truncated, info);
}

/* Headers differ from kilobytes to tens of megabytes: read more only when asked for it. */
static enum atl_err parse_growing(int fd, uint64_t file_bytes, const struct listener *listener, struct atl_gguf *ret,
				  struct atl_errinfo *info)
{
	struct atl_buf buf;
	enum atl_err err = ATL_OK;
	atl_buf_init(&buf, ATL_GGUF_HEADER_MAX);
	for (size_t want = (size_t)1 << 20;; want *= 4) {
		if (want > ATL_GGUF_HEADER_MAX)
			want = ATL_GGUF_HEADER_MAX;
		while (buf.length < want && buf.length < file_bytes) {
			size_t room = want - buf.length;
			char *to = atl_buf_reserve(&buf, room);
			ssize_t got = to ? pread(fd, to, room, (off_t)buf.length) : -1;
			if (got < 0) {
				err = to ? atl_fail(info, ATL_ERR_IO, "The model file cannot be read.")
					 : atl_fail(info, ATL_ERR_NOMEM, "read model header");
				goto out;
			}
			if (got == 0)
				break;
			buf.length += (size_t)got;
		}
		bool truncated = false;
		err = parse(buf.data, buf.length, listener, ret, &truncated, info);
		if (!err || !truncated || buf.length < want || want == ATL_GGUF_HEADER_MAX)
			break;
		*info = (struct atl_errinfo){0};
	}
out:
	atl_buf_finish(&buf);
	return err;
}

static enum atl_err read_file(const char *path, const struct listener *listener, struct atl_gguf *ret,
			      struct atl_errinfo *info)
{
	struct atl_errinfo own = {0};
	struct atl_gguf gguf;
	uint64_t bytes;
	int fd;
	if (!info)
		info = &own;
	enum atl_err err = atl_file_size(path, &bytes, info);
	if (!err)
		err = atl_file_open(path, O_RDONLY, 0, &fd, info);
	if (err)
		return err;
	err = parse_growing(fd, bytes, listener, &gguf, info);
	close(fd);
	if (err)
		return err;
	if (bytes < gguf.file_bytes_min)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE,
				"The model file is incomplete: %llu of at least %llu bytes are there.",
				(unsigned long long)bytes, (unsigned long long)gguf.file_bytes_min);
	*ret = gguf;
	return ATL_OK;
}

enum atl_err atl_gguf_read(const char *path, struct atl_gguf *ret, struct atl_errinfo *info)
{
	return read_file(path, NULL, ret, info);
}

enum atl_err atl_gguf_names(const char *path, void (*tensor)(void *arg, const char *name), void *arg, struct atl_gguf *ret,
			    struct atl_errinfo *info)
{
	struct listener listener = {tensor, arg};
	return read_file(path, &listener, ret, info);
}

enum atl_err atl_gguf_usable(const struct atl_gguf *gguf, struct atl_errinfo *info)
{
	static const char *const ENCODERS[] = {"bert",	      "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
					       "modern-bert", "t5encoder",  "neo-bert"};
	if (atl_str_eq(gguf->type, "adapter"))
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "This is an adapter (LoRA), not a whole model.");
	if (atl_str_eq(gguf->type, "mmproj") || atl_str_eq(gguf->architecture, "clip"))
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "This is the vision part of a model, not a language model.");
	for (size_t i = 0; i < ATL_COUNT(ENCODERS); i++)
		if (atl_str_eq(gguf->architecture, ENCODERS[i]))
			return atl_fail(info, ATL_ERR_UNPROCESSABLE, "This model makes embeddings; it cannot chat.");
	if (gguf->split_count > 1 && gguf->split_index > 0)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "This is a later part of a model; choose its first part.");
	return ATL_OK;
}
