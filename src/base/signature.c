/* signature.c - see signature.h. */
#include "base/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

static EVP_PKEY *key_of(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static bool rsa_plausible(const BIGNUM *n, const BIGNUM *e)
{
	int bits = BN_num_bits(n);

	return bits >= ATL_RSA_BITS_MIN && bits <= ATL_RSA_BITS_MAX && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
	       BN_num_bits(e) <= 32;
}

static EVP_PKEY *rsa_key(const struct atl_rsa_key *key)
{
	OSSL_PARAM_BLD *build = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *made = NULL;
	BIGNUM *n, *e;

	if (key->modulus_length > ATL_RSA_BITS_MAX / 8 || key->exponent_length > 8)
		return NULL;
	n = BN_bin2bn(key->modulus, (int)key->modulus_length, NULL);
	e = BN_bin2bn(key->exponent, (int)key->exponent_length, NULL);
	if (n && e && rsa_plausible(n, e) && (build = OSSL_PARAM_BLD_new()) != NULL &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
	    (params = OSSL_PARAM_BLD_to_param(build)) != NULL)
		made = key_of("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return made;
}

static bool verify(EVP_PKEY *key, bool pss, const void *signature, size_t signature_length, const void *data,
		   size_t length)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	bool good = false;

	if (md && EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
	    (!pss || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		      EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
		      EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1)))
		good = EVP_DigestVerify(md, signature, signature_length, data, length) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error(); /* the queue is the thread's, and TLS looks at it */
	return good;
}

static bool rsa_verify(const struct atl_rsa_key *key, bool pss, const void *signature, size_t signature_length,
		       const void *data, size_t length)
{
	EVP_PKEY *made = rsa_key(key);
	bool good = made && signature_length == (size_t)EVP_PKEY_get_size(made) &&
		    verify(made, pss, signature, signature_length, data, length);

	EVP_PKEY_free(made);
	ERR_clear_error();
	return good;
}

bool atl_rsa_pkcs1_verify(const struct atl_rsa_key *key, const void *signature, size_t signature_length, const void *data,
			  size_t length)
{
	return rsa_verify(key, false, signature, signature_length, data, length);
}

bool atl_rsa_pss_verify(const struct atl_rsa_key *key, const void *signature, size_t signature_length, const void *data,
			size_t length)
{
	return rsa_verify(key, true, signature, signature_length, data, length);
}

/* r and s as the DER that libcrypto wants; the length, or 0. */
static int der_of(const unsigned char *signature, unsigned char **ret)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, ATL_P256_SIZE, NULL), *s = BN_bin2bn(signature + ATL_P256_SIZE, ATL_P256_SIZE, NULL);
	int length = 0;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* they are the signature's */
		length = i2d_ECDSA_SIG(sig, ret);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return length > 0 ? length : 0;
}

bool atl_p256_verify(const unsigned char x[ATL_P256_SIZE], const unsigned char y[ATL_P256_SIZE],
		     const unsigned char signature[2 * ATL_P256_SIZE], const void *data, size_t length)
{
	char group[] = "prime256v1";
	unsigned char point[1 + 2 * ATL_P256_SIZE] = { 4 }, *der = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key;
	int der_length;
	bool good;

	for (size_t i = 0; i < ATL_P256_SIZE; i++) {
		point[1 + i] = x[i];
		point[1 + ATL_P256_SIZE + i] = y[i];
	}
	key = key_of("EC", params);
	der_length = key ? der_of(signature, &der) : 0;
	good = der_length > 0 && verify(key, false, der, (size_t)der_length, data, length);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}
