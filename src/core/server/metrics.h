/* metrics.h - counters of the whole server, for /metrics.
 *
 * Life cycle: atl_metrics_create() .. atl_metrics_destroy(). Threads: any; relaxed atomics.
 * Adding one: a member, and its line in api/ops.c.
 */
#ifndef ATL_CORE_METRICS_H
#define ATL_CORE_METRICS_H

#include <stdatomic.h>

#include "core/app.h"

#define ATL_METRICS_BUCKETS 10

/* Upper bounds of the latency buckets in microseconds; the last one is open. */
extern const uint64_t atl_metrics_bounds_us[ATL_METRICS_BUCKETS - 1];

struct atl_metrics {
	_Atomic uint64_t requests[6]; /* by status class: [2] is 2xx */
	_Atomic uint64_t buckets[ATL_METRICS_BUCKETS];
	_Atomic uint64_t duration_us;
};

enum atl_err atl_metrics_create(struct atl_metrics **ret) ATL_MUST_USE;
void atl_metrics_destroy(struct atl_metrics *metrics);
void atl_metrics_request(struct atl_metrics *metrics, int status, uint64_t duration_us);

#endif
