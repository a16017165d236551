/* channel.c - see channel.h. */
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static enum atl_err wait_for(int fd, short events, uint64_t deadline_ms, struct atl_errinfo *info)
{
	for (;;) {
		uint64_t now = atl_monotonic_ms();
		if (now >= deadline_ms)
			return atl_fail(info, ATL_ERR_UPSTREAM_TIMEOUT, "the child took too long");
		uint64_t left = deadline_ms - now;
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return ATL_OK;
		if (n < 0 && errno != EINTR)
			return atl_fail(info, ATL_ERR_IO, "waiting for a child: %s", strerror(errno));
	}
}

static enum atl_err send_all(int fd, uint64_t deadline_ms, const char *data, size_t length, struct atl_errinfo *info)
{
	while (length > 0) {
		ssize_t n = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			data += n;
			length -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child hung up: %s", strerror(errno));
		enum atl_err err = wait_for(fd, POLLOUT, deadline_ms, info);
		if (err)
			return err;
	}
	return ATL_OK;
}

static enum atl_err receive_all(int fd, uint64_t deadline_ms, char *out, size_t length, struct atl_errinfo *info)
{
	while (length > 0) {
		ssize_t n = recv(fd, out, length, MSG_DONTWAIT);
		if (n > 0) {
			out += n;
			length -= (size_t)n;
			continue;
		}
		if (n == 0)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child ended early");
		if (errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child hung up: %s", strerror(errno));
		enum atl_err err = wait_for(fd, POLLIN, deadline_ms, info);
		if (err)
			return err;
	}
	return ATL_OK;
}

enum atl_err atl_channel_send(int fd, uint64_t deadline_ms, struct atl_frame *frame, const void *a, size_t a_length,
			      const void *b, size_t b_length, struct atl_errinfo *info)
{
	if (a_length > ATL_FRAME_PAYLOAD_MAX || b_length > ATL_FRAME_PAYLOAD_MAX - a_length)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "a message to a child may have at most %u bytes",
				ATL_FRAME_PAYLOAD_MAX);
	frame->length = (uint32_t)(a_length + b_length);
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	atl_frame_encode(frame, header);
	enum atl_err err = send_all(fd, deadline_ms, (const char *)header, sizeof header, info);
	if (!err && a_length)
		err = send_all(fd, deadline_ms, a, a_length, info);
	if (!err && b_length)
		err = send_all(fd, deadline_ms, b, b_length, info);
	return err;
}

/* The header alone, the descriptor beside its first byte. */
static enum atl_err send_header(int fd, uint64_t deadline_ms, const unsigned char *header, int passed_fd,
				struct atl_errinfo *info)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec piece = {.iov_base = (void *)header, .iov_len = ATL_FRAME_HEADER_SIZE};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room,
				 .msg_controllen = sizeof control.room};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed_fd, sizeof passed_fd);
	for (;;) {
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			return send_all(fd, deadline_ms, (const char *)header + n, ATL_FRAME_HEADER_SIZE - (size_t)n, info);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the other side hung up: %s", strerror(errno));
		enum atl_err err = wait_for(fd, POLLOUT, deadline_ms, info);
		if (err)
			return err;
	}
}

enum atl_err atl_channel_send_fd(int fd, uint64_t deadline_ms, struct atl_frame *frame, const void *payload,
				 size_t length, int passed_fd, struct atl_errinfo *info)
{
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	if (length > ATL_FRAME_PAYLOAD_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "a message may have at most %u bytes", ATL_FRAME_PAYLOAD_MAX);
	frame->length = (uint32_t)length;
	atl_frame_encode(frame, header);
	enum atl_err err = send_header(fd, deadline_ms, header, passed_fd, info);
	return err ? err : send_all(fd, deadline_ms, payload, length, info);
}

static enum atl_err receive_payload(int fd, uint64_t deadline_ms, const unsigned char *header, struct atl_frame *ret,
				    struct atl_buf *payload, struct atl_errinfo *info)
{
	struct atl_frame frame;
	enum atl_err err = atl_frame_decode(header, &frame, info);
	if (err)
		return err;
	atl_buf_reset(payload);
	char *room = atl_buf_reserve(payload, frame.length);
	if (!room)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "a child sent %u bytes, more than expected", frame.length);
	err = receive_all(fd, deadline_ms, room, frame.length, info);
	if (err)
		return err;
	payload->length = frame.length;
	payload->data[frame.length] = '\0';
	*ret = frame;
	return ATL_OK;
}

enum atl_err atl_channel_receive(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				 struct atl_errinfo *info)
{
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	enum atl_err err = receive_all(fd, deadline_ms, (char *)header, sizeof header, info);
	return err ? err : receive_payload(fd, deadline_ms, header, ret, payload, info);
}

/* More than one, or a second message's: closed. The kernel cuts what does not fit the room. */
static void keep_passed(struct msghdr *message, int *passed)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		int got;
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(sizeof got))
			continue;
		memcpy(&got, CMSG_DATA(c), sizeof got);
		if (*passed >= 0)
			close(got);
		else
			*passed = got;
	}
}

static enum atl_err receive_header(int fd, uint64_t deadline_ms, unsigned char *out, int *passed, struct atl_errinfo *info)
{
	size_t have = 0;
	while (have < ATL_FRAME_HEADER_SIZE) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec piece = {.iov_base = out + have, .iov_len = ATL_FRAME_HEADER_SIZE - have};
		struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room,
					 .msg_controllen = sizeof control.room};
		ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0) {
			keep_passed(&message, passed);
			have += (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child ended early");
		enum atl_err err = wait_for(fd, POLLIN, deadline_ms, info);
		if (err)
			return err;
	}
	return ATL_OK;
}

enum atl_err atl_channel_receive_fd(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				    int *ret_fd, struct atl_errinfo *info)
{
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	int passed = -1;
	enum atl_err err = receive_header(fd, deadline_ms, header, &passed, info);
	if (!err)
		err = receive_payload(fd, deadline_ms, header, ret, payload, info);
	if (err && passed >= 0)
		close(passed);
	else if (!err)
		*ret_fd = passed;
	return err;
}

enum atl_err atl_channel_connect(const char *path, int *ret_fd, struct atl_errinfo *info)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return atl_fail(info, ATL_ERR_CONFIG, "the socket's path is too long");
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return atl_fail(info, ATL_ERR_IO, "making a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		enum atl_err err = atl_fail(info, ATL_ERR_NOT_FOUND, "nobody listens on %s: %s", path, strerror(errno));
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return ATL_OK;
}

enum atl_err atl_channel_pair(int ret_fds[2], struct atl_errinfo *info)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) != 0)
		return atl_fail(info, ATL_ERR_IO, "making a socket pair: %s", strerror(errno));
	return ATL_OK;
}
