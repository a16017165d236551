/* c2pa.h - the library of the Coalition for Content Provenance and Authenticity, as far as we use it. The one home of its
 * interface.
 *
 * It comes as a shared object without a header (docs/dependencies.md); what is declared here follows the C interface of
 * contentauth/c2pa-rs, c2pa_c_ffi/src/c_api.rs and c2pa_stream.rs, version 0.91. It is loaded, not linked: where it is
 * missing, pictures are made without Content Credentials.
 *
 * Life cycle: c2pa_open() once, before the sandbox; then any number of c2pa_sign() and c2pa_read().
 * Threads:    the program's only one.
 * Limits:     C2PA_SIGNATURE_MAX, C2PA_JSON_MAX.
 */
#ifndef ATL_WORKER_C2PA_H
#define ATL_WORKER_C2PA_H

#include "base/buf.h"

#define C2PA_SIGNATURE_MAX 1024
#define C2PA_WHY_SIZE 300

struct c2pa;

/* The signature over `data`: its length, or -1. As the library calls it. */
typedef intptr_t (*c2pa_sign_fn)(const void *arg, const unsigned char *data, uintptr_t length, unsigned char *out,
				 uintptr_t room);

struct c2pa_piece {
	const void *data;
	size_t length;
	const char *type; /* "image/png" */
};
struct c2pa_claim {
	const char *settings, *manifest; /* JSON */
	const char *chain;		 /* PEM, the signer's certificate first */
	const char *ingredient;		 /* JSON of the picture it was made from; NULL: from none */
	struct c2pa_piece parent;	 /* that picture */
	int algorithm;			 /* enum atl_credential_algorithm: ES256 0, ES384 1, ES512 2, PS256 3.. */
	c2pa_sign_fn sign;
	const void *arg;
};

/* NULL: it cannot be loaded, or lacks something; `why` says what. */
struct c2pa *c2pa_open(const char *path, char why[C2PA_WHY_SIZE]);
/* A copy of the file with the manifest in it goes to `out`. False: `why` has the library's words. */
bool c2pa_sign(struct c2pa *c2pa, const struct c2pa_claim *claim, const struct c2pa_piece *file, struct atl_buf *out,
	       char why[C2PA_WHY_SIZE]);
/* What the file's manifests say and whether they hold, in the library's JSON. False: none, or not readable. */
bool c2pa_read(struct c2pa *c2pa, const char *settings, const struct c2pa_piece *file, struct atl_buf *out,
	       char why[C2PA_WHY_SIZE]);

#endif
