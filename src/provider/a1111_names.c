/* a1111_names.c - see a1111_names.h. */
#include "provider/a1111_names.h"

#include <string.h>

#include "base/str.h"

/* The server has no second version of DPM++ 2M. */
const struct atl_a1111_name atl_a1111_samplers[] = {
	{ "euler_a", "Euler a", "Euler a" }, { "euler", "Euler", "Euler" }, { "heun", "Heun", "Heun" }, { "dpm2", "DPM2", "DPM2" },
	{ "dpm++2s_a", "DPM++ 2S a", "DPM++ 2S a" }, { "dpm++2m", "DPM++ 2M", "DPM++ 2M" },
	{ "dpm++2mv2", "DPM++ 2M v2", "DPM++ 2M" }, { "ipndm", "IPNDM", "IPNDM" }, { "ipndm_v", "IPNDM_V", "IPNDM_V" },
	{ "lcm", "LCM", "LCM" }, { "ddim_trailing", "DDIM", "DDIM" }, { "tcd", "TCD", "TCD" },
	{ "res_multistep", "Res Multistep", "Res Multistep" }, { NULL, NULL, NULL },
};
const struct atl_a1111_name atl_a1111_schedulers[] = {
	{ "discrete", "Uniform", "Uniform" }, { "karras", "Karras", "Karras" }, { "exponential", "Exponential", "Exponential" },
	{ "sgm_uniform", "SGM Uniform", "SGM Uniform" }, { "ays", "Align Your Steps", "Align Your Steps" },
	{ "gits", "Align Your Steps GITS", NULL }, { "simple", "Simple", "Simple" }, { "smoothstep", "Smoothstep", NULL },
	{ "lcm", "LCM", NULL }, { "kl_optimal", "KL Optimal", "KL Optimal" }, { NULL, NULL, NULL },
};

const char *atl_a1111_name_at_server(const struct atl_a1111_name *names, const char *ours)
{
	for (; ours && names->ours; names++)
		if (atl_str_eq(names->ours, ours))
			return names->server;
	return NULL;
}

static const char *find(const struct atl_a1111_name *names, const char *label)
{
	for (; names->ours; names++)
		if (atl_str_ieq(names->label, label) || atl_str_ieq(names->ours, label))
			return names->ours;
	return NULL;
}

const char *atl_a1111_scheduler_find(const char *label)
{
	return find(atl_a1111_schedulers, label);
}

bool atl_a1111_sampler_find(struct atl_arena *arena, const char *label, const char **ret_sampler, const char **ret_scheduler)
{
	const char *sampler = find(atl_a1111_samplers, label), *blank = strrchr(label, ' '), *scheduler;
	char *head;

	*ret_scheduler = NULL;
	if (sampler) {
		*ret_sampler = sampler;
		return true;
	}
	scheduler = blank ? find(atl_a1111_schedulers, blank + 1) : NULL;
	head = scheduler ? atl_arena_strndup(arena, label, (size_t)(blank - label)) : NULL;
	sampler = head ? find(atl_a1111_samplers, head) : NULL;
	if (!sampler)
		return false;
	*ret_sampler = sampler;
	*ret_scheduler = scheduler;
	return true;
}
