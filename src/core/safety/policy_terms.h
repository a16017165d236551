/* policy_terms.h - the words and phrases of the policy, in every language it knows, by kind.
 *
 * The terms stand in share/policy/<language>.json and are built in. A term is a word, a phrase of up to four words, or, in
 * scripts without spaces, a run of characters that is found anywhere. A star at the end of a word stands for any ending.
 * All languages are one table: texts mix them, and a sign of a minor in one beside an explicit word in another counts.
 *
 * Life cycle: made at the first use, for the life of the process.
 * Threads:    any.
 * Limits:     ATL_TERM_WORDS words a phrase; ATL_TERM_SPACELESS characters a run.
 * Adding one: a term is a string in a JSON file, with a sentence in tests/policy; a kind is a line here and in
 *             script/embed-policy, and its meaning in policy.c; a language is a file and a line in meson.build.
 */
#ifndef ATL_CORE_POLICY_TERMS_H
#define ATL_CORE_POLICY_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/safety/policy_text.h"

#define ATL_TERM_WORDS 4
#define ATL_TERM_SPACELESS 10

enum atl_term {
	ATL_TERM_MINOR = 1 << 0,     /* strong sign of a minor */
	ATL_TERM_YOUNG = 1 << 1,     /* weak sign */
	ATL_TERM_EXPLICIT = 1 << 2,  /* explicit beyond doubt */
	ATL_TERM_BODY = 1 << 3,	     /* sexual only in some company */
	ATL_TERM_CREATE = 1 << 4,    /* asks for an invention: a story, a scene */
	ATL_TERM_ASK = 1 << 5,	     /* asks for anything: write, describe, draw */
	ATL_TERM_PICTURE = 1 << 6,   /* photo, picture */
	ATL_TERM_CLOTHES = 1 << 7,
	ATL_TERM_REMOVE = 1 << 8,
	ATL_TERM_FACE = 1 << 9,
	ATL_TERM_SWAP = 1 << 10,
	ATL_TERM_ALWAYS = 1 << 11,   /* refused alone */
	ATL_TERM_NUDIFY = 1 << 12,   /* a tool that undresses or swaps faces */
	/* what a negative prompt takes away */
	ATL_TERM_ADULT = 1 << 13,    /* being grown up */
	ATL_TERM_COVER = 1 << 14,    /* clothes as such */
	ATL_TERM_INTIMATE = 1 << 15, /* the last ones; also in negatives that mean to be careful */
	ATL_TERM_GARMENT = 1 << 16,  /* one of several */
	ATL_TERM_BARE = 1 << 17,     /* "without clothes" */
	ATL_TERM_REAL = 1 << 18,     /* somebody who exists */
	ATL_TERM_CONTEXT = 1 << 19,  /* medicine, school, law, help: among these an organ is no sexual word */
	ATL_TERM_HARMLESS = 1 << 20, /* a phrase whose sexual or young words do not count: "sex education" */
	ATL_TERM_NEVER = 1 << 21,    /* "never write": what follows in the sentence is not asked for */
	/* parts of ages */
	ATL_TERM_YEAR = 1 << 22,
	ATL_TERM_OLD = 1 << 23,
	ATL_TERM_AGE = 1 << 24,	     /* stands before the number */
	ATL_TERM_DURATION = 1 << 25, /* before a number of years that is no age */
	ATL_TERM_AFTER_DURATION = 1 << 26,
	ATL_TERM_NUMBER = 1 << 27,
	ATL_TERM_ORGAN = 1 << 28 /* as BODY, but a doctor's word too */
};
#define ATL_TERM_KINDS 29

/* As generated: the term as written, one kind, and the value of a number word. */
struct atl_policy_source {
	const char *text;
	uint32_t kind;
	int value;
};
extern const struct atl_policy_source atl_policy_sources[];
extern const size_t atl_policy_source_count;
extern const char atl_policy_version[];

struct atl_policy_hit {
	uint32_t kinds;
	int number;    /* of ATL_TERM_NUMBER */
	size_t length; /* words or characters of the longest term */
};

/* Hashes of words, letter by letter, and a filter that knows most words which are no term. */
#define ATL_POLICY_HASH 2166136261u
#define ATL_POLICY_FILTER_BITS (1u << 18)
extern uint32_t atl_policy_filter[ATL_POLICY_FILTER_BITS / 32];
static inline uint32_t atl_policy_hash(uint32_t hash, uint32_t value)
{
	return (hash ^ value) * 16777619u;
}
static inline bool atl_policy_maybe(uint32_t hash)
{
	uint32_t bit = (hash ^ hash >> 15) % ATL_POLICY_FILTER_BITS;

	return atl_policy_filter[bit / 32] >> bit % 32 & 1;
}

/* false: no memory; then nothing may be judged. */
bool atl_policy_terms_ready(void);
/* Terms that end with `words[0]`; words[1] stood before it and so on, `count` of them. */
struct atl_policy_hit atl_policy_terms_words(const char *const *words, size_t count);
/* One word alone, and only terms written out in full. */
uint32_t atl_policy_terms_exact(const char *word);
/* Any term of one word that `word` is or begins with. */
uint32_t atl_policy_terms_word(const char *word);
/* A word with letters repeated for show, all its runs shortened to one letter: terms that look so when shortened. */
uint32_t atl_policy_terms_squeezed(const char *word);
/* Terms that end with chars[0]; chars[1] stood before it. */
struct atl_policy_hit atl_policy_terms_spaceless(const uint32_t *chars, size_t count);

#endif
