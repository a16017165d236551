/* store.c - what every command that touches data begins with: the data folder and the database. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands.h"
#include "db/db.h"
#include "os/file.h"

int atl_cmd_failed(enum atl_err err, const struct atl_errinfo *info)
{
	fprintf(stderr, "atelier: %s\n", info && info->detail[0] ? info->detail : atl_err_sentence(err));
	return 1;
}

int atl_cmd_config(int argc, char **argv)
{
	struct atl_errinfo info = { 0 };
	struct atl_config config;
	struct atl_buf out;
	bool markdown = argc == 1 && strcmp(argv[0], "--markdown") == 0;
	enum atl_err err = ATL_OK;

	atl_buf_init(&out, 1 << 20);
	if (markdown) {
		atl_config_markdown(&out);
	} else {
		err = atl_config_load(&config, argc, argv, NULL, &info);
		if (!err) {
			atl_config_print(&config, &out);
			atl_config_finish(&config);
		}
	}
	if (!err)
		err = atl_buf_err(&out, &info);
	if (!err)
		fputs(out.data, stdout);
	atl_buf_finish(&out);
	return err ? atl_cmd_failed(err, &info) : 0;
}

enum atl_err atl_store_open(const struct atl_config *config, struct atl_app *app, struct atl_errinfo *info)
{
	const char *data = atl_config_text(config, CFG_data), *database = atl_config_text(config, CFG_database);
	char url[4200];
	enum atl_err err = atl_dir_make(data, 0700, info);

	if (err)
		return err;
	if (chmod(data, 0700) != 0)
		return atl_fail(info, ATL_ERR_IO, "%s: the data folder belongs to somebody else", data);
	app->data_dir = data;
	if (!database) {
		snprintf(url, sizeof(url), "sqlite:%s/atelier.db", data);
		database = url;
	}
	err = atl_db_open(database, &app->db, info);
	if (!err)
		err = atl_db_migrate(app->db, info);
	if (err) {
		atl_db_close(app->db);
		app->db = NULL;
	}
	return err;
}
