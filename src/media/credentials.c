/* credentials.c - see credentials.h. */
#include "media/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "ipc/channel.h"
#include "media/bytes.h"
#include "media/decoder.h"
#include "media/picture.h"

/* Children that only see files made here: never one that reads what somebody sent. No user id has this form. */
#define OWNER "credentials"
#define SIGNED_MAX ((size_t)64 << 10) /* claim and certificates */

struct atl_credentials {
	/* set at create */
	struct atl_pictures *children;
	char *library;
	const char *argv[3];
};

enum atl_err atl_credentials_create(struct atl_loop *loop, const char *program, const char *library,
				    struct atl_credentials **ret, struct atl_errinfo *info)
{
	struct atl_credentials *self = calloc(1, sizeof *self);
	enum atl_err err = self ? atl_pictures_create(loop, program, &self->children, info)
				: atl_fail(info, ATL_ERR_NOMEM, "credentials");
	if (!err && (self->library = strdup(library)) == NULL)
		err = atl_fail(info, ATL_ERR_NOMEM, "credentials");
	if (err) {
		atl_credentials_destroy(self);
		return err;
	}
	self->argv[0] = "atelier-decode";
	self->argv[1] = self->library;
	atl_decoder_set_argv(self->children, self->argv);
	*ret = self;
	return ATL_OK;
}

void atl_credentials_destroy(struct atl_credentials *credentials)
{
	if (!credentials)
		return;
	atl_pictures_destroy(credentials->children);
	free(credentials->library);
	free(credentials);
}

size_t atl_credentials_size(const void *data, size_t length)
{
	/* the description box of a manifest store: its type's UUID, after the heads of two boxes */
	static const unsigned char store[] = {'j',  'u',  'm',	'd',  'c',  '2',  'p',	'a',  0x00, 0x11,
					      0x00, 0x10, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71};
	const unsigned char *at = memmem(data, length, store, sizeof store);

	if (!at || at - (const unsigned char *)data < 12 || memcmp(at - 8, "jumb", 4) != 0)
		return 0;
	return atl_be32(at - 12);
}

/* Nothing is fetched, no small pictures of pictures are made, and what was just made is not read again. */
static const char *settings_of(struct atl_arena *arena, const char *anchors)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, ATL_CREDENTIALS_TEXT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_object(&w, "verify");
	atl_jw_bool(&w, "verify_after_sign", false);
	atl_jw_bool(&w, "verify_trust", true);
	atl_jw_bool(&w, "ocsp_fetch", false);
	atl_jw_bool(&w, "remote_manifest_fetch", false);
	atl_jw_end_object(&w);
	if (anchors) {
		atl_jw_object(&w, "trust");
		atl_jw_str(&w, "trust_anchors", anchors);
		atl_jw_end_object(&w);
	}
	atl_jw_object(&w, "builder");
	atl_jw_object(&w, "thumbnail");
	atl_jw_bool(&w, "enabled", false);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	const char *text = out.failed ? NULL : atl_arena_strdup(arena, out.data);
	atl_buf_finish(&out);
	return text;
}

/* ---- talking ---- */

struct talk {
	const struct atl_credentials_ask *ask; /* NULL: reading */
	const char *settings;
	const void *data;
	size_t length;
	struct atl_buf *out;
	bool last; /* the child leaves */
};

static enum atl_err send_part(int fd, enum atl_credential_part part, uint32_t id, const void *data, size_t length,
			      struct atl_errinfo *info)
{
	struct atl_frame frame = {.type = ATL_FRAME_CREDENTIAL, .item = (uint16_t)part, .id = id};
	return atl_channel_send(fd, atl_monotonic_ms() + ATL_PICTURE_TIMEOUT_MS, &frame, data, length, NULL, 0, info);
}

static enum atl_err send_ask(int fd, const struct talk *t, struct atl_errinfo *info)
{
	const struct atl_credentials_ask *ask = t->ask;
	enum atl_err err = send_part(fd, ATL_CREDENTIAL_SETTINGS, 1, t->settings, strlen(t->settings), info);

	if (!err && ask)
		err = send_part(fd, ATL_CREDENTIAL_MANIFEST, 1, ask->manifest, strlen(ask->manifest), info);
	if (!err && ask)
		err = send_part(fd, ATL_CREDENTIAL_CHAIN, ask->algorithm, ask->chain, strlen(ask->chain), info);
	if (!err && ask && ask->parent) {
		err = send_part(fd, ATL_CREDENTIAL_INGREDIENT, 1, ask->ingredient, strlen(ask->ingredient), info);
		if (!err)
			err = send_part(fd, ATL_CREDENTIAL_PARENT, 1, ask->parent, ask->parent_length, info);
	}
	return err ? err : send_part(fd, ask ? ATL_CREDENTIAL_SIGN : ATL_CREDENTIAL_READ, 1, t->data, t->length, info);
}

/* Only what a claim's signature covers (COSE's Sig_structure, RFC 9052 4.4), and only once. */
static enum atl_err answer_to_sign(int fd, const struct talk *t, const struct atl_buf *payload, bool *asked,
				   struct atl_errinfo *info)
{
	static const char head[] = "\x84jSignature1";
	struct atl_frame frame = {.type = ATL_FRAME_SIGNATURE, .id = 1};
	unsigned char signature[ATL_CREDENTIALS_SIGNATURE_MAX];
	size_t length = 0;

	if (!t->ask || *asked || payload->length > SIGNED_MAX || payload->length < sizeof head ||
	    memcmp(payload->data, head, sizeof head - 1) != 0)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the child asked for a signature of something else");
	*asked = true;
	enum atl_err err = t->ask->sign(t->ask->arg, payload->data, payload->length, signature, &length, info);
	return err ? err : atl_channel_send(fd, atl_monotonic_ms() + ATL_PICTURE_TIMEOUT_MS, &frame, signature, length, NULL,
					    0, info);
}

static enum atl_err talk(const struct atl_decoder *decoder, struct talk *t, struct atl_errinfo *info)
{
	uint64_t deadline_ms = atl_monotonic_ms() + ATL_PICTURE_TIMEOUT_MS;
	int fd = atl_decoder_fd(decoder);
	bool asked = false, done = false;
	struct atl_buf payload;
	struct atl_frame frame;
	enum atl_err err = send_ask(fd, t, info);

	atl_buf_init(&payload, ATL_FRAME_PAYLOAD_MAX + 1);
	while (!err && !done) {
		err = atl_channel_receive(fd, deadline_ms, &frame, &payload, info);
		if (err)
			break;
		done = frame.type == ATL_FRAME_CREDENTIALS;
		t->last = frame.item != 0;
		if (frame.type == ATL_FRAME_TO_SIGN)
			err = answer_to_sign(fd, t, &payload, &asked, info);
		else if (done)
			atl_buf_add(t->out, payload.data, payload.length);
		else if (frame.type == ATL_FRAME_ERROR && atl_utf8_valid(payload.data, payload.length))
			err = atl_fail(info, ATL_ERR_PICTURE, "%.*s", (int)(payload.length > 300 ? 300 : payload.length),
				       payload.data);
		else
			err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "the child sent a frame of type %u", frame.type);
	}
	atl_buf_finish(&payload);
	return err ? err : atl_buf_err(t->out, info);
}

/* As picture.c: a warm child that fails unexpectedly may have been spoilt, or have left; the file is tried once more. */
static enum atl_err run(struct atl_credentials *self, const char *owner, struct talk *t, struct atl_errinfo *info)
{
	size_t before = t->out->length;

	for (bool fresh = false;; fresh = true) {
		struct atl_decoder *decoder;
		enum atl_err err = atl_decoder_take(self->children, owner, fresh, &decoder, info);
		if (err)
			return err;
		bool warm = atl_decoder_was_warm(decoder);
		t->last = false;
		err = talk(decoder, t, info);
		bool broken = err && err != ATL_ERR_PICTURE;
		int outcome = atl_decoder_give(decoder, !broken && !t->last);
		if (!broken)
			return err;
		if (!warm) {
			atl_warn("media", "atelier-decode failed at Content Credentials: %s (%s %d)", atl_err_name(err),
				 outcome < 0 ? "signal" : "exit", outcome < 0 ? -outcome : outcome);
			return err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM_FORMAT || err == ATL_ERR_UPSTREAM_TIMEOUT
				       ? atl_fail(info, ATL_ERR_INTERNAL, "Content Credentials: the child failed")
				       : err;
		}
		if (t->out->length > before)
			return err;
	}
}

static bool is_kind_supported(enum atl_picture_kind kind)
{
	return kind == ATL_PICTURE_PNG || kind == ATL_PICTURE_JPEG || kind == ATL_PICTURE_WEBP || kind == ATL_PICTURE_GIF ||
	       kind == ATL_PICTURE_MP4;
}

enum atl_err atl_credentials_sign(struct atl_credentials *credentials, const void *data, size_t length,
				  const struct atl_credentials_ask *ask, struct atl_buf *out, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct talk t = {.ask = ask, .data = data, .length = length, .out = out};

	if (!is_kind_supported(atl_picture_sniff(data, length)) || length > ATL_CREDENTIALS_FILE_MAX ||
	    (ask->parent && ask->parent_length > ATL_CREDENTIALS_FILE_MAX))
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "This file takes no Content Credentials.");
	atl_arena_init(&arena, 0);
	t.settings = settings_of(&arena, NULL);
	enum atl_err err = t.settings ? run(credentials, OWNER, &t, info) : atl_fail(info, ATL_ERR_NOMEM, "credentials");
	atl_arena_finish(&arena);
	return err;
}

/* ---- what was read ---- */

static bool is_changed(const char *code)
{
	return code && strstr(code, "ash") && strstr(code, "mismatch");
}

/* "trained" names a model; the newest action with a source type says what it is now. */
static void note_actions(const struct atl_json *manifest, struct atl_credentials_found *ret)
{
	const struct atl_json *assertions = atl_json_get(manifest, "assertions");

	for (const struct atl_json *a = assertions ? assertions->child : NULL; a; a = a->next) {
		const struct atl_json *actions = atl_json_path(a, "data.actions");
		if (!atl_str_starts(atl_json_str(a, "label", ""), "c2pa.actions"))
			continue;
		for (const struct atl_json *action = actions ? actions->child : NULL; action; action = action->next) {
			const char *type = atl_json_str(action, "digitalSourceType", NULL), *slash = type ? strrchr(type, '/') : NULL;
			if (type)
				ret->source_type = slash ? slash + 1 : type;
			if (ret->source_type && strcasestr(ret->source_type, "trainedAlgorithmic"))
				ret->ai = true;
		}
	}
}

static const char *generator_of(struct atl_arena *arena, const struct atl_json *manifest)
{
	const struct atl_json *first = atl_json_at(atl_json_get(manifest, "claim_generator_info"), 0);
	const char *name = atl_json_str(first, "name", NULL), *version = atl_json_str(first, "version", NULL);

	if (!name)
		return atl_json_str(manifest, "claim_generator", NULL);
	return version ? atl_arena_printf(arena, "%s %s", name, version) : name;
}

static void note_state(const struct atl_json *root, struct atl_credentials_found *ret)
{
	const struct atl_json *failures = atl_json_path(root, "validation_results.activeManifest.failure");
	const char *state = atl_json_str(root, "validation_state", "Invalid");

	for (const struct atl_json *f = failures ? failures->child : NULL; f; f = f->next) {
		const char *code = atl_json_str(f, "code", NULL);
		if (code && strcmp(code, "signingCredential.untrusted") != 0 && (!ret->problem || is_changed(code)))
			ret->problem = code;
	}
	if (strcmp(state, "Trusted") == 0)
		ret->state = "trusted";
	else if (strcmp(state, "Valid") == 0)
		ret->state = "valid";
	else
		ret->state = is_changed(ret->problem) ? "changed" : "invalid";
}

static enum atl_err understand(struct atl_arena *arena, struct atl_buf *text, struct atl_credentials_found *ret,
			       struct atl_errinfo *info)
{
	struct atl_json *root;
	enum atl_err err = atl_json_parse(arena, text->data, text->length, &root, info);
	if (err)
		return atl_fail(info, ATL_ERR_PICTURE, "The file's Content Credentials cannot be read.");
	const char *active = atl_json_str(root, "active_manifest", "");
	const struct atl_json *manifest = atl_json_get(atl_json_get(root, "manifests"), active);
	const struct atl_json *signature = atl_json_get(manifest, "signature_info");
	const struct atl_json *ingredients = atl_json_get(manifest, "ingredients");

	*ret = (struct atl_credentials_found){.generator = generator_of(arena, manifest)};
	ret->signer = atl_json_str(signature, "issuer", atl_json_str(signature, "common_name", NULL));
	ret->serial = atl_json_str(signature, "cert_serial_number", NULL);
	ret->parents = ingredients ? (int64_t)ingredients->count : 0;
	note_actions(manifest, ret);
	note_state(root, ret);
	return ATL_OK;
}

enum atl_err atl_credentials_read(struct atl_credentials *credentials, struct atl_arena *arena, const char *owner,
				  const char *anchors, const void *data, size_t length, struct atl_credentials_found *ret,
				  struct atl_errinfo *info)
{
	struct atl_buf out;
	struct talk t = {.data = data, .length = length, .out = &out, .settings = settings_of(arena, anchors)};

	if (atl_credentials_size(data, length) == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "The file has no Content Credentials.");
	if (!t.settings || length > ATL_CREDENTIALS_FILE_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The file is too large to look for Content Credentials.");
	atl_buf_init(&out, ATL_CREDENTIALS_FOUND_MAX);
	enum atl_err err = run(credentials, owner, &t, info);
	if (!err)
		err = understand(arena, &out, ret, info);
	atl_buf_finish(&out);
	return err;
}
