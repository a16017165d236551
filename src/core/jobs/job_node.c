/* job_node.c - who this server is to a shared queue, across restarts.
 *
 * The data folder's file `node` holds an id, made at the first start; a lock on it is kept while the queue lives. An
 * owner of leases is "<node>:<start>": what an earlier start of this node still holds belongs to nobody and is taken
 * back at once. Without the lock another server works from this data folder, and its leases are its own: then the owner
 * has no node and its leases are taken over when they run out. A data folder that was copied to a second machine costs
 * an interrupted job and nothing else, since what is taken back follows the rule of every lease that ran out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "core/jobs/job_int.h"
#include "os/file.h"

#define MODULE "jobs"

/* An empty file is one whose first writer was killed. */
static enum atl_err read_or_make(int fd, char out[ATL_ID_SIZE], struct atl_errinfo *info)
{
	ssize_t length = pread(fd, out, ATL_ID_SIZE - 1, 0);

	if (length < 0)
		return atl_fail(info, ATL_ERR_IO, "read the node's id: %s", strerror(errno));
	out[length] = '\0';
	if (atl_id_valid(out, "nod"))
		return ATL_OK;
	atl_id_new("nod", out);
	if (ftruncate(fd, 0) != 0 || pwrite(fd, out, ATL_ID_SIZE - 1, 0) != ATL_ID_SIZE - 1 || fsync(fd) != 0)
		return atl_fail(info, ATL_ERR_IO, "write the node's id: %s", strerror(errno));
	return ATL_OK;
}

enum atl_err atl_jobs_node_open(struct atl_jobs *jobs, struct atl_errinfo *info)
{
	char path[4200], start[ATL_ID_SIZE];
	enum atl_err err = ATL_OK;

	jobs->node_fd = -1;
	atl_id_new("own", start);
	snprintf(jobs->owner, sizeof(jobs->owner), "%s", start);
	if (!jobs->app->data_dir)
		return ATL_OK;
	if (snprintf(path, sizeof(path), "%s/node", jobs->app->data_dir) >= (int)sizeof(path))
		return atl_fail(info, ATL_ERR_CONFIG, "The data folder's path is too long.");
	err = atl_file_open(path, O_RDWR | O_CREAT, 0600, &jobs->node_fd, info);
	if (err)
		return err;
	if (flock(jobs->node_fd, LOCK_EX | LOCK_NB) != 0) {
		atl_warn(MODULE, "another server works from this data folder; its jobs are left to it");
		atl_jobs_node_close(jobs);
		return ATL_OK;
	}
	err = read_or_make(jobs->node_fd, jobs->node, info);
	if (err) {
		jobs->node[0] = '\0';
		atl_jobs_node_close(jobs);
		return err;
	}
	snprintf(jobs->owner, sizeof(jobs->owner), "%s:%s", jobs->node, start);
	return ATL_OK;
}

void atl_jobs_node_close(struct atl_jobs *jobs)
{
	if (jobs->node_fd >= 0)
		close(jobs->node_fd);
	jobs->node_fd = -1;
}
