/* presets.h - what differs between services, as data.
 *
 * Threads: constants. Adding one: a row in presets.c; a new quirk is a new field, read in openai_chat.c.
 */
#ifndef ATL_PROVIDER_PRESETS_H
#define ATL_PROVIDER_PRESETS_H

#include "base/err.h"

enum atl_chat_auth { ATL_CHAT_AUTH_NONE, ATL_CHAT_AUTH_BEARER };
enum atl_chat_prefill { /* how an unfinished assistant message is continued */
	ATL_CHAT_PREFILL_NONE, /* not offered: sent as is */
	ATL_CHAT_PREFILL_LAST, /* the last assistant message is taken as a prefix by itself */
	ATL_CHAT_PREFILL_VLLM  /* add_generation_prompt false, continue_final_message true */
};

struct atl_chat_preset {
	const char *preset;	  /* "venice"; public, never changes */
	const char *name;	  /* "Venice" */
	const char *base_url;	  /* "" where there is no sensible default */
	const char *key_help_url; /* or NULL */
	enum atl_chat_auth auth;
	bool needs_key;
	bool has_characters;
	bool no_chat;		  /* pictures only */
	const char *picture_kind; /* struct atl_image_ops.kind; NULL: makes no pictures */
	const char *picture_url;  /* when pictures have another address than the default base_url; NULL: the same */
	bool local; /* usually on a private address */
	bool stream_options;
	bool developer_role;	/* false: sent as system */
	bool venice_parameters;
	bool llama_native;	/* /tokenize and /apply-template beside /v1 */
	bool seed_positive;	/* seed must be > 0 */
	enum atl_chat_prefill prefill;
	const char *max_tokens; /* name of the field */
	const char *top_k, *min_p, *repeat_penalty; /* their names, or NULL: not taken */
	const char *models_query;		    /* "?type=text" or "" */
	const char *const *extra_headers;	    /* NULL-terminated, or NULL */
};

const struct atl_chat_preset *atl_chat_preset_find(const char *preset); /* NULL: unknown */
const struct atl_chat_preset *atl_chat_preset_at(size_t index);	       /* NULL past the end; without "fake" */

#endif
