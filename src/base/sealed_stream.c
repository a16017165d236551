/* sealed_stream.c - head: magic, salt, costs, secretstream's head; then pieces of a length (4 bytes, little end first). */
#include "base/sealed_stream.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"

#define MAGIC "ATELIER SEALED1\n"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define OPS 3
#define MEM_MIB 128
#define OPS_MAX 16 /* of a file's head: nobody may make us work for hours */
#define MEM_MIB_MAX 1024
#define A_BYTES crypto_secretstream_xchacha20poly1305_ABYTES
#define HEAD_SIZE (MAGIC_SIZE + crypto_pwhash_SALTBYTES + 8 + crypto_secretstream_xchacha20poly1305_HEADERBYTES)

struct atl_sealer {
	int fd;
	size_t filled;
	crypto_secretstream_xchacha20poly1305_state state;
	unsigned char plain[ATL_SEALED_PIECE], sealed[4 + ATL_SEALED_PIECE + A_BYTES];
};

struct atl_unsealer {
	int fd;
	size_t filled, taken;
	bool last;
	crypto_secretstream_xchacha20poly1305_state state;
	unsigned char plain[ATL_SEALED_PIECE], sealed[ATL_SEALED_PIECE + A_BYTES];
};

static void put_u32(unsigned char *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t get_u32(const unsigned char *in)
{
	return in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static enum atl_err write_all(int fd, const unsigned char *data, size_t length, struct atl_errinfo *info)
{
	while (length) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return atl_fail(info, errno == ENOSPC ? ATL_ERR_DISK : ATL_ERR_IO, "Writing the file: %s", strerror(errno));
		data += written;
		length -= (size_t)written;
	}
	return ATL_OK;
}

/* *ret_got less than `want`: the file ends there. */
static enum atl_err read_all(int fd, unsigned char *room, size_t want, size_t *ret_got, struct atl_errinfo *info)
{
	*ret_got = 0;
	while (*ret_got < want) {
		ssize_t got = read(fd, room + *ret_got, want - *ret_got);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return atl_fail(info, ATL_ERR_IO, "Reading the file: %s", strerror(errno));
		if (got == 0)
			break;
		*ret_got += (size_t)got;
	}
	return ATL_OK;
}

static enum atl_err make_key(const char *passphrase, const unsigned char *salt, uint32_t ops, uint32_t mem_mib,
			     unsigned char key[crypto_secretstream_xchacha20poly1305_KEYBYTES], struct atl_errinfo *info)
{
	size_t length = strlen(passphrase);

	if (length < ATL_PASSPHRASE_MIN || length > ATL_PASSPHRASE_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "passphrase", "A passphrase has %d to %d bytes.", ATL_PASSPHRASE_MIN,
				      ATL_PASSPHRASE_MAX);
	if (crypto_pwhash(key, crypto_secretstream_xchacha20poly1305_KEYBYTES, passphrase, length, salt, ops,
			  (size_t)mem_mib << 20, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return atl_fail(info, ATL_ERR_NOMEM, "Making a key of the passphrase needs %u MiB of memory.", mem_mib);
	return ATL_OK;
}

/* ---- sealing ---- */

static enum atl_err put_piece(struct atl_sealer *s, unsigned char tag, struct atl_errinfo *info)
{
	put_u32(s->sealed, (uint32_t)(s->filled + A_BYTES));
	crypto_secretstream_xchacha20poly1305_push(&s->state, s->sealed + 4, NULL, s->plain, s->filled, s->sealed, 4, tag);
	enum atl_err err = write_all(s->fd, s->sealed, 4 + s->filled + A_BYTES, info);

	s->filled = 0;
	return err;
}

enum atl_err atl_sealer_create(int fd, const char *passphrase, struct atl_sealer **ret, struct atl_errinfo *info)
{
	unsigned char head[HEAD_SIZE], key[crypto_secretstream_xchacha20poly1305_KEYBYTES];
	unsigned char *salt = head + MAGIC_SIZE;
	struct atl_sealer *s;
	enum atl_err err;

	memcpy(head, MAGIC, MAGIC_SIZE);
	randombytes_buf(salt, crypto_pwhash_SALTBYTES);
	put_u32(salt + crypto_pwhash_SALTBYTES, OPS);
	put_u32(salt + crypto_pwhash_SALTBYTES + 4, MEM_MIB);
	err = make_key(passphrase, salt, OPS, MEM_MIB, key, info);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s) {
		atl_wipe(key, sizeof(key));
		return atl_fail(info, ATL_ERR_NOMEM, "seal a file");
	}
	s->fd = fd;
	crypto_secretstream_xchacha20poly1305_init_push(&s->state, salt + crypto_pwhash_SALTBYTES + 8, key);
	atl_wipe(key, sizeof(key));
	err = write_all(fd, head, sizeof(head), info);
	if (!err)
		err = put_piece(s, crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, info);
	if (err) {
		atl_sealer_destroy(s);
		return err;
	}
	*ret = s;
	return ATL_OK;
}

enum atl_err atl_sealer_write(struct atl_sealer *s, const void *data, size_t length, struct atl_errinfo *info)
{
	const unsigned char *from = data;
	enum atl_err err = ATL_OK;

	while (!err && length) {
		size_t part = ATL_SEALED_PIECE - s->filled;

		if (part > length)
			part = length;
		memcpy(s->plain + s->filled, from, part);
		s->filled += part;
		from += part;
		length -= part;
		if (s->filled == ATL_SEALED_PIECE)
			err = put_piece(s, crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, info);
	}
	return err;
}

enum atl_err atl_sealer_finish(struct atl_sealer *s, struct atl_errinfo *info)
{
	return put_piece(s, crypto_secretstream_xchacha20poly1305_TAG_FINAL, info);
}

void atl_sealer_destroy(struct atl_sealer *s)
{
	if (!s)
		return;
	atl_wipe(s, sizeof(*s));
	free(s);
}

/* ---- opening ---- */

static enum atl_err damaged(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file is damaged or was changed.");
}

static enum atl_err cut(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The file is cut short: its end is missing.");
}

static enum atl_err get_piece(struct atl_unsealer *u, struct atl_errinfo *info)
{
	unsigned char length[4], tag;
	unsigned long long opened;
	size_t got, size;
	enum atl_err err = read_all(u->fd, length, sizeof(length), &got, info);

	if (err)
		return err;
	size = get_u32(length);
	if (got < sizeof(length))
		return cut(info);
	if (size < A_BYTES || size > sizeof(u->sealed))
		return damaged(info);
	err = read_all(u->fd, u->sealed, size, &got, info);
	if (err)
		return err;
	if (got < size)
		return cut(info);
	if (crypto_secretstream_xchacha20poly1305_pull(&u->state, u->plain, &opened, &tag, u->sealed, size, length, 4) != 0)
		return damaged(info);
	u->filled = (size_t)opened;
	u->taken = 0;
	u->last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	return ATL_OK;
}

enum atl_err atl_unsealer_open(int fd, const char *passphrase, struct atl_unsealer **ret, struct atl_errinfo *info)
{
	unsigned char head[HEAD_SIZE], key[crypto_secretstream_xchacha20poly1305_KEYBYTES];
	const unsigned char *salt = head + MAGIC_SIZE, *costs = salt + crypto_pwhash_SALTBYTES;
	struct atl_unsealer *u;
	size_t got;
	enum atl_err err = read_all(fd, head, sizeof(head), &got, info);

	if (err)
		return err;
	if (got < MAGIC_SIZE || memcmp(head, MAGIC, MAGIC_SIZE) != 0)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "This is not a file that Atelier sealed.");
	if (got < sizeof(head))
		return cut(info);
	if (get_u32(costs) == 0 || get_u32(costs) > OPS_MAX || get_u32(costs + 4) < 8 || get_u32(costs + 4) > MEM_MIB_MAX)
		return damaged(info);
	err = make_key(passphrase, salt, get_u32(costs), get_u32(costs + 4), key, info);
	if (err)
		return err;
	u = calloc(1, sizeof(*u));
	if (!u) {
		atl_wipe(key, sizeof(key));
		return atl_fail(info, ATL_ERR_NOMEM, "open a sealed file");
	}
	u->fd = fd;
	if (crypto_secretstream_xchacha20poly1305_init_pull(&u->state, costs + 8, key) != 0)
		err = damaged(info);
	atl_wipe(key, sizeof(key));
	if (!err)
		err = get_piece(u, info);
	if (err == ATL_ERR_UNPROCESSABLE && info && strstr(info->detail, "damaged"))
		err = atl_fail(info, ATL_ERR_CREDENTIALS, "The passphrase is wrong (or the file's beginning is damaged).");
	if (err) {
		atl_unsealer_close(u);
		return err;
	}
	*ret = u;
	return ATL_OK;
}

enum atl_err atl_unsealer_read(struct atl_unsealer *u, void *room, size_t want, struct atl_errinfo *info)
{
	unsigned char *to = room;

	while (want) {
		size_t part = u->filled - u->taken;
		enum atl_err err = ATL_OK;

		if (part == 0) {
			err = u->last ? damaged(info) : get_piece(u, info);
			if (err)
				return err;
			continue;
		}
		if (part > want)
			part = want;
		memcpy(to, u->plain + u->taken, part);
		u->taken += part;
		to += part;
		want -= part;
	}
	return ATL_OK;
}

enum atl_err atl_unsealer_end(struct atl_unsealer *u, struct atl_errinfo *info)
{
	unsigned char more;
	size_t got;
	enum atl_err err = ATL_OK;

	while (!err && u->taken == u->filled && !u->last)
		err = get_piece(u, info);
	if (!err)
		err = read_all(u->fd, &more, 1, &got, info);
	if (err)
		return err;
	return u->taken == u->filled && u->last && got == 0 ? ATL_OK : damaged(info);
}

void atl_unsealer_close(struct atl_unsealer *u)
{
	if (!u)
		return;
	atl_wipe(u, sizeof(*u));
	free(u);
}
