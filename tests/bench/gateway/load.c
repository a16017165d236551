/* load.c - sends chat completions over kept connections and tells how fast they came, and what they cost the server.
 *
 * Use: load NAME PORT CONNECTIONS SECONDS PIDS MODE [KEY] [MODEL]
 * PIDS: comma-separated, whose CPU time is read ("-": none). MODE: whole | stream (first delta and whole streams).
 * Prints a row: name, requests/s, CPU us/request, p50 us, p99 us (stream: of the first delta), errors. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 4000000
#define ANSWER_MAX 65536
#define STREAM_US 1280000 /* a stream of upstream.c */

struct conn {
	int fd;
	char data[ANSWER_MAX + 1];
	size_t length;
	uint64_t sent_us;
	bool first_seen;
};
static uint32_t *samples;
static size_t sample_count, done, errors;
static char request[4096];
static size_t request_length;
static bool stream;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* User and system time of one process, in clock ticks. */
static uint64_t ticks_of(int pid)
{
	char path[64], text[1024], *at;
	unsigned long user = 0, kernel = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	at = strrchr(text, ')');
	if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		return 0;
	return user + kernel;
}

static double cpu_us(const char *pids)
{
	uint64_t ticks = 0;

	for (const char *at = pids; at && *at && *at != '-'; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		ticks += ticks_of(atoi(at));
	return (double)ticks * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void ask(struct conn *conn)
{
	conn->length = 0;
	conn->data[0] = '\0';
	conn->first_seen = false;
	conn->sent_us = now_us();
	if (send(conn->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
		errors++;
}

static void sample(const struct conn *conn)
{
	if (sample_count < SAMPLES_MAX)
		samples[sample_count++] = (uint32_t)(now_us() - conn->sent_us);
}

/* True: the answer is whole. */
static bool whole(struct conn *conn)
{
	char *end = strstr(conn->data, "\r\n\r\n"), *length;

	if (!end)
		return false;
	length = strcasestr(conn->data, "content-length:");
	if (length && length < end)
		return conn->length >= (size_t)(end + 4 - conn->data) + strtoul(length + 15, NULL, 10);
	return conn->length >= 5 && memcmp(conn->data + conn->length - 5, "0\r\n\r\n", 5) == 0;
}

static void receive(struct conn *conn, bool again)
{
	ssize_t got = recv(conn->fd, conn->data + conn->length, ANSWER_MAX - conn->length, 0);

	if (got <= 0) {
		if (got < 0 && errno == EAGAIN)
			return;
		fprintf(stderr, "load: a connection broke: %s\n", got ? strerror(errno) : "closed");
		exit(1);
	}
	conn->length += (size_t)got;
	conn->data[conn->length] = '\0';
	if (stream && !conn->first_seen && strstr(conn->data, "\"delta\"")) {
		conn->first_seen = true;
		sample(conn);
	}
	if (!whole(conn))
		return;
	if (!stream)
		sample(conn);
	errors += strncmp(conn->data, "HTTP/1.1 200", 12) != 0;
	done++;
	if (again)
		ask(conn);
	else
		conn->length = 0;
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void write_request(int port, const char *key, const char *model)
{
	char body[1024];
	int length = snprintf(body, sizeof(body),
			      "{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
			      "assistant.\"},{\"role\":\"user\",\"content\":\"Tell me a short story about the sea.\"}],"
			      "\"temperature\":0.7,\"stream\":%s}", model, stream ? "true" : "false");

	request_length = (size_t)snprintf(request, sizeof(request),
					  "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
					  "x-portkey-provider: openai\r\nx-portkey-custom-host: %s\r\n"
					  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
					  port, key, getenv("CUSTOM_HOST") ? getenv("CUSTOM_HOST") : "-", length, body);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[256], want = { .events = EPOLLIN };
	int poll = epoll_create1(0), one = 1, count, ready;
	uint64_t start, until;
	struct conn *conns;
	double cpu, seconds;

	if (argc < 7)
		return 2;
	stream = strcmp(argv[6], "stream") == 0;
	count = atoi(argv[3]);
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	write_request(atoi(argv[2]), argc > 7 ? argv[7] : "none", argc > 8 ? argv[8] : "bench");
	conns = calloc((size_t)count, sizeof(*conns));
	samples = malloc(SAMPLES_MAX * sizeof(*samples));
	for (int i = 0; i < count; i++) {
		conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(conns[i].fd, (struct sockaddr *)&address, sizeof(address))) {
			perror("load: connect");
			return 1;
		}
		setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		want.data.ptr = &conns[i];
		epoll_ctl(poll, EPOLL_CTL_ADD, conns[i].fd, &want);
	}
	cpu = cpu_us(argv[5]);
	start = now_us();
	until = start + (uint64_t)(atof(argv[4]) * 1e6);
	/* Streams begin one after the other, evenly over the length of one; the rest at once. Then each connection goes on
	 * until the time is over, and what runs is waited for. */
	int begun = 0;

	for (size_t asked = (size_t)count; done < asked;) {
		bool again = now_us() < until;

		for (; begun < count && (!stream || now_us() - start >= (uint64_t)begun * STREAM_US / (uint64_t)count); begun++)
			ask(&conns[begun]);
		ready = epoll_wait(poll, events, 256, begun < count ? 1 : 30000);
		if (ready < 0 || (ready == 0 && begun == count)) {
			fprintf(stderr, "load: nothing came for 30 s\n");
			return 1;
		}
		for (int i = 0; i < ready; i++) {
			size_t before = done;

			receive(events[i].data.ptr, again);
			asked += again ? done - before : 0;
		}
	}
	seconds = (double)(now_us() - start) / 1e6;
	cpu = cpu_us(argv[5]) - cpu;
	qsort(samples, sample_count, sizeof(*samples), by_size);
	printf("%-26s %4d conns %10.0f req/s %8.1f us CPU %8u us p50 %8u us p99 %6zu errors\n", argv[1], count,
	       (double)done / seconds, cpu / (double)done, samples[sample_count / 2], samples[sample_count * 99 / 100], errors);
	return errors != 0;
}
