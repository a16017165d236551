/* backup_int.h - the entries of a backup, shared by its writer and its reader. Internal to core/server/backup*.c.
 *
 * Entry: kind (1 byte), length of the name (2), length of the data (8), little end first; name; data.
 */
#ifndef ATL_CORE_BACKUP_INT_H
#define ATL_CORE_BACKUP_INT_H

#include "core/server/backup.h"

#define ATL_BACKUP_FORMAT 1
#define ATL_BACKUP_HEAD_SIZE 11
#define ATL_BACKUP_NAME_MAX 200
#define ATL_BACKUP_TEXT_MAX ((size_t)4 << 20) /* head, model list, manifest */
#define ATL_BACKUP_DATABASE "atelier.db"
#define ATL_BACKUP_KEY "master.key"

/* kinds */
#define ATL_BACKUP_HEAD 'H'	/* JSON; always first */
#define ATL_BACKUP_FILE 'F'	/* name: path in the data folder */
#define ATL_BACKUP_ROW 'R'	/* name: table; data: JSON */
#define ATL_BACKUP_MODELS 'L'	/* JSON */
#define ATL_BACKUP_MANIFEST 'M' /* JSON; always last; not in its own hash */

#endif
