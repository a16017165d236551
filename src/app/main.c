/* main.c - the program `atelier`: a table of subcommands. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "base/crypto.h"
#include "base/str.h"

static int cmd_version(int argc, char **argv)
{
	printf("atelier " ATL_VERSION "\n");
	return 0;
}

static int cmd_help(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *doc;
} commands[] = {
	{ "serve", atl_cmd_serve, "run the server: atelier serve --data DIR --port N" },
	{ "config", atl_cmd_config, "print the settings in force and where each comes from" },
	{ "check", atl_cmd_check, "look whether the server could start: folders, key, database, programs" },
	{ "user", atl_cmd_user, "add, list, password, role: accounts, also while the server runs" },
	{ "backup", atl_cmd_backup, "FILE: the whole instance as one sealed file, also while the server runs" },
	{ "restore", atl_cmd_restore, "FILE: a backup into an empty data folder" },
	{ "audit", atl_cmd_audit, "verify: is the audit log as it was written?" },
	{ "version", cmd_version, "print the version" },
	{ "help", cmd_help, "print this" },
};

static int cmd_help(int argc, char **argv)
{
	printf("usage: atelier COMMAND [--name value ...]\n\n");
	for (size_t i = 0; i < ATL_COUNT(commands); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].doc);
	printf("\n`atelier config` lists the settings; each is also a flag.\n");
	return 0;
}

/* Pictures come and go by megabytes: pieces of this size are given back to the system when they are freed. */
#define LARGE_PIECE (1 << 20)

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";

	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
	if (atl_crypto_init() != ATL_OK) {
		fprintf(stderr, "atelier: the system's random source is missing\n");
		return 1;
	}
	if (atl_str_eq(name, "-h") || atl_str_eq(name, "--help"))
		name = "help";
	else if (atl_str_eq(name, "--version"))
		name = "version";
	for (size_t i = 0; i < ATL_COUNT(commands); i++)
		if (atl_str_eq(commands[i].name, name))
			return commands[i].run(argc > 2 ? argc - 2 : 0, argv + (argc > 2 ? 2 : argc));
	fprintf(stderr, "atelier: there is no command \"%s\"; `atelier help` lists them\n", name);
	return 2;
}
