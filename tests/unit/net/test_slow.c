/* Clients that are slow on purpose, with time-outs shortened to fractions of a second. */
#include "support.h"

#include <string.h>
#include <unistd.h>

#define H "Host: localhost\r\n"

static struct site site;

static void echo(struct atl_req *req)
{
	atl_res_body(req, 200, "text/plain", req->body, req->body_length);
}

static const struct atl_route routes[] = {{ATL_POST, "/echo", "public", 0, echo, .body_max = 4 << 20}, {0}};

#define LONG_MS 120000 /* not a test's subject: a slow machine may send its request slowly */

static void impatient(struct atl_server_options *options)
{
	options->times = (struct atl_server_timeouts){
		.head_ms = 1000, .body_idle_ms = 1000, .keepalive_ms = LONG_MS, .stall_ms = LONG_MS};
}

static void patient(struct atl_server_options *options)
{
	options->times = (struct atl_server_timeouts){
		.head_ms = LONG_MS, .body_idle_ms = LONG_MS, .keepalive_ms = 400, .stall_ms = 500};
}

static int setup(void **state)
{
	site_start(&site, routes, impatient, NULL);
	return 0;
}

static int setup_patient(void **state)
{
	site_start(&site, routes, patient, NULL);
	return 0;
}

static int teardown(void **state)
{
	site_stop(&site);
	return 0;
}

static void expect_408(int fd)
{
	struct answer answer;

	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 408);
	assert_string_equal(answer_header(&answer, "Connection"), "close");
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
}

static void silent_client_is_closed(void **state)
{
	int fd = client_connect(&site);

	assert_true(client_closed(fd));
	close(fd);
}

static void half_a_head(void **state)
{
	int fd = client_connect(&site);

	client_send(fd, "POST /echo HTTP/1.1\r\nHost: loc");
	expect_408(fd);
}

/* A byte now and then does not extend the time for the head: the client keeps sending until it is told. */
static void dripping_head(void **state)
{
	static const char drip[] = "X-A: b\r\n";
	int fd = client_connect(&site);
	size_t sent = 0;
	struct answer answer;

	client_send(fd, "POST /echo HTTP/1.1\r\n" H);
	while (sent < 5000 && client_send_some(fd, drip + sent % 8, 1)) {
		usleep(10000); /* the slow client itself, not a wait for something */
		sent++;
	}
	assert_true(sent < 5000);
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 408);
	answer_free(&answer);
	close(fd);
}

static void body_stops(void **state)
{
	int fd = client_connect(&site);

	client_send(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
	expect_408(fd);
}

static void idle_connection_is_closed(void **state)
{
	int fd = client_connect(&site);
	struct answer answer;

	client_send(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
	client_read(fd, &answer, false);
	assert_int_equal(answer.status, 200);
	answer_free(&answer);
	assert_true(client_closed(fd));
	close(fd);
}

/* Many answers asked for and none read: the connection is given up, and with it the memory of the answers. */
static void reader_that_stops(void **state)
{
	static char body[4 << 20];
	struct atl_server_stats stats;
	int fd = client_connect(&site), other;
	struct answer answer;

	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 16; i++) {
		if (!client_send_some(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n", 65) ||
		    !client_send_some(fd, body, sizeof(body)))
			break;
	}
	atl_server_drain(site.server, LONG_MS);
	atl_server_stats(site.server, &stats);
	assert_int_equal(stats.connections_open, 0);
	close(fd);
	site_stop(&site);
	site_start(&site, routes, patient, NULL);
	other = client_connect(&site);
	client_send(other, "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
	client_read(other, &answer, false);
	assert_int_equal(answer.status, 200);
	answer_free(&answer);
	close(other);
}

#define TEST(fn, setup) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(silent_client_is_closed, setup), TEST(half_a_head, setup), TEST(dripping_head, setup), TEST(body_stops, setup),
		TEST(idle_connection_is_closed, setup_patient), TEST(reader_that_stops, setup_patient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
