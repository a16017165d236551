/* commands.h - what the files of the program share: its subcommands, and the part of the start they have in common. */
#ifndef ATL_APP_COMMANDS_H
#define ATL_APP_COMMANDS_H

#include "app/config.h"
#include "core/app.h"

#define ATL_VERSION "0.1.0"

/* Each gets what follows its name and returns the exit status. */
int atl_cmd_serve(int argc, char **argv);
int atl_cmd_config(int argc, char **argv);
int atl_cmd_check(int argc, char **argv);
int atl_cmd_audit(int argc, char **argv);
int atl_cmd_backup(int argc, char **argv);
int atl_cmd_restore(int argc, char **argv);
int atl_cmd_user(int argc, char **argv);

/* Data folder (0700), its subfolders, and the database: opened and migrated. Fills app->data_dir and app->db. */
enum atl_err atl_store_open(const struct atl_config *config, struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

/* One line of standard input without its end; a terminal is asked and does not show it. */
enum atl_err atl_cmd_ask_secret(const char *question, char *out, int size, struct atl_errinfo *info) ATL_MUST_USE;

/* Prints the error on stderr; returns 1. */
int atl_cmd_failed(enum atl_err err, const struct atl_errinfo *info);

#endif
