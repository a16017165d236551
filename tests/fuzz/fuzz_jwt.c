/* fuzz_jwt.c - a key set (first line) and an ID token (the rest): what is accepted was for us, for now and for this sign-in. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/str.h"
#include "core/access/jwt.h"

static void check(const struct atl_jwt_claims *claims)
{
	size_t length = claims->sub ? strlen(claims->sub) : 0;

	if (length == 0 || length > ATL_JWT_SUB_MAX || !atl_str_eq(atl_json_str(claims->all, "iss", NULL), "https://id.example") ||
	    !atl_str_eq(atl_json_str(claims->all, "nonce", NULL), "n-1"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct atl_jwt_expect expect = { .issuer = "https://id.example", .client_id = "atelier", .nonce = "n-1",
					       .access_token = "a", .now_s = 1900000000 };
	const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
	struct atl_jwt_claims claims = { 0 };
	struct atl_errinfo info = { 0 };
	struct atl_json *keys;
	struct atl_arena arena;
	char *token;

	if (!line || atl_crypto_init() != ATL_OK)
		return 0;
	atl_arena_init(&arena, 1 << 22);
	token = atl_arena_strndup(&arena, (const char *)line + 1, size - (size_t)(line + 1 - data));
	if (token && atl_json_parse(&arena, (const char *)data, (size_t)(line - data), &keys, &info) == ATL_OK &&
	    atl_jwt_verify(&arena, token, keys, &expect, &claims, &info) == ATL_OK)
		check(&claims);
	atl_arena_finish(&arena);
	return 0;
}
