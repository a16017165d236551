/* One hash table: a term lies under its last word, or, where it ends with a star, under what stands before the star; a
 * term without spaces lies under its characters from the last to the first, so that a text is asked at each character for
 * whatever ends there. Single words lie there a second time, shortened (see SQUEEZED). A filter of bits answers most questions without touching the table.
 */
#include "core/safety/policy_terms.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define SLOTS 16384 /* a power of two; the terms fill less than half */
#define PREFIX_MIN 3
#define SQUEEZED '\x01' /* in front of a word whose runs of a letter are one letter */

struct term {
	const char *words[ATL_TERM_WORDS]; /* [0] is the last; NULL behind the first */
	bool starts[ATL_TERM_WORDS];	   /* only the beginning of the word is given */
	const uint32_t *chars;		   /* without spaces: from the last to the first */
	size_t count;			   /* words or characters */
	uint32_t kinds, hash;
	int number;
};

static struct term *slots[SLOTS];
static size_t used;
uint32_t atl_policy_filter[ATL_POLICY_FILTER_BITS / 32];
static bool ready;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t mix(uint32_t hash)
{
	return hash ^ hash >> 15;
}

static uint32_t hash_word(const char *word)
{
	uint32_t hash = ATL_POLICY_HASH;

	for (; *word; word++)
		hash = atl_policy_hash(hash, (unsigned char)*word);
	return hash;
}

/* ---- making it ---- */

/* Takes apart one term with the reader's own eyes. */
struct maker {
	struct term term;
	char words[ATL_TERM_WORDS + 1][ATL_POLICY_WORD_MAX + 1];
	uint32_t chars[ATL_TERM_SPACELESS + 1];
	size_t word_count, char_count;
};

static void take_word(void *user, const char *word, size_t length)
{
	struct maker *maker = user;

	if (maker->word_count < ATL_COUNT(maker->words))
		memcpy(maker->words[maker->word_count++], word, length);
}

static void take_char(void *user, uint32_t c, bool first)
{
	struct maker *maker = user;

	if (maker->char_count <= ATL_TERM_SPACELESS)
		maker->chars[maker->char_count++] = c;
}

static bool same_term(const struct term *a, const struct term *b)
{
	if (a->hash != b->hash || a->count != b->count || !a->chars != !b->chars)
		return false;
	if (a->chars)
		return memcmp(a->chars, b->chars, a->count * sizeof(*a->chars)) == 0;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->words[i], b->words[i]) != 0 || a->starts[i] != b->starts[i])
			return false;
	return true;
}

static void drop(const struct term *term)
{
	for (size_t i = 0; i < ATL_TERM_WORDS; i++)
		free((char *)term->words[i]);
	free((uint32_t *)term->chars);
}

static bool store(const struct term *term)
{
	size_t slot = mix(term->hash) % SLOTS;
	uint32_t bit = mix(term->hash) % ATL_POLICY_FILTER_BITS;

	for (; slots[slot]; slot = (slot + 1) % SLOTS)
		if (same_term(slots[slot], term)) {
			slots[slot]->kinds |= term->kinds;
			if (term->kinds & ATL_TERM_NUMBER)
				slots[slot]->number = term->number;
			drop(term);
			return true;
		}
	if (++used > SLOTS / 2)
		return false;
	slots[slot] = malloc(sizeof(*term));
	if (!slots[slot])
		return false;
	*slots[slot] = *term;
	atl_policy_filter[bit / 32] |= 1u << bit % 32;
	return true;
}

/* Once more under its shortened form, for words that are stretched. */
static bool add_squeezed(const struct term *full)
{
	char word[ATL_POLICY_WORD_MAX + 2] = { SQUEEZED };
	struct term term = *full;

	if (full->chars || full->count != 1 || full->kinds & ATL_TERM_NUMBER)
		return true;
	atl_policy_squeeze(full->words[0], 1, word + 1);
	term.words[0] = strdup(word);
	term.hash = hash_word(word);
	return term.words[0] && store(&term);
}

static bool add(const struct atl_policy_source *source)
{
	struct maker maker = { .term = { .kinds = source->kind, .number = source->value, .hash = ATL_POLICY_HASH } };
	const struct atl_policy_sink sink = { .word = take_word, .spaceless = take_char, .user = &maker };
	struct term *term = &maker.term;
	const char *at = source->text;

	/* word by word, because a star belongs to the word it ends */
	while (*at) {
		size_t length = strcspn(at, " "), before = maker.word_count;
		bool star = length > 1 && at[length - 1] == '*';

		atl_policy_scan(at, length - star, false, &sink);
		if (maker.word_count > ATL_TERM_WORDS || (maker.word_count != before + 1 && maker.char_count == 0))
			return false;
		if (maker.word_count)
			term->starts[maker.word_count - 1] = star;
		at += length + strspn(at + length, " ");
	}
	if ((maker.word_count == 0) == (maker.char_count == 0) || maker.char_count > ATL_TERM_SPACELESS)
		return false;
	if (maker.char_count) {
		uint32_t *chars = calloc(maker.char_count, sizeof(*chars));

		if (!chars)
			return false;
		term->count = maker.char_count;
		for (size_t i = 0; i < term->count; i++) {
			chars[i] = maker.chars[term->count - 1 - i];
			term->hash = atl_policy_hash(term->hash, chars[i]);
		}
		term->chars = chars;
		return store(term);
	}
	term->count = maker.word_count;
	for (size_t i = 0; i < term->count; i++) {
		term->words[i] = strdup(maker.words[term->count - 1 - i]);
		if (!term->words[i])
			return false;
	}
	for (size_t i = 0; i < term->count / 2; i++) {
		bool swap = term->starts[i];

		term->starts[i] = term->starts[term->count - 1 - i];
		term->starts[term->count - 1 - i] = swap;
	}
	term->hash = hash_word(term->words[0]);
	return (!term->starts[0] || strlen(term->words[0]) >= PREFIX_MIN) && add_squeezed(term) && store(term);
}

static void make(void)
{
	for (size_t i = 0; i < atl_policy_source_count; i++)
		if (!add(&atl_policy_sources[i]))
			return;
	ready = true;
}

bool atl_policy_terms_ready(void)
{
	return pthread_once(&once, make) == 0 && ready;
}

/* ---- asking it ---- */

static bool word_fits(const struct term *term, size_t i, const char *word)
{
	return term->starts[i] ? atl_str_starts(word, term->words[i]) : strcmp(word, term->words[i]) == 0;
}

static void ask_words(const char *const *words, size_t count, uint32_t hash, bool whole, struct atl_policy_hit *hit)
{
	for (size_t slot = mix(hash) % SLOTS; slots[slot]; slot = (slot + 1) % SLOTS) {
		const struct term *term = slots[slot];
		size_t i;

		if (term->hash != hash || term->chars || term->count > count || (!whole && !term->starts[0]))
			continue;
		for (i = 0; i < term->count && word_fits(term, i, words[i]); i++)
			;
		if (i < term->count)
			continue;
		hit->kinds |= term->kinds;
		if (term->kinds & ATL_TERM_NUMBER)
			hit->number = term->number;
		if (term->count > hit->length)
			hit->length = term->count;
	}
}

struct atl_policy_hit atl_policy_terms_words(const char *const *words, size_t count)
{
	struct atl_policy_hit hit = { 0 };
	uint32_t hash = ATL_POLICY_HASH;
	size_t length = 0;

	for (const char *p = words[0]; *p;) {
		hash = atl_policy_hash(hash, (unsigned char)*p++);
		length++;
		if ((length >= PREFIX_MIN || !*p) && atl_policy_maybe(hash))
			ask_words(words, count, hash, !*p, &hit);
	}
	return hit;
}

uint32_t atl_policy_terms_word(const char *word)
{
	return atl_policy_terms_words(&word, 1).kinds;
}

uint32_t atl_policy_terms_squeezed(const char *word)
{
	char marked[ATL_POLICY_WORD_MAX + 2] = { SQUEEZED };

	atl_policy_squeeze(word, 1, marked + 1);
	return atl_policy_terms_word(marked);
}

uint32_t atl_policy_terms_exact(const char *word)
{
	uint32_t hash = hash_word(word), kinds = 0;

	if (!atl_policy_maybe(hash))
		return 0;
	for (size_t slot = mix(hash) % SLOTS; slots[slot]; slot = (slot + 1) % SLOTS)
		if (slots[slot]->hash == hash && !slots[slot]->chars && slots[slot]->count == 1 &&
		    strcmp(slots[slot]->words[0], word) == 0)
			kinds |= slots[slot]->kinds;
	return kinds;
}

struct atl_policy_hit atl_policy_terms_spaceless(const uint32_t *chars, size_t count)
{
	struct atl_policy_hit hit = { 0 };
	uint32_t hash = ATL_POLICY_HASH;

	for (size_t i = 0; i < count && i < ATL_TERM_SPACELESS; i++) {
		hash = atl_policy_hash(hash, chars[i]);
		if (!atl_policy_maybe(hash))
			continue;
		for (size_t slot = mix(hash) % SLOTS; slots[slot]; slot = (slot + 1) % SLOTS) {
			const struct term *term = slots[slot];

			if (term->hash != hash || !term->chars || term->count != i + 1 ||
			    memcmp(term->chars, chars, term->count * sizeof(*chars)) != 0)
				continue;
			hit.kinds |= term->kinds;
			hit.length = term->count;
		}
	}
	return hit;
}
