/* credentials.h - Content Credentials (C2PA manifests) in pictures and films: written and read in the sandboxed child.
 *
 * The child `atelier-decode LIBRARY` loads the coalition's own library, which parses files and makes manifests; the private
 * key stays in this process and signs what the child asks for, once a file. Sources: C2PA specification 2.x; the library.
 *
 * Life cycle: atl_credentials_create() .. atl_credentials_destroy(), before the loop ends.
 * Threads:    sign and read block: pool threads and runners. Ownership: results in the given arena or buffer.
 * Limits:     ATL_CREDENTIALS_*; files of at most 64 MiB; JPEG, PNG, WebP, GIF, MP4.
 */
#ifndef ATL_MEDIA_CREDENTIALS_H
#define ATL_MEDIA_CREDENTIALS_H

#include "base/arena.h"
#include "base/buf.h"
#include "ipc/frame.h"
#include "os/loop.h"

#define ATL_CREDENTIALS_TEXT_MAX ((size_t)64 << 10)  /* a manifest's definition, a chain */
#define ATL_CREDENTIALS_FOUND_MAX ((size_t)4 << 20) /* what a file may say */
#define ATL_CREDENTIALS_FILE_MAX ((size_t)63 << 20)
#define ATL_CREDENTIALS_ROOM ((size_t)1 << 20)	    /* what a manifest, with those of its parents, adds at most */
#define ATL_CREDENTIALS_SIGNATURE_MAX 1024
#define ATL_CREDENTIALS_IDLE_MS 60000

struct atl_credentials;

struct atl_credentials_ask {
	const char *manifest;	/* the definition, JSON as the library wants it */
	const char *ingredient; /* JSON of the parent; NULL: made from none */
	const void *parent;	/* the parent's file, with its own manifest where it has one */
	size_t parent_length;
	const char *chain; /* PEM, the signer's certificate first */
	enum atl_credential_algorithm algorithm;
	/* The signature as COSE wants it (of ECDSA r and s side by side), of at most ATL_CREDENTIALS_SIGNATURE_MAX. */
	enum atl_err (*sign)(void *arg, const void *data, size_t length, unsigned char *out, size_t *ret_length,
			     struct atl_errinfo *info);
	void *arg;
};

struct atl_credentials_found {
	const char *state;     /* "trusted" (holds, by an anchor), "valid" (holds, signer unknown), "changed", "invalid" */
	const char *problem;   /* the first failure's code; NULL: none */
	const char *generator; /* "Atelier 1.0"; NULL: not said */
	const char *signer;    /* the certificate's organisation, else its name; NULL: not said */
	const char *serial;    /* of the signer's certificate, decimal; NULL: not said */
	const char *source_type; /* the last word of the newest digital source type in its actions; NULL: none */
	bool ai;		 /* that names a trained model */
	int64_t parents;	 /* pictures it was made from */
};

/* `library`: path of libc2pa_c.so. */
enum atl_err atl_credentials_create(struct atl_loop *loop, const char *program, const char *library,
				    struct atl_credentials **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_credentials_destroy(struct atl_credentials *credentials);

/* A copy of the file with a manifest, appended to `out`. A manifest that was in it is replaced.
 * Errors: UNSUPPORTED (a kind that takes none, or too large), PICTURE (cannot be read), what sign() returns, INTERNAL. */
enum atl_err atl_credentials_sign(struct atl_credentials *credentials, const void *data, size_t length,
				  const struct atl_credentials_ask *ask, struct atl_buf *out,
				  struct atl_errinfo *info) ATL_MUST_USE;
/* What a file says. `owner`: whose file it is, as struct atl_picture_options; `anchors`: PEM of trusted certificates, NULL.
 * Errors: NOT_FOUND (no manifest in it), PICTURE (cannot be read). */
enum atl_err atl_credentials_read(struct atl_credentials *credentials, struct atl_arena *arena, const char *owner,
				  const char *anchors, const void *data, size_t length, struct atl_credentials_found *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
/* Bytes of the manifest store that seems to be in the file; 0: none. Pure; looks at bytes alone. */
size_t atl_credentials_size(const void *data, size_t length);

#endif
