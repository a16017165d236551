/* metrics.c - counting a request. */
#include "core/server/metrics.h"

#include <stdlib.h>

const uint64_t atl_metrics_bounds_us[] = { 250, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000 };

enum atl_err atl_metrics_create(struct atl_metrics **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ATL_OK : ATL_ERR_NOMEM;
}

void atl_metrics_destroy(struct atl_metrics *metrics)
{
	free(metrics);
}

void atl_metrics_request(struct atl_metrics *metrics, int status, uint64_t duration_us)
{
	size_t bucket = 0;

	while (bucket < ATL_METRICS_BUCKETS - 1 && duration_us > atl_metrics_bounds_us[bucket])
		bucket++;
	if (status >= 100 && status < 600)
		atomic_fetch_add_explicit(&metrics->requests[status / 100], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metrics->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metrics->duration_us, duration_us, memory_order_relaxed);
}
