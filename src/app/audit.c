/* audit.c - `atelier audit verify`: is the audit log as it was written? Exit status 1 and a sentence when it is not. */
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "base/str.h"
#include "core/people/audit.h"

int atl_cmd_audit(int argc, char **argv)
{
	struct atl_audit_verdict verdict = { 0 };
	struct atl_errinfo info = { 0 };
	struct atl_app app = { 0 };
	struct atl_config config;
	char **args = NULL;
	enum atl_err err = atl_config_load(&config, argc, argv, &args, &info);

	if (err)
		return atl_cmd_failed(err, &info);
	if (!args[0] || args[1] || !atl_str_eq(args[0], "verify")) {
		fprintf(stderr, "usage: atelier audit verify\n");
		free(args);
		atl_config_finish(&config);
		return 2;
	}
	err = atl_store_open(&config, &app, &info);
	if (!err)
		err = atl_audit_verify(&app, &verdict, &info);
	atl_db_close(app.db);
	free(args);
	atl_config_finish(&config);
	if (err)
		return atl_cmd_failed(err, &info);
	if (verdict.intact) {
		printf("The audit log is whole: %lld rows.\n", (long long)verdict.rows);
		return 0;
	}
	fprintf(stderr, "atelier: the audit log was tampered with: row %lld: %s\n", (long long)verdict.broken_at, verdict.why);
	return 1;
}
