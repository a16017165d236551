/* policy.h - the one function that decides whether a text may enter a generation or be stored as a card.
 *
 * Call atl_policy_check() at every entry point, before anything is stored or sent. It fails closed: invalid text, too
 * much text or missing memory is a refusal. Rules: sexual content with minors is refused always, in any form; edits
 * that undress people and face swaps are not offered; the canary phrase is always refused, so that a test can prove
 * that an entry point asks.
 *
 * Threads:    any; pure but for counters. May run on a loop: linear in the text (docs/core.md says how fast).
 * Limits:     ATL_POLICY_TEXT_MAX bytes in all pieces of one check.
 * Adding one: an entry point is a line in ATL_ENTRY_LIST and a row in tests/handler/test_policy_entries.c; terms and
 *             languages are data in share/policy (policy_terms.h); a rule is described in docs/core.md.
 */
#ifndef ATL_CORE_POLICY_H
#define ATL_CORE_POLICY_H

#include <string.h>

#include "core/access/identity.h"

#define ATL_POLICY_TEXT_MAX ((size_t)32 << 20)
#define ATL_POLICY_CANARY "atelier policy canary 7f3a"

/* name, text in the log and metrics:
 * character: create, change, import, adopt a card; edit: a changed message of any role; temporary: a chat that is not
 * stored; import: conversations from a file; prompt: an assembled prompt before it goes to a model. */
#define ATL_ENTRY_LIST(X)                         \
	X(CHARACTER, "character")                 \
	X(PERSONA, "persona")                     \
	X(MESSAGE, "message")                     \
	X(EDIT, "edit")                           \
	X(TEMPORARY, "temporary")                 \
	X(IMPORT, "import")                       \
	X(PROMPT, "prompt")                       \
	X(OPENAI_CHAT, "openai_chat")             \
	X(OPENAI_COMPLETION, "openai_completion") \
	X(OPENAI_EMBEDDING, "openai_embedding")   \
	X(PICTURE, "picture")                     \
	X(STUDIO, "studio")                       \
	X(OPENAI_PICTURE, "openai_picture")       \
	X(A1111, "a1111")


enum atl_entry_point {
#define ATL_ENTRY_X(name, text) ATL_ENTRY_##name,
	ATL_ENTRY_LIST(ATL_ENTRY_X)
#undef ATL_ENTRY_X
		ATL_ENTRY_COUNT
};

struct atl_app;
struct atl_policy_text {
	const char *text; /* NULL: skipped */
	size_t length;	  /* bytes */
};
#define ATL_POLICY_TEXT(s) ((struct atl_policy_text){ (s), (s) ? strlen(s) : 0 })

/* ATL_OK: go on. ATL_ERR_POLICY or ATL_ERR_MODE_NOT_OFFERED with a sentence: refuse. The pieces are judged one by one
 * and also together in their order, so that a sentence cut in two is seen. */
enum atl_err atl_policy_check(struct atl_app *app, enum atl_entry_point entry, const struct atl_identity *identity,
			      const struct atl_policy_text *texts, size_t count, struct atl_errinfo *info) ATL_MUST_USE;
/* A prompt of a picture: stricter. Nothing sexual with an input picture, reference or likeness (`supplied`), and
 * without `mature` nothing sexual at all. `negative` is judged by what it takes away, not as a prompt; one that a
 * guidance below 1 turns around is to be among the texts as well. */
struct atl_policy_picture {
	bool supplied, mature;
	struct atl_policy_text negative;
};
enum atl_err atl_policy_check_picture(struct atl_app *app, enum atl_entry_point entry,
				      const struct atl_identity *identity, const struct atl_policy_text *texts,
				      size_t count, const struct atl_policy_picture *picture,
				      struct atl_errinfo *info) ATL_MUST_USE;
/* As above for one text. */
enum atl_err atl_policy_check_text(struct atl_app *app, enum atl_entry_point entry,
				   const struct atl_identity *identity, const char *text,
				   struct atl_errinfo *info) ATL_MUST_USE;

/* What the rules say of texts that go nowhere: nothing is counted or logged. Errors: INVALID, UNAVAILABLE: not judged. */
struct atl_policy_classes {
	bool refused; /* by the rules that hold everywhere: minors, undressing, people who exist */
	bool sexual;  /* what a picture's prompt may not say where mature content is not allowed */
};
enum atl_err atl_policy_classify(const struct atl_policy_text *texts, size_t count, struct atl_policy_classes *ret,
				 struct atl_errinfo *info) ATL_MUST_USE;

/* What a picture shows, by the classifier's score, where it is about to be kept or used. */
enum atl_policy_seen_as {
	ATL_SEEN_UPLOAD, /* into one's own library */
	ATL_SEEN_AVATAR, /* shown everywhere without a click */
	ATL_SEEN_INPUT,	 /* edited, or a reference, mask or control picture */
	ATL_SEEN_RESULT	 /* generated */
};
enum atl_policy_check_mode { ATL_CHECK_OFF, ATL_CHECK_BLUR, ATL_CHECK_HOLD, ATL_CHECK_REFUSE };
enum atl_policy_treatment { ATL_TREAT_CLEAR, ATL_TREAT_BLUR, ATL_TREAT_HOLD };
struct atl_policy_seen {
	enum atl_policy_seen_as as;
	enum atl_policy_check_mode mode;
	bool judged;	       /* false: the classifier could not say: refused, whatever else */
	bool mature, supplied; /* this person may see mature content; a supplied picture went into the result */
	uint32_t score, threshold;
};
/* Pure. ATL_OK: it may be kept, as *ret says. POLICY, MODE_NOT_OFFERED, UNAVAILABLE (not judged): refuse. */
enum atl_err atl_policy_decide_seen(const struct atl_policy_seen *seen, enum atl_policy_treatment *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;

const char *atl_entry_name(enum atl_entry_point entry);

struct atl_policy_stats {
	uint64_t checked[ATL_ENTRY_COUNT], refused[ATL_ENTRY_COUNT];
};
void atl_policy_stats(struct atl_policy_stats *out);

#endif
