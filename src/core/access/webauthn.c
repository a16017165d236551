/* webauthn.c - see webauthn.h. WebAuthn level 2, 7.1 and 7.2. The home of fido.h. */
#include "core/access/webauthn.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <string.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/str.h"

#define FLAG_PRESENT 0x01
#define FLAG_VERIFIED 0x04
#define FLAG_SYNCABLE 0x08
#define FLAG_KEY 0x40
#define FLAG_EXTENSIONS 0x80
#define HEAD_SIZE 37	/* hash, flags, count */
#define KEY_HEAD_SIZE 18 /* make, length of the id */
#define CBOR_ITEMS_MAX 16
#define CBOR_DEPTH_MAX 3

static enum atl_err refuse(struct atl_errinfo *info, const char *why)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The passkey's answer is refused: %s.", why);
}

/* A member named twice means one thing to one reader and another to the next. */
static bool named_once(const struct atl_json *object, const char *name)
{
	int count = 0;

	for (const struct atl_json *item = object->child; item; item = item->next)
		count += atl_str_eq(item->key, name);
	return count == 1;
}

static enum atl_err check_client(struct atl_arena *arena, const struct atl_webauthn_expect *expect, const char *type,
				 struct atl_span data, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err;

	if (!data.length || data.length > ATL_WEBAUTHN_CLIENT_DATA_MAX)
		return refuse(info, "the client data is missing or too long");
	err = atl_json_parse(arena, (const char *)data.data, data.length, &tree, NULL);
	if (err == ATL_ERR_NOMEM)
		return atl_fail(info, err, "read a passkey");
	if (err || tree->kind != ATL_JSON_OBJECT || !named_once(tree, "type") || !named_once(tree, "challenge") ||
	    !named_once(tree, "origin"))
		return refuse(info, "the client data cannot be read");
	if (!atl_str_eq(atl_json_str(tree, "type", ""), type))
		return refuse(info, "it was made for something else");
	if (!atl_str_eq(atl_json_str(tree, "challenge", ""), expect->challenge))
		return refuse(info, "it answers another challenge");
	if (!atl_str_eq(atl_json_str(tree, "origin", ""), expect->origin))
		return refuse(info, "it comes from another page");
	if (atl_json_get(tree, "topOrigin") || (atl_json_get(tree, "crossOrigin") && atl_json_bool(tree, "crossOrigin", true)))
		return refuse(info, "it comes from inside another page");
	return ATL_OK;
}

/* One CBOR item of the kinds that keys and extensions are made of, with small counts and lengths that are there: what
 * libcbor is given never makes it ask for memory that nobody sent. *at moves behind it. */
static bool walk(const unsigned char *data, size_t length, size_t *at, int depth)
{
	unsigned kind, more;
	size_t value;

	if (*at >= length || depth > CBOR_DEPTH_MAX)
		return false;
	kind = data[*at] >> 5;
	more = data[(*at)++] & 31;
	if (more > 25 || (more >= 24 && length - *at < more - 23))
		return false;
	value = more < 24 ? more : more == 24 ? data[*at] : (size_t)data[*at] << 8 | data[*at + 1];
	*at += more < 24 ? 0 : more - 23;
	switch (kind) {
	case 0:
	case 1: return true;
	case 2:
	case 3:
		if (value > length - *at)
			return false;
		*at += value;
		return true;
	case 4:
	case 5:
		if (value > CBOR_ITEMS_MAX)
			return false;
		for (size_t i = 0; i < value * (kind == 5 ? 2 : 1); i++)
			if (!walk(data, length, at, depth + 1))
				return false;
		return true;
	case 7: return value >= 20 && value <= 22 && more < 24; /* false, true, null */
	default: return false;
	}
}

/* Head, then what the flags say and nothing else. */
static bool well_formed(struct atl_span auth, bool with_key)
{
	size_t at = HEAD_SIZE;
	unsigned char flags;

	if (auth.length < HEAD_SIZE)
		return false;
	flags = auth.data[32];
	if (((flags & FLAG_KEY) != 0) != with_key)
		return false;
	if (with_key) {
		size_t id;

		if (auth.length < HEAD_SIZE + KEY_HEAD_SIZE)
			return false;
		id = (size_t)auth.data[HEAD_SIZE + 16] << 8 | auth.data[HEAD_SIZE + 17];
		at = HEAD_SIZE + KEY_HEAD_SIZE + id;
		if (at >= auth.length || auth.data[at] >> 5 != 5 || !walk(auth.data, auth.length, &at, 0))
			return false;
	}
	if ((flags & FLAG_EXTENSIONS) && (at >= auth.length || auth.data[at] >> 5 != 5 || !walk(auth.data, auth.length, &at, 0)))
		return false;
	return at == auth.length;
}

static bool known_alg(int alg)
{
	return alg == ATL_WEBAUTHN_ES256 || alg == ATL_WEBAUTHN_EDDSA || alg == ATL_WEBAUTHN_RS256;
}

static enum atl_err read_credential(const fido_cred_t *cred, const struct atl_webauthn_expect *expect, struct atl_span auth_data,
				    int alg, struct atl_webauthn_key *ret, struct atl_errinfo *info)
{
	unsigned char rp_hash[ATL_SHA256_SIZE];
	uint8_t flags = fido_cred_flags(cred);
	size_t id = fido_cred_id_len(cred), key = fido_cred_pubkey_len(cred);

	atl_sha256(expect->rp_id, strlen(expect->rp_id), rp_hash);
	if (auth_data.length < sizeof(rp_hash) || memcmp(auth_data.data, rp_hash, sizeof(rp_hash)) != 0)
		return refuse(info, "it is for another server");
	if (!(flags & FLAG_PRESENT) || !(flags & FLAG_VERIFIED))
		return refuse(info, "it did not verify who was there");
	if (!id || id > sizeof(ret->id) || !key || key > sizeof(ret->key) || !fido_cred_id_ptr(cred) || !fido_cred_pubkey_ptr(cred))
		return refuse(info, "it has no key that can be used");
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->id, fido_cred_id_ptr(cred), id);
	memcpy(ret->key, fido_cred_pubkey_ptr(cred), key);
	ret->id_length = id;
	ret->key_length = key;
	ret->alg = alg;
	ret->count = fido_cred_sigcount(cred);
	ret->synced = (flags & FLAG_SYNCABLE) != 0;
	return ATL_OK;
}

enum atl_err atl_webauthn_register(struct atl_arena *arena, const struct atl_webauthn_expect *expect, struct atl_span client_data,
				   struct atl_span auth_data, int alg, struct atl_webauthn_key *ret, struct atl_errinfo *info)
{
	enum atl_err err = check_client(arena, expect, "webauthn.create", client_data, info);
	fido_cred_t *cred;

	if (err)
		return err;
	if (!known_alg(alg) || !auth_data.length || auth_data.length > ATL_WEBAUTHN_AUTH_DATA_MAX)
		return refuse(info, "its kind of key is not offered");
	if (!well_formed(auth_data, true))
		return refuse(info, "its data cannot be read");
	cred = fido_cred_new();
	if (!cred)
		return atl_fail(info, ATL_ERR_NOMEM, "read a passkey");
	if (fido_cred_set_type(cred, alg) != FIDO_OK ||
	    fido_cred_set_authdata_raw(cred, auth_data.data, auth_data.length) != FIDO_OK)
		err = refuse(info, "its data cannot be read");
	else
		err = read_credential(cred, expect, auth_data, alg, ret, info);
	fido_cred_free(&cred);
	return err;
}

/* ---- a signature ---- */

static int verify_es256(fido_assert_t *assertion, const struct atl_webauthn_key *known)
{
	es256_pk_t *key = es256_pk_new();
	int result = FIDO_ERR_INTERNAL;

	if (key && es256_pk_from_ptr(key, known->key, known->key_length) == FIDO_OK)
		result = fido_assert_verify(assertion, 0, ATL_WEBAUTHN_ES256, key);
	es256_pk_free(&key);
	return result;
}

static int verify_eddsa(fido_assert_t *assertion, const struct atl_webauthn_key *known)
{
	eddsa_pk_t *key = eddsa_pk_new();
	int result = FIDO_ERR_INTERNAL;

	if (key && eddsa_pk_from_ptr(key, known->key, known->key_length) == FIDO_OK)
		result = fido_assert_verify(assertion, 0, ATL_WEBAUTHN_EDDSA, key);
	eddsa_pk_free(&key);
	return result;
}

static int verify_rs256(fido_assert_t *assertion, const struct atl_webauthn_key *known)
{
	rs256_pk_t *key = rs256_pk_new();
	int result = FIDO_ERR_INTERNAL;

	if (key && rs256_pk_from_ptr(key, known->key, known->key_length) == FIDO_OK)
		result = fido_assert_verify(assertion, 0, ATL_WEBAUTHN_RS256, key);
	rs256_pk_free(&key);
	return result;
}

static int verify(fido_assert_t *assertion, const struct atl_webauthn_key *known)
{
	switch (known->alg) {
	case ATL_WEBAUTHN_ES256: return verify_es256(assertion, known);
	case ATL_WEBAUTHN_EDDSA: return verify_eddsa(assertion, known);
	case ATL_WEBAUTHN_RS256: return verify_rs256(assertion, known);
	default: return FIDO_ERR_UNSUPPORTED_ALGORITHM;
	}
}

enum atl_err atl_webauthn_check(struct atl_arena *arena, const struct atl_webauthn_expect *expect, struct atl_span client_data,
				struct atl_span auth_data, struct atl_span signature, const struct atl_webauthn_key *known,
				uint32_t *ret_count, struct atl_errinfo *info)
{
	unsigned char hash[ATL_SHA256_SIZE];
	enum atl_err err = check_client(arena, expect, "webauthn.get", client_data, info);
	fido_assert_t *assertion;
	uint32_t count = 0;

	if (err)
		return err;
	if (!auth_data.length || auth_data.length > ATL_WEBAUTHN_AUTH_DATA_MAX || !signature.length ||
	    signature.length > ATL_WEBAUTHN_SIGNATURE_MAX)
		return refuse(info, "its data or its signature is missing or too long");
	if (!well_formed(auth_data, false))
		return refuse(info, "its data cannot be read");
	assertion = fido_assert_new();
	if (!assertion)
		return atl_fail(info, ATL_ERR_NOMEM, "read a passkey");
	atl_sha256(client_data.data, client_data.length, hash);
	if (fido_assert_set_count(assertion, 1) != FIDO_OK || fido_assert_set_rp(assertion, expect->rp_id) != FIDO_OK ||
	    fido_assert_set_up(assertion, FIDO_OPT_TRUE) != FIDO_OK || fido_assert_set_uv(assertion, FIDO_OPT_TRUE) != FIDO_OK ||
	    fido_assert_set_clientdata_hash(assertion, hash, sizeof(hash)) != FIDO_OK ||
	    fido_assert_set_authdata_raw(assertion, 0, auth_data.data, auth_data.length) != FIDO_OK ||
	    fido_assert_set_sig(assertion, 0, signature.data, signature.length) != FIDO_OK)
		err = refuse(info, "its data cannot be read");
	else if (verify(assertion, known) != FIDO_OK)
		err = refuse(info, "the signature, the server or the person was not verified");
	else
		count = fido_assert_sigcount(assertion, 0);
	fido_assert_free(&assertion);
	if (!err && (count || known->count) && count <= known->count)
		err = refuse(info, "it was copied: its counter did not grow");
	if (!err)
		*ret_count = count;
	return err;
}
