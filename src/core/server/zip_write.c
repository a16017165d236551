/* zip_write.c - see zip_write.h. An entry's header is written first and mended when its size and CRC are known. */
#include "core/server/zip_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "media/inflate.h"
#include "os/file.h"

#define FLAG_UTF8 0x0800
#define MAX32 UINT32_MAX
#define VERSION 20
#define VERSION_64 45
#define CRC_AT 14 /* in a local header */
#define DIRECTORY_MAX ((size_t)1 << 30)
#define CHUNK 65536

struct atl_zip {
	int fd;
	uint64_t at;	      /* bytes written */
	struct atl_buf directory;
	uint64_t count;
	/* the entry that is open */
	bool open;
	uint64_t begun, size;
	uint32_t crc, time;
	char name[400];
};

static void put(struct atl_buf *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		atl_buf_addc(out, (char)(value >> (8 * i) & 0xff));
}

static enum atl_err write_all(struct atl_zip *zip, const void *data, size_t length, struct atl_errinfo *info)
{
	const char *from = data;

	while (length) {
		ssize_t done = write(zip->fd, from, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return atl_fail(info, errno == ENOSPC ? ATL_ERR_DISK : ATL_ERR_IO, "Writing a ZIP file: %s", strerror(errno));
		from += done;
		length -= (size_t)done;
		zip->at += (uint64_t)done;
	}
	return ATL_OK;
}

enum atl_err atl_zip_create(const char *path, struct atl_zip **ret, struct atl_errinfo *info)
{
	struct atl_zip *zip = calloc(1, sizeof(*zip));
	enum atl_err err;

	if (!zip)
		return atl_fail(info, ATL_ERR_NOMEM, "zip");
	err = atl_file_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &zip->fd, info);
	if (err) {
		free(zip);
		return err;
	}
	atl_buf_init(&zip->directory, DIRECTORY_MAX);
	*ret = zip;
	return ATL_OK;
}

void atl_zip_destroy(struct atl_zip *zip)
{
	if (!zip)
		return;
	close(zip->fd);
	atl_buf_finish(&zip->directory);
	free(zip);
}

static uint32_t dos_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm t;

	if (!gmtime_r(&seconds, &t) || t.tm_year < 80)
		return (1u << 21) | (1u << 16);
	return (uint32_t)(t.tm_year - 80) << 25 | (uint32_t)(t.tm_mon + 1) << 21 | (uint32_t)t.tm_mday << 16 |
	       (uint32_t)t.tm_hour << 11 | (uint32_t)t.tm_min << 5 | (uint32_t)t.tm_sec / 2;
}

/* What local and central headers have in common, from the flags to the name's length. */
static void put_common(struct atl_buf *out, const struct atl_zip *zip)
{
	put(out, FLAG_UTF8, 2);
	put(out, 0, 2); /* stored */
	put(out, zip->time, 4);
	put(out, zip->crc, 4);
	put(out, zip->size, 4);
	put(out, zip->size, 4);
	put(out, strlen(zip->name), 2);
}

enum atl_err atl_zip_begin(struct atl_zip *zip, const char *name, int64_t modified_ms, struct atl_errinfo *info)
{
	struct atl_buf head;
	enum atl_err err;

	if (zip->open || strlen(name) >= sizeof(zip->name) || zip->count >= ATL_ZIP_ENTRIES_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "A ZIP file cannot take one more entry.");
	atl_str_copy(zip->name, sizeof(zip->name), name);
	zip->open = true;
	zip->begun = zip->at;
	zip->size = 0;
	zip->crc = 0;
	zip->time = dos_time(modified_ms);
	atl_buf_init(&head, 1024);
	put(&head, 0x04034b50, 4);
	put(&head, VERSION, 2);
	put_common(&head, zip);
	put(&head, 0, 2); /* extra */
	atl_buf_adds(&head, name);
	err = atl_buf_err(&head, info);
	if (!err)
		err = write_all(zip, head.data, head.length, info);
	atl_buf_finish(&head);
	return err;
}

enum atl_err atl_zip_add(struct atl_zip *zip, const void *data, size_t length, struct atl_errinfo *info)
{
	if (zip->size + length >= MAX32)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "%s is larger than 4 GiB.", zip->name);
	zip->crc = atl_crc32(zip->crc, data, length);
	zip->size += length;
	return write_all(zip, data, length, info);
}

enum atl_err atl_zip_add_file(struct atl_zip *zip, const char *path, struct atl_errinfo *info)
{
	unsigned char chunk[CHUNK];
	ssize_t got;
	int fd;
	enum atl_err err = atl_file_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, info);

	if (err)
		return err;
	do {
		got = read(fd, chunk, sizeof(chunk));
		if (got > 0)
			err = atl_zip_add(zip, chunk, (size_t)got, info);
		else if (got < 0 && errno != EINTR)
			err = atl_fail(info, ATL_ERR_IO, "Reading a file: %s", strerror(errno));
	} while (!err && (got > 0 || (got < 0 && errno == EINTR)));
	close(fd);
	return err;
}

static enum atl_err mend(struct atl_zip *zip, struct atl_errinfo *info)
{
	unsigned char sizes[12];

	for (unsigned i = 0; i < 4; i++) {
		sizes[i] = (unsigned char)(zip->crc >> (8 * i));
		sizes[4 + i] = sizes[8 + i] = (unsigned char)(zip->size >> (8 * i));
	}
	if (pwrite(zip->fd, sizes, sizeof(sizes), (off_t)(zip->begun + CRC_AT)) != (ssize_t)sizeof(sizes))
		return atl_fail(info, ATL_ERR_IO, "Writing a ZIP file: %s", strerror(errno));
	return ATL_OK;
}

enum atl_err atl_zip_end(struct atl_zip *zip, struct atl_errinfo *info)
{
	struct atl_buf *out = &zip->directory;
	bool far = zip->begun >= MAX32;

	put(out, 0x02014b50, 4);
	put(out, 3 << 8 | VERSION_64, 2); /* made on Unix */
	put(out, far ? VERSION_64 : VERSION, 2);
	put_common(out, zip);
	put(out, far ? 12 : 0, 2); /* extra */
	put(out, 0, 2);		   /* comment */
	put(out, 0, 2);		   /* disk */
	put(out, 0, 2);		   /* internal attributes */
	put(out, 0100600u << 16, 4);
	put(out, far ? MAX32 : zip->begun, 4);
	atl_buf_adds(out, zip->name);
	if (far) {
		put(out, 1, 2); /* ZIP64: the offset */
		put(out, 8, 2);
		put(out, zip->begun, 8);
	}
	zip->open = false;
	zip->count++;
	return mend(zip, info);
}

enum atl_err atl_zip_close(struct atl_zip *zip, int64_t *ret_bytes, struct atl_errinfo *info)
{
	struct atl_buf *out = &zip->directory;
	uint64_t start = zip->at, size = out->length;
	bool far = start + size >= MAX32 || zip->count >= UINT16_MAX;
	enum atl_err err;

	if (far) {
		put(out, 0x06064b50, 4);
		put(out, 44, 8);
		put(out, 3 << 8 | VERSION_64, 2);
		put(out, VERSION_64, 2);
		put(out, 0, 8); /* disks */
		put(out, zip->count, 8);
		put(out, zip->count, 8);
		put(out, size, 8);
		put(out, start, 8);
		put(out, 0x07064b50, 4);
		put(out, 0, 4);
		put(out, start + size, 8);
		put(out, 1, 4);
	}
	put(out, 0x06054b50, 4);
	put(out, 0, 4); /* disks */
	put(out, far ? UINT16_MAX : zip->count, 2);
	put(out, far ? UINT16_MAX : zip->count, 2);
	put(out, far ? MAX32 : size, 4);
	put(out, far ? MAX32 : start, 4);
	put(out, 0, 2); /* comment */
	err = atl_buf_err(out, info);
	if (!err)
		err = write_all(zip, out->data, out->length, info);
	if (!err && fsync(zip->fd) != 0)
		err = atl_fail(info, ATL_ERR_IO, "Writing a ZIP file: %s", strerror(errno));
	*ret_bytes = (int64_t)zip->at;
	return err;
}
