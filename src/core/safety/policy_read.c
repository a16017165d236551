/* See policy_read.h. Signs of a minor and explicit words within a few lines are refused; weak signs ("kids", "naked") need
 * to be nearer, and a request to invent something, so that parents, teachers, doctors and people who seek help are not
 * turned away. A judgement waits for three words, because "sex" may become "sex education".
 */
#include "core/safety/policy_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* in half words */
#define NEAR_STRONG 80 /* between a strong sign of a minor and an explicit word */
#define NEAR_WEAK 20
#define NEAR_BODY 40
#define NEAR_CREATIVE 120
#define NEAR_CONTEXT 50
#define NEAR_REAL 30
#define WAIT 6
#define NEVER_REACH 20
#define PIECES_MAX 16 /* letters of a term that was spaced out */
#define LONG_AGO (-1000000)

/* what a hidden word can be; its context does not hide */
#define SEXUAL (ATL_TERM_EXPLICIT | ATL_TERM_BODY | ATL_TERM_ORGAN)
#define HIDEABLE (ATL_TERM_MINOR | ATL_TERM_YOUNG | SEXUAL | ATL_TERM_CREATE | ATL_TERM_ASK | ATL_TERM_PICTURE | \
		  ATL_TERM_CLOTHES | ATL_TERM_REMOVE | ATL_TERM_FACE | ATL_TERM_SWAP | ATL_TERM_ALWAYS | ATL_TERM_NUDIFY | \
		  ATL_TERM_ADULT | ATL_TERM_COVER | ATL_TERM_INTIMATE | ATL_TERM_GARMENT | ATL_TERM_BARE)
#define GRAVE (ATL_TERM_MINOR | ATL_TERM_YOUNG | SEXUAL | ATL_TERM_ALWAYS | ATL_TERM_NUDIFY)

void atl_policy_reading_init(struct atl_policy_reading *reading, bool pictures)
{
	*reading = (struct atl_policy_reading){ .pictures = pictures, .judge_at = -1, .never_until = -1, .age_at = LONG_AGO };
	for (int i = 0; i < ATL_TERM_KINDS; i++)
		reading->last[i] = reading->before[i] = (i + 1) * LONG_AGO;
}

static int at(const struct atl_policy_reading *r, uint32_t term)
{
	return r->last[atl_policy_kind(term)];
}

static bool near(const struct atl_policy_reading *r, uint32_t a, uint32_t b, int distance)
{
	return abs(at(r, a) - at(r, b)) <= distance;
}

/* ---- judging ---- */

static bool asked_for(const struct atl_policy_reading *r, uint32_t sexual)
{
	return near(r, ATL_TERM_CREATE, sexual, NEAR_CREATIVE) || near(r, ATL_TERM_ASK, sexual, NEAR_CREATIVE) ||
	       near(r, ATL_TERM_PICTURE, sexual, NEAR_WEAK);
}

/* Side by side they describe somebody, whatever is asked. */
static bool described(const struct atl_policy_reading *r)
{
	return (near(r, ATL_TERM_MINOR, ATL_TERM_BODY, 2) && !near(r, ATL_TERM_CONTEXT, ATL_TERM_BODY, NEAR_CONTEXT)) ||
	       (near(r, ATL_TERM_MINOR, ATL_TERM_BARE, 4) && !near(r, ATL_TERM_CONTEXT, ATL_TERM_BARE, NEAR_CONTEXT));
}

static void judge(struct atl_policy_reading *r)
{
	bool organ = !near(r, ATL_TERM_CONTEXT, ATL_TERM_ORGAN, NEAR_CONTEXT);

	r->judge_at = -1;
	if (r->verdict == ATL_ERR_POLICY)
		return;
	if (near(r, ATL_TERM_MINOR, ATL_TERM_EXPLICIT, NEAR_STRONG) || near(r, ATL_TERM_YOUNG, ATL_TERM_EXPLICIT, NEAR_WEAK) ||
	    described(r))
		r->verdict = ATL_ERR_POLICY;
	else if ((near(r, ATL_TERM_MINOR, ATL_TERM_BODY, NEAR_BODY) || near(r, ATL_TERM_YOUNG, ATL_TERM_BODY, NEAR_WEAK)) &&
		 asked_for(r, ATL_TERM_BODY))
		r->verdict = ATL_ERR_POLICY;
	else if (organ && (near(r, ATL_TERM_MINOR, ATL_TERM_ORGAN, NEAR_BODY) || near(r, ATL_TERM_YOUNG, ATL_TERM_ORGAN, NEAR_WEAK)) &&
		 asked_for(r, ATL_TERM_ORGAN))
		r->verdict = ATL_ERR_POLICY;
	else if (near(r, ATL_TERM_REMOVE, ATL_TERM_CLOTHES, 12) && near(r, ATL_TERM_REMOVE, ATL_TERM_PICTURE, 20))
		r->verdict = ATL_ERR_MODE_NOT_OFFERED;
	else if (near(r, ATL_TERM_SWAP, ATL_TERM_FACE, 10) && near(r, ATL_TERM_FACE, ATL_TERM_PICTURE, 20))
		r->verdict = ATL_ERR_MODE_NOT_OFFERED;
	else if (near(r, ATL_TERM_REAL, ATL_TERM_EXPLICIT, NEAR_REAL) && near(r, ATL_TERM_REAL, ATL_TERM_PICTURE, NEAR_REAL) &&
		 near(r, ATL_TERM_REAL, ATL_TERM_ASK, NEAR_REAL))
		r->verdict = ATL_ERR_MODE_NOT_OFFERED;
}

static void wait_or_judge(struct atl_policy_reading *r)
{
	if (r->judge_at >= 0 && r->position >= r->judge_at)
		judge(r);
}

/* What the phrase of `span` half words that ends here has said of sex was not meant so. */
static void take_back(struct atl_policy_reading *r, uint32_t kinds, int span)
{
	for (unsigned i = 0; i < ATL_TERM_KINDS; i++)
		if (kinds >> i & 1 && r->last[i] > r->position - span) {
			r->last[i] = r->before[i];
			if (r->count[i])
				r->count[i]--;
		}
}

static void note(struct atl_policy_reading *r, uint32_t kinds, int span)
{
	if (kinds & ATL_TERM_NEVER)
		r->never_until = r->position + NEVER_REACH;
	if (!r->pictures && r->position <= r->never_until)
		kinds &= ~(uint32_t)SEXUAL;
	if (kinds & ATL_TERM_ALWAYS)
		r->verdict = ATL_ERR_POLICY;
	if (kinds & ATL_TERM_NUDIFY && !r->verdict)
		r->verdict = ATL_ERR_MODE_NOT_OFFERED;
	for (uint32_t rest = kinds; rest; rest &= rest - 1) {
		unsigned i = atl_policy_kind(rest);

		r->before[i] = r->last[i];
		r->last[i] = r->position;
		r->count[i]++;
	}
	if (kinds & ATL_TERM_HARMLESS)
		take_back(r, SEXUAL, span);
	if (kinds & (ATL_TERM_REMOVE | ATL_TERM_CLOTHES) && near(r, ATL_TERM_REMOVE, ATL_TERM_CLOTHES, 12))
		r->removed_clothes++;
	if (kinds & (GRAVE | HIDEABLE | ATL_TERM_REAL) && r->judge_at < 0)
		r->judge_at = r->position + WAIT;
}

/* ---- words ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* 1 to 17 in digits, or in letters that look like digits beside one: "l2". */
static int minor_number(const char *word)
{
	char digits[3] = { 0 };
	int64_t value;
	bool digit = false;

	for (size_t i = 0; word[i]; i++) {
		if (i == 2)
			return 0;
		digit |= word[i] >= '0' && word[i] <= '9';
		digits[i] = word[i] == 'l' || word[i] == 'i' || word[i] == '|' || word[i] == '!' ? '1' : word[i] == 'o' ? '0' : word[i];
	}
	return digit && atl_str_i64(digits, 1, 17, &value) ? (int)value : 0;
}

/* Whether the latest word completes an age below 18; `length` words make up the unit or label that ends here. */
static bool completes_age(const struct atl_policy_reading *r, uint32_t kinds, size_t length)
{
	size_t number = length ? length : 1;

	if (kinds & ATL_TERM_YEAR && kinds & ATL_TERM_OLD && number + 1 < ATL_READ_HISTORY && r->numbers[number])
		return !(r->kinds[number + 1] & ATL_TERM_DURATION);
	if (kinds & ATL_TERM_OLD && number + 1 < ATL_READ_HISTORY && r->kinds[number] & ATL_TERM_YEAR)
		return r->numbers[number + 1] != 0;
	/* "she is one of them" */
	if (r->numbers[0] < 3 && !is_digit(r->words[0][0]))
		return false;
	if (r->numbers[0] && r->kinds[1] & ATL_TERM_AGE)
		return true;
	return r->numbers[0] && r->kinds[2] & ATL_TERM_AGE && strlen(r->words[1]) <= 3;
}

static void match_canary(struct atl_policy_reading *r, const char *word)
{
	static const char *const canary[] = { "atelier", "policy", "canary", "7f3a" };

	if (strcmp(word, canary[r->canary]) == 0)
		r->canary++;
	else
		r->canary = strcmp(word, canary[0]) == 0;
	if (r->canary == ATL_COUNT(canary)) {
		r->verdict = ATL_ERR_POLICY;
		r->canary = 0;
	}
}

/* Two terms written as one word: "nudechild". */
static uint32_t glued(const char *word)
{
	size_t length = strlen(word);
	uint32_t hash = ATL_POLICY_HASH;
	char head[ATL_POLICY_WORD_MAX + 1];

	for (size_t i = 1; length >= 7 && i + 3 <= length; i++) {
		uint32_t first, second;

		hash = atl_policy_hash(hash, (unsigned char)word[i - 1]);
		if (i < 3 || !atl_policy_maybe(hash))
			continue;
		memcpy(head, word, i);
		head[i] = '\0';
		first = atl_policy_terms_exact(head) & GRAVE;
		second = first ? atl_policy_terms_exact(word + i) & GRAVE : 0;
		if (second)
			return first | second;
	}
	return 0;
}

/* "chiiild", "nuude". */
static uint32_t stretched(const char *word)
{
	char plain[ATL_POLICY_WORD_MAX + 1];

	if (atl_policy_squeeze(word, 2, plain))
		return atl_policy_terms_word(plain) | atl_policy_terms_squeezed(word) | glued(plain);
	return atl_policy_squeeze(word, 1, plain) ? atl_policy_terms_word(plain) : 0;
}

/* What a look at each letter tells about a word, so that most words need no second. */
struct look {
	bool digits, letters, stars, runs;
	uint32_t rotated, reversed; /* hashes */
	size_t length;
};

static struct look look_at(const char *word)
{
	struct look look = { .rotated = ATL_POLICY_HASH, .reversed = ATL_POLICY_HASH };
	size_t i;

	for (i = 0; word[i]; i++) {
		char c = word[i];
		bool letter = c >= 'a' && c <= 'z';

		look.letters |= letter;
		look.stars |= c == '*';
		look.digits |= !letter && (unsigned char)c < 0x80;
		look.runs |= i > 0 && c == word[i - 1];
		look.rotated = atl_policy_hash(look.rotated, letter ? (unsigned char)('a' + (c - 'a' + 13) % 26) : (unsigned char)c);
	}
	look.length = i;
	while (i > 0)
		look.reversed = atl_policy_hash(look.reversed, (unsigned char)word[--i]);
	return look;
}

static uint32_t other_readings(struct atl_policy_reading *r, const char *word)
{
	char plain[ATL_POLICY_WORD_MAX + 1];
	struct look look = look_at(word);
	uint32_t kinds = 0, turned;

	if (look.length < 3)
		return 0;
	for (const char *one = "il"; look.digits && look.letters && *one; one++)
		if (atl_policy_unleet(word, *one, plain)) {
			kinds |= atl_policy_terms_word(plain) | glued(plain);
			kinds |= kinds ? 0 : stretched(plain);
		}
	if (!kinds && look.runs)
		kinds |= stretched(word);
	if (!kinds && look.stars)
		for (unsigned n = 0; atl_policy_unstar(word, n, plain); n++)
			kinds |= atl_policy_terms_exact(plain);
	if (!kinds)
		kinds |= glued(word);
	if (!kinds && atl_policy_maybe(look.reversed) && atl_policy_reverse(word, plain)) {
		turned = atl_policy_terms_exact(plain);
		r->reversed_hits += turned != 0;
		if (look.length >= 6)
			kinds |= turned & GRAVE;
	}
	if (!kinds && look.letters && atl_policy_maybe(look.rotated) && atl_policy_rotate(word, plain)) {
		turned = atl_policy_terms_exact(plain);
		r->rotated_hits += turned != 0;
		if (look.length >= 5)
			kinds |= turned & GRAVE;
	}
	return kinds & HIDEABLE;
}

/* Phrases of which a word is written with digits for letters: "l1ttle g1rl". */
static uint32_t phrase_in_leet(struct atl_policy_reading *r, size_t count)
{
	char plain[ATL_READ_HISTORY][ATL_POLICY_WORD_MAX + 1];
	const char *words[ATL_READ_HISTORY];
	bool any = false;

	if (!r->digits)
		return 0;
	r->digits--;
	for (size_t i = 0; i < count; i++) {
		bool is = atl_policy_unleet(r->words[i], 'i', plain[i]);

		any |= is;
		words[i] = is ? plain[i] : r->words[i];
	}
	return any ? atl_policy_terms_words(words, count).kinds & HIDEABLE : 0;
}

static void take_word(struct atl_policy_reading *r, const char *word)
{
	const char *words[ATL_READ_HISTORY];
	struct atl_policy_hit hit;
	size_t count;

	r->position += 2;
	memmove(r->words[1], r->words[0], sizeof(r->words[0]) * (ATL_READ_HISTORY - 1));
	memmove(&r->kinds[1], &r->kinds[0], sizeof(r->kinds[0]) * (ATL_READ_HISTORY - 1));
	memmove(&r->numbers[1], &r->numbers[0], sizeof(r->numbers[0]) * (ATL_READ_HISTORY - 1));
	atl_str_copy(r->words[0], sizeof(r->words[0]), word);
	r->word_count++;
	count = r->word_count < ATL_READ_HISTORY ? r->word_count : ATL_READ_HISTORY;
	for (size_t i = 0; i < count; i++)
		words[i] = r->words[i];
	match_canary(r, word);
	hit = atl_policy_terms_words(words, count);
	r->numbers[0] = hit.kinds & ATL_TERM_NUMBER ? hit.number : minor_number(word);
	if (!(hit.kinds & ~(uint32_t)ATL_TERM_NUMBER))
		hit.kinds |= other_readings(r, word);
	if (strpbrk(word, "0134578"))
		r->digits = ATL_READ_HISTORY;
	hit.kinds |= phrase_in_leet(r, count);
	if (hit.kinds & ATL_TERM_AFTER_DURATION && r->age_at >= r->position - 4) {
		take_back(r, ATL_TERM_MINOR, r->position - r->age_at + 1);
		r->age_at = LONG_AGO;
	}
	if (completes_age(r, hit.kinds, hit.length)) {
		hit.kinds |= ATL_TERM_MINOR;
		r->age_at = r->position;
	}
	r->kinds[0] = hit.kinds;
	if (hit.kinds)
		note(r, hit.kinds, 2 * (int)hit.length);
	wait_or_judge(r);
}

/* ---- letters that stand alone ---- */

/* Terms inside the joined pieces, from one border to another. */
static void end_pieces(struct atl_policy_reading *r)
{
	size_t length = r->pieces_length, least = r->single_letters ? 3 : 5;
	char word[ATL_POLICY_WORD_MAX + 1];

	if (r->piece_count >= 3) {
		r->pieces[length] = '\0';
		r->border[length] = true;
		memcpy(word, r->pieces, length + 1);
		r->piece_count = r->pieces_length = 0;
		if (r->single_letters && length <= ATL_POLICY_WORD_MAX)
			take_word(r, word);
		for (size_t i = 0; i + least <= length; i++)
			for (size_t end = i + PIECES_MAX < length ? i + PIECES_MAX : length; r->border[i] && end >= i + least; end--) {
				char part[ATL_POLICY_WORD_MAX + 1];
				uint32_t kinds;

				if (!r->border[end])
					continue;
				memcpy(part, word + i, end - i);
				part[end - i] = '\0';
				kinds = atl_policy_terms_exact(part) & HIDEABLE;
				if (kinds)
					note(r, kinds, 2);
			}
	}
	memset(r->border, 0, sizeof(r->border));
	r->piece_count = r->pieces_length = 0;
	r->single_letters = true;
}

static void add_piece(struct atl_policy_reading *r, const char *word, size_t length)
{
	if (r->pieces_length + length > ATL_POLICY_WORD_MAX)
		end_pieces(r);
	if (r->piece_count == 0)
		r->single_letters = true;
	r->border[r->pieces_length] = true;
	memcpy(r->pieces + r->pieces_length, word, length);
	r->pieces_length += length;
	r->piece_count++;
	r->single_letters &= length == 1;
}

static bool is_sign(char c)
{
	return c == '@' || c == '$' || c == '!' || c == '|' || c == '+' || c == '(' || c == '*';
}

/* "12yo": a number and a unit. */
static bool take_glued_age(struct atl_policy_reading *r, const char *word)
{
	char number[4] = { 0 };
	size_t digits = strspn(word, "0123456789");

	if (digits == 0 || digits > 2 || !word[digits] || !(atl_policy_terms_word(word + digits) & ATL_TERM_YEAR))
		return false;
	memcpy(number, word, digits);
	take_word(r, number);
	take_word(r, word + digits);
	return true;
}

/* One run of letters and signs: as one word, and, where signs may be punctuation, as several. */
static void on_word(void *user, const char *run, size_t length)
{
	struct atl_policy_reading *r = user;
	char word[ATL_POLICY_WORD_MAX + 1];
	bool signs = false;

	r->run_length = 0;
	memcpy(word, run, length);
	word[length] = '\0';
	for (size_t i = 0; i < length; i++)
		signs |= is_sign(word[i]);
	if (length <= 2 && !(is_digit(word[0]) && length == 2))
		add_piece(r, word, length);
	else
		end_pieces(r);
	if (!signs) {
		if (!take_glued_age(r, word))
			take_word(r, word);
		return;
	}
	for (size_t start = 0; start < length;) {
		size_t end = start;
		char part[ATL_POLICY_WORD_MAX + 1];

		while (end < length && !is_sign(word[end]))
			end++;
		if (end > start) {
			memcpy(part, word + start, end - start);
			part[end - start] = '\0';
			take_word(r, part);
		}
		start = end + 1;
	}
	note(r, other_readings(r, word), 2);
	wait_or_judge(r);
}

/* ---- scripts without spaces ---- */

/* A numeral in front makes a greater number of the one a term begins with. */
static bool is_numeral(uint32_t c)
{
	static const uint32_t numerals[] = { 0x4e00, 0x4e8c, 0x4e09, 0x56db, 0x4e94, 0x516d, 0x4e03, 0x516b, 0x4e5d, 0x5341, 0x767e,
					     0xbb3c, 0xb978, 0xd754, 0xc270, 0xc21c, 0xb4e0 };

	for (size_t i = 0; i < ATL_COUNT(numerals); i++)
		if (numerals[i] == c)
			return true;
	return false;
}

static void on_spaceless(void *user, uint32_t c, bool first)
{
	struct atl_policy_reading *r = user;
	struct atl_policy_hit hit;

	/* runs of one character each are one text, spaced out */
	if (first) {
		end_pieces(r);
		if (r->run_length != 1)
			r->char_count = 0;
		r->run_length = 0;
	}
	r->run_length++;
	memmove(&r->chars[1], &r->chars[0], sizeof(r->chars[0]) * (ATL_READ_RUN - 1));
	r->chars[0] = c;
	if (r->char_count < ATL_READ_RUN)
		r->char_count++;
	r->position++;
	hit = atl_policy_terms_spaceless(r->chars, r->char_count);
	if (hit.kinds & ATL_TERM_MINOR && hit.length < r->char_count && is_numeral(r->chars[hit.length]))
		hit.kinds &= ~(uint32_t)ATL_TERM_MINOR;
	if (hit.kinds & ATL_TERM_AFTER_DURATION && r->age_at >= r->position - 2) {
		take_back(r, ATL_TERM_MINOR, r->position - r->age_at + 1);
		r->age_at = LONG_AGO;
	}
	if (hit.kinds & ATL_TERM_YEAR && r->run_length == 1 && r->word_count && r->numbers[0]) {
		hit.kinds |= ATL_TERM_MINOR;
		r->age_at = r->position;
	}
	if (hit.kinds)
		note(r, hit.kinds, (int)hit.length);
	wait_or_judge(r);
}

static void on_sentence(void *user)
{
	struct atl_policy_reading *r = user;

	r->never_until = -1;
}

/* ---- texts ---- */

static void read_plain(struct atl_policy_reading *r, const char *text, size_t length, bool rotated)
{
	const struct atl_policy_sink sink = { on_word, on_spaceless, on_sentence, r };

	atl_policy_scan(text, length, rotated, &sink);
}

static bool may_be_encoded(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' || c == '/' || c == '-' || c == '_';
}

/* A word of a language has its capitals in front, and no digits. */
static bool looks_encoded(const char *text, size_t length)
{
	for (size_t i = 1; i < length && may_be_encoded((unsigned char)text[i]); i++)
		if ((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z'))
			return true;
	return false;
}

static bool read_depth(struct atl_policy_reading *r, const char *text, size_t length, int depth)
{
	size_t done = 0;
	char *hidden = NULL;

	for (size_t i = 0; i < length && depth > 0;) {
		size_t found = 0, taken;

		if (!may_be_encoded((unsigned char)text[i])) {
			i++;
			continue;
		}
		for (taken = 0; i + taken < length && may_be_encoded((unsigned char)text[i + taken]); taken++)
			;
		if (taken == 2 || (taken > 2 && looks_encoded(text + i, length - i))) { /* two: perhaps a pair of hex digits */
			if (!hidden && !(hidden = malloc(length)))
				return false;
			taken = atl_policy_encoded(text + i, length - i, hidden, &found);
		}
		i += taken ? taken : 1;
		if (found == 0)
			continue;
		read_plain(r, text + done, i - done, false);
		done = i;
		if (!read_depth(r, hidden, found, depth - 1)) {
			free(hidden);
			return false;
		}
	}
	free(hidden);
	read_plain(r, text + done, length - done, false);
	return true;
}

bool atl_policy_read(struct atl_policy_reading *reading, const char *text, size_t length)
{
	return read_depth(reading, text, length, ATL_READ_DEPTH);
}

void atl_policy_read_end(struct atl_policy_reading *reading)
{
	end_pieces(reading);
	judge(reading);
}

bool atl_policy_read_all(struct atl_policy_reading readings[ATL_READINGS], bool pictures, const struct atl_policy_text *texts,
			 size_t count, size_t *ret_count)
{
	enum { ESCAPED = 1, ROTATED, BACKWARDS, WAYS };
	bool wanted[WAYS] = { true };
	size_t longest = 0, made = 1;
	char *changed = NULL;

	atl_policy_reading_init(&readings[0], pictures);
	for (size_t i = 0; i < count; i++) {
		if (!texts[i].text)
			continue;
		if (!atl_policy_read(&readings[0], texts[i].text, texts[i].length))
			return false;
		wanted[ESCAPED] |= memchr(texts[i].text, '%', texts[i].length) || memchr(texts[i].text, '\\', texts[i].length) ||
				   memmem(texts[i].text, texts[i].length, "&#", 2);
		longest = texts[i].length > longest ? texts[i].length : longest;
	}
	atl_policy_read_end(&readings[0]);
	wanted[ROTATED] = readings[0].rotated_hits >= 2;
	wanted[BACKWARDS] = readings[0].reversed_hits >= 2;
	if ((wanted[ESCAPED] || wanted[BACKWARDS]) && longest && !(changed = malloc(longest)))
		return false;
	for (int way = ESCAPED; way < WAYS && readings[0].verdict != ATL_ERR_POLICY; way++) {
		bool ok = true;

		if (!wanted[way])
			continue;
		atl_policy_reading_init(&readings[made], pictures);
		for (size_t i = 0; i < count && ok; i++) {
			/* backwards, the last piece comes first */
			const struct atl_policy_text *text = &texts[way == BACKWARDS ? count - 1 - i : i];
			size_t length = text->length;

			if (!text->text)
				continue;
			if (way == ROTATED)
				read_plain(&readings[made], text->text, length, true);
			else if (way == BACKWARDS) {
				atl_policy_backwards(text->text, length, changed);
				read_plain(&readings[made], changed, length, false);
			} else {
				atl_policy_unescape(text->text, length, changed, &length);
				ok = atl_policy_read(&readings[made], changed, length);
			}
		}
		if (!ok) {
			free(changed);
			return false;
		}
		atl_policy_read_end(&readings[made++]);
	}
	free(changed);
	*ret_count = made;
	return true;
}
