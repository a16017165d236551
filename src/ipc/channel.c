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

enum atl_err atl_channel_send_fd(int fd, uint64_t deadline_ms, struct atl_frame *frame, const void *data, size_t length,
				 int pass, struct atl_errinfo *info)
{
	if (length > ATL_FRAME_PAYLOAD_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "a message to a child may have at most %u bytes",
				ATL_FRAME_PAYLOAD_MAX);
	frame->length = (uint32_t)length;
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	atl_frame_encode(frame, header);
	struct iovec iov = {.iov_base = header, .iov_len = sizeof header};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &pass, sizeof pass);
	ssize_t sent;
	while ((sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child hung up: %s", strerror(errno));
		enum atl_err err = wait_for(fd, POLLOUT, deadline_ms, info);
		if (err)
			return err;
	}
	enum atl_err err = send_all(fd, deadline_ms, (const char *)header + sent, sizeof header - (size_t)sent, info);
	return err || !length ? err : send_all(fd, deadline_ms, data, length, info);
}

/* The header, and a descriptor if one comes with it (*ret_fd, else -1). */
static enum atl_err receive_header(int fd, uint64_t deadline_ms, unsigned char *out, int *ret_fd, struct atl_errinfo *info)
{
	*ret_fd = -1;
	for (;;) {
		struct iovec iov = {.iov_base = out, .iov_len = ATL_FRAME_HEADER_SIZE};
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
				     .msg_controllen = sizeof control.bytes};
		ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0) {
			struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
			if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
			    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
				memcpy(ret_fd, CMSG_DATA(cmsg), sizeof *ret_fd);
			enum atl_err err = receive_all(fd, deadline_ms, (char *)out + n, ATL_FRAME_HEADER_SIZE - (size_t)n, info);
			if (err && *ret_fd >= 0) {
				close(*ret_fd);
				*ret_fd = -1;
			}
			return err;
		}
		if (n == 0)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child ended early");
		if (errno != EAGAIN && errno != EINTR)
			return atl_fail(info, ATL_ERR_UPSTREAM_CUT, "the child hung up: %s", strerror(errno));
		enum atl_err err = wait_for(fd, POLLIN, deadline_ms, info);
		if (err)
			return err;
	}
}

static enum atl_err receive_payload(int fd, uint64_t deadline_ms, const unsigned char *header, struct atl_frame *ret,
				    struct atl_buf *payload, struct atl_errinfo *info);

enum atl_err atl_channel_receive_fd(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				    int *ret_fd, struct atl_errinfo *info)
{
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	int came;
	enum atl_err err = receive_header(fd, deadline_ms, header, &came, info);
	if (!err)
		err = receive_payload(fd, deadline_ms, header, ret, payload, info);
	if (err && came >= 0)
		close(came);
	if (!err)
		*ret_fd = came;
	return err;
}

enum atl_err atl_channel_receive(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				 struct atl_errinfo *info)
{
	unsigned char header[ATL_FRAME_HEADER_SIZE];
	enum atl_err err = receive_all(fd, deadline_ms, (char *)header, sizeof header, info);
	return err ? err : receive_payload(fd, deadline_ms, header, ret, payload, info);
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

enum atl_err atl_channel_connect(const char *path, int *ret_fd, struct atl_errinfo *info)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;
	if (strlen(path) >= sizeof address.sun_path)
		return atl_fail(info, ATL_ERR_INVALID, "the socket path %s is too long", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return atl_fail(info, ATL_ERR_IO, "making a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		int why = errno;
		close(fd);
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "nobody answers at %s: %s", path, strerror(why));
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
