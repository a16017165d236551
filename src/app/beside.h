/* beside.h - where a helper of this program is: as configured, else beside it; in the build tree, in the helper's folder.
 *
 * Threads: any. Limits: ATL_BESIDE_PATH_SIZE.
 */
#ifndef ATL_APP_BESIDE_H
#define ATL_APP_BESIDE_H

#define ATL_BESIDE_PATH_SIZE 4200

/* The path, whether or not there is anything. `configured` NULL: beside. */
void atl_beside(char path[ATL_BESIDE_PATH_SIZE], const char *configured, const char *name);

#endif
