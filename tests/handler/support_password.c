/* Passwords hashed at the least cost: what they cost is base/crypto's test. Sixty-four megabytes a sign-in is most of the
 * time of tests about accounts, and under TSan, which keeps a record of every one of those bytes, more than a throttle
 * remembers. */
#include <stddef.h>

#define OPS_MIN 1
#define BYTES_MIN 8192

int __real_crypto_pwhash_str_alg(char *out, const char *password, unsigned long long length, unsigned long long ops,
				 size_t bytes, int algorithm);
int __wrap_crypto_pwhash_str_alg(char *out, const char *password, unsigned long long length, unsigned long long ops,
				 size_t bytes, int algorithm);

int __wrap_crypto_pwhash_str_alg(char *out, const char *password, unsigned long long length, unsigned long long ops,
				 size_t bytes, int algorithm)
{
	(void)ops;
	(void)bytes;
	return __real_crypto_pwhash_str_alg(out, password, length, OPS_MIN, BYTES_MIN, algorithm);
}
