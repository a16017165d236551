/* jwt.c - see jwt.h. RFC 7515, 7517, 7518, 7519; OpenID Connect Core 1.0, 3.1.3.7. */
#include "core/access/jwt.h"

#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/signature.h"
#include "base/str.h"

struct bytes {
	const unsigned char *data;
	size_t length;
};

struct jwt {
	const struct atl_json *header, *payload;
	const char *signed_text; /* header.payload */
	size_t signed_length;
	struct bytes signature;
};

static enum atl_err refuse(struct atl_errinfo *info, const char *why)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The sign-in service's token is refused: %s.", why);
}

/* ---- taking it apart ---- */

static bool decode(struct atl_arena *arena, const char *text, size_t length, struct bytes *ret)
{
	char *copy = atl_arena_strndup(arena, text, length);

	if (!copy || !length || !atl_base64_decode_in_place(ATL_BASE64_URL, copy, length, &ret->length))
		return false;
	ret->data = (const unsigned char *)copy;
	return true;
}

/* A member named twice means one thing to one reader and another to the next. */
static bool has_duplicates(const struct atl_json *node)
{
	for (const struct atl_json *a = node->child; a; a = a->next) {
		if (has_duplicates(a))
			return true;
		for (const struct atl_json *b = a->next; node->kind == ATL_JSON_OBJECT && b; b = b->next)
			if (atl_str_eq(a->key, b->key))
				return true;
	}
	return false;
}

static enum atl_err read_object(struct atl_arena *arena, const char *text, size_t length, const struct atl_json **ret,
				struct atl_errinfo *info)
{
	struct atl_errinfo inner = { 0 };
	struct atl_json *tree;
	struct bytes bytes;
	enum atl_err err;

	if (!decode(arena, text, length, &bytes))
		return refuse(info, "a part is not base64url");
	err = atl_json_parse(arena, (const char *)bytes.data, bytes.length, &tree, &inner);
	if (err == ATL_ERR_NOMEM)
		return atl_fail(info, err, "read token");
	if (err || tree->kind != ATL_JSON_OBJECT)
		return refuse(info, "a part is not a JSON object");
	if (has_duplicates(tree))
		return refuse(info, "a member is named twice");
	*ret = tree;
	return ATL_OK;
}

static enum atl_err take_apart(struct atl_arena *arena, const char *token, struct jwt *ret, struct atl_errinfo *info)
{
	size_t length = token ? strnlen(token, ATL_JWT_MAX + 1) : 0;
	const char *first = length ? memchr(token, '.', length) : NULL, *second = first ? strchr(first + 1, '.') : NULL;
	enum atl_err err;

	if (length > ATL_JWT_MAX)
		return refuse(info, "it is too long");
	if (!second || strchr(second + 1, '.'))
		return refuse(info, "it does not have three parts");
	err = read_object(arena, token, (size_t)(first - token), &ret->header, info);
	if (!err)
		err = read_object(arena, first + 1, (size_t)(second - first - 1), &ret->payload, info);
	if (!err && !decode(arena, second + 1, strlen(second + 1), &ret->signature))
		err = refuse(info, "its signature is missing or not base64url");
	ret->signed_text = token;
	ret->signed_length = (size_t)(second - token);
	return err;
}

/* ---- the key ---- */

static bool verify_rsa(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt, bool pss)
{
	const char *n = atl_json_str(key, "n", ""), *e = atl_json_str(key, "e", "");
	struct bytes modulus, exponent;
	struct atl_rsa_key rsa;

	if (!decode(arena, n, strlen(n), &modulus) || !decode(arena, e, strlen(e), &exponent))
		return false;
	rsa = (struct atl_rsa_key){ modulus.data, exponent.data, modulus.length, exponent.length };
	return (pss ? atl_rsa_pss_verify : atl_rsa_pkcs1_verify)(&rsa, jwt->signature.data, jwt->signature.length,
								 jwt->signed_text, jwt->signed_length);
}

static bool verify_rs256(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt)
{
	return verify_rsa(arena, key, jwt, false);
}

static bool verify_ps256(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt)
{
	return verify_rsa(arena, key, jwt, true);
}

static bool verify_es256(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt)
{
	const char *x_text = atl_json_str(key, "x", ""), *y_text = atl_json_str(key, "y", "");
	struct bytes x, y;

	return decode(arena, x_text, strlen(x_text), &x) && decode(arena, y_text, strlen(y_text), &y) &&
	       x.length == ATL_P256_SIZE && y.length == ATL_P256_SIZE && jwt->signature.length == 2 * ATL_P256_SIZE &&
	       atl_p256_verify(x.data, y.data, jwt->signature.data, jwt->signed_text, jwt->signed_length);
}

static bool verify_eddsa(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt)
{
	const char *text = atl_json_str(key, "x", "");
	struct bytes x;

	return decode(arena, text, strlen(text), &x) && x.length == ATL_ED25519_KEY_SIZE &&
	       jwt->signature.length == ATL_ED25519_SIGNATURE_SIZE &&
	       atl_ed25519_verify(x.data, jwt->signature.data, jwt->signed_text, jwt->signed_length);
}

/* The algorithms that count, and the kind of key of each. */
static const struct algorithm {
	const char *name, *kty, *crv;
	bool (*verify)(struct atl_arena *arena, const struct atl_json *key, const struct jwt *jwt);
} algorithms[] = {
	{ "RS256", "RSA", NULL, verify_rs256 },
	{ "PS256", "RSA", NULL, verify_ps256 },
	{ "ES256", "EC", "P-256", verify_es256 },
	{ "EdDSA", "OKP", "Ed25519", verify_eddsa },
};

static const struct algorithm *find_algorithm(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(algorithms); i++)
		if (atl_str_eq(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

static bool lists(const struct atl_json *array, const char *text)
{
	for (const struct atl_json *item = array->child; item; item = item->next)
		if (item->kind == ATL_JSON_STRING && atl_str_eq(item->string, text))
			return true;
	return false;
}

static bool key_fits(const struct atl_json *key, const struct algorithm *algorithm, const char *kid)
{
	const struct atl_json *alg = atl_json_get(key, "alg"), *use = atl_json_get(key, "use"),
			      *ops = atl_json_get(key, "key_ops");

	if (key->kind != ATL_JSON_OBJECT || !atl_str_eq(atl_json_str(key, "kty", NULL), algorithm->kty))
		return false;
	if (algorithm->crv && !atl_str_eq(atl_json_str(key, "crv", NULL), algorithm->crv))
		return false;
	if ((alg && !atl_str_eq(alg->string, algorithm->name)) || (use && !atl_str_eq(use->string, "sig")) ||
	    (ops && !lists(ops, "verify")))
		return false;
	return !kid || atl_str_eq(atl_json_str(key, "kid", NULL), kid);
}

static enum atl_err check_header(const struct jwt *jwt, const struct algorithm **ret_algorithm, const char **ret_kid,
				 struct atl_errinfo *info)
{
	const struct atl_json *kid = atl_json_get(jwt->header, "kid"), *typ = atl_json_get(jwt->header, "typ");

	*ret_algorithm = find_algorithm(atl_json_str(jwt->header, "alg", NULL));
	*ret_kid = kid ? kid->string : NULL;
	if (!*ret_algorithm)
		return refuse(info, "its signature is of a kind that is not accepted (RS256, PS256, ES256 and EdDSA are)");
	if (atl_json_get(jwt->header, "crit"))
		return refuse(info, "it demands an extension");
	if (typ && !atl_str_ieq(typ->string ? typ->string : "", "JWT"))
		return refuse(info, "it is a token of another kind");
	if (kid && kid->kind != ATL_JSON_STRING)
		return refuse(info, "its key's name is not a text");
	return ATL_OK;
}

static enum atl_err check_signature(struct atl_arena *arena, const struct jwt *jwt, const struct atl_json *keys,
				    struct atl_errinfo *info)
{
	const struct atl_json *list = atl_json_get(keys, "keys"), *found = NULL;
	const struct algorithm *algorithm;
	const char *kid;
	enum atl_err err = check_header(jwt, &algorithm, &kid, info);

	if (err)
		return err;
	if (!list || list->kind != ATL_JSON_ARRAY || list->count > ATL_JWKS_KEYS_MAX)
		return refuse(info, "the service's list of keys cannot be read");
	for (const struct atl_json *key = list->child; key; key = key->next) {
		if (!key_fits(key, algorithm, kid))
			continue;
		if (found)
			return refuse(info, "more than one key fits it");
		found = key;
	}
	if (!found)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "The sign-in service's token is refused: none of the service's keys fits it.");
	if (!algorithm->verify(arena, found, jwt))
		return refuse(info, "its signature is wrong");
	return ATL_OK;
}

/* ---- what it says ---- */

static enum atl_err check_audience(const struct atl_json *payload, const char *client_id, struct atl_errinfo *info)
{
	const struct atl_json *aud = atl_json_get(payload, "aud"), *azp = atl_json_get(payload, "azp");
	bool good = aud && aud->kind == ATL_JSON_STRING && atl_str_eq(aud->string, client_id);

	if (aud && aud->kind == ATL_JSON_ARRAY) {
		good = aud->count > 0;
		for (const struct atl_json *item = aud->child; item; item = item->next)
			good = good && item->kind == ATL_JSON_STRING && atl_str_eq(item->string, client_id);
	}
	if (!good)
		return refuse(info, "it is for another client");
	if (azp && !atl_str_eq(azp->string, client_id))
		return refuse(info, "it was given to another client");
	return ATL_OK;
}

/* A missing time that may be missing is `fallback`. */
static bool read_time(const struct atl_json *payload, const char *key, bool required, double fallback, double *ret)
{
	const struct atl_json *node = atl_json_get(payload, key);

	*ret = node && node->kind == ATL_JSON_NUMBER ? node->number : fallback;
	return node ? node->kind == ATL_JSON_NUMBER && *ret > 0 && *ret < 1e11 : !required;
}

static enum atl_err check_times(const struct atl_json *payload, int64_t now_s, struct atl_errinfo *info)
{
	double now = (double)now_s, expires, issued, from;

	if (!read_time(payload, "exp", true, 0, &expires) || !read_time(payload, "iat", true, 0, &issued) ||
	    !read_time(payload, "nbf", false, now, &from))
		return refuse(info, "its times are missing or cannot be read");
	if (expires <= now - ATL_JWT_SKEW_S)
		return refuse(info, "it has expired. Check the clocks of both servers");
	if (issued > now + ATL_JWT_SKEW_S || from > now + ATL_JWT_SKEW_S)
		return refuse(info, "it is not valid yet. Check the clocks of both servers");
	return ATL_OK;
}

/* at_hash: the left half of the access token's SHA-256. EdDSA's is of another hash; then it is not compared. */
static bool access_token_fits(const struct jwt *jwt, const char *access_token)
{
	const struct atl_json *at_hash = atl_json_get(jwt->payload, "at_hash");
	unsigned char hash[ATL_SHA256_SIZE];
	struct atl_buf text;
	bool fits;

	if (!at_hash || !access_token || atl_str_eq(atl_json_str(jwt->header, "alg", NULL), "EdDSA"))
		return true;
	atl_sha256(access_token, strlen(access_token), hash);
	atl_buf_init(&text, 64);
	atl_base64_encode(&text, ATL_BASE64_URL, hash, sizeof(hash) / 2);
	fits = atl_str_eq(at_hash->string, text.data);
	atl_buf_finish(&text);
	return fits;
}

static bool good_subject(const char *sub)
{
	size_t length = sub ? strlen(sub) : 0;

	if (length == 0 || length > ATL_JWT_SUB_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)sub[i] < 0x20 || (unsigned char)sub[i] > 0x7e)
			return false;
	return true;
}

static enum atl_err check_claims(const struct jwt *jwt, const struct atl_jwt_expect *expect, struct atl_errinfo *info)
{
	const char *iss = atl_json_str(jwt->payload, "iss", NULL), *nonce = atl_json_str(jwt->payload, "nonce", NULL);
	enum atl_err err;

	if (!atl_str_eq(iss, expect->issuer) && !atl_str_eq(iss, expect->issuer_too))
		return refuse(info, "it is another service's");
	err = check_audience(jwt->payload, expect->client_id, info);
	if (!err)
		err = check_times(jwt->payload, expect->now_s, info);
	if (!err && !atl_str_eq(nonce, expect->nonce))
		err = refuse(info, "it belongs to another sign-in");
	if (!err && !good_subject(atl_json_str(jwt->payload, "sub", NULL)))
		err = refuse(info, "it does not say who signed in");
	if (!err && !access_token_fits(jwt, expect->access_token))
		err = refuse(info, "the access token beside it is another's");
	return err;
}

enum atl_err atl_jwt_verify(struct atl_arena *arena, const char *token, const struct atl_json *keys,
			    const struct atl_jwt_expect *expect, struct atl_jwt_claims *ret, struct atl_errinfo *info)
{
	const struct atl_json *verified;
	struct jwt jwt;
	enum atl_err err = take_apart(arena, token, &jwt, info);

	if (!err)
		err = check_signature(arena, &jwt, keys, info);
	if (!err)
		err = check_claims(&jwt, expect, info);
	if (err)
		return err;
	verified = atl_json_get(jwt.payload, "email_verified");
	*ret = (struct atl_jwt_claims){ .sub = atl_json_str(jwt.payload, "sub", NULL),
					.email = atl_json_str(jwt.payload, "email", NULL),
					.name = atl_json_str(jwt.payload, "name", NULL),
					.hd = atl_json_str(jwt.payload, "hd", NULL), .all = jwt.payload };
	/* some services send a text */
	ret->email_verified = verified && ((verified->kind == ATL_JSON_BOOL && verified->number != 0) ||
					   atl_str_eq(verified->string, "true"));
	return ATL_OK;
}
