/* app.h - everything the running server consists of, as handlers and domain code reach it (req->app).
 *
 * A plain struct of borrowed pointers. src/app/parts.c creates and destroys what they point to, in the order listed
 * there; everything here is set before the first request and constant until the last one has ended. NULL where a part
 * is optional and absent.
 *
 * Threads:    read-only after start; each part says how it may be called.
 * Adding one: a member here (forward-declare its struct), a step in parts.c.
 */
#ifndef ATL_CORE_APP_H
#define ATL_CORE_APP_H

#include <stdatomic.h>

#include "base/crypto.h"
#include "base/err.h"

struct atl_db;
struct atl_pool;
struct atl_loop;
struct atl_guard;
struct atl_blobs;    /* blob/blob.h */
struct atl_server; /* net/http.h; only api and app may look inside */
struct atl_static; /* net/static.h; likewise */
struct atl_auth_cache;
struct atl_keyring; /* core/server/keyring.h */
struct atl_identity;
struct atl_buf;
struct atl_throttle;
struct atl_peers; /* core/server/peers.h */
struct atl_rates; /* core/access/rate.h */
struct atl_events;
struct atl_metrics;
struct atl_pictures; /* media/picture.h */
struct atl_provenance; /* core/safety/provenance.h: the key and the children that sign */
struct atl_classifier; /* media/classifier.h */

/* Parts of colleagues' modules. */
struct atl_providers;	/* core/providers: configured providers, their models, circuit breakers */
struct atl_engine;	/* core/models/engine: the managed llama-server */
struct atl_generations; /* core/chat/generation: running replies */
struct atl_transfers;	/* core/models/transfer: model downloads */
struct atl_model_routes; /* core/models/model_route.h: resolved models for the OpenAI routes */
struct atl_prices;	/* core/books/price.h: what models' tokens cost */
struct atl_usage;	/* core/books/usage.h: what was used, on its way to the database */
struct atl_jobs;	/* core/jobs/job.h: the queue and its runners */
struct atl_webhooks;	/* core/jobs/webhook.h: messages about ended jobs, on their way */
struct atl_mailer;	/* core/people/mail.h: mails to people, on their way */
struct atl_picture_models; /* core/pictures/picture_model.h: the model registry */
struct atl_picture_engine; /* core/pictures/picture_engine.h: the supervised atelier-image */
struct atl_fal_hooks; /* provider/image_fal_hook.h: runs at fal that wait for its messages */

struct atl_app {
	const char *version;
	/* paths, from the configuration */
	const char *data_dir;	/* absolute */
	const char *upload_dir; /* data_dir/tmp: same file system as what it is renamed to */
	const char *models_dir;
	const char *web_dir;	   /* serve the page from here; NULL: the built-in copy */
	const char *decode_program; /* atelier-decode */
	const char *engine_program; /* llama-server; NULL: not configured */
	const char *picture_program; /* atelier-image; NULL: not there */
	int picture_threads;	     /* 0: cores - 1 */
	int64_t picture_idle_s;	     /* the model is unloaded after this */
	int runner_threads;	     /* jobs at a time at most; 0: 8 */
	/* switches, from the configuration */
	const char *address; /* listen address */
	int port;	     /* the real one, once listening */
	const char *public_url;
	const char *const *outbound_private; /* private addresses the operator allows; NULL-terminated */
	const char *engine_model;	     /* file in models_dir, or NULL */
	int engine_context_size, engine_slots, engine_threads, engine_gpu_layers; /* 0 / -1: automatic, see config.c */
	bool engine_enabled;
	bool mature_default; /* mature_allowed until the owner chooses */
	int64_t session_ttl_ms;
	const unsigned char *_Atomic master_key; /* ATL_MASTER_KEY_SIZE bytes; changes while it runs: core/server/keyring.h */
	const unsigned char *_Atomic old_master_key; /* while it is being changed, else NULL */
	struct atl_keyring *keyring;
	const char *setup_token;	 /* "" once there is a user at start */

	/* machinery */
	struct atl_db *db;
	struct atl_pool *pool;
	struct atl_pool *waiters; /* threads of answers that wait for a job; NULL: they wait where they are */
	struct atl_loop *const *loops;
	size_t loop_count;
	struct atl_server *server;
	struct atl_static *page; /* what is answered where no route fits */
	struct atl_guard *guard;
	struct atl_blobs *blobs;
	struct atl_pictures *pictures;
	struct atl_provenance *provenance; /* NULL: nothing is signed */
	struct atl_classifier *classifier; /* NULL: not installed */
	const unsigned char *watermark_key; /* core/pictures/picture_mark.h; NULL: nothing is marked */

	/* domain */
	struct atl_auth_cache *auth;
	struct atl_throttle *throttle;
	struct atl_peers *peers; /* the other servers; NULL: there are none */
	struct atl_rates *rates; /* NULL: nothing is limited by rate */
	struct atl_events *events;
	struct atl_metrics *metrics;
	struct atl_providers *providers;
	struct atl_engine *engine;
	struct atl_generations *generations;
	struct atl_transfers *transfers;
	struct atl_model_routes *routes;
	struct atl_prices *prices;
	struct atl_usage *usage;
	struct atl_jobs *jobs;
	struct atl_webhooks *webhooks;
	struct atl_mailer *mailer; /* NULL: no mail server is set */
	struct atl_fal_hooks *fal_hooks;
	struct atl_picture_models *picture_models;
	struct atl_picture_engine *picture_engine; /* NULL: no picture_program */
	/* Set by the generations: stop a running reply, if it is this user's. Any thread, never blocks. NULL: none. */
	void (*stop_message)(struct atl_app *app, const struct atl_identity *identity, const char *message_id);

	/* Appends metric families of parts that api/ops.c does not know (engine, generations); NULL: none. Pool thread. */
	void (*metrics_more)(struct atl_app *app, struct atl_buf *out);

	int64_t undo_ms;	 /* what was deleted can be brought back for so long (core/people/erase.h) */
	atomic_int erase_wanted; /* bits 1 << enum atl_db_scrub (core/people/erase.h) */
	atomic_bool erasing;
	atomic_bool limited; /* there are quotas (core/books/quota.h) */
	int64_t started_ms;
	atomic_uint features_off; /* ATL_FEATURE_BIT()s that nobody has (core/server/setting.h) */
	atomic_bool maintenance; /* only those who manage the server sign in and begin anything (core/server/announcement.h) */
	atomic_bool backing_up;	 /* one backup at a time (core/server/backup_store.h) */
	atomic_bool stopping; /* set when draining begins */
};

#endif
