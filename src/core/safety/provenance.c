/* provenance.c - see provenance.h. SQL of `signing_keys`. */
#include "core/safety/provenance.h"
#include "core/server/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/certificate.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "db/db.h"
#include "os/file.h"

#define MODULE "provenance"
#define OWN_KEY "content-credentials"
#define CONTEXT "signing_keys/" OWN_KEY
#define NAME "Atelier"
#define SOURCE_TYPE "http://cv.iptc.org/newscodes/digitalsourcetype/"

_Static_assert((int)ATL_SIGNER_ES256 == (int)ATL_CREDENTIAL_ES256 && (int)ATL_SIGNER_PS256 == (int)ATL_CREDENTIAL_PS256 &&
		       ATL_SIGNATURE_MAX == ATL_CREDENTIALS_SIGNATURE_MAX,
	       "kinds travel as numbers");

struct atl_provenance {
	/* set at create */
	struct atl_credentials *credentials; /* NULL: no library */
	struct atl_signer *signer;
	bool own_certificate;
	/* guarded by lock */
	pthread_mutex_t lock;
	int64_t signed_count, failed_count;
	char why[300]; /* of the last failure; "": the last one went well */
};

/* ---- the key ---- */

struct stored {
	struct atl_arena *arena;
	const char *sealed, *chain; /* NULL: none yet */
};

static enum atl_err get_key(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct stored *s = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT key_sealed, chain FROM signing_keys WHERE name = ?", "s", OWN_KEY);

	if (!err && atl_rows_next(rows, &err, info)) {
		s->sealed = atl_col_text(rows, 0, s->arena);
		s->chain = atl_col_text(rows, 1, s->arena);
		atl_rows_close(rows);
		if (!s->sealed || !s->chain)
			err = atl_fail(info, ATL_ERR_NOMEM, "signing key");
	}
	return err;
}

/* Of two servers that start on one database the first one's key stays. */
static enum atl_err put_key(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct stored *s = arg;

	return atl_exec(conn, info,
			"INSERT INTO signing_keys (name, key_sealed, chain, created_at) VALUES (?, ?, ?, ?) "
			"ON CONFLICT (name) DO NOTHING",
			"sssi", OWN_KEY, s->sealed, s->chain, atl_now_ms());
}

static enum atl_err make_key(struct atl_app *app, struct stored *s, struct atl_errinfo *info)
{
	struct atl_buf key, chain, sealed, text;
	enum atl_err err;

	atl_buf_init(&key, ATL_PEM_MAX);
	atl_buf_init(&chain, ATL_PEM_MAX);
	atl_buf_init(&sealed, 2 * ATL_PEM_MAX);
	atl_buf_init(&text, 4 * ATL_PEM_MAX);
	err = atl_signer_make(NAME, &key, &chain, info);
	if (!err)
		err = atl_seal(&sealed, app->master_key, CONTEXT, key.data, key.length);
	if (!err) {
		atl_base64_encode(&text, ATL_BASE64_URL, sealed.data, sealed.length);
		err = atl_buf_err(&text, info);
	}
	if (!err) {
		struct stored made = { .sealed = text.data, .chain = chain.data };

		err = atl_db_tx(app->db, put_key, &made, info);
	}
	if (!err)
		err = atl_db_read(app->db, get_key, s, info);
	if (key.length)
		atl_wipe(key.data, key.length);
	atl_buf_finish(&key);
	atl_buf_finish(&chain);
	atl_buf_finish(&sealed);
	atl_buf_finish(&text);
	return err;
}

static enum atl_err open_key(struct atl_app *app, const struct stored *s, struct atl_signer **ret, struct atl_errinfo *info)
{
	struct atl_buf sealed, key;
	enum atl_err err = ATL_OK;

	atl_buf_init(&sealed, 4 * ATL_PEM_MAX);
	atl_buf_init(&key, 2 * ATL_PEM_MAX);
	if (!atl_base64_decode(&sealed, ATL_BASE64_URL, s->sealed, strlen(s->sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The kept signing key cannot be read.");
	if (!err)
		err = atl_secret_open(app, &key, CONTEXT, sealed.data, sealed.length, info);
	if (!err)
		err = atl_signer_load(key.data, key.length, s->chain, strlen(s->chain), ret, info);
	if (key.length)
		atl_wipe(key.data, key.length);
	atl_buf_finish(&sealed);
	atl_buf_finish(&key);
	return err;
}

static enum atl_err load_own(const struct atl_provenance_options *options, struct atl_signer **ret, struct atl_errinfo *info)
{
	struct atl_buf key, chain;
	enum atl_err err;

	if (!options->key_path || !options->chain_path)
		return atl_fail(info, ATL_ERR_CONFIG, "credentials_key and credentials_certificate belong together");
	atl_buf_init(&key, ATL_PEM_MAX);
	atl_buf_init(&chain, ATL_PEM_MAX);
	err = atl_file_read(options->key_path, ATL_PEM_MAX, &key, info);
	if (!err)
		err = atl_file_read(options->chain_path, ATL_PEM_MAX, &chain, info);
	if (!err)
		err = atl_signer_load(key.data, key.length, chain.data, chain.length, ret, info);
	if (key.length)
		atl_wipe(key.data, key.length);
	atl_buf_finish(&key);
	atl_buf_finish(&chain);
	return err;
}

static enum atl_err load_key(struct atl_app *app, const struct atl_provenance_options *options, struct atl_provenance *self,
			     struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct stored stored = { .arena = &arena };
	enum atl_err err;

	self->own_certificate = options->key_path || options->chain_path;
	if (self->own_certificate)
		return load_own(options, &self->signer, info);
	atl_arena_init(&arena, 0);
	err = atl_db_read(app->db, get_key, &stored, info);
	if (!err && !stored.sealed)
		err = make_key(app, &stored, info);
	if (!err)
		err = open_key(app, &stored, &self->signer, info);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_provenance_create(struct atl_app *app, const struct atl_provenance_options *options,
				   struct atl_provenance **ret, struct atl_errinfo *info)
{
	struct atl_provenance *self = calloc(1, sizeof(*self));
	enum atl_err err;

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "provenance");
	pthread_mutex_init(&self->lock, NULL);
	err = load_key(app, options, self, info);
	if (!err && options->library)
		err = atl_credentials_create(app->loops[0], options->program, options->library, &self->credentials, info);
	if (err) {
		atl_provenance_destroy(self);
		return err;
	}
	if (!self->credentials)
		atl_warn(MODULE, "libc2pa_c.so is not there: pictures get no Content Credentials, only the IPTC mark");
	*ret = self;
	return ATL_OK;
}

enum atl_err atl_provenance_try(const char *key_path, const char *chain_path, struct atl_errinfo *info)
{
	const struct atl_provenance_options options = { .key_path = key_path, .chain_path = chain_path };
	struct atl_signer *signer = NULL;
	enum atl_err err = load_own(&options, &signer, info);

	atl_signer_destroy(signer);
	return err;
}

void atl_provenance_destroy(struct atl_provenance *provenance)
{
	if (!provenance)
		return;
	atl_credentials_destroy(provenance->credentials);
	atl_signer_destroy(provenance->signer);
	pthread_mutex_destroy(&provenance->lock);
	free(provenance);
}

/* ---- the manifest ---- */

static void write_agent(struct atl_jw *w, const char *key, const char *version)
{
	atl_jw_object(w, key);
	atl_jw_str(w, "name", NAME);
	atl_jw_str(w, "version", version);
	atl_jw_end_object(w);
}

static void write_ingredient(struct atl_jw *w, const struct atl_provenance_made *made)
{
	atl_jw_object(w, NULL);
	atl_jw_str(w, "title", "source");
	atl_jw_str(w, "relationship", "parentOf");
	atl_jw_str(w, "label", "source");
	atl_jw_str(w, "format", made->parent_type ? made->parent_type : "image/png");
	atl_jw_end_object(w);
}

static void write_actions(struct atl_jw *w, const struct atl_provenance_made *made, const char *version)
{
	atl_jw_array(w, "actions");
	if (made->edited) {
		atl_jw_object(w, NULL);
		atl_jw_str(w, "action", "c2pa.opened");
		atl_jw_object(w, "parameters");
		atl_jw_array(w, "ingredientIds");
		atl_jw_str(w, NULL, "source");
		atl_jw_end_array(w);
		atl_jw_end_object(w);
		atl_jw_end_object(w);
	}
	atl_jw_object(w, NULL);
	atl_jw_str(w, "action", made->edited ? "c2pa.edited" : "c2pa.created");
	atl_jw_str(w, "digitalSourceType",
		   made->composite ? SOURCE_TYPE "compositeWithTrainedAlgorithmicMedia" : SOURCE_TYPE "trainedAlgorithmicMedia");
	write_agent(w, "softwareAgent", version);
	atl_jw_end_object(w);
	atl_jw_end_array(w);
}

/* No prompt, no name of a person, no title. `parent`: its bytes go along, and with them its own manifest. */
static void write_manifest(struct atl_buf *out, const struct atl_provenance_made *made, const char *version, bool parent)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_int(&w, "claim_version", 2);
	atl_jw_array(&w, "claim_generator_info");
	write_agent(&w, NULL, version);
	atl_jw_end_array(&w);
	if (made->edited && !parent) {
		atl_jw_array(&w, "ingredients");
		write_ingredient(&w, made);
		atl_jw_end_array(&w);
	}
	atl_jw_array(&w, "assertions");
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "label", "c2pa.actions.v2");
	atl_jw_object(&w, "data");
	write_actions(&w, made, version);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
}

static enum atl_err sign(void *arg, const void *data, size_t length, unsigned char *out, size_t *ret_length,
			 struct atl_errinfo *info)
{
	return atl_signer_sign(arg, data, length, out, ret_length, info);
}

static void count(struct atl_provenance *self, enum atl_err err, const struct atl_errinfo *info)
{
	pthread_mutex_lock(&self->lock);
	self->signed_count += !err;
	self->failed_count += err != ATL_OK;
	atl_str_copy(self->why, sizeof(self->why), !err ? "" : info->detail[0] ? info->detail : atl_err_sentence(err));
	pthread_mutex_unlock(&self->lock);
}

bool atl_provenance_sign(struct atl_app *app, const void *data, size_t length, const struct atl_provenance_made *made,
			 struct atl_buf *out)
{
	struct atl_provenance *self = app->provenance;
	struct atl_errinfo info = { 0 };
	struct atl_buf manifest, ingredient;
	struct atl_jw w;
	enum atl_err err;

	if (!self || !self->credentials)
		return false;
	bool parent = made->edited && made->parent && made->parent_length <= ATL_CREDENTIALS_FILE_MAX &&
		      atl_credentials_size(made->parent, made->parent_length) <= ATL_PROVENANCE_PARENTS_MAX;
	atl_buf_init(&manifest, ATL_CREDENTIALS_TEXT_MAX);
	atl_buf_init(&ingredient, ATL_CREDENTIALS_TEXT_MAX);
	write_manifest(&manifest, made, app->version, parent);
	atl_jw_init(&w, &ingredient);
	write_ingredient(&w, made);
	const struct atl_credentials_ask ask = { .manifest = manifest.data, .ingredient = ingredient.data,
		.parent = parent ? made->parent : NULL, .parent_length = parent ? made->parent_length : 0,
		.chain = atl_signer_chain(self->signer),
		.algorithm = (enum atl_credential_algorithm)atl_signer_kind(self->signer), .sign = sign, .arg = self->signer };
	size_t before = out->length;
	err = manifest.failed || ingredient.failed ? atl_fail(&info, ATL_ERR_NOMEM, "manifest")
						   : atl_credentials_sign(self->credentials, data, length, &ask, out, &info);
	atl_buf_finish(&manifest);
	atl_buf_finish(&ingredient);
	if (err == ATL_ERR_UNSUPPORTED)
		return false; /* a kind of file that takes none is no failure */
	count(self, err, &info);
	if (err)
		atl_error(MODULE, "a picture stays without Content Credentials: %s %s", atl_err_name(err), info.detail);
	return !err && out->length > before;
}

/* ---- reading ---- */

enum atl_err atl_provenance_check(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				  size_t length, struct atl_credentials_found *ret, bool *ret_own, struct atl_errinfo *info)
{
	struct atl_provenance *self = app->provenance;
	enum atl_err err;

	if (atl_credentials_size(data, length) == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "The file has no Content Credentials.");
	if (!self || !self->credentials)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "This server cannot read Content Credentials.");
	err = atl_credentials_read(self->credentials, arena, user_id, atl_signer_anchor(self->signer), data, length, ret, info);
	if (!err)
		*ret_own = atl_str_eq(ret->state, "trusted") && atl_signer_serial(self->signer)[0] &&
			   atl_str_eq(ret->serial, atl_signer_serial(self->signer));
	if (!err && atl_str_eq(ret->state, "trusted") && !*ret_own)
		ret->state = "valid"; /* somebody else's certificate of the same authority */
	return err;
}

void atl_provenance_status(struct atl_app *app, struct atl_arena *arena, struct atl_provenance_status *ret)
{
	struct atl_provenance *self = app->provenance;

	*ret = (struct atl_provenance_status){ .state = "no_library" };
	if (!self)
		return;
	ret->signer = atl_signer_name(self->signer);
	ret->fingerprint = atl_signer_print(self->signer);
	ret->own_certificate = self->own_certificate;
	ret->ends_at = atl_signer_ends_at(self->signer);
	if (!self->credentials)
		return;
	pthread_mutex_lock(&self->lock);
	ret->state = self->why[0] ? "failing" : "ready";
	ret->why = self->why[0] ? atl_arena_strdup(arena, self->why) : NULL;
	ret->signed_count = self->signed_count;
	ret->failed_count = self->failed_count;
	pthread_mutex_unlock(&self->lock);
}
