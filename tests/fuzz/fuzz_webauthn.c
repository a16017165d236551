/* fuzz_webauthn.c - first byte: made or signed; two bytes: length of the client data; then client data and authenticator data.
 * What is accepted as made has a key and an id within bounds; a signature is never accepted, since no key's owner signs here. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "core/access/webauthn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct atl_webauthn_expect expect = { .challenge = "Y2hhbGxlbmdl", .origin = "http://localhost:7860", .rp_id = "localhost" };
	static const int algs[] = { ATL_WEBAUTHN_ES256, ATL_WEBAUTHN_EDDSA, ATL_WEBAUTHN_RS256, 0 };
	struct atl_webauthn_key key = { 0 };
	struct atl_span client, auth;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	uint32_t count;
	size_t length;

	if (size < 3 || atl_crypto_init() != ATL_OK)
		return 0;
	length = (size_t)data[1] << 8 | data[2];
	if (length > size - 3)
		length = size - 3;
	client = (struct atl_span){ data + 3, length };
	auth = (struct atl_span){ data + 3 + length, size - 3 - length };
	atl_arena_init(&arena, 1 << 20);
	if (data[0] & 1) {
		if (atl_webauthn_register(&arena, &expect, client, auth, algs[(data[0] >> 1) & 3], &key, &info) == ATL_OK &&
		    (!key.id_length || key.id_length > ATL_WEBAUTHN_ID_MAX || !key.key_length || key.key_length > ATL_WEBAUTHN_KEY_MAX))
			abort();
	} else {
		key.alg = algs[(data[0] >> 1) & 3];
		key.key_length = auth.length < sizeof(key.key) ? auth.length : sizeof(key.key);
		memcpy(key.key, auth.data, key.key_length);
		if (atl_webauthn_check(&arena, &expect, client, auth, client, &key, &count, &info) == ATL_OK)
			abort();
	}
	atl_arena_finish(&arena);
	return 0;
}
