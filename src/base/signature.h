/* signature.h - checks of other people's signatures with their public keys: RSA, ECDSA on P-256, Ed25519.
 *
 * Checking only: no private key is ever here. The numbers are big-endian bytes, as a JSON web key has them. The work is
 * libcrypto's, which is in the process anyway (libcurl's and libpq's TLS); sodium has neither RSA nor P-256.
 *
 * Threads: pure functions. Limits: RSA keys of ATL_RSA_BITS_MIN to ATL_RSA_BITS_MAX bits, odd exponents of 3 to 2^32.
 */
#ifndef ATL_BASE_SIGNATURE_H
#define ATL_BASE_SIGNATURE_H

#include "base/err.h"

#define ATL_RSA_BITS_MIN 2048
#define ATL_RSA_BITS_MAX 8192
#define ATL_P256_SIZE 32 /* of a coordinate, and of each half of a signature */

struct atl_rsa_key {
	const void *modulus, *exponent;
	size_t modulus_length, exponent_length;
};

/* SHA-256 in both; PSS with MGF1-SHA-256 and a salt as long as the hash. False also for a key that is none. */
bool atl_rsa_pkcs1_verify(const struct atl_rsa_key *key, const void *signature, size_t signature_length, const void *data,
			  size_t length) ATL_MUST_USE;
bool atl_rsa_pss_verify(const struct atl_rsa_key *key, const void *signature, size_t signature_length, const void *data,
			size_t length) ATL_MUST_USE;
/* ECDSA with SHA-256; the signature is r and s side by side. False also for a point that is not on the curve. */
bool atl_p256_verify(const unsigned char x[ATL_P256_SIZE], const unsigned char y[ATL_P256_SIZE],
		     const unsigned char signature[2 * ATL_P256_SIZE], const void *data, size_t length) ATL_MUST_USE;

#endif
