/* common_password.h - is this one of the passwords that guessers try first?
 *
 * Not a list of leaked passwords but the rules most of them follow: a common word or name with digits, signs, capitals or
 * look-alike digits in it, the same again, a walk over the keyboard or the alphabet, a date. Our own short table of words
 * times the rules is some hundred thousand passwords.
 *
 * Threads: pure function.
 */
#ifndef ATL_CORE_COMMON_PASSWORD_H
#define ATL_CORE_COMMON_PASSWORD_H

#include "base/err.h"

/* `name`: of the account, which is no password either; NULL: not known. */
bool atl_password_common(const char *password, const char *name) ATL_MUST_USE;

#endif
