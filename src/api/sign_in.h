/* sign_in.h - what the ways in share: password (access.c), services (oidc.c), second step (second_factor.c), passkeys (passkeys.c). */
#ifndef ATL_API_SIGN_IN_H
#define ATL_API_SIGN_IN_H

#include "api/api.h"

/* Open a session for the user and set its cookies; the caller answers. AUTH or FORBIDDEN: the account is closed. */
enum atl_err atl_sign_in_open(struct atl_req *req, const char *user_id, struct atl_identity *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
extern const struct atl_json_desc atl_sign_in_desc; /* the session */
/* Answer with the session. */
void atl_sign_in_answer(struct atl_req *req, int status, const struct atl_identity *identity);

/* After the first step: true when the person has a second factor (or asking failed). Then *ret_err is what to answer,
 * SECOND_FACTOR, and the cookie of the step is set. */
bool atl_sign_in_second(struct atl_req *req, const char *user_id, enum atl_err *ret_err, struct atl_errinfo *info);

/* Who changes how an account is signed in to shows who they are: the password. Accounts without one: nothing, or a code
 * of the second factor. FORBIDDEN: no browser's session. CREDENTIALS. */
enum atl_err atl_sign_in_proof(struct atl_req *req, const char *password, const char *code, bool code_instead,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
