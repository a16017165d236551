/* provenance.h - what was made here says so, signed: Content Credentials of pictures and films, and the operator's key.
 *
 * The key is made at the first start and kept in the database, sealed with the master key; or it is the operator's own,
 * from files. Each picture is signed once, when it is stored; what rewrites its metadata later signs anew. Where the
 * library is missing, or signing fails, the picture is kept with its IPTC mark alone, and the status says so.
 *
 * Life cycle: atl_provenance_create() .. atl_provenance_destroy(), after the database and before the loop ends.
 * Threads:    any; blocking: pool threads and runners.
 * Limits:     ATL_PROVENANCE_PARENTS_MAX bytes of parents' manifests travel along; films over 63 MiB are not signed.
 */
#ifndef ATL_CORE_PROVENANCE_H
#define ATL_CORE_PROVENANCE_H

#include "core/app.h"
#include "media/credentials.h"

#define ATL_PROVENANCE_PARENTS_MAX ((size_t)192 << 10)
#define ATL_PROVENANCE_PARENT_BYTES_MAX ((int64_t)8 << 20) /* a larger parent is not read a second time, only told of */

struct atl_provenance;

struct atl_provenance_options {
	const char *program;		   /* atelier-decode */
	const char *library;		   /* libc2pa_c.so; NULL: not there */
	const char *key_path, *chain_path; /* the operator's own, PEM; both NULL: made here */
};
/* Errors: CONFIG (the operator's files do not fit), what the database says. */
enum atl_err atl_provenance_create(struct atl_app *app, const struct atl_provenance_options *options,
				   struct atl_provenance **ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Would these files do? Errors: CONFIG, IO. */
enum atl_err atl_provenance_try(const char *key_path, const char *chain_path, struct atl_errinfo *info) ATL_MUST_USE;
void atl_provenance_destroy(struct atl_provenance *provenance);

struct atl_provenance_made {
	bool composite;	    /* a supplied picture went in */
	bool edited;	    /* it was made from another picture: opened and edited, not created */
	const void *parent; /* that picture's file; NULL: it is not told */
	size_t parent_length;
	const char *parent_type;
};
/* A signed copy of the file is appended to `out`. False: it could not be signed (said in the log and the status), and
 * nothing was appended. */
bool atl_provenance_sign(struct atl_app *app, const void *data, size_t length, const struct atl_provenance_made *made,
			 struct atl_buf *out);

/* What a file says of where it comes from. `user_id`: whose file it is. `*ret_own`: signed by this server.
 * Errors: NOT_FOUND (it says nothing), UNSUPPORTED (no library here), PICTURE. */
enum atl_err atl_provenance_check(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				  size_t length, struct atl_credentials_found *ret, bool *ret_own,
				  struct atl_errinfo *info) ATL_MUST_USE;

struct atl_provenance_status {
	const char *state; /* "ready", "no_library", "failing" */
	const char *why;   /* NULL */
	const char *signer, *fingerprint; /* NULL: none */
	bool own_certificate;
	int64_t ends_at, signed_count, failed_count;
};
/* Texts in the arena. */
void atl_provenance_status(struct atl_app *app, struct atl_arena *arena, struct atl_provenance_status *ret);

#endif
