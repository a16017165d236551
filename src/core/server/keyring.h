/* keyring.h - the master key, which seals secrets at rest, and changing it while the server runs.
 *
 * data/master.key, mode 0600, made at the first start: a line of hexadecimal digits; while the key is being changed a second
 * line has the old one. Secrets are sealed with app->master_key and opened with atl_secret_open(), which takes the old key
 * where the new one does not fit. A change: 1. both keys in the file, 2. both in memory, 3. every sealed secret is sealed
 * anew, a transaction for each table, 4. once a pass finds nothing left, ATL_KEY_SETTLE_MS after the last of it at the
 * earliest and while no backup is made, the old key leaves the file and memory. A kill anywhere: the next start reads both and goes on at 3.
 *
 * What is derived from the key and lives for minutes (signed addresses, tickets of links, sign-ins under way) ends with a change.
 *
 * Life cycle: atl_keyring_open() .. atl_keyring_close(). Threads: open and close at start and end; the others on pool threads;
 *             app->master_key may be read by any (a key in memory is not overwritten by the next change).
 * Errors:     CONFIG when the file is readable by others or damaged; it is never replaced then.
 * Adding one: a sealed column is a line of SEALED in keyring.c; a test finds columns without.
 */
#ifndef ATL_CORE_KEYRING_H
#define ATL_CORE_KEYRING_H

#include "base/crypto.h"
#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_KEY_SETTLE_MS ((int64_t)60 * 1000)

struct atl_keyring;

/* Sets app->master_key and, when a change was under way, app->old_master_key. */
enum atl_err atl_keyring_open(struct atl_app *app, const char *path, struct atl_errinfo *info) ATL_MUST_USE;
void atl_keyring_close(struct atl_app *app);

/* As atl_unseal() (base/crypto.h), with the key of now or the one before. */
enum atl_err atl_secret_open(struct atl_app *app, struct atl_buf *out, const char *context, const void *sealed, size_t length,
			     struct atl_errinfo *info) ATL_MUST_USE;

struct atl_key_state { /* the API's MasterKey */
	bool rotating;	   /* the old key is still kept */
	int64_t resealed;  /* secrets, since the change began or the server started */
	int64_t unreadable; /* of the last pass: neither key opens them */
};
extern const struct atl_json_desc atl_key_state_desc;
void atl_key_state(struct atl_app *app, struct atl_key_state *ret);
/* A new key, and a first pass. CONFLICT: a change is under way. */
enum atl_err atl_key_rotate(struct atl_app *app, const struct atl_identity *who, struct atl_key_state *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* Housekeeping: another pass; gives the old key up when it is time (`now_ms`). */
enum atl_err atl_key_tick(struct atl_app *app, int64_t now_ms, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_key_housekeeping(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

/* Tables and columns that are sealed, for the test; NULL ends. */
const char *atl_sealed_column(size_t index, const char **ret_table);

#endif
