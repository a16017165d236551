/* presets.c - the table of presets.h. */
#include "provider/presets.h"

#include "base/str.h"

static const char *const OPENROUTER_HEADERS[] = {"X-Title: Atelier", NULL};

static const struct atl_chat_preset PRESETS[] = {
	{.preset = "openai", .name = "OpenAI", .base_url = "https://api.openai.com/v1",
	 .key_help_url = "https://platform.openai.com/api-keys", .auth = ATL_CHAT_AUTH_BEARER, .needs_key = true,
	 .picture_kind = "openai", .stream_options = true, .developer_role = true, .max_tokens = "max_completion_tokens", .models_query = ""},
	{.preset = "venice", .name = "Venice", .base_url = "https://api.venice.ai/api/v1",
	 .key_help_url = "https://venice.ai/settings/api", .auth = ATL_CHAT_AUTH_BEARER, .needs_key = true,
	 .has_characters = true, .picture_kind = "venice", .stream_options = true, .developer_role = true, .venice_parameters = true,
	 .seed_positive = true, .max_tokens = "max_completion_tokens", .top_k = "top_k", .min_p = "min_p",
	 .repeat_penalty = "repetition_penalty", .models_query = "?type=text"},
	{.preset = "openrouter", .name = "OpenRouter", .base_url = "https://openrouter.ai/api/v1",
	 .key_help_url = "https://openrouter.ai/settings/keys", .auth = ATL_CHAT_AUTH_BEARER, .needs_key = true,
	 .stream_options = true, .prefill = ATL_CHAT_PREFILL_LAST, .max_tokens = "max_tokens", .top_k = "top_k",
	 .min_p = "min_p", .repeat_penalty = "repetition_penalty", .models_query = "",
	 .extra_headers = OPENROUTER_HEADERS},
	{.preset = "ollama", .name = "Ollama", .base_url = "http://127.0.0.1:11434/v1", .auth = ATL_CHAT_AUTH_BEARER,
	 .local = true, .stream_options = true, .max_tokens = "max_tokens", .models_query = ""},
	{.preset = "lmstudio", .name = "LM Studio", .base_url = "http://127.0.0.1:1234/v1",
	 .auth = ATL_CHAT_AUTH_BEARER, .local = true, .stream_options = true, .max_tokens = "max_tokens",
	 .top_k = "top_k", .repeat_penalty = "repeat_penalty", .models_query = ""},
	{.preset = "vllm", .name = "vLLM", .base_url = "http://127.0.0.1:8000/v1", .auth = ATL_CHAT_AUTH_BEARER,
	 .local = true, .stream_options = true, .prefill = ATL_CHAT_PREFILL_VLLM, .max_tokens = "max_tokens",
	 .top_k = "top_k", .min_p = "min_p", .repeat_penalty = "repetition_penalty", .models_query = ""},
	{.preset = "llamacpp", .name = "llama.cpp", .base_url = "http://127.0.0.1:8080/v1",
	 .auth = ATL_CHAT_AUTH_BEARER, .local = true, .stream_options = true, .llama_native = true,
	 .prefill = ATL_CHAT_PREFILL_LAST, .max_tokens = "max_tokens", .top_k = "top_k", .min_p = "min_p",
	 .repeat_penalty = "repeat_penalty", .models_query = ""},
	{.preset = "comfyui", .name = "ComfyUI", .base_url = "http://127.0.0.1:8188", .auth = ATL_CHAT_AUTH_BEARER,
	 .local = true, .no_chat = true, .picture_kind = "comfyui", .models_query = ""},
	{.preset = "a1111", .name = "Stable Diffusion web UI", .base_url = "http://127.0.0.1:7860",
	 .auth = ATL_CHAT_AUTH_BEARER, .local = true, .no_chat = true, .picture_kind = "a1111", .models_query = ""},
	{.preset = "fal", .name = "fal", .base_url = "https://queue.fal.run", .key_help_url = "https://fal.ai/dashboard/keys",
	 .auth = ATL_CHAT_AUTH_BEARER, .needs_key = true, .no_chat = true, .picture_kind = "fal", .models_query = ""},
	{.preset = "custom", .name = "Custom", .base_url = "", .auth = ATL_CHAT_AUTH_BEARER, .picture_kind = "openai", .stream_options = true,
	 .max_tokens = "max_tokens", .models_query = ""},
};

static const struct atl_chat_preset FAKE = {
	.preset = "fake", .name = "Fake", .base_url = "http://127.0.0.1:9/v1", .no_chat = true, .picture_kind = "fake", .max_tokens = "max_tokens",
	.models_query = ""};

const struct atl_chat_preset *atl_chat_preset_at(size_t index)
{
	return index < ATL_COUNT(PRESETS) ? &PRESETS[index] : NULL;
}

const struct atl_chat_preset *atl_chat_preset_find(const char *preset)
{
	for (size_t i = 0; i < ATL_COUNT(PRESETS); i++)
		if (atl_str_eq(PRESETS[i].preset, preset))
			return &PRESETS[i];
	return atl_str_eq(FAKE.preset, preset) ? &FAKE : NULL;
}
