/* policy_read.h - reads a text for the policy: which kinds of terms stand how near to each other.
 *
 * A reading is fed pieces of text in order and remembers, for each kind of term, where it stood last and how often. It is
 * one pass with a fixed size. Ways to hide a word (spaced letters, digits for letters, base64 ...) are further readings of
 * the same word or, where only the whole makes sense, of the whole text: atl_policy_read_all() does these.
 *
 * Threads:    any; a reading has one owner.
 * Limits:     hidden texts are unpacked ATL_READ_DEPTH deep; memory of about twice the text while they are.
 * Adding one: another way to hide a word is a function in policy_text.h and a line in other_readings(), policy_read.c.
 */
#ifndef ATL_CORE_POLICY_READ_H
#define ATL_CORE_POLICY_READ_H

#include "base/err.h"
#include "core/safety/policy.h"
#include "core/safety/policy_terms.h"

#define ATL_READ_HISTORY 5
#define ATL_READ_DEPTH 2
#define ATL_READ_RUN 15	  /* letters spaced out, or characters of a script without spaces */
#define ATL_READINGS 4	  /* as written, escapes undone, moved by 13, backwards */

struct atl_policy_reading {
	/* the words before, [0] the latest */
	char words[ATL_READ_HISTORY][ATL_POLICY_WORD_MAX + 1];
	uint32_t kinds[ATL_READ_HISTORY];
	int numbers[ATL_READ_HISTORY]; /* 0: no number */
	size_t word_count;
	/* short pieces in a row, as "c h i l d" */
	char pieces[ATL_POLICY_WORD_MAX + 1];
	bool border[ATL_POLICY_WORD_MAX + 1];
	size_t pieces_length, piece_count;
	bool single_letters;
	/* characters without spaces, [0] the latest */
	uint32_t chars[ATL_READ_RUN];
	size_t char_count, run_length;
	/* in half words: a word is two, a character without spaces one */
	int position;
	int last[ATL_TERM_KINDS], before[ATL_TERM_KINDS]; /* where each kind stood last, and the time before */
	unsigned count[ATL_TERM_KINDS];
	unsigned removed_clothes, canary;
	unsigned digits; /* words until the latest with digits is out of the history */
	int judge_at, never_until, age_at, age_before;
	unsigned rotated_hits, reversed_hits; /* words that would be terms if read so */
	bool pictures;			      /* "never ..." means nothing to a picture model */
	enum atl_err verdict;		      /* ATL_OK so far */
};

/* Which number ATL_TERM_x is in the arrays. */
static inline unsigned atl_policy_kind(uint32_t term)
{
	return (unsigned)__builtin_ctz(term);
}

void atl_policy_reading_init(struct atl_policy_reading *reading, bool pictures);
/* Feeds one piece as written, hidden texts included. False: no memory. */
bool atl_policy_read(struct atl_policy_reading *reading, const char *text, size_t length);
/* After the last piece. */
void atl_policy_read_end(struct atl_policy_reading *reading);

/* All readings of the pieces, each ended; *ret_count of `readings` are filled, the first is the text as written.
 * False: no memory. */
bool atl_policy_read_all(struct atl_policy_reading readings[ATL_READINGS], bool pictures, const struct atl_policy_text *texts,
			 size_t count, size_t *ret_count) ATL_MUST_USE;

#endif
