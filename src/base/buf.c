/* buf.c - the bounded buffer and the shared bytes. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST ((size_t)256)

/* What an empty buffer's `data` points to; never written, as capacity is 0. */
static char nothing[1];

void atl_buf_init(struct atl_buf *buf, size_t max)
{
	buf->data = nothing;
	buf->length = 0;
	buf->capacity = 0;
	buf->max = max < SIZE_MAX / 2 ? max : SIZE_MAX / 2;
	buf->failed = false;
}

void atl_buf_finish(struct atl_buf *buf)
{
	if (buf->capacity)
		free(buf->data);
	atl_buf_init(buf, buf->max);
}

void atl_buf_reset(struct atl_buf *buf)
{
	buf->length = 0;
	buf->failed = false;
	if (buf->capacity)
		buf->data[0] = '\0';
}

/* Capacity counts the byte for the NUL. */
static bool grow(struct atl_buf *buf, size_t length)
{
	size_t capacity = buf->capacity ? buf->capacity : CAPACITY_FIRST, need;
	char *data;

	if (buf->failed || length > buf->max - buf->length) {
		buf->failed = true;
		return false;
	}
	need = buf->length + length + 1;
	if (need <= buf->capacity)
		return true;
	while (capacity < need)
		capacity *= 2;
	if (capacity > buf->max + 1)
		capacity = buf->max + 1;
	data = realloc(buf->capacity ? buf->data : NULL, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

void *atl_buf_reserve(struct atl_buf *buf, size_t length)
{
	return grow(buf, length) ? buf->data + buf->length : NULL;
}

void atl_buf_add(struct atl_buf *buf, const void *data, size_t length)
{
	if (!grow(buf, length))
		return;
	if (length)
		memcpy(buf->data + buf->length, data, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
}

void atl_buf_adds(struct atl_buf *buf, const char *text)
{
	atl_buf_add(buf, text, strlen(text));
}

void atl_buf_addc(struct atl_buf *buf, char c)
{
	if (buf->failed || buf->length + 1 >= buf->capacity || buf->length >= buf->max) {
		atl_buf_add(buf, &c, 1);
		return;
	}
	buf->data[buf->length++] = c;
	buf->data[buf->length] = '\0';
}

void atl_buf_addf(struct atl_buf *buf, const char *fmt, ...)
{
	char small[256];
	va_list args;
	int length;

	va_start(args, fmt);
	length = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (length < 0) {
		buf->failed = true;
		return;
	}
	if ((size_t)length < sizeof(small)) {
		atl_buf_add(buf, small, (size_t)length);
		return;
	}
	if (!grow(buf, (size_t)length))
		return;
	va_start(args, fmt);
	vsnprintf(buf->data + buf->length, (size_t)length + 1, fmt, args);
	va_end(args);
	buf->length += (size_t)length;
}

void atl_buf_consume(struct atl_buf *buf, size_t length)
{
	if (!buf->capacity)
		return;
	if (length > buf->length)
		length = buf->length;
	buf->length -= length;
	memmove(buf->data, buf->data + length, buf->length);
	buf->data[buf->length] = '\0';
}

char *atl_buf_take(struct atl_buf *buf)
{
	char *data = buf->capacity ? buf->data : calloc(1, 1);

	atl_buf_init(buf, buf->max);
	return data;
}

enum atl_err atl_buf_err(const struct atl_buf *buf, struct atl_errinfo *info)
{
	if (!buf->failed)
		return ATL_OK;
	return atl_fail(info, ATL_ERR_TOO_LARGE, "The result is larger than the %zu bytes allowed here.", buf->max);
}

struct atl_bytes *atl_bytes_create(const void *data, size_t length)
{
	struct atl_bytes *bytes;

	if (length > SIZE_MAX - sizeof(*bytes) - 1)
		return NULL;
	bytes = malloc(sizeof(*bytes) + length + 1);
	if (!bytes)
		return NULL;
	atomic_init(&bytes->refs, 1);
	bytes->length = length;
	if (length)
		memcpy(bytes->data, data, length);
	bytes->data[length] = '\0';
	return bytes;
}

struct atl_bytes *atl_bytes_ref(struct atl_bytes *bytes)
{
	atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
	return bytes;
}

void atl_bytes_unref(struct atl_bytes *bytes)
{
	if (bytes && atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) == 1)
		free(bytes);
}
