/* The decision, on top of a reading (policy_read.h) of the texts: what the reading itself refuses, what a whole card is, and
 * what only pictures and their negative prompts add.
 */
#include "core/safety/policy.h"

#include <stdatomic.h>

#include "base/log.h"
#include "base/str.h"
#include "core/safety/policy_read.h"

#define MINORS "Atelier refuses anything sexual that involves minors. If this was not meant, word it differently."

static const char *const entry_names[ATL_ENTRY_COUNT] = {
#define ATL_ENTRY_X(name, text) [ATL_ENTRY_##name] = text,
	ATL_ENTRY_LIST(ATL_ENTRY_X)
#undef ATL_ENTRY_X
};
static _Atomic uint64_t checked[ATL_ENTRY_COUNT], refused[ATL_ENTRY_COUNT];

const char *atl_entry_name(enum atl_entry_point entry)
{
	return entry_names[entry];
}

void atl_policy_stats(struct atl_policy_stats *out)
{
	for (size_t i = 0; i < ATL_ENTRY_COUNT; i++) {
		out->checked[i] = atomic_load(&checked[i]);
		out->refused[i] = atomic_load(&refused[i]);
	}
}

static unsigned count_of(const struct atl_policy_reading *r, uint32_t term)
{
	return r->count[atl_policy_kind(term)];
}

static unsigned body_words(const struct atl_policy_reading *r)
{
	return count_of(r, ATL_TERM_BODY) + count_of(r, ATL_TERM_ORGAN) + count_of(r, ATL_TERM_BARE);
}

static bool is_sexual(const struct atl_policy_reading *r)
{
	return count_of(r, ATL_TERM_EXPLICIT) > 0 || body_words(r) > 0;
}

/* A prompt is one description, and what is done to a supplied picture is done to somebody. */
static enum atl_err decide_picture(const struct atl_policy_reading *r, const struct atl_policy_picture *picture,
				   struct atl_errinfo *info)
{
	bool minor = count_of(r, ATL_TERM_MINOR) > 0, young = count_of(r, ATL_TERM_YOUNG) > 0;
	bool explicit_ = count_of(r, ATL_TERM_EXPLICIT) > 0, bare = count_of(r, ATL_TERM_BARE) > 0;
	unsigned body = body_words(r);

	if ((minor || young) && (explicit_ || (minor && body > 0) || count_of(r, ATL_TERM_BODY) > 0 || body > 1 || bare))
		return atl_fail(info, ATL_ERR_POLICY, MINORS);
	if (picture->supplied && (r->removed_clothes || explicit_ || body > 0))
		return atl_fail(info, r->removed_clothes || bare ? ATL_ERR_MODE_NOT_OFFERED : ATL_ERR_POLICY,
				"Atelier makes nothing sexual of supplied pictures and undresses nobody. Without an input picture, "
				"reference or likeness the rules are those of text to image.");
	if (count_of(r, ATL_TERM_REAL) > 0 && (explicit_ || body > 0))
		return atl_fail(info, ATL_ERR_MODE_NOT_OFFERED,
				"Atelier makes no sexual pictures of people who exist. Describe somebody who is invented.");
	if (!picture->mature && (explicit_ || body > 1))
		return atl_fail(info, ATL_ERR_POLICY, "Mature pictures are not allowed on this server. An administrator can "
						      "change that in Settings, Safety.");
	return ATL_OK;
}

/* A negative prompt takes away what it names. Words that guard ("nude, nsfw, child") are welcome in it; what is judged is
 * taking away clothes, or being grown up, together with what is asked for. */
static enum atl_err decide_negative(const struct atl_policy_reading *r, const struct atl_policy_reading *negative,
				    const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	bool young = count_of(r, ATL_TERM_MINOR) + count_of(r, ATL_TERM_YOUNG) > 0;
	bool bares = count_of(negative, ATL_TERM_COVER) > 0 || count_of(negative, ATL_TERM_GARMENT) > 1;
	bool undresses = bares || count_of(negative, ATL_TERM_INTIMATE) > 0;

	if ((count_of(negative, ATL_TERM_ADULT) && (is_sexual(r) || bares)) || (young && bares))
		return atl_fail_field(info, ATL_ERR_POLICY, "negative_prompt",
				      "Atelier refuses anything sexual that involves minors, and this negative prompt takes away what "
				      "keeps the picture from it. If this was not meant, word it differently.");
	if (picture->supplied && undresses)
		return atl_fail_field(info, ATL_ERR_MODE_NOT_OFFERED, "negative_prompt",
				      "Atelier undresses nobody: with an input picture, reference or likeness the negative prompt may "
				      "not take clothes away.");
	if ((is_sexual(r) && undresses) || (bares && !picture->mature))
		return atl_fail_field(info, ATL_ERR_POLICY, "negative_prompt",
				      "A negative prompt that takes clothes away is refused here. Say in the prompt what is to be seen.");
	return ATL_OK;
}

static enum atl_err decide_reading(enum atl_entry_point entry, const struct atl_policy_reading *r,
				   const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	/* A card is one description, however long: an age at its top belongs to what follows. */
	bool card = entry == ATL_ENTRY_CHARACTER && count_of(r, ATL_TERM_MINOR) && count_of(r, ATL_TERM_EXPLICIT);

	if (card || r->verdict == ATL_ERR_POLICY)
		return atl_fail(info, ATL_ERR_POLICY, MINORS);
	if (r->verdict)
		return atl_fail(info, r->verdict,
				"Undressing people, swapping faces in pictures and sexual pictures of people who exist are not offered.");
	return picture ? decide_picture(r, picture, info) : ATL_OK;
}

static enum atl_err decide(enum atl_entry_point entry, const struct atl_policy_text *texts, size_t count,
			   const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	struct atl_policy_reading readings[ATL_READINGS], negatives[ATL_READINGS];
	size_t total = picture ? picture->negative.length : 0, made = 0, made_negatives = 0;
	enum atl_err err = ATL_OK;

	if (total > ATL_POLICY_TEXT_MAX)
		return atl_fail(info, ATL_ERR_POLICY, "The text is too long to be checked.");
	if (total && !atl_utf8_valid(picture->negative.text, total))
		return atl_fail(info, ATL_ERR_POLICY, "The text is not valid UTF-8 and cannot be checked.");

	for (size_t i = 0; i < count; i++) {
		total += texts[i].length;
		if (total > ATL_POLICY_TEXT_MAX)
			return atl_fail(info, ATL_ERR_POLICY, "The text is too long to be checked.");
		if (texts[i].text && !atl_utf8_valid(texts[i].text, texts[i].length))
			return atl_fail(info, ATL_ERR_POLICY, "The text is not valid UTF-8 and cannot be checked.");
	}
	if (!atl_policy_read_all(readings, picture != NULL, texts, count, &made) ||
	    (picture && !atl_policy_read_all(negatives, true, &picture->negative, 1, &made_negatives)))
		return atl_fail(info, ATL_ERR_POLICY, "The text could not be checked.");
	for (size_t i = 0; i < made && !err; i++)
		err = decide_reading(entry, &readings[i], picture, info);
	for (size_t i = 0; i < made && !err; i++)
		for (size_t n = 0; n < made_negatives && !err; n++)
			err = decide_negative(&readings[i], &negatives[n], picture, info);
	return err;
}

static enum atl_err check(enum atl_entry_point entry, const struct atl_identity *identity,
			  const struct atl_policy_text *texts, size_t count, const struct atl_policy_picture *picture,
			  struct atl_errinfo *info)
{
	enum atl_err err;

	if (!atl_policy_terms_ready())
		return atl_fail(info, ATL_ERR_POLICY, "The text could not be checked.");
	err = decide(entry, texts, count, picture, info);
	atomic_fetch_add_explicit(&checked[entry], 1, memory_order_relaxed);
	if (err) {
		atomic_fetch_add_explicit(&refused[entry], 1, memory_order_relaxed);
		atl_info("policy", "refused %s of %s: %s", entry_names[entry],
			 identity && identity->user_id[0] ? identity->user_id : "nobody", atl_err_slug(err));
	}
	return err;
}

enum atl_err atl_policy_check(struct atl_app *app, enum atl_entry_point entry, const struct atl_identity *identity,
			      const struct atl_policy_text *texts, size_t count, struct atl_errinfo *info)
{
	return check(entry, identity, texts, count, NULL, info);
}

enum atl_err atl_policy_check_picture(struct atl_app *app, enum atl_entry_point entry, const struct atl_identity *identity,
				      const struct atl_policy_text *texts, size_t count,
				      const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	return check(entry, identity, texts, count, picture, info);
}

enum atl_err atl_policy_check_text(struct atl_app *app, enum atl_entry_point entry, const struct atl_identity *identity,
				   const char *text, struct atl_errinfo *info)
{
	struct atl_policy_text one = { text, text ? strlen(text) : 0 };

	return atl_policy_check(app, entry, identity, &one, 1, info);
}

enum atl_err atl_policy_classify(const struct atl_policy_text *texts, size_t count, struct atl_policy_classes *ret,
				 struct atl_errinfo *info)
{
	const struct atl_policy_picture picture = { .mature = false };
	struct atl_errinfo ignored = { 0 };
	size_t total = 0;

	for (size_t i = 0; i < count; i++) {
		total += texts[i].length;
		if (total > ATL_POLICY_TEXT_MAX || !atl_utf8_valid(texts[i].text, texts[i].length))
			return atl_fail(info, ATL_ERR_INVALID, "The text is too long or not valid UTF-8 and cannot be judged.");
	}
	if (!atl_policy_terms_ready())
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "The text could not be judged.");
	ret->refused = decide(ATL_ENTRY_MESSAGE, texts, count, NULL, &ignored) != ATL_OK;
	ret->sexual = decide(ATL_ENTRY_PICTURE, texts, count, &picture, &ignored) != ATL_OK;
	return ATL_OK;
}

enum atl_err atl_policy_decide_seen(const struct atl_policy_seen *seen, enum atl_policy_treatment *ret, struct atl_errinfo *info)
{
	*ret = ATL_TREAT_CLEAR;
	if (!seen->judged)
		return atl_fail(info, ATL_ERR_UNAVAILABLE, "The picture could not be checked, so it was not taken. Try again later.");
	if (seen->score < seen->threshold)
		return ATL_OK;
	if (seen->as == ATL_SEEN_INPUT)
		return atl_fail(info, ATL_ERR_MODE_NOT_OFFERED,
				"This picture seems to show somebody undressed. Such pictures are not edited or used as a reference.");
	if (seen->as == ATL_SEEN_AVATAR)
		return atl_fail(info, ATL_ERR_POLICY, "This picture seems to show somebody undressed. Choose another one.");
	if (seen->as == ATL_SEEN_RESULT && seen->supplied)
		return atl_fail(info, ATL_ERR_POLICY, "Nothing undressed is made of supplied pictures: the result was thrown away.");
	if (seen->mode == ATL_CHECK_REFUSE)
		return atl_fail(info, ATL_ERR_POLICY, "The picture seems to show somebody undressed. This server does not keep such "
						      "pictures.");
	*ret = seen->mode == ATL_CHECK_HOLD || (seen->as == ATL_SEEN_RESULT && !seen->mature) ? ATL_TREAT_HOLD : ATL_TREAT_BLUR;
	return ATL_OK;
}
