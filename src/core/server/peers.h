/* peers.h - what the servers of one database tell each other: whose credentials to forget, which switches changed, and
 * with Redis how much of each rate is taken.
 *
 * Sessions, keys and roles are rows; each server remembers what it has seen for up to a minute (auth.h). Whoever changes
 * them says so here after the commit, and the others forget at once and end the streams behind them. Messages go through
 * the database's channel (PostgreSQL) and, where redis_url is set, through Redis too: one of the two suffices. What was
 * missed while a connection was away counts as everything. Nothing is kept in Redis but rates, for a minute: without it
 * rates are each server's own, and nothing else changes.
 *
 * Life cycle: atl_peers_create() .. atl_peers_destroy(), after auth, rates and events, before the database is closed.
 * Threads:    atl_peers_tell() any, never blocks. Three threads of its own at most: telling the database, talking to
 *             Redis, listening to Redis; the database's listener is a fourth (db.h).
 * Limits:     ATL_PEERS_QUEUE_MAX messages wait; beyond that the others are told to forget everything.
 * Adding one: a line of ATL_PEERS_NEWS and what it means in peers.c, hear().
 */
#ifndef ATL_CORE_PEERS_H
#define ATL_CORE_PEERS_H

#include "base/id.h"
#include "core/app.h"

#define ATL_PEERS_QUEUE_MAX 1024
#define ATL_PEERS_SETTLE_MS 100	   /* between two exchanges of what was taken of the rates */
#define ATL_PEERS_POKE_MS 500	   /* a silent Redis is asked for a sign of life */
#define ATL_PEERS_SILENCE_MS 1500  /* and given up after so long */
#define ATL_PEERS_AGAIN_MS 250
#define ATL_PEERS_AGAIN_MAX_MS 2000

#define ATL_PEERS_NEWS(X)                                                       \
	X(CREDENTIAL, "credential") /* a session or key by its id: gone */      \
	X(USER, "user")		    /* by id: suspended, deleted, other rights */ \
	X(SWITCHES, "switches")	    /* maintenance, whether there are quotas */ \
	X(ALL, "all")		    /* some news were lost */

enum atl_peers_news {
#define ATL_PEERS_NEWS_X(name, text) ATL_PEERS_##name,
	ATL_PEERS_NEWS(ATL_PEERS_NEWS_X)
#undef ATL_PEERS_NEWS_X
		ATL_PEERS_NEWS_COUNT
};

struct atl_peers;
/* redis_url NULL: the database alone. *ret NULL: there is nobody to talk to (SQLite, no Redis). A Redis that cannot be
 * reached is no error: it is tried again. CONFIG: the address is not understood. */
enum atl_err atl_peers_create(struct atl_app *app, const char *redis_url, struct atl_peers **ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
void atl_peers_destroy(struct atl_peers *peers); /* NULL is allowed */

/* After the change is committed. `id` "" where there is none. peers NULL: nobody. */
void atl_peers_tell(struct atl_peers *peers, enum atl_peers_news news, const char *id);

struct atl_peers_stats {
	bool redis, redis_up;
	uint64_t heard_database, heard_redis, settled;
};
void atl_peers_stats(struct atl_peers *peers, struct atl_peers_stats *out);

/* "<origin> <news> <id or ->": false for anything else. Pure. */
#define ATL_PEERS_MESSAGE_MAX 120
bool atl_peers_parse(const char *message, char origin[ATL_ID_SIZE], enum atl_peers_news *ret_news, char id[ATL_ID_SIZE]);

#endif
