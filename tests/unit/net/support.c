#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crypto.h"
#include "os/pool.h"

void site_start(struct site *site, const struct atl_route *routes, void (*tweak)(struct atl_server_options *options),
		void *app)
{
	const struct atl_route *tables[] = {routes, NULL};
	struct atl_errinfo info = {0};
	struct atl_server_options options = {0};
	enum atl_err err;

	memset(site, 0, sizeof(*site));
	snprintf(site->dir, sizeof(site->dir), "/tmp/atl-net-XXXXXX");
	assert_non_null(mkdtemp(site->dir));
	assert_int_equal(atl_crypto_init(), ATL_OK);
	assert_int_equal(atl_loop_create("one", &site->loops[0], &info), ATL_OK);
	assert_int_equal(atl_loop_create("two", &site->loops[1], &info), ATL_OK);
	assert_int_equal(atl_pool_create(4, 1000, &site->pool, &info), ATL_OK);
	options.address = "127.0.0.1";
	options.tables = tables;
	options.app = app;
	options.pool = site->pool;
	options.loops = site->loops;
	options.loop_count = 2;
	options.upload_dir = site->dir;
	if (tweak)
		tweak(&options);
	err = atl_server_create(&options, &site->server, &info);
	if (err)
		fail_msg("server: %s %s", atl_err_name(err), info.detail);
	site->port = atl_server_port(site->server);
}

void site_stop(struct site *site)
{
	char command[128];

	atl_server_destroy(site->server);
	atl_pool_destroy(site->pool);
	atl_loop_stop(site->loops[0]);
	atl_loop_stop(site->loops[1]);
	atl_loop_destroy(site->loops[0]);
	atl_loop_destroy(site->loops[1]);
	snprintf(command, sizeof(command), "rm -rf %s", site->dir);
	assert_int_equal(system(command), 0);
}

int client_connect(const struct site *site)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)site->port)};
	struct timeval deadline = {.tv_sec = CLIENT_DEADLINE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

bool client_send_some(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
		length -= (size_t)sent;
	}
	return true;
}

void client_send_bytes(int fd, const void *data, size_t length)
{
	assert_true(client_send_some(fd, data, length));
}

void client_send(int fd, const char *text)
{
	client_send_bytes(fd, text, strlen(text));
}

static ssize_t receive(int fd, void *out, size_t length)
{
	ssize_t got = recv(fd, out, length, 0);

	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		fail_msg("nothing came within %d s", CLIENT_DEADLINE_S);
	return got < 0 ? 0 : got; /* a reset is an end, too */
}

bool client_read_bytes(int fd, void *out, size_t length)
{
	char *at = out;

	while (length) {
		ssize_t got = receive(fd, at, length);

		if (got == 0)
			return false;
		at += got;
		length -= (size_t)got;
	}
	return true;
}

bool client_closed(int fd)
{
	char byte;

	return receive(fd, &byte, 1) == 0;
}

void client_read_until(int fd, char *out, size_t size, const char *needle)
{
	size_t have = 0;

	out[0] = 0;
	while (!strstr(out, needle)) {
		ssize_t got = have + 1 < size ? receive(fd, out + have, 1) : 0;

		if (got == 0)
			fail_msg("the connection ended before \"%s\"; got: %s", needle, out);
		have += (size_t)got;
		out[have] = 0;
	}
}

const char *answer_header(const struct answer *answer, const char *name)
{
	static _Thread_local char value[4096];
	size_t length = strlen(name);
	const char *at = answer->head;

	while ((at = strstr(at, "\r\n"))) {
		at += 2;
		if (strncasecmp(at, name, length) == 0 && at[length] == ':') {
			size_t count = strcspn(at + length + 2, "\r");

			assert_true(count < sizeof(value));
			memcpy(value, at + length + 2, count);
			value[count] = 0;
			return value;
		}
	}
	return NULL;
}

static void add(struct answer *out, const char *data, size_t length)
{
	out->body = realloc(out->body, out->length + length + 1);
	assert_non_null(out->body);
	memcpy(out->body + out->length, data, length);
	out->length += length;
	out->body[out->length] = 0;
}

static void read_length(int fd, struct answer *out, size_t length)
{
	char block[65536];

	while (length) {
		ssize_t got = receive(fd, block, length < sizeof(block) ? length : sizeof(block));

		if (got == 0) {
			out->cut = true;
			return;
		}
		add(out, block, (size_t)got);
		length -= (size_t)got;
	}
}

static void read_chunks(int fd, struct answer *out)
{
	for (;;) {
		char line[32] = "", end[2];
		size_t length = 0, have = 0;

		while (!strstr(line, "\r\n") && have + 1 < sizeof(line)) {
			if (!client_read_bytes(fd, line + have, 1)) {
				out->cut = true;
				return;
			}
			line[++have] = 0;
		}
		length = strtoul(line, NULL, 16);
		read_length(fd, out, length);
		if (out->cut || !client_read_bytes(fd, end, 2)) {
			out->cut = true;
			return;
		}
		assert_memory_equal(end, "\r\n", 2);
		if (!length)
			return;
	}
}

void client_read(int fd, struct answer *out, bool head_only)
{
	const char *length, *coding;

	memset(out, 0, sizeof(*out));
	add(out, "", 0);
	client_read_until(fd, out->head, sizeof(out->head), "\r\n\r\n");
	assert_int_equal(sscanf(out->head, "HTTP/1.1 %d ", &out->status), 1);
	if (head_only || out->status == 204 || out->status == 304 || out->status < 200)
		return;
	coding = answer_header(out, "Transfer-Encoding");
	if (coding && strcmp(coding, "chunked") == 0) {
		assert_null(answer_header(out, "Content-Length"));
		read_chunks(fd, out);
		return;
	}
	length = answer_header(out, "Content-Length");
	read_length(fd, out, length ? strtoul(length, NULL, 10) : SIZE_MAX / 2);
	if (!length)
		out->cut = false;
}

void answer_free(struct answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

void client_once(const struct site *site, const char *request, struct answer *out)
{
	int fd = client_connect(site);

	client_send(fd, request);
	client_read(fd, out, strncmp(request, "HEAD", 4) == 0);
	close(fd);
}
