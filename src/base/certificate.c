/* certificate.c - see certificate.h. */
#include "base/certificate.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/str.h"

#define YEARS 30 /* a claim without a time stamp holds as long as its certificate */
#define DAY_S (24L * 3600)
#define CLAIM_SIGNING "1.3.6.1.4.1.62558.2.1,emailProtection" /* C2PA's own purpose, and the one of older readers */

struct atl_signer {
	EVP_PKEY *key;
	enum atl_signer_kind kind;
	size_t half; /* of an ECDSA signature; 0: RSA */
	char *chain, *anchor;
	char name[128], print[2 * ATL_SHA256_SIZE + 1], serial[64];
	int64_t ends_at;
};

/* ---- making ---- */

static bool add_extension(X509 *certificate, X509V3_CTX *ctx, int what, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, what, value);
	bool added = extension && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	BIGNUM *number = NULL;

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	number = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return set;
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

/* `issuer` NULL: an authority, by its own key. */
static X509 *certify(EVP_PKEY *key, const char *name, const char *role, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
	X509V3_CTX ctx;
	bool ok = subject && X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
		  X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S) &&
		  X509_time_adj_ex(X509_getm_notAfter(certificate), YEARS * 365, 0, NULL) &&
		  add_name(subject, "O", name) && add_name(subject, "CN", role) &&
		  X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
		  X509_set_pubkey(certificate, key) == 1;

	if (ok) {
		X509V3_set_ctx(&ctx, issuer ? issuer : certificate, certificate, NULL, NULL, 0);
		ok = add_extension(certificate, &ctx, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE") &&
		     add_extension(certificate, &ctx, NID_key_usage, issuer ? "critical,digitalSignature" : "critical,keyCertSign") &&
		     add_extension(certificate, &ctx, NID_subject_key_identifier, "hash") &&
		     (!issuer || (add_extension(certificate, &ctx, NID_ext_key_usage, CLAIM_SIGNING) &&
				  add_extension(certificate, &ctx, NID_authority_key_identifier, "keyid:always")));
	}
	if (ok && X509_sign(certificate, issuer ? issuer_key : key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static bool take_memory(BIO *bio, struct atl_buf *out)
{
	char *data;
	long length = BIO_get_mem_data(bio, &data);

	if (length <= 0)
		return false;
	atl_buf_add(out, data, (size_t)length);
	return !out->failed;
}

enum atl_err atl_signer_make(const char *name, struct atl_buf *key_pem, struct atl_buf *chain_pem, struct atl_errinfo *info)
{
	EVP_PKEY *authority_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *authority = authority_key ? certify(authority_key, name, "Content Credentials authority", NULL, NULL) : NULL;
	X509 *own = authority && key ? certify(key, name, "Content Credentials", authority, authority_key) : NULL;
	BIO *keys = BIO_new(BIO_s_secmem()), *chain = BIO_new(BIO_s_mem());
	bool made = own && keys && chain && PEM_write_bio_PKCS8PrivateKey(keys, key, NULL, NULL, 0, NULL, NULL) == 1 &&
		    PEM_write_bio_X509(chain, own) == 1 && PEM_write_bio_X509(chain, authority) == 1 &&
		    take_memory(keys, key_pem) && take_memory(chain, chain_pem);

	BIO_free(keys);
	BIO_free(chain);
	X509_free(own);
	X509_free(authority);
	EVP_PKEY_free(key);
	EVP_PKEY_free(authority_key);
	ERR_clear_error(); /* the queue is the thread's, and TLS looks at it */
	return made ? ATL_OK : atl_fail(info, ATL_ERR_INTERNAL, "a signing key could not be made");
}

/* ---- loading ---- */

static bool set_kind(struct atl_signer *signer)
{
	static const struct {
		int bits;
		enum atl_signer_kind kind;
		size_t half;
	} CURVES[] = {{256, ATL_SIGNER_ES256, 32}, {384, ATL_SIGNER_ES384, 48}, {521, ATL_SIGNER_ES512, 66}};
	int bits = EVP_PKEY_get_bits(signer->key);

	signer->kind = ATL_SIGNER_PS256;
	if (EVP_PKEY_is_a(signer->key, "RSA"))
		return bits >= 2048 && bits <= 8 * ATL_SIGNATURE_MAX;
	for (size_t i = 0; i < ATL_COUNT(CURVES) && EVP_PKEY_is_a(signer->key, "EC"); i++)
		if (CURVES[i].bits == bits) {
			signer->kind = CURVES[i].kind;
			signer->half = CURVES[i].half;
		}
	return signer->half > 0;
}

static void note_certificate(struct atl_signer *signer, X509 *certificate)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	struct tm ends;
	BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	char *decimal = serial ? BN_bn2dec(serial) : NULL;

	if (X509_NAME_get_text_by_NID(subject, NID_organizationName, signer->name, sizeof signer->name) <= 0)
		X509_NAME_get_text_by_NID(subject, NID_commonName, signer->name, sizeof signer->name);
	if (X509_digest(certificate, EVP_sha256(), hash, &length) == 1)
		for (unsigned i = 0; i < length && i < ATL_SHA256_SIZE; i++) {
			static const char digits[] = "0123456789abcdef";
			signer->print[2 * i] = digits[hash[i] >> 4];
			signer->print[2 * i + 1] = digits[hash[i] & 15];
		}
	if (decimal && !atl_str_copy(signer->serial, sizeof signer->serial, decimal))
		signer->serial[0] = '\0'; /* longer than X.509 allows: never taken for ours */
	OPENSSL_free(decimal);
	BN_free(serial);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &ends) == 1)
		signer->ends_at = (int64_t)timegm(&ends) * 1000;
}

/* The first certificate is the signer's, the last one what its readers may trust. */
static const char *read_chain(struct atl_signer *signer, BIO *bio)
{
	X509 *last = NULL, *next;
	size_t count = 0;
	const char *why = NULL;

	while (!why && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		X509_free(last);
		last = next;
		if (count++ > 0)
			continue;
		note_certificate(signer, next);
		if (X509_check_private_key(next, signer->key) != 1)
			why = "The certificate does not belong to the key.";
		else if (X509_cmp_current_time(X509_get0_notAfter(next)) < 0)
			why = "The certificate has expired.";
		else if (X509_check_ca(next) > 0)
			why = "The certificate is an authority's. One that an authority issued for signing is needed, with its chain.";
	}
	BIO *out = last ? BIO_new(BIO_s_mem()) : NULL;
	struct atl_buf anchor;
	atl_buf_init(&anchor, ATL_PEM_MAX);
	if (!why && (!out || PEM_write_bio_X509(out, last) != 1 || !take_memory(out, &anchor)))
		why = "There is no certificate in it.";
	if (!why)
		signer->anchor = atl_buf_take(&anchor);
	atl_buf_finish(&anchor);
	BIO_free(out);
	X509_free(last);
	return why;
}

enum atl_err atl_signer_load(const void *key_pem, size_t key_length, const void *chain_pem, size_t chain_length,
			     struct atl_signer **ret, struct atl_errinfo *info)
{
	struct atl_signer *signer = calloc(1, sizeof *signer);
	BIO *key = BIO_new_mem_buf(key_pem, (int)key_length), *chain = BIO_new_mem_buf(chain_pem, (int)chain_length);
	const char *why = NULL;

	if (!signer || !key || !chain || key_length > ATL_PEM_MAX || chain_length > ATL_PEM_MAX)
		why = "It is too large.";
	if (!why && (signer->key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL)) == NULL)
		why = "The key is not a private key in PEM without a password.";
	else if (!why && !set_kind(signer))
		why = "The key is of another kind than P-256, P-384, P-521 or RSA of 2048 bits and more.";
	if (!why)
		why = read_chain(signer, chain);
	if (!why && (signer->chain = strndup(chain_pem, chain_length)) == NULL)
		why = "There is no memory for it.";
	BIO_free(key);
	BIO_free(chain);
	ERR_clear_error();
	if (why) {
		atl_signer_destroy(signer);
		return atl_fail(info, ATL_ERR_CONFIG, "signing certificate: %s", why);
	}
	*ret = signer;
	return ATL_OK;
}

void atl_signer_destroy(struct atl_signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_free(signer->key);
	free(signer->chain);
	free(signer->anchor);
	free(signer);
}

enum atl_signer_kind atl_signer_kind(const struct atl_signer *signer)
{
	return signer->kind;
}

const char *atl_signer_chain(const struct atl_signer *signer)
{
	return signer->chain;
}

const char *atl_signer_anchor(const struct atl_signer *signer)
{
	return signer->anchor;
}

const char *atl_signer_name(const struct atl_signer *signer)
{
	return signer->name;
}

const char *atl_signer_print(const struct atl_signer *signer)
{
	return signer->print;
}

const char *atl_signer_serial(const struct atl_signer *signer)
{
	return signer->serial;
}

int64_t atl_signer_ends_at(const struct atl_signer *signer)
{
	return signer->ends_at;
}

/* ---- signing ---- */

static const EVP_MD *digest_of(enum atl_signer_kind kind)
{
	return kind == ATL_SIGNER_ES384 ? EVP_sha384() : kind == ATL_SIGNER_ES512 ? EVP_sha512() : EVP_sha256();
}

/* r and s, of equal length. */
static bool unpack(const unsigned char *der, size_t length, size_t half, unsigned char *out)
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)length);
	bool ok = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, (int)half) == (int)half &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + half, (int)half) == (int)half;

	ECDSA_SIG_free(signature);
	return ok;
}

enum atl_err atl_signer_sign(const struct atl_signer *signer, const void *data, size_t length,
			     unsigned char out[ATL_SIGNATURE_MAX], size_t *ret_length, struct atl_errinfo *info)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	unsigned char der[ATL_SIGNATURE_MAX];
	size_t size = sizeof der;
	bool done = md && EVP_DigestSignInit(md, &ctx, digest_of(signer->kind), NULL, signer->key) == 1 &&
		    (signer->half || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
				      EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
		    EVP_DigestSign(md, der, &size, data, length) == 1;

	EVP_MD_CTX_free(md);
	if (done && signer->half) {
		done = unpack(der, size, signer->half, out);
		size = 2 * signer->half;
	} else if (done) {
		memcpy(out, der, size);
	}
	ERR_clear_error();
	if (!done)
		return atl_fail(info, ATL_ERR_INTERNAL, "signing failed");
	*ret_length = size;
	return ATL_OK;
}
