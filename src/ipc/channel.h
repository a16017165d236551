/* channel.h - frames over a connected descriptor, blocking with a deadline.
 *
 * Threads:    one at a time per descriptor; blocks, so never on a loop.
 * Limits:     every call ends at its deadline (monotonic milliseconds, atl_monotonic_ms()).
 */
#ifndef ATL_IPC_CHANNEL_H
#define ATL_IPC_CHANNEL_H

#include "ipc/frame.h"

/* Sends the header and up to two payload pieces; frame->length is set here. */
enum atl_err atl_channel_send(int fd, uint64_t deadline_ms, struct atl_frame *frame, const void *a, size_t a_length,
			      const void *b, size_t b_length, struct atl_errinfo *info) ATL_MUST_USE;
/* Receives one frame; its payload replaces what is in `payload`, whose maximum bounds it. */
enum atl_err atl_channel_receive(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* As atl_channel_send() with one payload, and the descriptor `pass` goes along (it stays the caller's). */
enum atl_err atl_channel_send_fd(int fd, uint64_t deadline_ms, struct atl_frame *frame, const void *data, size_t length,
				 int pass, struct atl_errinfo *info) ATL_MUST_USE;
/* As atl_channel_receive(); *ret_fd is what came along (the caller's now, close-on-exec) or -1. */
enum atl_err atl_channel_receive_fd(int fd, uint64_t deadline_ms, struct atl_frame *ret, struct atl_buf *payload,
				    int *ret_fd, struct atl_errinfo *info) ATL_MUST_USE;
/* Connect to a stream socket at `path`. UNAVAILABLE: nobody listens there. */
enum atl_err atl_channel_connect(const char *path, int *ret_fd, struct atl_errinfo *info) ATL_MUST_USE;
/* A connected pair of stream sockets, both close-on-exec. */
enum atl_err atl_channel_pair(int ret_fds[2], struct atl_errinfo *info) ATL_MUST_USE;

#endif
