/* fake_chat.c - see fake_chat.h. */
#include "provider/fake_chat.h"

#include <stdlib.h>

#include "base/str.h"
#include "provider/openai_chat.h"

struct run {
	struct atl_chat_run base; /* first */
	struct atl_chat_script script; /* a copy */
	struct atl_timer *timer;
	struct atl_chat_ops ops;
	void *arg;
	size_t next;
	bool cancelled;
};

static void end(struct run *run, enum atl_err err, const char *detail)
{
	struct atl_chat_result result = {.finish_reason = "", .usage = run->script.usage};
	struct atl_errinfo info = {0};

	if (err)
		atl_fail(&info, err, "%s", detail ? detail : atl_err_sentence(err));
	else
		result.finish_reason = run->script.finish_reason ? run->script.finish_reason : "stop";
	run->ops.on_done(run->arg, err, &info, &result);
	atl_timer_destroy(run->timer);
	free(run);
}

static void say(struct run *run, const struct atl_chat_step *step)
{
	if (step->kind == ATL_CHAT_STEP_DELTA)
		run->ops.on_delta(run->arg, step->text, strlen(step->text));
	else if (step->kind == ATL_CHAT_STEP_REASONING && run->ops.on_reasoning)
		run->ops.on_reasoning(run->arg, step->text, strlen(step->text));
	else if (step->kind == ATL_CHAT_STEP_TOOL_CALLS && run->ops.on_tool_calls)
		run->ops.on_tool_calls(run->arg, step->text);
}

static unsigned delay_of(const struct run *run)
{
	return run->next < run->script.step_count ? run->script.steps[run->next].delay_ms : 0;
}

static void on_timer(void *arg)
{
	struct run *run = arg;
	const struct atl_chat_step *step;

	if (run->cancelled) {
		end(run, ATL_ERR_CANCELLED, "It was stopped.");
		return;
	}
	if (run->next == run->script.step_count) {
		end(run, run->script.err, run->script.detail);
		return;
	}
	step = &run->script.steps[run->next];
	if (step->kind == ATL_CHAT_STEP_HANG)
		return;
	run->next++;
	atl_timer_start(run->timer, delay_of(run), 0);
	say(run, step); /* may cancel, which re-arms the timer */
}

static void run_cancel(struct atl_chat_run *base)
{
	struct run *run = (struct run *)base;

	run->cancelled = true;
	atl_timer_start(run->timer, 0, 0);
}

enum atl_err atl_chat_fake_start(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				 const struct atl_chat_ops *ops, void *arg, struct atl_chat_run **ret,
				 struct atl_errinfo *info)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run || atl_timer_create(loop, on_timer, run, &run->timer)) {
		free(run);
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	}
	run->base.cancel = run_cancel;
	run->script = *endpoint->script;
	run->ops = *ops;
	run->arg = arg;
	atl_timer_start(run->timer, delay_of(run), 0);
	*ret = &run->base;
	return ATL_OK;
}
