/* certificate.h - keys that sign, with their certificates: made here, or an operator's own in PEM.
 *
 * What is made is fit for C2PA claims (specification 2.x, "Certificate profile"): a P-256 key whose certificate has the
 * claim-signing purpose and is issued by an authority made for it alone, whose key is thrown away. The work is libcrypto's.
 *
 * Life cycle: atl_signer_load() .. atl_signer_destroy(). Threads: any; a signer is read-only once loaded.
 * Limits:     ATL_PEM_MAX; signatures of ATL_SIGNATURE_MAX bytes.
 */
#ifndef ATL_BASE_CERTIFICATE_H
#define ATL_BASE_CERTIFICATE_H

#include "base/buf.h"

#define ATL_PEM_MAX ((size_t)64 << 10)
#define ATL_SIGNATURE_MAX 1024

/* COSE's names of what a signer does. */
enum atl_signer_kind { ATL_SIGNER_ES256, ATL_SIGNER_ES384, ATL_SIGNER_ES512, ATL_SIGNER_PS256 };

struct atl_signer;

/* Append a new key (PKCS #8) and its chain (own certificate, then the authority's). `name` stands in both certificates.
 * The caller wipes the key. Errors: INTERNAL. */
enum atl_err atl_signer_make(const char *name, struct atl_buf *key_pem, struct atl_buf *chain_pem,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* The first certificate of the chain must belong to the key. Errors: CONFIG, in words. */
enum atl_err atl_signer_load(const void *key_pem, size_t key_length, const void *chain_pem, size_t chain_length,
			     struct atl_signer **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_signer_destroy(struct atl_signer *signer);

enum atl_signer_kind atl_signer_kind(const struct atl_signer *signer);
const char *atl_signer_chain(const struct atl_signer *signer);	 /* PEM */
const char *atl_signer_anchor(const struct atl_signer *signer);	 /* PEM of the chain's last certificate */
const char *atl_signer_name(const struct atl_signer *signer);	 /* organisation, else common name */
const char *atl_signer_print(const struct atl_signer *signer);	 /* SHA-256 of the certificate, hex */
const char *atl_signer_serial(const struct atl_signer *signer); /* the certificate's serial number, decimal */
int64_t atl_signer_ends_at(const struct atl_signer *signer);	 /* ms; the certificate's last moment */
/* As COSE wants it: of ECDSA r and s side by side. */
enum atl_err atl_signer_sign(const struct atl_signer *signer, const void *data, size_t length,
			     unsigned char out[ATL_SIGNATURE_MAX], size_t *ret_length,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
