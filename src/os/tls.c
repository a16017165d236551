/* tls.c - see tls.h and tls_session.h. A BIO of our own reads from bytes that are lent and writes to a buffer. */
#include "os/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "os/tls_session.h"

#define SUITES                                                                                                     \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                 \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

#define NOT_ITS_KEY "the key does not belong to the certificate"

struct stamp {
	struct timespec changed;
	ino_t inode;
	off_t size;
};

struct atl_tls {
	char *cert_path, *key_path;
	BIO_METHOD *method;
	pthread_mutex_t lock; /* what follows */
	SSL_CTX *context;
	int64_t ends_ms;
	struct stamp cert, key;
};

struct tls_session {
	SSL *ssl;
	const char *in;
	size_t in_length;
	struct atl_buf out;
	bool broken;
};

/* ---- the certificate ---- */

static struct stamp stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct stamp){0};
	return (struct stamp){.changed = st.st_mtim, .inode = st.st_ino, .size = st.st_size};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->inode == b->inode && a->size == b->size;
}

static enum atl_err refuse(struct atl_errinfo *info, const char *path, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return atl_fail(info, ATL_ERR_INVALID, "%s: %s%s%s%s", path, what, reason ? " (" : "", reason ? reason : "",
			reason ? ")" : "");
}

/* The first that we speak; a client that asks for others alone is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
			   unsigned int in_length, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)out, out_length, ours, sizeof(ours) - 1, in, in_length) ==
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Nobody is there to type one. */
static int no_password(char *room, int size, int writing, void *arg)
{
	return -1;
}

static int64_t end_of(SSL_CTX *context)
{
	const X509 *cert = SSL_CTX_get0_certificate(context);
	struct tm tm;

	if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

static enum atl_err load(struct atl_tls *tls, SSL_CTX **ret, struct atl_errinfo *info)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	enum atl_err err = ATL_OK;

	if (!context)
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for TLS");
	SSL_CTX_set_default_passwd_cb(context, no_password);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(context, SUITES) != 1)
		err = refuse(info, "TLS", "this OpenSSL offers none of the suites");
	else if (SSL_CTX_use_certificate_chain_file(context, tls->cert_path) != 1)
		err = refuse(info, tls->cert_path, "no certificate in PEM form could be read from it");
	else if (SSL_CTX_use_PrivateKey_file(context, tls->key_path, SSL_FILETYPE_PEM) != 1)
		err = refuse(info, tls->key_path,
			     ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
				     ? NOT_ITS_KEY
				     : "no key in PEM form without a password could be read from it");
	else if (SSL_CTX_check_private_key(context) != 1) /* of another kind than the certificate's */
		err = refuse(info, tls->key_path, NOT_ITS_KEY);
	if (err) {
		SSL_CTX_free(context);
		return err;
	}
	*ret = context;
	return ATL_OK;
}

enum atl_err atl_tls_reload(struct atl_tls *tls, struct atl_errinfo *info)
{
	/* before the files are read: what changes meanwhile counts as changed */
	struct stamp cert = stamp_of(tls->cert_path), key = stamp_of(tls->key_path);
	SSL_CTX *context = NULL, *old;
	enum atl_err err = load(tls, &context, info);

	pthread_mutex_lock(&tls->lock);
	tls->cert = cert;
	tls->key = key;
	old = tls->context;
	if (!err) {
		tls->context = context;
		tls->ends_ms = end_of(context);
	}
	pthread_mutex_unlock(&tls->lock);
	if (!err)
		SSL_CTX_free(old);
	return err;
}

enum atl_err atl_tls_reload_changed(struct atl_tls *tls, bool *ret_changed, struct atl_errinfo *info)
{
	struct stamp cert = stamp_of(tls->cert_path), key = stamp_of(tls->key_path);
	bool changed;

	pthread_mutex_lock(&tls->lock);
	changed = !same_stamp(&cert, &tls->cert) || !same_stamp(&key, &tls->key);
	pthread_mutex_unlock(&tls->lock);
	*ret_changed = changed;
	return changed ? atl_tls_reload(tls, info) : ATL_OK;
}

int64_t atl_tls_ends_ms(struct atl_tls *tls)
{
	int64_t ends_ms;

	pthread_mutex_lock(&tls->lock);
	ends_ms = tls->ends_ms;
	pthread_mutex_unlock(&tls->lock);
	return ends_ms;
}

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *out, size_t size, size_t *ret_length)
{
	struct tls_session *session = BIO_get_data(bio);
	size_t length = size < session->in_length ? size : session->in_length;

	BIO_clear_retry_flags(bio);
	if (length == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(out, session->in, length);
	session->in += length;
	session->in_length -= length;
	*ret_length = length;
	return 1;
}

static int bio_write(BIO *bio, const char *data, size_t length, size_t *ret_length)
{
	struct tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	atl_buf_add(&session->out, data, length);
	if (session->out.failed)
		return 0;
	*ret_length = length;
	return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "atelier");

	if (method && BIO_meth_set_read_ex(method, bio_read) == 1 && BIO_meth_set_write_ex(method, bio_write) == 1 &&
	    BIO_meth_set_ctrl(method, bio_control) == 1)
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* ---- sessions ---- */

struct tls_session *tls_session_create(struct atl_tls *tls)
{
	struct tls_session *session = calloc(1, sizeof(*session));
	BIO *bio = session ? BIO_new(tls->method) : NULL;

	if (!bio) {
		free(session);
		return NULL;
	}
	atl_buf_init(&session->out, TLS_OUT_MAX);
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	pthread_mutex_lock(&tls->lock);
	session->ssl = SSL_new(tls->context);
	pthread_mutex_unlock(&tls->lock);
	if (!session->ssl) {
		BIO_free(bio);
		free(session);
		return NULL;
	}
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_accept_state(session->ssl);
	return session;
}

void tls_session_destroy(struct tls_session *session)
{
	if (!session)
		return;
	SSL_free(session->ssl);
	atl_buf_finish(&session->out);
	free(session);
}

void tls_session_input(struct tls_session *session, const char *data, size_t length)
{
	session->in = data;
	session->in_length = length;
}

enum tls_read tls_session_read(struct tls_session *session, char room[TLS_RECORD_MAX], size_t *ret_length)
{
	enum tls_read answer = TLS_READ_BROKEN;

	if (session->broken)
		return answer;
	ERR_clear_error();
	if (SSL_read_ex(session->ssl, room, TLS_RECORD_MAX, ret_length) == 1)
		return TLS_READ_DATA;
	switch (SSL_get_error(session->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		answer = TLS_READ_MORE;
		break;
	case SSL_ERROR_ZERO_RETURN:
		answer = TLS_READ_END;
		break;
	default:
		session->broken = true;
		ERR_clear_error();
		break;
	}
	session->in = NULL;
	session->in_length = 0;
	return answer;
}

bool tls_session_write(struct tls_session *session, const void *data, size_t length)
{
	const char *at = data;

	if (session->broken || !SSL_is_init_finished(session->ssl))
		return false;
	ERR_clear_error();
	while (length > 0) {
		size_t done;

		if (SSL_write_ex(session->ssl, at, length, &done) != 1) {
			session->broken = true;
			ERR_clear_error();
			return false;
		}
		at += done;
		length -= done;
	}
	return true;
}

void tls_session_goodbye(struct tls_session *session)
{
	if (session->broken || !SSL_is_init_finished(session->ssl))
		return;
	(void)SSL_shutdown(session->ssl);
	ERR_clear_error();
}

struct atl_buf *tls_session_output(struct tls_session *session)
{
	return &session->out;
}

/* ---- life ---- */

enum atl_err atl_tls_create(const char *cert_path, const char *key_path, struct atl_tls **ret, struct atl_errinfo *info)
{
	struct atl_tls *tls = calloc(1, sizeof(*tls));
	enum atl_err err;

	if (!tls)
		return atl_fail(info, ATL_ERR_NOMEM, "no memory for TLS");
	pthread_mutex_init(&tls->lock, NULL);
	tls->cert_path = strdup(cert_path);
	tls->key_path = strdup(key_path);
	tls->method = make_method();
	err = tls->cert_path && tls->key_path && tls->method ? atl_tls_reload(tls, info)
							      : atl_fail(info, ATL_ERR_NOMEM, "no memory for TLS");
	if (err) {
		atl_tls_destroy(tls);
		return err;
	}
	*ret = tls;
	return ATL_OK;
}

void atl_tls_destroy(struct atl_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	BIO_meth_free(tls->method);
	pthread_mutex_destroy(&tls->lock);
	free(tls->cert_path);
	free(tls->key_path);
	free(tls);
}
