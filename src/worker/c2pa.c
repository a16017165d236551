/* c2pa.c - see c2pa.h. */
#include "worker/c2pa.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Objects of the library; only pointers to them are ever held. */
struct C2paSettings;
struct C2paContextBuilder;
struct C2paContext;
struct C2paBuilder;
struct C2paReader;
struct C2paSigner;
struct C2paStream;

typedef intptr_t (*read_fn)(void *arg, unsigned char *data, intptr_t length);
typedef intptr_t (*seek_fn)(void *arg, intptr_t offset, int mode);
typedef intptr_t (*write_fn)(void *arg, const unsigned char *data, intptr_t length);
typedef intptr_t (*flush_fn)(void *arg);
enum { SEEK_START, SEEK_CURRENT, SEEK_LAST };

/* name, result, parameters */
#define FUNCTIONS(X)                                                                                                  \
	X(error, char *, (void))                                                                                      \
	X(string_free, void, (char *))                                                                                \
	X(free, int, (const void *))                                                                                  \
	X(settings_new, struct C2paSettings *, (void))                                                                \
	X(settings_update_from_string, int, (struct C2paSettings *, const char *, const char *))                      \
	X(context_builder_new, struct C2paContextBuilder *, (void))                                                   \
	X(context_builder_set_settings, int, (struct C2paContextBuilder *, struct C2paSettings *))                    \
	X(context_builder_build, struct C2paContext *, (struct C2paContextBuilder *))                                 \
	X(create_stream, struct C2paStream *, (void *, read_fn, seek_fn, write_fn, flush_fn))                         \
	X(release_stream, void, (struct C2paStream *))                                                                \
	X(builder_from_context, struct C2paBuilder *, (struct C2paContext *))                                         \
	X(builder_with_definition, struct C2paBuilder *, (struct C2paBuilder *, const char *))                        \
	X(builder_add_ingredient_from_stream, int,                                                                    \
	  (struct C2paBuilder *, const char *, const char *, struct C2paStream *))                                    \
	X(builder_sign, int64_t,                                                                                      \
	  (struct C2paBuilder *, const char *, struct C2paStream *, struct C2paStream *, struct C2paSigner *,         \
	   const unsigned char **))                                                                                   \
	X(manifest_bytes_free, void, (const unsigned char *))                                                         \
	X(signer_create, struct C2paSigner *, (const void *, c2pa_sign_fn, int, const char *, const char *))          \
	X(reader_from_context, struct C2paReader *, (struct C2paContext *))                                           \
	X(reader_with_stream, struct C2paReader *, (struct C2paReader *, const char *, struct C2paStream *))          \
	X(reader_json, char *, (struct C2paReader *))

struct c2pa {
#define MEMBER_X(name, result, parameters) result(*name) parameters;
	FUNCTIONS(MEMBER_X)
#undef MEMBER_X
};

struct c2pa *c2pa_open(const char *path, char why[C2PA_WHY_SIZE])
{
	struct c2pa *c2pa = calloc(1, sizeof *c2pa);
	void *library = c2pa ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	const char *missing = NULL;

	if (!library) {
		snprintf(why, C2PA_WHY_SIZE, "%s", c2pa ? dlerror() : "no memory");
		free(c2pa);
		return NULL;
	}
	void *symbol;
#define LOAD_X(name, result, parameters)                                                                              \
	symbol = dlsym(library, "c2pa_" #name);                                                                       \
	memcpy(&c2pa->name, &symbol, sizeof symbol);                                                                  \
	missing = symbol ? missing : "c2pa_" #name;
	FUNCTIONS(LOAD_X)
#undef LOAD_X
	if (missing) {
		snprintf(why, C2PA_WHY_SIZE, "%s has no %s", path, missing);
		free(c2pa);
		return NULL;
	}
	return c2pa; /* for the life of the process, as the library is */
}

/* ---- streams over memory ---- */

struct stream {
	const unsigned char *data; /* reading; NULL: `out` is written */
	struct atl_buf *out;
	size_t length, at;
};

static intptr_t stream_read(void *arg, unsigned char *data, intptr_t length)
{
	struct stream *s = arg;
	const unsigned char *from = s->data ? s->data : (const unsigned char *)s->out->data;
	size_t size = s->data ? s->length : s->out->length, left = s->at < size ? size - s->at : 0;
	size_t n = length < 0 ? 0 : (size_t)length < left ? (size_t)length : left;

	memcpy(data, from + s->at, n);
	s->at += n;
	return (intptr_t)n;
}

static intptr_t stream_seek(void *arg, intptr_t offset, int mode)
{
	struct stream *s = arg;
	intptr_t base = mode == SEEK_CURRENT ? (intptr_t)s->at
			: mode == SEEK_LAST  ? (intptr_t)(s->data ? s->length : s->out->length)
					     : 0;

	if ((offset < 0 && -offset > base) || offset > (intptr_t)1 << 40)
		return -1;
	s->at = (size_t)(base + offset);
	return (intptr_t)s->at;
}

static intptr_t stream_write(void *arg, const unsigned char *data, intptr_t length)
{
	struct stream *s = arg;
	size_t n = (size_t)length, over;

	if (s->data || length < 0 || s->at > s->out->length)
		return -1;
	over = s->out->length - s->at;
	over = over < n ? over : n;
	memcpy(s->out->data + s->at, data, over);
	if (n > over)
		atl_buf_add(s->out, data + over, n - over);
	s->at += n;
	return s->out->failed ? -1 : length;
}

static intptr_t stream_flush(void *arg)
{
	return 0;
}

static struct C2paStream *stream_open(struct c2pa *c2pa, struct stream *stream)
{
	return c2pa->create_stream(stream, stream_read, stream_seek, stream_write, stream_flush);
}

/* ---- the two acts ---- */

static bool fail(struct c2pa *c2pa, char why[C2PA_WHY_SIZE])
{
	char *said = c2pa->error();

	snprintf(why, C2PA_WHY_SIZE, "%s", said && *said ? said : "The library gives no reason.");
	if (said)
		c2pa->string_free(said);
	return false;
}

static void drop(struct c2pa *c2pa, const void *object)
{
	if (object)
		c2pa->free(object);
}

static struct C2paContext *context_of(struct c2pa *c2pa, const char *text)
{
	struct C2paSettings *settings = c2pa->settings_new();
	struct C2paContextBuilder *builder = c2pa->context_builder_new();
	struct C2paContext *context = NULL;

	if (settings && builder && c2pa->settings_update_from_string(settings, text, "json") == 0 &&
	    c2pa->context_builder_set_settings(builder, settings) == 0) {
		context = c2pa->context_builder_build(builder); /* which takes the builder */
		builder = NULL;
	}
	drop(c2pa, builder);
	drop(c2pa, settings);
	return context;
}

static struct C2paBuilder *builder_of(struct c2pa *c2pa, struct C2paContext *context, const struct c2pa_claim *claim)
{
	struct C2paBuilder *builder = c2pa->builder_from_context(context);
	struct stream parent = { .data = claim->parent.data, .length = claim->parent.length };
	struct C2paStream *stream;
	int rc;

	if (builder)
		builder = c2pa->builder_with_definition(builder, claim->manifest); /* which takes the old one */
	if (!builder || !claim->ingredient)
		return builder;
	stream = stream_open(c2pa, &parent);
	rc = c2pa->builder_add_ingredient_from_stream(builder, claim->ingredient, claim->parent.type, stream);
	c2pa->release_stream(stream);
	if (rc == 0)
		return builder;
	drop(c2pa, builder);
	return NULL;
}

bool c2pa_sign(struct c2pa *c2pa, const struct c2pa_claim *claim, const struct c2pa_piece *file, struct atl_buf *out,
	       char why[C2PA_WHY_SIZE])
{
	struct stream from = { .data = file->data, .length = file->length }, to = { .out = out };
	struct C2paContext *context = context_of(c2pa, claim->settings);
	struct C2paBuilder *builder = context ? builder_of(c2pa, context, claim) : NULL;
	struct C2paSigner *signer = builder ? c2pa->signer_create(claim->arg, claim->sign, claim->algorithm, claim->chain, NULL)
					    : NULL;
	struct C2paStream *source, *target;
	const unsigned char *manifest = NULL;
	bool done = false;

	if (signer) {
		source = stream_open(c2pa, &from);
		target = stream_open(c2pa, &to);
		done = c2pa->builder_sign(builder, file->type, source, target, signer, &manifest) > 0;
		c2pa->release_stream(source);
		c2pa->release_stream(target);
	}
	if (!done)
		fail(c2pa, why);
	if (manifest)
		c2pa->manifest_bytes_free(manifest);
	drop(c2pa, signer);
	drop(c2pa, builder);
	drop(c2pa, context);
	return done && !out->failed;
}

bool c2pa_read(struct c2pa *c2pa, const char *settings, const struct c2pa_piece *file, struct atl_buf *out,
	       char why[C2PA_WHY_SIZE])
{
	struct stream from = { .data = file->data, .length = file->length };
	struct C2paContext *context = context_of(c2pa, settings);
	struct C2paReader *reader = context ? c2pa->reader_from_context(context) : NULL;
	struct C2paStream *stream;
	char *text = NULL;

	if (reader) {
		stream = stream_open(c2pa, &from);
		reader = c2pa->reader_with_stream(reader, file->type, stream); /* which takes the old one */
		c2pa->release_stream(stream);
	}
	if (reader)
		text = c2pa->reader_json(reader);
	if (text)
		atl_buf_adds(out, text);
	else
		fail(c2pa, why);
	if (text)
		c2pa->string_free(text);
	drop(c2pa, reader);
	drop(c2pa, context);
	return text && !out->failed;
}
