/* video_scrub.c - see video_scrub.h. */
#include "media/video_scrub.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "os/file.h"

#define DEPTH_MAX 3 /* moov, trak, mdia */

struct scrub {
	int fd;
	unsigned boxes;
	bool failed;
};

static uint64_t big_endian(const unsigned char *data, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | data[i];
	return value;
}

static bool is_notes(const char type[5])
{
	return atl_str_eq(type, "udta") || atl_str_eq(type, "meta") || atl_str_eq(type, "uuid");
}

static bool is_folder(const char type[5])
{
	return atl_str_eq(type, "moov") || atl_str_eq(type, "trak") || atl_str_eq(type, "mdia");
}

/* The boxes of [at, end). */
static void scrub_range(struct scrub *s, uint64_t at, uint64_t end, unsigned depth)
{
	while (at + 8 <= end && s->boxes++ < ATL_VIDEO_BOXES_MAX && !s->failed) {
		unsigned char head[16];
		char type[5] = {0};
		ssize_t got = pread(s->fd, head, sizeof head, (off_t)at);
		if (got < 8)
			return;
		uint64_t size = big_endian(head, 4), header = 8;
		if (size == 1 && got == 16) {
			size = big_endian(head + 8, 8);
			header = 16;
		} else if (size == 0) {
			size = end - at;
		}
		if (size < header || size > end - at)
			return;
		memcpy(type, head + 4, 4);
		if (is_notes(type))
			s->failed = pwrite(s->fd, "free", 4, (off_t)at + 4) != 4;
		else if (is_folder(type) && depth < DEPTH_MAX)
			scrub_range(s, at + header, at + size, depth + 1);
		at += size;
	}
}

enum atl_err atl_video_scrub(const char *path, struct atl_errinfo *info)
{
	struct scrub s = {0};
	unsigned char head[8];
	uint64_t size = 0;
	enum atl_err err = atl_file_size(path, &size, info);
	if (!err)
		err = atl_file_open(path, O_RDWR | O_NOFOLLOW, 0, &s.fd, info);
	if (err)
		return err;
	if (pread(s.fd, head, sizeof head, 0) == (ssize_t)sizeof head && memcmp(head + 4, "ftyp", 4) == 0)
		scrub_range(&s, 0, size, 0);
	close(s.fd);
	return s.failed ? atl_fail(info, ATL_ERR_IO, "taking the notes out of a video") : ATL_OK;
}
