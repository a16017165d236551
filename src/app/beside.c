/* beside.c - see beside.h. */
#include "app/beside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void atl_beside(char path[ATL_BESIDE_PATH_SIZE], const char *configured, const char *name)
{
	ssize_t length;
	char *slash;

	if (configured) {
		snprintf(path, ATL_BESIDE_PATH_SIZE, "%s", configured);
		return;
	}
	length = readlink("/proc/self/exe", path, ATL_BESIDE_PATH_SIZE - 64);
	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash ? slash + 1 : path, 32, "%s", name);
	if (slash && access(path, R_OK) != 0)
		snprintf(slash + 1, 48, "../worker/%s", name);
}
