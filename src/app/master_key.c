/* master_key.c - read or make the key file; one line of hexadecimal digits. */
#include "app/master_key.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "os/file.h"

static enum atl_err create(const char *path, struct atl_errinfo *info)
{
	unsigned char key[ATL_MASTER_KEY_SIZE];
	char text[ATL_MASTER_KEY_SIZE * 2 + 2];
	enum atl_err err;

	atl_random(key, sizeof(key));
	atl_hex_encode(key, sizeof(key), text);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = '\0';
	err = atl_file_write_atomic(path, text, strlen(text), 0600, info);
	atl_wipe(key, sizeof(key));
	atl_wipe(text, sizeof(text));
	return err;
}

enum atl_err atl_master_key_load(const char *path, unsigned char ret_key[ATL_MASTER_KEY_SIZE], struct atl_errinfo *info)
{
	struct stat status;
	struct atl_buf text;
	enum atl_err err = ATL_OK;

	if (stat(path, &status) != 0) {
		if (errno != ENOENT)
			return atl_fail(info, ATL_ERR_IO, "%s: %s", path, strerror(errno));
		err = create(path, info);
		if (!err && stat(path, &status) != 0)
			err = atl_fail(info, ATL_ERR_IO, "%s: %s", path, strerror(errno));
		if (err)
			return err;
	}
	if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0)
		return atl_fail(info, ATL_ERR_CONFIG, "%s can be read by others: chmod 600 it.", path);
	atl_buf_init(&text, 256);
	err = atl_file_read(path, 256, &text, info);
	if (!err) {
		if (text.length > 0 && text.data[text.length - 1] == '\n')
			text.data[text.length - 1] = '\0';
		if (!atl_hex_decode(text.data, ret_key, ATL_MASTER_KEY_SIZE))
			err = atl_fail(info, ATL_ERR_CONFIG, "%s is damaged: it must hold %d hexadecimal digits.", path,
				       ATL_MASTER_KEY_SIZE * 2);
		atl_wipe(text.data, text.length);
	}
	atl_buf_finish(&text);
	return err;
}
