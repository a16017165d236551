/* llama.c - see llama.h. */
#include "provider/llama.h"

#include <stdlib.h>

#include "net/fetch.h"

struct atl_llama_probe {
	struct atl_fetch *fetch;
	void (*done)(void *arg, bool healthy); /* NULL: cancelled */
	void *arg;
	int status;
};

static void on_head(void *arg, const struct atl_fetch_head *head)
{
	struct atl_llama_probe *self = arg;
	self->status = head->status;
}

static void on_data(void *arg, const char *data, size_t length)
{
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_llama_probe *self = arg;
	if (self->done)
		self->done(self->arg, !err && self->status == 200);
	free(self);
}

enum atl_err atl_llama_health(struct atl_loop *loop, const char *unix_path, void (*done)(void *arg, bool healthy),
			      void *arg, struct atl_llama_probe **ret)
{
	static const struct atl_fetch_ops OPS = {.on_head = on_head, .on_data = on_data, .on_done = on_done};
	const struct atl_fetch_request request = {.url = "http://localhost/health", .unix_path = unix_path, .plain = true,
						  .total_ms = ATL_LLAMA_HEALTH_MS, .max_response_bytes = 65536};
	struct atl_llama_probe *self = calloc(1, sizeof *self);
	if (!self)
		return ATL_ERR_NOMEM;
	self->done = done;
	self->arg = arg;
	enum atl_err err = atl_fetch_start(loop, &request, &OPS, self, &self->fetch, NULL);
	if (err) {
		free(self);
		return err;
	}
	*ret = self;
	return ATL_OK;
}

void atl_llama_health_cancel(struct atl_llama_probe *probe)
{
	if (!probe)
		return;
	probe->done = NULL;
	atl_fetch_cancel(probe->fetch);
}
