/* decoder.c - see decoder.h.
 *
 * A decoder is shared by the pool thread that uses it and the loop thread that owns its process. It is freed by the pool
 * thread once nothing on the loop can name it any more: its process has ended and the posted kill has run.
 */
#include "media/decoder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "ipc/channel.h"
#include "os/child.h"

struct atl_pictures {
	/* set at create */
	struct atl_loop *loop;
	char *program;
	const char *const *argv; /* NULL: none but the name */
	unsigned timeout_ms;
	/* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned running;
	struct atl_decoder *warm[ATL_PICTURE_AT_ONCE]; /* oldest first; NULL after the last */
};

struct atl_decoder {
	/* set at create */
	struct atl_pictures *pictures;
	int fd, child_fd;
	char owner[ATL_PICTURE_OWNER_MAX];
	/* the taker's */
	unsigned served;
	/* loop thread only */
	struct atl_child *child;
	/* guarded by pictures->lock */
	bool spawned, exited, killed;
	enum atl_err err;
	struct atl_errinfo info;
	int exit_code, signal;
};

enum atl_err atl_pictures_create(struct atl_loop *loop, const char *program, struct atl_pictures **ret,
				 struct atl_errinfo *info)
{
	struct atl_pictures *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "picture decoder");
	self->loop = loop;
	self->timeout_ms = ATL_PICTURE_TIMEOUT_MS;
	self->program = strdup(program);
	if (!self->program) {
		free(self);
		return atl_fail(info, ATL_ERR_NOMEM, "picture decoder");
	}
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	*ret = self;
	return ATL_OK;
}

void atl_pictures_set_timeout(struct atl_pictures *pictures, unsigned timeout_ms)
{
	pictures->timeout_ms = timeout_ms;
}

void atl_decoder_set_argv(struct atl_pictures *pictures, const char *const *argv)
{
	pictures->argv = argv;
}

/* ---- on the loop ---- */

static void on_exit_child(void *arg, int exit_code, int signal)
{
	struct atl_decoder *decoder = arg;
	atl_child_destroy(decoder->child);
	decoder->child = NULL;
	pthread_mutex_lock(&decoder->pictures->lock);
	decoder->exited = true;
	decoder->exit_code = exit_code;
	decoder->signal = signal;
	pthread_cond_broadcast(&decoder->pictures->changed);
	pthread_mutex_unlock(&decoder->pictures->lock);
}

static void spawn_on_loop(void *arg)
{
	struct atl_decoder *decoder = arg;
	struct atl_pictures *self = decoder->pictures;
	const char *argv[] = {"atelier-decode", NULL};
	/* VIPSHOME points nowhere so that no loader module is looked for; fontconfig and the like are not wanted. */
	const char *env[] = {"VIPSHOME=/nonexistent", "LANG=C", NULL};
	struct atl_child_spec spec = {.path = self->program, .argv = self->argv ? self->argv : argv, .env = env, .pass_fd = decoder->child_fd};
	struct atl_errinfo info = {0};
	enum atl_err err =
		atl_child_spawn(self->loop, &spec, NULL, on_exit_child, decoder, &decoder->child, &info);
	close(decoder->child_fd);
	pthread_mutex_lock(&self->lock);
	decoder->spawned = true;
	decoder->exited = err != ATL_OK;
	decoder->err = err;
	decoder->info = info;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

static void kill_on_loop(void *arg)
{
	struct atl_decoder *decoder = arg;
	if (decoder->child)
		atl_child_kill(decoder->child, 9);
	pthread_mutex_lock(&decoder->pictures->lock);
	decoder->killed = true;
	pthread_cond_broadcast(&decoder->pictures->changed);
	pthread_mutex_unlock(&decoder->pictures->lock);
}

/* ---- pool threads ---- */

static int end_decoder(struct atl_decoder *decoder)
{
	struct atl_pictures *self = decoder->pictures;
	if (atl_loop_post(self->loop, kill_on_loop, decoder)) {
		pthread_mutex_lock(&self->lock);
		while (!decoder->exited || !decoder->killed)
			pthread_cond_wait(&self->changed, &self->lock);
		pthread_mutex_unlock(&self->lock);
	} /* else the loop has ended, and its children with it */
	int outcome = decoder->signal ? -decoder->signal : decoder->exit_code;
	close(decoder->fd);
	free(decoder);
	return outcome;
}

static enum atl_err start_decoder(struct atl_pictures *self, const char *owner, struct atl_decoder **ret,
				  struct atl_errinfo *info)
{
	int fds[2];
	struct atl_decoder *decoder = calloc(1, sizeof *decoder);
	if (!decoder)
		return atl_fail(info, ATL_ERR_NOMEM, "picture decoder");
	enum atl_err err = atl_channel_pair(fds, info);
	if (err) {
		free(decoder);
		return err;
	}
	decoder->pictures = self;
	decoder->fd = fds[0];
	decoder->child_fd = fds[1];
	/* an owner that does not fit is nobody: its child is not used again */
	if (owner && !atl_str_copy(decoder->owner, sizeof decoder->owner, owner))
		decoder->owner[0] = '\0';
	if (atl_loop_post(self->loop, spawn_on_loop, decoder)) {
		pthread_mutex_lock(&self->lock);
		while (!decoder->spawned)
			pthread_cond_wait(&self->changed, &self->lock);
		pthread_mutex_unlock(&self->lock);
		if (decoder->err)
			err = atl_fail(info, ATL_ERR_INTERNAL, "starting atelier-decode: %s", decoder->info.detail);
	} else {
		close(fds[1]);
		err = atl_fail(info, ATL_ERR_SHUTDOWN, "the picture decoder is gone");
	}
	if (err) {
		close(fds[0]);
		free(decoder);
		return err;
	}
	*ret = decoder;
	return ATL_OK;
}

/* Takes warm[i] out. */
static struct atl_decoder *remove_warm(struct atl_pictures *self, unsigned i)
{
	struct atl_decoder *decoder = self->warm[i];
	for (; i + 1 < ATL_PICTURE_AT_ONCE; i++)
		self->warm[i] = self->warm[i + 1];
	self->warm[ATL_PICTURE_AT_ONCE - 1] = NULL;
	return decoder;
}

static unsigned count_warm(const struct atl_pictures *self)
{
	unsigned n = 0;
	while (n < ATL_PICTURE_AT_ONCE && self->warm[n])
		n++;
	return n;
}

/* A warm one of this owner, or NULL and perhaps one in *ret_surplus to end for its place. Those that left because
 * they had nothing to do are found here, one at a time. */
static struct atl_decoder *find_warm(struct atl_pictures *self, const char *owner, struct atl_decoder **ret_surplus)
{
	*ret_surplus = NULL;
	for (unsigned i = 0; i < count_warm(self); i++)
		if (owner && !self->warm[i]->exited && strcmp(self->warm[i]->owner, owner) == 0)
			return remove_warm(self, i);
	for (unsigned i = 0; i < count_warm(self); i++)
		if (self->warm[i]->exited) {
			*ret_surplus = remove_warm(self, i);
			return NULL;
		}
	if (self->running + count_warm(self) > ATL_PICTURE_AT_ONCE)
		*ret_surplus = remove_warm(self, 0);
	return NULL;
}

static void end_turn(struct atl_pictures *self)
{
	pthread_mutex_lock(&self->lock);
	self->running--;
	pthread_cond_broadcast(&self->changed);
	pthread_mutex_unlock(&self->lock);
}

enum atl_err atl_decoder_take(struct atl_pictures *pictures, const char *owner, bool fresh, struct atl_decoder **ret,
			      struct atl_errinfo *info)
{
	struct atl_decoder *surplus, *decoder;
	pthread_mutex_lock(&pictures->lock);
	while (pictures->running >= ATL_PICTURE_AT_ONCE)
		pthread_cond_wait(&pictures->changed, &pictures->lock);
	pictures->running++;
	decoder = find_warm(pictures, fresh ? NULL : owner, &surplus);
	pthread_mutex_unlock(&pictures->lock);
	if (surplus)
		end_decoder(surplus);
	enum atl_err err = decoder ? ATL_OK : start_decoder(pictures, owner, &decoder, info);
	if (err)
		end_turn(pictures);
	else
		*ret = decoder;
	return err;
}

int atl_decoder_fd(const struct atl_decoder *decoder)
{
	return decoder->fd;
}

unsigned atl_decoder_timeout_ms(const struct atl_decoder *decoder)
{
	return decoder->pictures->timeout_ms;
}

bool atl_decoder_was_warm(const struct atl_decoder *decoder)
{
	return decoder->served > 0;
}

int atl_decoder_give(struct atl_decoder *decoder, bool again)
{
	struct atl_pictures *self = decoder->pictures;
	int outcome = 0;
	decoder->served++;
	if (again && decoder->owner[0] && decoder->served < ATL_PICTURE_PER_CHILD) {
		pthread_mutex_lock(&self->lock);
		unsigned n = count_warm(self);
		struct atl_decoder *surplus = n == ATL_PICTURE_AT_ONCE ? remove_warm(self, 0) : NULL;
		self->warm[surplus ? n - 1 : n] = decoder;
		pthread_mutex_unlock(&self->lock);
		if (surplus)
			end_decoder(surplus);
	} else {
		outcome = end_decoder(decoder);
	}
	end_turn(self);
	return outcome;
}

void atl_pictures_destroy(struct atl_pictures *pictures)
{
	if (!pictures)
		return;
	while (pictures->warm[0])
		end_decoder(remove_warm(pictures, 0));
	pthread_cond_destroy(&pictures->changed);
	pthread_mutex_destroy(&pictures->lock);
	free(pictures->program);
	free(pictures);
}
