/* image_local_state.c - see image_local.h. */
#include "provider/image_local.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "ipc/image.h"

bool atl_image_local_answers(const char *unix_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(unix_path);
	if (length >= sizeof address.sun_path)
		return false;
	memcpy(address.sun_path, unix_path, length);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	/* EAGAIN: so many are waiting that it is surely there */
	bool answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
	close(fd);
	return answers;
}

enum atl_err atl_image_local_state(const char *unix_path, struct atl_arena *arena, struct atl_image_local_state *ret,
				   struct atl_errinfo *info)
{
	struct atl_engine_hello hello;
	struct atl_frame frame;
	struct atl_buf in;
	int fd;
	enum atl_err err = atl_channel_connect(unix_path, &fd, info);
	if (err)
		return atl_fail_context(info, ATL_ERR_UNAVAILABLE, "the picture engine");
	atl_buf_init(&in, ATL_ENGINE_JSON_MAX);
	err = atl_channel_receive(fd, atl_monotonic_ms() + ATL_IMAGE_LOCAL_STATE_MS, &frame, &in, info);
	if (!err && frame.type != ATL_FRAME_HELLO)
		err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "it does not say hello");
	if (!err)
		err = atl_engine_read(arena, &atl_engine_hello_desc, in.data, in.length, &hello, info);
	close(fd);
	atl_buf_finish(&in);
	if (err)
		return atl_fail_context(info, ATL_ERR_UNAVAILABLE, "the picture engine");
	/* strings of a parsed tree are in the arena already */
	*ret = (struct atl_image_local_state){.version = hello.version, .backend = hello.backend, .model = hello.model,
					      .memory_bytes = hello.memory_bytes, .threads = hello.threads,
					      .busy = hello.busy};
	return ATL_OK;
}
