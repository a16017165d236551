/* webauthn.h - are these bytes a passkey made for us, or its signature under our challenge? (WebAuthn level 2)
 *
 * What comes in is a browser's: client data (JSON), authenticator data and a signature. Everything that is not exactly as
 * it must be is refused: kind, challenge, origin, that it is no frame of another page, our RP id, that the person was there
 * and was verified (PIN, fingerprint, face). Authenticator data and signatures are libfido2's to read. Attestation is
 * not asked for: which make of key it is does not matter here.
 *
 * Threads: pure functions. Limits: the constants below.
 */
#ifndef ATL_CORE_WEBAUTHN_H
#define ATL_CORE_WEBAUTHN_H

#include "base/arena.h"

#define ATL_WEBAUTHN_CLIENT_DATA_MAX 4096
#define ATL_WEBAUTHN_AUTH_DATA_MAX 4096
#define ATL_WEBAUTHN_SIGNATURE_MAX 1024
#define ATL_WEBAUTHN_ID_MAX 1023
#define ATL_WEBAUTHN_KEY_MAX 600

/* COSE numbers of the algorithms that count. */
enum atl_webauthn_alg { ATL_WEBAUTHN_ES256 = -7, ATL_WEBAUTHN_EDDSA = -8, ATL_WEBAUTHN_RS256 = -257 };

struct atl_span {
	const unsigned char *data;
	size_t length;
};
struct atl_webauthn_expect {
	const char *challenge; /* base64url, as it was given out */
	const char *origin;    /* "https://studio.example.org" */
	const char *rp_id;     /* "studio.example.org" */
};
struct atl_webauthn_key {
	unsigned char id[ATL_WEBAUTHN_ID_MAX];
	size_t id_length;
	unsigned char key[ATL_WEBAUTHN_KEY_MAX]; /* as libfido2 has it */
	size_t key_length;
	int alg;
	uint32_t count; /* of signatures; 0 for passkeys that do not count */
	bool synced;	/* it can be on more than one device */
};

/* A new passkey. UNPROCESSABLE: refused, the detail says why. */
enum atl_err atl_webauthn_register(struct atl_arena *arena, const struct atl_webauthn_expect *expect, struct atl_span client_data,
				   struct atl_span auth_data, int alg, struct atl_webauthn_key *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* A signature of a known one (its key, alg and count). *ret_count: its count now. UNPROCESSABLE, also when the count did not
 * grow: then two devices hold what only one should. */
enum atl_err atl_webauthn_check(struct atl_arena *arena, const struct atl_webauthn_expect *expect, struct atl_span client_data,
				struct atl_span auth_data, struct atl_span signature, const struct atl_webauthn_key *known,
				uint32_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
