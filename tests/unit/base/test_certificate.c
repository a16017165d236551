/* A key and certificates made here can be loaded and sign what libcrypto verifies; what does not belong together is refused. */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/certificate.h"

struct pair {
	struct atl_buf key, chain;
};

static void make(struct pair *p)
{
	struct atl_errinfo info = {0};
	atl_buf_init(&p->key, ATL_PEM_MAX);
	atl_buf_init(&p->chain, ATL_PEM_MAX);
	assert_int_equal(atl_signer_make("Atelier", &p->key, &p->chain, &info), ATL_OK);
}

static void drop(struct pair *p)
{
	atl_buf_finish(&p->key);
	atl_buf_finish(&p->chain);
}

static bool verifies(const char *chain, const void *data, size_t length, const unsigned char *pair)
{
	BIO *bio = BIO_new_mem_buf(chain, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	ECDSA_SIG *signature = ECDSA_SIG_new();
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	ECDSA_SIG_set0(signature, BN_bin2bn(pair, 32, NULL), BN_bin2bn(pair + 32, 32, NULL));
	int size = i2d_ECDSA_SIG(signature, &der);
	bool good = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, X509_get0_pubkey(certificate)) == 1 &&
		    EVP_DigestVerify(md, der, (size_t)size, data, length) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(md);
	ECDSA_SIG_free(signature);
	X509_free(certificate);
	BIO_free(bio);
	return good;
}

static void test_made_key_signs(void **state)
{
	struct pair p;
	struct atl_signer *signer = NULL;
	struct atl_errinfo info = {0};
	unsigned char signature[ATL_SIGNATURE_MAX];
	size_t length = 0;
	make(&p);
	assert_int_equal(atl_signer_load(p.key.data, p.key.length, p.chain.data, p.chain.length, &signer, &info), ATL_OK);
	assert_int_equal(atl_signer_kind(signer), ATL_SIGNER_ES256);
	assert_string_equal(atl_signer_name(signer), "Atelier");
	assert_int_equal(strlen(atl_signer_print(signer)), 64);
	assert_true(atl_signer_ends_at(signer) > 0);
	assert_true(strlen(atl_signer_serial(signer)) > 30);
	assert_int_equal(atl_signer_sign(signer, "claim", 5, signature, &length, &info), ATL_OK);
	assert_int_equal(length, 64);
	assert_true(verifies(atl_signer_chain(signer), "claim", 5, signature));
	assert_false(verifies(atl_signer_chain(signer), "clain", 5, signature));
	/* the anchor is the authority, not the certificate itself */
	assert_non_null(strstr(p.chain.data, atl_signer_anchor(signer)));
	assert_true(strncmp(p.chain.data, atl_signer_anchor(signer), strlen(atl_signer_anchor(signer))) != 0);
	atl_signer_destroy(signer);
	drop(&p);
}

static void test_certificate_fits_claims(void **state)
{
	struct pair p;
	make(&p);
	BIO *bio = BIO_new_mem_buf(p.chain.data, -1);
	X509 *own = PEM_read_bio_X509(bio, NULL, NULL, NULL), *authority = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_int_equal(X509_check_ca(own), 0);
	assert_int_equal(X509_check_ca(authority), 1);
	assert_int_equal(X509_verify(own, X509_get0_pubkey(authority)), 1);
	assert_int_equal(X509_get_key_usage(own), KU_DIGITAL_SIGNATURE);
	EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(own, NID_ext_key_usage, NULL, NULL);
	char text[64];
	OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(uses, 0), 1);
	assert_string_equal(text, "1.3.6.1.4.1.62558.2.1");
	sk_ASN1_OBJECT_pop_free(uses, ASN1_OBJECT_free);
	X509_free(own);
	X509_free(authority);
	BIO_free(bio);
	drop(&p);
}

static void refused(const struct atl_buf *key, const struct atl_buf *chain, const char *word)
{
	struct atl_signer *signer = NULL;
	struct atl_errinfo info = {0};
	assert_int_equal(atl_signer_load(key->data, key->length, chain->data, chain->length, &signer, &info), ATL_ERR_CONFIG);
	assert_null(signer);
	assert_non_null(strstr(info.detail, word));
}

static void test_misfits_are_refused(void **state)
{
	struct pair a, b;
	struct atl_buf junk;
	make(&a);
	make(&b);
	atl_buf_init(&junk, 100);
	atl_buf_adds(&junk, "-----BEGIN NOTHING-----\n");
	refused(&a.key, &b.chain, "does not belong");
	refused(&junk, &a.chain, "private key");
	refused(&a.key, &junk, "no certificate");
	/* the authority's certificate in front */
	struct atl_buf turned;
	atl_buf_init(&turned, ATL_PEM_MAX);
	atl_buf_adds(&turned, strstr(a.chain.data + 10, "-----BEGIN"));
	refused(&a.key, &turned, "does not belong");
	atl_buf_finish(&turned);
	atl_buf_finish(&junk);
	drop(&a);
	drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_key_signs),
		cmocka_unit_test(test_certificate_fits_claims),
		cmocka_unit_test(test_misfits_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
