/* check.c - `atelier check`: could the server start here? Each finding is a line; exit status 1 when it could not. */
#include <stdio.h>
#include <unistd.h>

#include "app/beside.h"
#include "app/commands.h"
#include "core/safety/provenance.h"
#include "core/server/keyring.h"
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

/* Pictures are made without; an own certificate must fit. */
static int report_credentials(const struct atl_config *config, struct atl_errinfo *info)
{
	const char *configured = atl_config_text(config, CFG_credentials_library);
	const char *key_path = atl_config_text(config, CFG_credentials_key);
	const char *chain_path = atl_config_text(config, CFG_credentials_certificate);
	char path[ATL_BESIDE_PATH_SIZE];

	atl_beside(path, configured, "libc2pa_c.so");
	if (access(path, R_OK) == 0)
		printf("ok    Content Credentials: %s\n", path);
	else
		printf("%s  Content Credentials: there is no %s; pictures carry the IPTC mark alone\n", configured ? "FAIL" : "note",
		       path);
	if (key_path || chain_path)
		return report("signing certificate", atl_provenance_try(key_path, chain_path, info), info);
	return configured && access(path, R_OK) != 0;
}

int atl_cmd_check(int argc, char **argv)
{
	struct atl_errinfo info = { 0 };
	struct atl_app app = { 0 };
	struct atl_config config;
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
		failed |= report("master key", atl_keyring_open(&app, path, &info), &info);
		atl_keyring_close(&app);
		if (atl_disk_free(app.data_dir, &free_bytes, &info) == ATL_OK)
			printf("note  free disk space: %.1f GiB\n", (double)free_bytes / (1 << 30));
	}
	report_program("llama-server", atl_config_text(&config, CFG_engine_program));
	report_program("atelier-decode", atl_config_text(&config, CFG_decode_program));
	failed |= report_credentials(&config, &info);
	atl_db_close(app.db);
	atl_config_finish(&config);
	return failed;
}
