/* allowance.h - what requests through the gateway may still take, at hand in memory.
 *
 * Reserving each request in the ledger would cost it a transaction. Instead a block of messages is reserved for a person,
 * key and model (never more than a sixteenth of what is left, so that the last ones are taken one by one), and requests
 * take from it. A block is open for half a second; then its requests that have ended are settled, what nobody took is given
 * back, and what still runs is carried over into a reservation of its own, in one transaction. So nothing is oversold,
 * also by several servers, and a crash loses what waited to be written, no more.
 * Whether tokens, engine time or money are left is asked when a block is opened.
 *
 * Life cycle: atl_allowance_create() .. atl_allowance_destroy(); made and flushed by usage.c, whose thread settles.
 * Threads:    take: any, never waits; open: pool threads; end and flush: the thread of the usage records.
 * Limits:     ATL_ALLOWANCE_BLOCK_MAX messages a block.
 */
#ifndef ATL_CORE_ALLOWANCE_H
#define ATL_CORE_ALLOWANCE_H

#include "base/id.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/books/ledger.h"

#define ATL_ALLOWANCE_BLOCK_MAX 4096
#define ATL_ALLOWANCE_BLOCK_MIN 16
#define ATL_ALLOWANCE_SHARE 16 /* a block is at most this part of what is left */

struct atl_allowance;

enum atl_err atl_allowance_create(struct atl_app *app, struct atl_allowance **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_allowance_destroy(struct atl_allowance *allowance); /* after the last flush; NULL is allowed */

/* One message from an open block. False: there is none, ask atl_allowance_open() in the pool. */
bool atl_allowance_take(struct atl_allowance *allowance, const struct atl_identity *who, const char *model,
			char ret_ref[ATL_ID_SIZE]);
/* The same, after opening a block where none is open. QUOTA: what is used up, until when and whom to ask. */
enum atl_err atl_allowance_open(struct atl_allowance *allowance, const struct atl_identity *who, const char *model,
				char ret_ref[ATL_ID_SIZE], struct atl_errinfo *info) ATL_MUST_USE;

bool atl_allowance_is_ref(const char *ref); /* of take or open, not of the ledger */
/* What was taken under `ref` has ended: with these amounts, or with nothing (NULL). Booked by the next flush. */
void atl_allowance_end(struct atl_allowance *allowance, const char *ref, const int64_t amounts[ATL_LEDGER_KIND_COUNT]);
/* Closes all open blocks and books what has ended. After an error everything is kept for the next one. */
enum atl_err atl_allowance_flush(struct atl_allowance *allowance, struct atl_errinfo *info) ATL_MUST_USE;
bool atl_allowance_waits(struct atl_allowance *allowance); /* is there anything to flush? */

#endif
