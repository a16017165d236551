/* backup.c - `atelier backup FILE` and `atelier restore FILE`; the passphrase is asked for, or read from standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/server/backup.h"

#define PASSPHRASE_SIZE (ATL_PASSPHRASE_MAX + 2)
#define PATH_SIZE 4200

static int usage(const char *command, char **args, struct atl_config *config)
{
	fprintf(stderr, "usage: atelier %s FILE [--data DIR] [--database URL]\n", command);
	free(args);
	atl_config_finish(config);
	return 2;
}

static enum atl_err ask(char out[PASSPHRASE_SIZE], bool again, struct atl_errinfo *info)
{
	char second[PASSPHRASE_SIZE];
	enum atl_err err = atl_cmd_ask_secret("Passphrase of the backup: ", out, PASSPHRASE_SIZE, info);

	if (err || !again || !isatty(STDIN_FILENO))
		return err;
	err = atl_cmd_ask_secret("Once more: ", second, sizeof(second), info);
	if (!err && !atl_str_eq(out, second))
		err = atl_fail(info, ATL_ERR_INVALID, "The two are not the same.");
	atl_wipe(second, sizeof(second));
	return err;
}

static void report(const char *what, const char *path, const struct atl_backup_summary *sum)
{
	printf("%s %s: %lld rows in %lld tables, %lld files, %.1f MiB, schema %d\n", what, path, (long long)sum->rows,
	       (long long)sum->tables, (long long)sum->blobs, (double)sum->bytes / (1 << 20), sum->schema);
}

int atl_cmd_backup(int argc, char **argv)
{
	struct atl_app app = { .version = ATL_VERSION };
	const struct atl_audit audit = { .action = "backup.create", .note = "command line" };
	char passphrase[PASSPHRASE_SIZE] = "", models[PATH_SIZE];
	struct atl_backup_summary sum = { 0 };
	struct atl_errinfo info = { 0 };
	struct atl_config config;
	char **args = NULL;
	enum atl_err err = atl_config_load(&config, argc, argv, &args, &info);

	if (err)
		return atl_cmd_failed(err, &info);
	if (!args[0] || args[1])
		return usage("backup", args, &config);
	err = ask(passphrase, true, &info);
	if (!err)
		err = atl_store_open(&config, &app, &info);
	if (!err) {
		snprintf(models, sizeof(models), "%s/models", app.data_dir);
		app.models_dir = atl_config_text(&config, CFG_models_dir) ? atl_config_text(&config, CFG_models_dir) : models;
		err = atl_backup_write(&app, args[0], passphrase, &sum, &info);
	}
	if (!err) {
		atl_audit_now(&app, &audit);
		report("Backed up to", args[0], &sum);
	}
	atl_wipe(passphrase, sizeof(passphrase));
	atl_db_close(app.db);
	free(args);
	atl_config_finish(&config);
	return err ? atl_cmd_failed(err, &info) : 0;
}

int atl_cmd_restore(int argc, char **argv)
{
	char passphrase[PASSPHRASE_SIZE] = "";
	struct atl_backup_summary sum = { 0 };
	struct atl_errinfo info = { 0 };
	struct atl_config config;
	char **args = NULL;
	enum atl_err err = atl_config_load(&config, argc, argv, &args, &info);

	if (err)
		return atl_cmd_failed(err, &info);
	if (!args[0] || args[1])
		return usage("restore", args, &config);
	err = ask(passphrase, false, &info);
	if (!err)
		err = atl_backup_restore(&(struct atl_restore){ .path = args[0], .passphrase = passphrase,
								.data_dir = atl_config_text(&config, CFG_data),
								.database = atl_config_text(&config, CFG_database) }, &sum, &info);
	atl_wipe(passphrase, sizeof(passphrase));
	if (!err)
		report("Restored from", args[0], &sum);
	free(args);
	atl_config_finish(&config);
	return err ? atl_cmd_failed(err, &info) : 0;
}
