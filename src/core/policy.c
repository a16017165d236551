/* How the text is read: characters are folded (case, accents, look-alikes, full-width forms, invisible characters),
 * cut into words, spaced-out letters are joined, and digits that stand for letters are tried as letters. Each word or
 * short phrase belongs to a kind; what counts is which kinds stand how near to each other. A strong sign of a minor
 * (a stated age below 18, "schoolgirl") and an explicit word within a few lines are refused; weak signs ("kids",
 * "naked") need to be nearer, and a request to invent something, so that parents, teachers, doctors and people who
 * seek help are not turned away. One pass, no memory.
 */
#include "core/policy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"

#define WORD_MAX 31
#define HISTORY 5
#define NEAR_STRONG 40 /* words between a strong sign of a minor and an explicit word */
#define NEAR_WEAK 10
#define NEAR_CREATIVE 60
#define NEVER (-1000000)

enum kind {
	K_MINOR = 1,	/* strong sign of a minor */
	K_YOUNG = 2,	/* weak sign */
	K_EXPLICIT = 4, /* explicit beyond doubt */
	K_BODY = 8,	/* sexual only in some company */
	K_CREATE = 16,	/* asks for an invention */
	K_PICTURE = 32, /* photo, picture */
	K_CLOTHES = 64,
	K_REMOVE = 128,
	K_FACE = 256,
	K_SWAP = 512,
	K_ALWAYS = 1024,   /* refused alone */
	K_NUDIFY = 2048,   /* a tool that undresses */
	/* what a negative prompt takes away */
	K_ADULT = 4096,	   /* being grown up */
	K_COVER = 8192,	   /* clothes as such */
	K_INTIMATE = 16384, /* the last ones; also in negatives that mean to be careful */
	K_GARMENT = 32768, /* one of several */
	K_BARE = 65536	   /* "without clothes" */
};

static const struct word {
	const char *text;
	unsigned kinds;
} words[] = {
	{ "loli", K_MINOR }, { "lolis", K_MINOR }, { "shota", K_MINOR }, { "shotas", K_MINOR },
	{ "preteen", K_MINOR }, { "preteens", K_MINOR }, { "underage", K_MINOR }, { "underaged", K_MINOR },
	{ "schoolgirl", K_MINOR }, { "schoolgirls", K_MINOR }, { "schoolboy", K_MINOR }, { "schoolboys", K_MINOR },
	{ "prepubescent", K_MINOR }, { "toddler", K_MINOR }, { "toddlers", K_MINOR }, { "infant", K_MINOR },
	{ "infants", K_MINOR }, { "minderjahrig", K_MINOR }, { "minderjahrige", K_MINOR }, { "tween", K_MINOR },
	{ "lolicon", K_ALWAYS }, { "shotacon", K_ALWAYS }, { "jailbait", K_ALWAYS }, { "kiddieporn", K_ALWAYS },
	{ "child", K_YOUNG }, { "children", K_YOUNG }, { "kid", K_YOUNG }, { "kids", K_YOUNG }, { "minor", K_YOUNG },
	{ "minors", K_YOUNG }, { "teen", K_YOUNG }, { "teens", K_YOUNG }, { "teenager", K_YOUNG },
	{ "teenagers", K_YOUNG }, { "teenage", K_YOUNG }, { "childlike", K_YOUNG },
	{ "sexy", K_EXPLICIT }, { "sexting", K_EXPLICIT }, { "porn", K_EXPLICIT }, { "porno", K_EXPLICIT },
	{ "pornographic", K_EXPLICIT }, { "hentai", K_EXPLICIT }, { "erotic", K_EXPLICIT }, { "erotica", K_EXPLICIT },
	{ "nsfw", K_EXPLICIT }, { "nude", K_EXPLICIT }, { "nudes", K_EXPLICIT }, { "topless", K_EXPLICIT },
	{ "blowjob", K_EXPLICIT }, { "handjob", K_EXPLICIT }, { "cum", K_EXPLICIT }, { "cumming", K_EXPLICIT },
	{ "cums", K_EXPLICIT }, { "orgasm", K_EXPLICIT }, { "orgasms", K_EXPLICIT }, { "masturbate", K_EXPLICIT },
	{ "masturbates", K_EXPLICIT }, { "masturbating", K_EXPLICIT }, { "pussy", K_EXPLICIT },
	{ "cunt", K_EXPLICIT }, { "tits", K_EXPLICIT }, { "horny", K_EXPLICIT }, { "lewd", K_EXPLICIT },
	{ "lewds", K_EXPLICIT }, { "ejaculates", K_EXPLICIT }, { "kinky", K_EXPLICIT }, { "bdsm", K_EXPLICIT },
	{ "fondle", K_EXPLICIT }, { "fondles", K_EXPLICIT }, { "fondling", K_EXPLICIT }, { "gangbang", K_EXPLICIT },
	{ "creampie", K_EXPLICIT }, { "seductive", K_EXPLICIT }, { "seductively", K_EXPLICIT },
	{ "sex", K_BODY }, { "sexual", K_BODY }, { "sexually", K_BODY }, { "naked", K_BODY }, { "breasts", K_BODY },
	{ "boobs", K_BODY }, { "nipples", K_BODY }, { "penis", K_BODY }, { "vagina", K_BODY }, { "dick", K_BODY },
	{ "cock", K_BODY }, { "genitals", K_BODY }, { "aroused", K_BODY }, { "intercourse", K_BODY },
	{ "erection", K_BODY }, { "fetish", K_BODY }, { "seduce", K_BODY }, { "seduces", K_BODY },
	{ "seducing", K_BODY }, { "molest", K_BODY }, { "molests", K_BODY }, { "rape", K_BODY }, { "rapes", K_BODY },
	{ "lingerie", K_BODY | K_INTIMATE }, { "undress", K_BODY | K_REMOVE }, { "undresses", K_BODY },
	{ "undressing", K_BODY | K_REMOVE }, { "grope", K_BODY }, { "gropes", K_BODY }, { "moans", K_BODY },
	{ "fuck", K_BODY }, { "fucks", K_BODY }, { "fucked", K_BODY }, { "sexo", K_BODY }, { "nackt", K_BODY },
	{ "desnuda", K_BODY }, { "stripping", K_BODY },
	{ "write", K_CREATE }, { "story", K_CREATE }, { "scene", K_CREATE }, { "roleplay", K_CREATE },
	{ "fanfic", K_CREATE }, { "imagine", K_CREATE }, { "pretend", K_CREATE }, { "describe", K_CREATE },
	{ "draw", K_CREATE }, { "generate", K_CREATE }, { "fantasy", K_CREATE }, { "rp", K_CREATE },
	{ "continue", K_CREATE }, { "act", K_CREATE }, { "schreib", K_CREATE }, { "escribe", K_CREATE },
	{ "photo", K_PICTURE }, { "photos", K_PICTURE }, { "picture", K_PICTURE | K_CREATE },
	{ "pictures", K_PICTURE | K_CREATE }, { "image", K_PICTURE | K_CREATE }, { "images", K_PICTURE | K_CREATE },
	{ "pic", K_PICTURE }, { "pics", K_PICTURE }, { "selfie", K_PICTURE }, { "video", K_PICTURE },
	{ "clothes", K_CLOTHES | K_COVER }, { "clothing", K_CLOTHES | K_COVER }, { "bikini", K_CLOTHES | K_INTIMATE }, { "dress", K_CLOTHES | K_GARMENT },
	{ "shirt", K_CLOTHES | K_GARMENT }, { "underwear", K_CLOTHES | K_INTIMATE }, { "bra", K_CLOTHES | K_INTIMATE },
	{ "remove", K_REMOVE }, { "removes", K_REMOVE }, { "removing", K_REMOVE }, { "strip", K_REMOVE | K_BODY },
	{ "erase", K_REMOVE }, { "face", K_FACE }, { "faces", K_FACE },
	{ "swap", K_SWAP }, { "swaps", K_SWAP }, { "swapping", K_SWAP }, { "replace", K_SWAP },
	{ "faceswap", K_FACE | K_SWAP }, { "deepfake", K_FACE | K_SWAP },
	{ "clothed", K_COVER }, { "cloth", K_COVER }, { "dressed", K_COVER }, { "garment", K_COVER }, { "garments", K_COVER },
	{ "apparel", K_COVER }, { "attire", K_COVER }, { "kleidung", K_COVER }, { "kleider", K_COVER },
	{ "ropa", K_COVER }, { "vetements", K_COVER }, { "vestiti", K_COVER },
	{ "panties", K_INTIMATE }, { "bras", K_INTIMATE }, { "swimsuit", K_INTIMATE }, { "swimwear", K_INTIMATE },
	{ "briefs", K_INTIMATE }, { "unterwasche", K_INTIMATE },
	{ "shirts", K_GARMENT }, { "tshirt", K_GARMENT }, { "blouse", K_GARMENT }, { "skirt", K_GARMENT },
	{ "pants", K_GARMENT }, { "trousers", K_GARMENT }, { "jeans", K_GARMENT }, { "shorts", K_GARMENT },
	{ "jacket", K_GARMENT }, { "coat", K_GARMENT }, { "sweater", K_GARMENT }, { "outfit", K_GARMENT },
	{ "outfits", K_GARMENT }, { "costume", K_GARMENT }, { "dresses", K_GARMENT },
	{ "adult", K_ADULT }, { "adults", K_ADULT }, { "mature", K_ADULT }, { "old", K_ADULT }, { "older", K_ADULT },
	{ "grown", K_ADULT }, { "grownup", K_ADULT }, { "elderly", K_ADULT }, { "aged", K_ADULT }, { "erwachsen", K_ADULT },
	{ "erwachsene", K_ADULT }, { "adulto", K_ADULT }, { "adulta", K_ADULT }, { "adulte", K_ADULT },
	{ "nudify", K_NUDIFY }, { "deepnude", K_NUDIFY }, { "undressher", K_NUDIFY },
};

#define SLOTS 1024
_Static_assert(ATL_COUNT(words) * 2 < SLOTS, "the word table stays sparse");
static const struct word *slots[SLOTS];
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static unsigned hash_word(const char *text)
{
	unsigned hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash % SLOTS;
}

static void fill_slots(void)
{
	for (size_t i = 0; i < ATL_COUNT(words); i++) {
		unsigned slot = hash_word(words[i].text);

		while (slots[slot])
			slot = (slot + 1) % SLOTS;
		slots[slot] = &words[i];
	}
}

static unsigned kinds_of(const char *text)
{
	for (unsigned slot = hash_word(text); slots[slot]; slot = (slot + 1) % SLOTS)
		if (strcmp(slots[slot]->text, text) == 0)
			return slots[slot]->kinds;
	return 0;
}

struct reader {
	char word[WORD_MAX + 1];
	size_t length;
	char spaced[WORD_MAX + 1]; /* single letters in a row */
	size_t spaced_length;
	char history[HISTORY][WORD_MAX + 1]; /* [0] is the latest word */
	int position;			     /* of the latest word */
	/* positions of the latest of each kind */
	int minor, young, explicit_, body, create, picture, clothes, removal, face, swap;
	bool any_minor, any_young, any_explicit;
	unsigned body_words, removed_clothes;
	unsigned adults, covers, intimates, garments, bares; /* words and phrases of these kinds */
	unsigned canary; /* words of the canary matched so far */
	enum atl_err verdict;
};

static bool near(int a, int b, int distance)
{
	return abs(a - b) <= distance;
}

static void judge(struct reader *reader)
{
	bool young = near(reader->young, reader->position, NEAR_STRONG);

	if (reader->verdict)
		return;
	if (near(reader->minor, reader->explicit_, NEAR_STRONG) || (young && near(reader->young, reader->explicit_, NEAR_WEAK)))
		reader->verdict = ATL_ERR_POLICY;
	else if ((near(reader->minor, reader->body, 20) || (young && near(reader->young, reader->body, NEAR_WEAK))) &&
		 near(reader->create, reader->body, NEAR_CREATIVE))
		reader->verdict = ATL_ERR_POLICY;
	else if (near(reader->removal, reader->clothes, 6) && near(reader->removal, reader->picture, 10))
		reader->verdict = ATL_ERR_MODE_NOT_OFFERED;
	else if (near(reader->swap, reader->face, 5) && near(reader->face, reader->picture, 10))
		reader->verdict = ATL_ERR_MODE_NOT_OFFERED;
}

static bool is(const struct reader *reader, int back, const char *text)
{
	return strcmp(reader->history[back], text) == 0;
}

/* 1 to 17 in digits or words. */
static bool is_minor_age(const char *text)
{
	static const char *const names[] = { "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
					     "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen" };
	int64_t value;

	for (size_t i = 0; i < ATL_COUNT(names); i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	return atl_str_i64(text, 1, 17, &value);
}

static bool is_year(const char *text)
{
	return strcmp(text, "year") == 0 || strcmp(text, "years") == 0 || strcmp(text, "yr") == 0 || strcmp(text, "yrs") == 0;
}

/* "12yo", "9yr", "fourteenyearold" */
static bool is_joined_age(const char *text)
{
	static const char *const endings[] = { "yo", "yearold", "yearsold", "yrold", "y" };
	char number[WORD_MAX + 1];

	for (size_t i = 0; i < ATL_COUNT(endings); i++) {
		if (!atl_str_ends(text, endings[i]))
			continue;
		atl_str_copy(number, strlen(text) - strlen(endings[i]) + 1, text);
		if (is_minor_age(number))
			return true;
	}
	return false;
}

/* Phrases that end with the latest word. */
static unsigned phrase_kinds(const struct reader *r)
{
	if (is_joined_age(r->history[0]))
		return K_MINOR;
	if ((is(r, 0, "old") || is(r, 0, "olds")) && is_year(r->history[1]) && is_minor_age(r->history[2]))
		return K_MINOR;
	if (is(r, 0, "yo") && is_minor_age(r->history[1]))
		return K_MINOR;
	if (is(r, 0, "o") && is(r, 1, "y") && is_minor_age(r->history[2]))
		return K_MINOR;
	if (is(r, 0, "age") && is(r, 1, "of") && is_year(r->history[2]) && is_minor_age(r->history[3]))
		return K_MINOR;
	if (is_minor_age(r->history[0]) &&
	    (is(r, 1, "age") || is(r, 1, "aged") || ((is(r, 1, "is") || is(r, 1, "of")) && is(r, 2, "age"))))
		return K_MINOR;
	if ((is(r, 0, "girl") || is(r, 0, "girls") || is(r, 0, "boy") || is(r, 0, "boys")) &&
	    (is(r, 1, "little") || is(r, 1, "young") || is(r, 1, "school")))
		return K_MINOR;
	if (is(r, 0, "age") && is(r, 1, "under"))
		return K_MINOR;
	if (is(r, 0, "school") && (is(r, 1, "middle") || is(r, 1, "elementary") || is(r, 1, "primary")))
		return K_YOUNG;
	if (is(r, 0, "porn") && (is(r, 1, "child") || is(r, 1, "kiddie")))
		return K_ALWAYS;
	if (is(r, 1, "sex") && (is(r, 0, "scene") || is(r, 0, "with")))
		return K_EXPLICIT;
	if (is(r, 1, "make") && is(r, 0, "love"))
		return K_EXPLICIT;
	if ((is(r, 0, "her") || is(r, 0, "him") || is(r, 0, "me") || is(r, 0, "a") || is(r, 0, "them")) &&
	    (is(r, 1, "fuck") || is(r, 1, "fucks") || is(r, 1, "fucked") || is(r, 1, "fucking")))
		return K_EXPLICIT;
	if (is(r, 0, "off") && is(r, 1, "take"))
		return K_REMOVE;
	if (kinds_of(r->history[0]) & (K_COVER | K_INTIMATE) &&
	    (is(r, 1, "without") || is(r, 1, "no") || ((is(r, 1, "any") || is(r, 1, "wearing")) && (is(r, 2, "without") || is(r, 2, "not")))))
		return K_BARE;
	return 0;
}

static void note(struct reader *reader, unsigned kinds)
{
	if (kinds & K_ALWAYS)
		reader->verdict = ATL_ERR_POLICY;
	if (kinds & K_NUDIFY && !reader->verdict)
		reader->verdict = ATL_ERR_MODE_NOT_OFFERED;
	if (kinds & K_MINOR) {
		reader->minor = reader->position;
		reader->any_minor = true;
	}
	if (kinds & K_EXPLICIT) {
		reader->explicit_ = reader->position;
		reader->any_explicit = true;
	}
	if (kinds & K_YOUNG) {
		reader->young = reader->position;
		reader->any_young = true;
	}
	if (kinds & K_BODY) {
		reader->body = reader->position;
		reader->body_words++;
	}
	if (kinds & K_CREATE)
		reader->create = reader->position;
	if (kinds & K_PICTURE)
		reader->picture = reader->position;
	if (kinds & K_CLOTHES)
		reader->clothes = reader->position;
	if (kinds & K_REMOVE)
		reader->removal = reader->position;
	if (kinds & K_FACE)
		reader->face = reader->position;
	if (kinds & K_SWAP)
		reader->swap = reader->position;
	reader->adults += (kinds & K_ADULT) != 0;
	reader->covers += (kinds & K_COVER) != 0;
	reader->intimates += (kinds & K_INTIMATE) != 0;
	reader->garments += (kinds & K_GARMENT) != 0;
	reader->bares += (kinds & K_BARE) != 0;
	if (kinds & (K_REMOVE | K_CLOTHES) && near(reader->removal, reader->clothes, 6))
		reader->removed_clothes++;
	if (kinds)
		judge(reader);
}

/* "l0l1" -> "loli", "s3x" -> "sex"; false when there is nothing to change or no letter at all. */
static bool unleet(const char *text, char out[WORD_MAX + 1])
{
	static const char from[] = "01345789", to[] = "oieastbg";
	bool changed = false, letter = false;
	size_t i;

	for (i = 0; text[i]; i++) {
		const char *digit = strchr(from, text[i]);

		out[i] = digit ? to[digit - from] : text[i];
		changed |= digit != NULL;
		letter |= text[i] >= 'a' && text[i] <= 'z';
	}
	out[i] = '\0';
	return changed && letter;
}

static void match_canary(struct reader *reader, const char *text)
{
	static const char *const canary[] = { "atelier", "policy", "canary", "7f3a" };

	if (strcmp(text, canary[reader->canary]) == 0)
		reader->canary++;
	else
		reader->canary = strcmp(text, canary[0]) == 0;
	if (reader->canary == ATL_COUNT(canary)) {
		reader->verdict = ATL_ERR_POLICY;
		reader->canary = 0;
	}
}

static void take_word(struct reader *reader, const char *text)
{
	char plain[WORD_MAX + 1];
	unsigned kinds;

	reader->position++;
	memmove(reader->history[1], reader->history[0], sizeof(reader->history[0]) * (HISTORY - 1));
	atl_str_copy(reader->history[0], sizeof(reader->history[0]), text);
	match_canary(reader, text);
	kinds = kinds_of(text);
	if (!kinds && unleet(text, plain))
		kinds = kinds_of(plain);
	/* Lessons about sex, and what was suffered, are no request for it. */
	if ((is(reader, 0, "education") || is(reader, 0, "health") || is(reader, 0, "abuse") || is(reader, 0, "assault")) &&
	    (is(reader, 1, "sex") || is(reader, 1, "sexual")) && reader->body == reader->position - 1)
		reader->body = NEVER;
	note(reader, kinds | phrase_kinds(reader));
}

static void end_spaced(struct reader *reader)
{
	if (reader->spaced_length >= 3) {
		reader->spaced[reader->spaced_length] = '\0';
		take_word(reader, reader->spaced);
	}
	reader->spaced_length = 0;
}

static void end_word(struct reader *reader)
{
	if (reader->length == 0)
		return;
	reader->word[reader->length] = '\0';
	take_word(reader, reader->word);
	if (reader->length == 1 && reader->spaced_length < WORD_MAX)
		reader->spaced[reader->spaced_length++] = reader->word[0];
	else
		end_spaced(reader);
	reader->length = 0;
}

/* A code point as a plain lower-case letter or digit; 0: a border between words; 1: invisible, skip. */
static char fold(uint32_t c)
{
	static const char latin1[] = "aaaaaaaceeeeiiiidnooooo\0ouuuuyts" "aaaaaaaceeeeiiiidnooooo\0ouuuuyty";
	static const char latin_a[] = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooo"
				      "rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
	static const char cyrillic[] = "abvgdezzijklmhonpctyoxuuw"; /* by look where there is one */

	if (c >= 'A' && c <= 'Z')
		return (char)(c + 32);
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return (char)c;
	if (c == '@')
		return 'a';
	if (c == '$')
		return 's';
	if (c < 0x80)
		return 0;
	if (c >= 0xc0 && c <= 0xff)
		return latin1[c - 0xc0];
	if (c >= 0x100 && c < 0x100 + sizeof(latin_a) - 1)
		return latin_a[c - 0x100];
	if (c == 0xad || (c >= 0x200b && c <= 0x200f) || c == 0x2060 || c == 0xfeff || (c >= 0x300 && c <= 0x36f) ||
	    (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xe0000 && c <= 0xe007f))
		return 1;
	if (c >= 0xff10 && c <= 0xff19)
		return (char)('0' + (c - 0xff10));
	if (c >= 0xff21 && c <= 0xff3a)
		return (char)('a' + (c - 0xff21));
	if (c >= 0xff41 && c <= 0xff5a)
		return (char)('a' + (c - 0xff41));
	if (c >= 0x1d400 && c <= 0x1d6a3) /* mathematical letters: 52 in each style */
		return (char)('a' + (c - 0x1d400) % 26);
	if (c >= 0x24b6 && c <= 0x24e9)
		return (char)('a' + (c - 0x24b6) % 26);
	if (c >= 0x455 && c <= 0x458)
		return "siij"[c - 0x455];
	if (c >= 0x410 && c <= 0x44f && (c - 0x410) % 32 < sizeof(cyrillic) - 1)
		return cyrillic[(c - 0x410) % 32];
	switch (c) { /* Greek look-alikes */
	case 0x3b1: case 0x391: return 'a';
	case 0x3b5: case 0x395: return 'e';
	case 0x3b9: case 0x399: return 'i';
	case 0x3bf: case 0x39f: return 'o';
	default: return 0;
	}
}

static void read_text(struct reader *reader, const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + length;

	while (p < end) { /* valid UTF-8: checked before */
		uint32_t c = *p++;
		char folded;

		if (c >= 0xf0) {
			c = (c & 7) << 18 | (p[0] & 63u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
			p += 3;
		} else if (c >= 0xe0) {
			c = (c & 15) << 12 | (p[0] & 63u) << 6 | (p[1] & 63u);
			p += 2;
		} else if (c >= 0xc0) {
			c = (c & 31) << 6 | (p[0] & 63u);
			p++;
		}
		folded = fold(c);
		if (folded == 1)
			continue;
		if (folded == 0)
			end_word(reader);
		else if (reader->length < WORD_MAX)
			reader->word[reader->length++] = folded;
	}
	end_word(reader);
	end_spaced(reader);
}

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

/* What only pictures add: a prompt is one description, and what is done to a supplied picture is done to somebody. */
static enum atl_err decide_picture(const struct reader *r, const struct atl_policy_picture *picture,
				   struct atl_errinfo *info)
{
	unsigned body_words = r->body_words + r->bares;
	bool sexual = r->any_explicit || body_words > 0;

	if (r->verdict)
		return ATL_OK; /* said already */
	if ((r->any_minor || r->any_young) && (r->any_explicit || (r->any_minor && body_words > 0) || body_words > 1 || r->bares))
		return atl_fail(info, ATL_ERR_POLICY,
				"Atelier refuses anything sexual that involves minors. If this was not meant, word it differently.");
	if (picture->supplied && (r->removed_clothes || sexual))
		return atl_fail(info, r->removed_clothes || r->bares ? ATL_ERR_MODE_NOT_OFFERED : ATL_ERR_POLICY,
				"Atelier makes nothing sexual of supplied pictures and undresses nobody. Without an input picture, "
				"reference or likeness the rules are those of text to image.");
	if (!picture->mature && (r->any_explicit || body_words > 1))
		return atl_fail(info, ATL_ERR_POLICY, "Mature pictures are not allowed on this server. An administrator can "
						      "change that in Settings, Safety.");
	return ATL_OK;
}

/* A negative prompt takes away what it names. Words that guard ("nude, nsfw, child") are welcome in it; what is judged is
 * taking away clothes, or being grown up, together with what is asked for. */
static enum atl_err decide_negative(const struct reader *r, const struct reader *negative,
				    const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	bool sexual = r->any_explicit || r->body_words + r->bares > 0, young = r->any_minor || r->any_young;
	bool bares = negative->covers > 0 || negative->garments > 1, undresses = bares || negative->intimates > 0;

	if ((negative->adults && (sexual || bares)) || (young && bares))
		return atl_fail_field(info, ATL_ERR_POLICY, "negative_prompt",
				      "Atelier refuses anything sexual that involves minors, and this negative prompt takes away what "
				      "keeps the picture from it. If this was not meant, word it differently.");
	if (picture->supplied && undresses)
		return atl_fail_field(info, ATL_ERR_MODE_NOT_OFFERED, "negative_prompt",
				      "Atelier undresses nobody: with an input picture, reference or likeness the negative prompt may "
				      "not take clothes away.");
	if ((sexual && undresses) || (bares && !picture->mature))
		return atl_fail_field(info, ATL_ERR_POLICY, "negative_prompt",
				      "A negative prompt that takes clothes away is refused here. Say in the prompt what is to be seen.");
	return ATL_OK;
}

static enum atl_err decide(enum atl_entry_point entry, const struct atl_policy_text *texts, size_t count,
			   const struct atl_policy_picture *picture, struct atl_errinfo *info)
{
	struct reader reader = { .minor = NEVER, .young = 2 * NEVER, .explicit_ = 3 * NEVER, .body = 4 * NEVER,
				 .create = 5 * NEVER, .picture = 6 * NEVER, .clothes = 7 * NEVER, .removal = 8 * NEVER,
				 .face = 9 * NEVER, .swap = 10 * NEVER };
	struct reader negative = reader;
	size_t total = picture ? picture->negative.length : 0;
	enum atl_err err;

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
	for (size_t i = 0; i < count && reader.verdict != ATL_ERR_POLICY; i++)
		if (texts[i].text)
			read_text(&reader, texts[i].text, texts[i].length);
	/* A card is one description, however long: an age at its top belongs to what follows. */
	if (entry == ATL_ENTRY_CHARACTER && reader.any_minor && reader.any_explicit)
		reader.verdict = ATL_ERR_POLICY;
	if (reader.verdict == ATL_ERR_POLICY)
		return atl_fail(info, ATL_ERR_POLICY,
				"Atelier refuses anything sexual that involves minors. If this was not meant, word it differently.");
	if (reader.verdict)
		return atl_fail(info, reader.verdict, "Undressing people and swapping faces in pictures are not offered.");
	if (!picture)
		return ATL_OK;
	if (picture->negative.text)
		read_text(&negative, picture->negative.text, picture->negative.length);
	err = decide_picture(&reader, picture, info);
	return err ? err : decide_negative(&reader, &negative, picture, info);
}

static enum atl_err check(enum atl_entry_point entry, const struct atl_identity *identity,
			  const struct atl_policy_text *texts, size_t count, const struct atl_policy_picture *picture,
			  struct atl_errinfo *info)
{
	enum atl_err err;

	if (pthread_once(&slots_once, fill_slots) != 0)
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
