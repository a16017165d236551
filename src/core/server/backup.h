/* backup.h - the whole instance as one sealed file, and back.
 *
 * A file (base/sealed_stream.h) holds entries: the head (who wrote it, schema number, kind of database), the master key, the
 * database (SQLite: a copy of the file; PostgreSQL: every row as JSON), every blob, the list of model files (not the files),
 * and at the end the manifest: how many rows each table has, how many blobs there are, and one hash over all of it. The
 * database is one state of it, taken first; what is stored meanwhile may be among the blobs, too. The server may run.
 *
 * Restoring needs an empty data folder and, with PostgreSQL, an empty database. Everything is unpacked beside its place,
 * compared with the manifest, and only then moved there: a wrong passphrase, a damaged or cut file, or one of a newer
 * version leaves nothing behind.
 *
 * Threads: pool threads and the command line. Limits: ATL_PASSPHRASE_MIN bytes of passphrase at least.
 */
#ifndef ATL_CORE_BACKUP_H
#define ATL_CORE_BACKUP_H

#include "base/sealed_stream.h"
#include "core/app.h"

struct atl_backup_summary {
	int64_t created_at, tables, rows, blobs, bytes; /* bytes: before sealing */
	int schema;
};

/* Of app: version, data_dir, models_dir, db. `path` must not be there yet; it appears when it is whole. */
enum atl_err atl_backup_write(struct atl_app *app, const char *path, const char *passphrase,
			      struct atl_backup_summary *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_restore {
	const char *path, *passphrase;
	const char *data_dir; /* there and empty, or not there */
	const char *database; /* postgres://...; NULL: atelier.db in the data folder */
};
/* Errors: CREDENTIALS, UNPROCESSABLE (damaged, cut, another kind of database), SCHEMA_NEWER, CONFLICT (not empty). */
enum atl_err atl_backup_restore(const struct atl_restore *in, struct atl_backup_summary *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
