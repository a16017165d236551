/* mail_int.h - what the files of core/people/mail share. */
#ifndef ATL_CORE_MAIL_INT_H
#define ATL_CORE_MAIL_INT_H

#include "core/people/mail.h"

struct atl_mail_words {
	const char *name;    /* in the database */
	const char *path;    /* of the page's address; the token follows */
	int64_t link_ms;     /* how long the link holds */
	const char *subject;
	const char *why;       /* followed by the server's address */
	const char *action;    /* followed by the link */
	const char *otherwise; /* the end */
	bool named;	       /* says the name: never to who has not been seen here, whose name is anybody's words */
};
extern const struct atl_mail_words atl_mail_words[]; /* by enum atl_mail_kind */
#define ATL_MAIL_KINDS 2

#endif
