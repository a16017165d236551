/* publish.h - one line to publish an event whose data is {"<key>": <object>}.
 *
 * Threads: any. Call after the change is committed.
 */
#ifndef ATL_CORE_PUBLISH_H
#define ATL_CORE_PUBLISH_H

#include "base/json.h"
#include "core/app.h"

void atl_publish(struct atl_app *app, const char *user_id, const char *event, const char *key,
		 const struct atl_json_desc *desc, const void *value);
/* {"id": id} with up to one more field; extra_key NULL: none. */
void atl_publish_id(struct atl_app *app, const char *user_id, const char *event, const char *id, const char *extra_key,
		    const char *extra);

#endif
