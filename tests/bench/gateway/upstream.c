/* upstream.c - the fastest language model there is: answers chat completions with a fixed reply of 600 bytes, or with
 * 64 deltas paced 20 ms when the request says "stream":true. GET /v1/models lists one model. One thread, epoll.
 *
 * Use: upstream PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DELTAS 64
#define PACE_US 20000
#define CONNS_MAX 8192
#define REPLY_BYTES 600
#define REQUEST_MAX 65536

struct conn {
	char *data;
	size_t length;
	int deltas_left; /* 0: no stream */
	uint64_t due_us;
};
static struct conn conns[CONNS_MAX];
static int highest, streams;
static char reply[2048], models[512];

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void make_replies(void)
{
	static const char start[] = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"bench\",\"choices\":"
				    "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
	static const char end[] = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":99,"
				  "\"total_tokens\":108}}";
	static const char list[] = "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,"
				   "\"owned_by\":\"bench\"}]}";
	int at = snprintf(reply, sizeof(reply),
			  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", REPLY_BYTES, start);

	for (size_t i = sizeof(start) - 1; i < REPLY_BYTES - (sizeof(end) - 1); i++)
		reply[at++] = 'x';
	strcpy(reply + at, end);
	snprintf(models, sizeof(models),
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", sizeof(list) - 1, list);
}

static void drop(int fd)
{
	streams -= conns[fd].deltas_left > 0;
	free(conns[fd].data);
	memset(&conns[fd], 0, sizeof(conns[fd]));
	close(fd);
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		shutdown(fd, SHUT_RDWR);
}

static void next_delta(int fd)
{
	static const char delta[] = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
				    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
	static const char end[] = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
				  "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":64}}\n\n"
				  "data: [DONE]\n\n";
	struct conn *conn = &conns[fd];
	char chunk[1024];

	snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", sizeof(delta) - 1, delta);
	say(fd, chunk);
	conn->due_us += PACE_US;
	if (--conn->deltas_left)
		return;
	streams--;
	snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n0\r\n\r\n", sizeof(end) - 1, end);
	say(fd, chunk);
}

/* Answers all whole requests that are there. */
static void serve(int fd)
{
	struct conn *conn = &conns[fd];
	char *end, *length;
	size_t size;

	while ((end = strstr(conn->data, "\r\n\r\n")) != NULL) {
		length = strcasestr(conn->data, "content-length:");
		size = (size_t)(end + 4 - conn->data) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
		if (conn->length < size)
			return;
		if (strncmp(conn->data, "GET", 3) == 0) {
			say(fd, models);
		} else if (strstr(end, "\"stream\":true")) {
			say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
			conn->deltas_left = DELTAS;
			conn->due_us = now_us();
			streams++;
			next_delta(fd);
		} else {
			say(fd, reply);
		}
		memmove(conn->data, conn->data + size, conn->length - size + 1);
		conn->length -= size;
	}
}

static void receive(int fd)
{
	struct conn *conn = &conns[fd];
	ssize_t got;

	if (!conn->data)
		conn->data = calloc(1, REQUEST_MAX + 1);
	got = recv(fd, conn->data + conn->length, REQUEST_MAX - conn->length, 0);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			drop(fd);
		return;
	}
	conn->length += (size_t)got;
	conn->data[conn->length] = '\0';
	serve(fd);
}

static void pace(void)
{
	uint64_t now = now_us();

	for (int fd = 0; fd <= highest && streams; fd++)
		while (conns[fd].deltas_left && conns[fd].due_us <= now)
			next_delta(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[512], want = { .events = EPOLLIN };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);

	if (argc < 2)
		return 2;
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1024)) {
		perror("upstream");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	make_replies();
	want.data.fd = listener;
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &want);
	for (;;) {
		int count = epoll_wait(poll, events, 512, streams ? 1 : -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				receive(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				if (fd >= CONNS_MAX) {
					close(fd);
					continue;
				}
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				highest = fd > highest ? fd : highest;
				want.data.fd = fd;
				epoll_ctl(poll, EPOLL_CTL_ADD, fd, &want);
			}
		}
		if (streams)
			pace();
	}
}
