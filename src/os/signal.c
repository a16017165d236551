/* signal.c - process signals over uv_signal. */
#include "os/signal.h"

#include <stdlib.h>

#include "os/internal.h"

struct atl_signal {
	struct atl_handle handle;
	uv_signal_t uv;
	void (*fn)(void *arg);
	void *arg;
};

static void on_signal(uv_signal_t *uv, int signum)
{
	struct atl_signal *sig = uv->data;
	sig->fn(sig->arg);
}

static void free_data(uv_handle_t *handle)
{
	free(handle->data);
}

static void signal_close(void *self)
{
	atl_signal_destroy(self);
}

enum atl_err atl_signal_create(struct atl_loop *loop, int signum, void (*fn)(void *arg), void *arg,
			       struct atl_signal **ret)
{
	struct atl_signal *sig = calloc(1, sizeof(*sig));
	if (!sig)
		return ATL_ERR_NOMEM;
	sig->handle.close = signal_close;
	sig->fn = fn;
	sig->arg = arg;
	uv_signal_init(atl_loop_uv(loop), &sig->uv);
	sig->uv.data = sig;
	int status = uv_signal_start(&sig->uv, on_signal, signum);
	if (status) {
		atl_signal_destroy(sig);
		return atl_err_from_uv(status);
	}
	*ret = sig;
	return ATL_OK;
}

void atl_signal_destroy(struct atl_signal *sig)
{
	if (sig && !uv_is_closing((uv_handle_t *)&sig->uv))
		uv_close((uv_handle_t *)&sig->uv, free_data);
}
