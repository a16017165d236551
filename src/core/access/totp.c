/* totp.c - see totp.h. RFC 2104, 4226, 6238. */
#include "core/access/totp.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "base/str.h"

#define BLOCK 64
#define SHA1_SIZE 20

/* Keys of a block at most and messages of eight bytes: all that is asked here. */
static void hmac_sha1(const void *key, size_t key_length, const unsigned char message[8], unsigned char out[SHA1_SIZE])
{
	unsigned char inner[BLOCK + 8] = { 0 }, outer[BLOCK + SHA1_SIZE] = { 0 };

	memcpy(inner, key, key_length);
	memcpy(outer, key, key_length);
	for (size_t i = 0; i < BLOCK; i++) {
		inner[i] ^= 0x36;
		outer[i] ^= 0x5c;
	}
	memcpy(inner + BLOCK, message, 8);
	atl_sha1(inner, sizeof(inner), outer + BLOCK);
	atl_sha1(outer, sizeof(outer), out);
	atl_wipe(inner, sizeof(inner));
	atl_wipe(outer, sizeof(outer));
}

void atl_totp_code(const void *secret, size_t length, uint64_t step, char out[ATL_TOTP_DIGITS + 1])
{
	unsigned char message[8], mac[SHA1_SIZE];
	uint32_t number;
	size_t at;

	for (int i = 0; i < 8; i++)
		message[i] = (unsigned char)(step >> (56 - 8 * i));
	hmac_sha1(secret, length < BLOCK ? length : BLOCK, message, mac);
	at = mac[SHA1_SIZE - 1] & 15;
	number = ((uint32_t)(mac[at] & 0x7f) << 24) | ((uint32_t)mac[at + 1] << 16) | ((uint32_t)mac[at + 2] << 8) | mac[at + 3];
	snprintf(out, ATL_TOTP_DIGITS + 1, "%06u", (unsigned)(number % 1000000));
	atl_wipe(mac, sizeof(mac));
}

bool atl_totp_check(const void *secret, size_t length, int64_t now_s, int64_t after, const char *code, int64_t *ret_step)
{
	int64_t now = now_s / ATL_TOTP_STEP_S;
	bool found = false;

	if (strlen(code) != ATL_TOTP_DIGITS)
		return false;
	for (int64_t step = now - ATL_TOTP_WINDOW; step <= now + ATL_TOTP_WINDOW; step++) {
		char want[ATL_TOTP_DIGITS + 1];

		atl_totp_code(secret, length, (uint64_t)step, want);
		if (atl_str_eq_secret(want, code, ATL_TOTP_DIGITS) && step > after && !found) {
			found = true;
			*ret_step = step;
		}
		atl_wipe(want, sizeof(want));
	}
	return found;
}

void atl_base32_encode(struct atl_buf *out, const void *data, size_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	const unsigned char *bytes = data;
	uint32_t held = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < length; i++) {
		held = (held << 8) | bytes[i];
		bits += 8;
		for (; bits >= 5; bits -= 5)
			atl_buf_addc(out, letters[(held >> (bits - 5)) & 31]);
		held &= (1U << bits) - 1;
	}
	if (bits)
		atl_buf_addc(out, letters[(held << (5 - bits)) & 31]);
}
