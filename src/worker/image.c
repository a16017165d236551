/* image.c - the program atelier-image: makes pictures with a local model, one run at a time.
 *
 *   atelier-image SOCKET [THREADS [IDLE_S]]
 *
 * It listens on a unix socket. Each client is greeted with HELLO, which also says what is going on. INPUT frames and a
 * GENERATE start a run, which answers with PROGRESS, PREVIEW, LOG and RESULT, and ends with DONE or ERROR (a sentence;
 * item: enum atl_engine_error). CANCEL, or hanging up, ends the client's run at the next step. The model stays loaded until
 * a run names another one, UNLOAD comes, or IDLE_S seconds pass without a run.
 *
 * Threads:    the main thread makes pictures (run); `listener` reads from clients. `self.lock` guards what both see.
 * Limits:     CLIENTS_MAX clients, one run; others are told that it is busy.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "worker/image.h"

#define CLIENTS_MAX 16
#define NAMES_MAX 100

struct client { /* listener only */
	int fd;
	struct image_inputs inputs;
};

static struct {
	/* set before the listener starts */
	int listen_fd, threads;
	unsigned idle_s;
	/* listener only */
	struct client clients[CLIENTS_MAX];
	size_t client_count;
	struct atl_buf payload;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct image_job *job; /* waits or runs */
	int owner_fd;	       /* the listener's descriptor of the job's client; -1: gone */
	int unload_fd;	       /* who asked for it; -1: nobody */
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .owner_fd = -1, .unload_fd = -1};

static void say(int fd, uint32_t id, uint16_t type, uint16_t item, const char *text)
{
	struct atl_frame frame = {.type = type, .item = item, .id = id};
	if (atl_channel_send(fd, atl_monotonic_ms() + IMAGE_TALK_MS, &frame, text, strlen(text), NULL, 0, NULL) != ATL_OK)
		shutdown(fd, SHUT_RDWR); /* the listener notices */
}

/* ---- the main thread ---- */

static void job_free(struct image_job *job)
{
	image_inputs_finish(&job->inputs);
	atl_arena_finish(&job->arena);
	close(job->fd);
	free(job);
}

/* Free for the next before the last word is said: who hears it may ask again at once. */
static void work(struct image_job *job)
{
	char why[ENGINE_WHY_SIZE] = "";
	enum engine_end end = image_run(job, why);
	pthread_mutex_lock(&self.lock);
	self.job = NULL;
	self.owner_fd = -1;
	engine_resume();
	pthread_mutex_unlock(&self.lock);
	if (end == ENGINE_OK)
		say(job->fd, job->id, ATL_FRAME_DONE, 0, "");
	else
		say(job->fd, job->id, ATL_FRAME_ERROR, end == ENGINE_CANCELLED ? ATL_ENGINE_STOPPED : ATL_ENGINE_FAILED,
		    end == ENGINE_CANCELLED ? "It was stopped." : why);
	job_free(job);
}

static void unload(int fd)
{
	image_run_unload();
	if (fd < 0)
		return;
	say(fd, 0, ATL_FRAME_DONE, 0, "");
	close(fd);
}

static void run(void)
{
	for (;;) {
		struct timespec until;
		int rc = 0;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += self.idle_s;
		pthread_mutex_lock(&self.lock);
		while (!self.job && self.unload_fd < 0 && rc != ETIMEDOUT)
			rc = engine_loaded() && self.idle_s ? pthread_cond_timedwait(&self.wake, &self.lock, &until)
							    : pthread_cond_wait(&self.wake, &self.lock);
		struct image_job *job = self.job;
		int fd = self.unload_fd;
		self.unload_fd = -1;
		pthread_mutex_unlock(&self.lock);
		if (fd >= 0 || !job)
			unload(fd);
		if (job)
			work(job);
	}
}

/* ---- the listener ---- */

static int64_t memory_bytes(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (file && fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static size_t names(const char *(*name)(int), const char **out)
{
	size_t count = 0;
	for (const char *n; count < NAMES_MAX && (n = name((int)count)) != NULL; count++)
		out[count] = n;
	return count;
}

static void greet(int fd)
{
	const char *samplers[NAMES_MAX], *schedulers[NAMES_MAX];
	char model[256];
	struct atl_buf text;
	image_run_model(model, sizeof model);
	pthread_mutex_lock(&self.lock);
	bool busy = self.job != NULL;
	pthread_mutex_unlock(&self.lock);
	struct atl_engine_hello hello = {
		.version = engine_version(), .backend = engine_backend(), .model = model[0] ? model : NULL,
		.memory_bytes = memory_bytes(), .threads = self.threads, .busy = busy,
		.samplers = {samplers, names(engine_sampler, samplers)},
		.schedulers = {schedulers, names(engine_scheduler, schedulers)}};
	atl_buf_init(&text, ATL_ENGINE_JSON_MAX);
	if (atl_engine_write(&atl_engine_hello_desc, &hello, &text, NULL) == ATL_OK)
		say(fd, 0, ATL_FRAME_HELLO, 0, text.data);
	atl_buf_finish(&text);
}

static void drop(size_t index)
{
	struct client *client = &self.clients[index];
	pthread_mutex_lock(&self.lock);
	if (self.owner_fd == client->fd) {
		self.owner_fd = -1;
		engine_cancel();
	}
	pthread_mutex_unlock(&self.lock);
	close(client->fd);
	image_inputs_finish(&client->inputs);
	self.clients[index] = self.clients[--self.client_count];
}

static bool start(struct client *client, const struct atl_frame *frame)
{
	struct atl_errinfo info = {0};
	struct image_job *job = calloc(1, sizeof *job);
	if (!job)
		return false;
	atl_arena_init(&job->arena, 0);
	job->id = frame->id;
	job->fd = fcntl(client->fd, F_DUPFD_CLOEXEC, 0);
	enum atl_err err = atl_engine_read(&job->arena, &atl_engine_ask_desc, self.payload.data, self.payload.length,
					   &job->ask, &info);
	pthread_mutex_lock(&self.lock);
	bool busy = self.job != NULL;
	if (!err && !busy && job->fd >= 0) {
		job->inputs = client->inputs;
		client->inputs = (struct image_inputs){0};
		self.job = job;
		self.owner_fd = client->fd;
		pthread_cond_signal(&self.wake);
	}
	pthread_mutex_unlock(&self.lock);
	if (err || busy || job->fd < 0) {
		say(client->fd, frame->id, ATL_FRAME_ERROR, err ? ATL_ENGINE_FAILED : ATL_ENGINE_BUSY,
		    err ? info.detail : "The picture engine is busy.");
		image_inputs_finish(&client->inputs);
		job_free(job);
	}
	return true;
}

static bool ask_unload(const struct client *client)
{
	pthread_mutex_lock(&self.lock);
	bool busy = self.job || self.unload_fd >= 0;
	if (!busy)
		self.unload_fd = fcntl(client->fd, F_DUPFD_CLOEXEC, 0);
	pthread_cond_signal(&self.wake);
	pthread_mutex_unlock(&self.lock);
	if (busy)
		say(client->fd, 0, ATL_FRAME_ERROR, ATL_ENGINE_BUSY, "The picture engine is busy.");
	return true;
}

static bool is_owner(const struct client *client)
{
	pthread_mutex_lock(&self.lock);
	bool yes = self.owner_fd == client->fd;
	pthread_mutex_unlock(&self.lock);
	return yes;
}

static bool cancel(const struct client *client)
{
	pthread_mutex_lock(&self.lock);
	if (self.owner_fd == client->fd)
		engine_cancel();
	pthread_mutex_unlock(&self.lock);
	return true;
}

/* false: the client is not worth talking to any more. */
static bool serve(struct client *client)
{
	struct atl_errinfo info = {0};
	struct atl_frame frame;
	if (atl_channel_receive(client->fd, atl_monotonic_ms() + IMAGE_TALK_MS, &frame, &self.payload, &info) != ATL_OK)
		return false;
	if (frame.type == ATL_FRAME_CANCEL)
		return cancel(client);
	if (is_owner(client)) /* anything else would mix with the run's frames */
		return false;
	switch (frame.type) {
	case ATL_FRAME_INPUT:
		if (image_input_add(&client->inputs, frame.item, &self.payload, &info) == ATL_OK)
			return true;
		say(client->fd, frame.id, ATL_FRAME_ERROR, 0, info.detail);
		return false;
	case ATL_FRAME_GENERATE:
		return start(client, &frame);
	case ATL_FRAME_UNLOAD:
		return ask_unload(client);
	default:
		return false;
	}
}

static void let_in(void)
{
	int fd = accept4(self.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	greet(fd);
	self.clients[self.client_count++] = (struct client){.fd = fd};
}

static void *listener(void *arg)
{
	for (;;) {
		struct pollfd polls[CLIENTS_MAX + 1];
		size_t count = self.client_count;
		for (size_t i = 0; i < count; i++)
			polls[i] = (struct pollfd){.fd = self.clients[i].fd, .events = POLLIN};
		polls[count] = (struct pollfd){.fd = self.listen_fd, .events = count < CLIENTS_MAX ? POLLIN : 0};
		if (poll(polls, count + 1, -1) < 0)
			continue;
		for (size_t i = count; i-- > 0;) /* backwards: drop() moves the last one */
			if (polls[i].revents && !serve(&self.clients[i]))
				drop(i);
		atl_buf_finish(&self.payload); /* pictures are large */
		if (polls[count].revents & POLLIN)
			let_in();
	}
	return arg;
}

/* ---- start ---- */

static bool listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!atl_str_copy(address.sun_path, sizeof address.sun_path, path)) {
		fprintf(stderr, "atelier-image: the socket's path is too long: %s\n", path);
		return false;
	}
	unlink(path);
	umask(0177);
	self.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (self.listen_fd >= 0 && bind(self.listen_fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	    listen(self.listen_fd, CLIENTS_MAX) == 0)
		return true;
	fprintf(stderr, "atelier-image: cannot listen on %s: %s\n", path, strerror(errno));
	return false;
}

int main(int argc, char **argv)
{
	uint64_t threads = 1, idle_s = 0;
	if (argc < 2 || argc > 4 || (argc > 2 && (!atl_str_u64(argv[2], 1024, &threads) || threads == 0)) ||
	    (argc > 3 && !atl_str_u64(argv[3], 31536000, &idle_s))) {
		fprintf(stderr, "usage: atelier-image SOCKET [THREADS [IDLE_S]]\n");
		return 2;
	}
	pthread_condattr_t attr;
	pthread_t thread;
	self.threads = (int)threads;
	self.idle_s = (unsigned)idle_s;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	atl_buf_init(&self.payload, ATL_FRAME_PAYLOAD_MAX + 1);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&self.wake, &attr);
	image_run_setup(self.threads);
	if (!listen_on(argv[1]) || pthread_create(&thread, NULL, listener, NULL) != 0)
		return 1;
	run();
	return 0;
}
