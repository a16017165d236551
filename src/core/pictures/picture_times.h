/* picture_times.h - what a unit of work of a model took: read once from the ended jobs, then kept up in memory.
 *
 * A unit is a step of a megapixel. The last jobs count most. Only src/core.
 *
 * Life cycle: atl_picture_times_create() .. atl_picture_times_destroy(). Threads: any that may read the database.
 * Limits:     ATL_PICTURE_TIMES_MAX models; those beyond are read each time.
 */
#ifndef ATL_CORE_PICTURE_TIMES_H
#define ATL_CORE_PICTURE_TIMES_H

#include "db/db.h"

#define ATL_PICTURE_TIMES_MAX 4096

struct atl_picture_times;
enum atl_err atl_picture_times_create(struct atl_db *db, struct atl_picture_times **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_times_destroy(struct atl_picture_times *times); /* NULL is allowed */
double atl_picture_times_units(int64_t width, int64_t height, int64_t steps, int64_t count);
double atl_picture_times_ms(struct atl_picture_times *times, const char *model); /* a unit; 0: not known */
void atl_picture_times_add(struct atl_picture_times *times, const char *model, double units, double ms); /* a job is done */

#endif
