/* sealed_stream.h - a file that opens with a passphrase only: bytes in pieces, each sealed, in one unbreakable order.
 *
 * Key: Argon2id of the passphrase, salt and costs stand in the head. Pieces: libsodium's secretstream (XChaCha20-Poly1305),
 * ATL_SEALED_PIECE bytes each; the last one is marked, so that a cut, reordered or changed file does not read to its end.
 * The first piece is empty: it tells a wrong passphrase from damage further on.
 *
 * Life cycle: create .. write* .. finish .. destroy; open .. read* .. close. The descriptor stays the caller's.
 * Threads:    one at a time; making the key takes about half a second and 128 MiB.
 */
#ifndef ATL_BASE_SEALED_STREAM_H
#define ATL_BASE_SEALED_STREAM_H

#include "base/err.h"

#define ATL_SEALED_PIECE 65536
#define ATL_PASSPHRASE_MIN 8
#define ATL_PASSPHRASE_MAX 1000

struct atl_sealer;
enum atl_err atl_sealer_create(int fd, const char *passphrase, struct atl_sealer **ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_sealer_write(struct atl_sealer *sealer, const void *data, size_t length, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_sealer_finish(struct atl_sealer *sealer, struct atl_errinfo *info) ATL_MUST_USE; /* the last piece; not synced */
void atl_sealer_destroy(struct atl_sealer *sealer); /* NULL is allowed */

/* Errors: UNPROCESSABLE (not such a file, cut or damaged), CREDENTIALS (another passphrase). */
struct atl_unsealer;
enum atl_err atl_unsealer_open(int fd, const char *passphrase, struct atl_unsealer **ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_unsealer_read(struct atl_unsealer *unsealer, void *room, size_t want, struct atl_errinfo *info) ATL_MUST_USE;
/* UNPROCESSABLE unless everything was read and nothing follows. */
enum atl_err atl_unsealer_end(struct atl_unsealer *unsealer, struct atl_errinfo *info) ATL_MUST_USE;
void atl_unsealer_close(struct atl_unsealer *unsealer); /* NULL is allowed */

#endif
