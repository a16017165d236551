/* user.c - `atelier user add|list|password|second-factor|role`: accounts from the command line, for whoever can read the data folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/str.h"
#include "core/access/second_factor.h"
#include "core/access/session.h"
#include "core/people/user.h"
#include "db/db.h"

#define PASSWORD_LINE (ATL_PASSWORD_MAX + 2)

enum atl_err atl_cmd_ask_secret(const char *question, char *out, int size, struct atl_errinfo *info)
{
	struct termios before, quiet;
	bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	char *line;

	if (terminal) {
		fputs(question, stderr);
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	line = fgets(out, size, stdin);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	if (!line)
		return atl_fail(info, ATL_ERR_INVALID, "Nothing on standard input where a secret was to be.");
	out[strcspn(out, "\n")] = '\0';
	return ATL_OK;
}

static enum atl_err ask_password(char out[PASSWORD_LINE], struct atl_errinfo *info)
{
	return atl_cmd_ask_secret("Password: ", out, PASSWORD_LINE, info);
}

static enum atl_err do_list(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info)
{
	struct atl_user *users;
	size_t count;
	enum atl_err err = atl_user_list(app, arena, &users, &count, info);

	for (size_t i = 0; !err && i < count; i++)
		printf("%s  %-6s %s%s\n", users[i].id, users[i].role_name, users[i].name, users[i].disabled_at ? " (disabled)" : "");
	return err;
}

static enum atl_err do_add(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info)
{
	enum atl_role role = ATL_ROLE_MEMBER;
	char password[PASSWORD_LINE], id[ATL_ID_SIZE];
	enum atl_err err;

	if (args[1] && !atl_role_find(args[1], &role))
		return atl_fail(info, ATL_ERR_INVALID, "There is no role \"%s\": owner, admin, moderator, member and guest are known.", args[1]);
	err = ask_password(password, info);
	if (!err)
		err = atl_user_create(app, args[0], password, role, false, id, info);
	atl_wipe(password, sizeof(password));
	if (!err)
		printf("%s\n", id);
	return err;
}

static enum atl_err do_password(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info)
{
	struct atl_user user;
	char password[PASSWORD_LINE];
	enum atl_err err = atl_user_find(app, args[0], arena, &user, info);

	if (!err)
		err = ask_password(password, info);
	if (!err) {
		err = atl_user_set_password(app, NULL, user.id, password, info);
		atl_wipe(password, sizeof(password));
	}
	if (!err) /* a running server notices within ATL_AUTH_CACHE_MS */
		err = atl_session_delete_others(app, user.id, NULL, info);
	return err;
}

static enum atl_err do_role(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info)
{
	struct atl_user user;
	enum atl_role role;
	enum atl_err err;

	if (!args[1] || !atl_role_find(args[1], &role))
		return atl_fail(info, ATL_ERR_INVALID, "Name a role: owner, admin, moderator, member or guest.");
	err = atl_user_find(app, args[0], arena, &user, info);
	return err ? err : atl_user_set_role(app, user.id, role, info);
}

/* For somebody who lost the app and the recovery codes. */
static enum atl_err do_second_factor(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info)
{
	struct atl_user user;
	enum atl_err err = atl_user_find(app, args[0], arena, &user, info);

	return err ? err : atl_second_factor_remove(app, NULL, user.id, info);
}

static const struct action {
	const char *name;
	bool named;
	enum atl_err (*run)(struct atl_app *app, struct atl_arena *arena, char **args, struct atl_errinfo *info);
	const char *usage;
} actions[] = {
	{ "add", true, do_add, "add NAME [ROLE]         member unless told; the password is read from standard input" },
	{ "list", false, do_list, "list" },
	{ "password", true, do_password, "password NAME           the password is read from standard input" },
	{ "second-factor", true, do_second_factor, "second-factor NAME      takes it off" },
	{ "role", true, do_role, "role NAME ROLE          owner, admin, moderator, member or guest" },
};

int atl_cmd_user(int argc, char **argv)
{
	const struct action *action = NULL;
	struct atl_errinfo info = { 0 };
	struct atl_app app = { 0 };
	struct atl_config config;
	struct atl_arena arena;
	char **args = NULL;
	enum atl_err err = atl_config_load(&config, argc, argv, &args, &info);

	if (err)
		return atl_cmd_failed(err, &info);
	for (size_t i = 0; args[0] && i < ATL_COUNT(actions); i++)
		if (atl_str_eq(actions[i].name, args[0]))
			action = &actions[i];
	if (!action || (action->named && !args[1])) {
		for (size_t i = 0; i < ATL_COUNT(actions); i++)
			fprintf(stderr, "usage: atelier user %s\n", actions[i].usage);
		free(args);
		atl_config_finish(&config);
		return 2;
	}
	atl_arena_init(&arena, 0);
	err = atl_store_open(&config, &app, &info);
	if (!err)
		err = action->run(&app, &arena, args + 1, &info);
	atl_db_close(app.db);
	atl_arena_finish(&arena);
	free(args);
	atl_config_finish(&config);
	return err ? atl_cmd_failed(err, &info) : 0;
}
