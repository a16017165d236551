/* check.c - `atelier check`: could the server start here? Each finding is a line; exit status 1 when it could not. */
#include <stdio.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/master_key.h"
#include "db/db.h"
#include "os/file.h"

static int report(const char *what, enum atl_err err, const struct atl_errinfo *info)
{
	if (!err)
		printf("ok    %s\n", what);
	else
		printf("FAIL  %s: %s\n", what, info->detail[0] ? info->detail : atl_err_sentence(err));
	return err ? 1 : 0;
}

static void report_program(const char *what, const char *path)
{
	if (!path)
		printf("note  %s: looked for when the server starts\n", what);
	else
		printf("%s  %s: %s\n", access(path, X_OK) == 0 ? "ok  " : "note", what, path);
}

int atl_cmd_check(int argc, char **argv)
{
	struct atl_errinfo info = { 0 };
	struct atl_app app = { 0 };
	struct atl_config config;
	unsigned char key[ATL_MASTER_KEY_SIZE];
	char path[4200];
	uint64_t free_bytes = 0;
	int failed = 0;
	enum atl_err err = atl_config_load(&config, argc, argv, NULL, &info);

	if (report("configuration", err, &info))
		return 1;
	err = atl_store_open(&config, &app, &info);
	failed |= report("data folder and database", err, &info);
	if (!err) {
		snprintf(path, sizeof(path), "%s/master.key", app.data_dir);
		failed |= report("master key", atl_master_key_load(path, key, &info), &info);
		atl_wipe(key, sizeof(key));
		if (atl_disk_free(app.data_dir, &free_bytes, &info) == ATL_OK)
			printf("note  free disk space: %.1f GiB\n", (double)free_bytes / (1 << 30));
	}
	report_program("llama-server", atl_config_text(&config, CFG_engine_program));
	report_program("atelier-decode", atl_config_text(&config, CFG_decode_program));
	atl_db_close(app.db);
	atl_config_finish(&config);
	return failed;
}
