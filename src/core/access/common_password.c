/* common_password.c - see common_password.h. */
#include "core/access/common_password.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

#define PLAIN_MAX 64 /* a longer one is not a common word with trimmings */

/* As they stand after plain(): lower case, look-alikes undone. */
static const char *const words[] = {
	"abc", "access", "admin", "administrator", "alexander", "amanda", "andrea", "andrew", "angel", "anthony", "apple", "arsenal",
	"ashley", "asdf", "asshole", "atelier", "baby", "babygirl", "bailey", "banana", "barcelona", "baseball", "basketball", "batman",
	"beautiful", "benjamin", "berlin", "biteme", "blink", "butterfly", "buster", "cambiame", "changeme", "charlie", "cheese",
	"chelsea", "chocolate", "computer", "cookie", "corvette", "daniel", "default", "demo", "diamond", "dragon", "elizabeth",
	"eminem", "facebook", "family", "ferrari", "flower", "football", "forever", "freedom", "friends", "fuckyou", "galaxy", "gandalf",
	"george", "ginger", "google", "guest", "hallo", "hannah", "harley", "heaven", "hello", "helloworld", "hockey", "hunter",
	"iloveu", "iloveyou", "internet", "jasmine", "jennifer", "jessica", "jesus", "jonathan", "jordan", "joshua", "justin", "killer",
	"letmein", "linkedin", "liverpool", "lol", "london", "love", "lovely", "loveme", "maggie", "manchester", "maria", "martin", "master",
	"matrix", "matthew", "merlin", "michael", "michelle", "minecraft", "monkey", "monster", "mustang", "mypassword", "naruto",
	"newpassword", "nicole", "ninja", "nothing", "nintendo", "oliver", "orange", "pass", "passport", "passwort", "password", "passw",
	"patrick", "pepper", "phoenix", "pokemon", "princess", "purple", "qazwsx", "qwert", "qwerty", "qwertz", "rainbow", "rangers",
	"robert", "root", "samantha", "samsung", "secret", "secure", "server", "shadow", "sommer", "soccer", "sophie", "starwars",
	"stupid", "summer", "sunshine", "superman", "superuser", "support", "system", "taylor", "temp", "temporary", "tennis", "test",
	"tester", "testing", "thomas", "thunder", "tigger", "trustno", "twitter", "user", "vanessa", "victoria", "welcome", "whatever",
	"william", "willkommen", "winter", "worship", "yamaha", "yankees", "yellow", "zaqwsx", "zxcvbn",
};

static const char *const walks[] = {
	"01234567890", "09876543210", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba", "qwertyuiopasdfghjklzxcvbnm",
	"qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn", "1q2w3e4r5t6y7u8i9o0p",
	"q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmikolp", "147258369", "159357456", "112233445566778899", "poiuytrewq", "lkjhgfdsa",
	"mnbvcxz", "!@#$%^&*()", "zaq12wsxcde34rfv",
};

/* Lower case; what looks like a letter inside is one. */
static void plain(const char *text, bool letters, char out[PLAIN_MAX])
{
	static const char looks[] = "0o1i3e4a5s7t@a$s!i";
	size_t length = 0;

	for (; *text && length < PLAIN_MAX - 1; text++) {
		char c = (char)tolower((unsigned char)*text);

		for (size_t i = 0; letters && looks[i]; i += 2)
			if (c == looks[i]) {
				c = looks[i + 1];
				break;
			}
		out[length++] = c;
	}
	out[length] = '\0';
}

static bool is_word(const char *text, size_t length)
{
	for (size_t i = 0; i < ATL_COUNT(words); i++)
		if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0)
			return true;
	return false;
}

/* Only signs and digits before and after a word: "!!Dragon1984". */
static bool is_trimmed_word(const char *password)
{
	size_t from = 0, to = strlen(password), length = to;
	char text[PLAIN_MAX];

	while (from < to && !isalpha((unsigned char)password[from]))
		from++;
	while (to > from && !isalpha((unsigned char)password[to - 1]))
		to--;
	if (length >= PLAIN_MAX)
		return false;
	plain(password, true, text);
	for (size_t start = 0; start <= from; start++) /* a look-alike may stand at either end: "p4ssw0rd", "5ecret" */
		for (size_t end = to; end <= length; end++)
			if (end > start && is_word(text + start, end - start))
				return true;
	return false;
}

/* "aaaaaaaa", "abcabcabc", "passwordpassword". */
static bool repeats(const char *text)
{
	size_t length = strlen(text);

	for (size_t part = 1; part <= 4 && part * 2 <= length; part++) {
		size_t at = part;

		while (at < length && text[at] == text[at - part])
			at++;
		if (at == length)
			return true;
	}
	return length % 2 == 0 && is_word(text, length / 2) && memcmp(text, text + length / 2, length / 2) == 0;
}

/* In pieces of four at least, it lies on walks: "qwer1234". */
static bool walks_along(const char *text)
{
	size_t length = strlen(text), at = 0;

	while (at < length) {
		size_t longest = 0;

		for (size_t w = 0; w < ATL_COUNT(walks); w++)
			for (const char *from = walks[w]; *from; from++) {
				size_t same = 0;

				while (from[same] && from[same] == text[at + same])
					same++;
				longest = same > longest ? same : longest;
			}
		if (longest < 3)
			return length - at <= 2; /* one or two more signs do not help */
		at += longest;
	}
	return length > 0;
}

/* Digits with dots, dashes and strokes between them, as dates and telephone numbers are. */
static bool only_digits(const char *text)
{
	size_t digits = strspn(text, "0123456789./-: ");

	return text[digits] == '\0' && strlen(text) <= 12;
}

bool atl_password_common(const char *password, const char *name)
{
	char text[PLAIN_MAX], own[PLAIN_MAX];

	if (strlen(password) >= PLAIN_MAX)
		return false;
	plain(password, false, text);
	if (only_digits(text) || repeats(text) || walks_along(text) || is_trimmed_word(password))
		return true;
	if (!name || strlen(name) < 3)
		return false;
	plain(name, false, own);
	if (!atl_str_starts(text, own))
		return false;
	return strspn(text + strlen(own), "0123456789!?.-_@#$*") == strlen(text) - strlen(own);
}
