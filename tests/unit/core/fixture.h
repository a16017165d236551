/* fixture.h - an application in an empty folder for tests of core: database, one loop, guard, master key. */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "base/arena.h"
#include "core/app.h"
#include "net/guard.h"

struct fixture {
	struct atl_app app;
	struct atl_guard guard;
	struct atl_loop *loop;
	unsigned char key[32];
	char dir[64], models[96], program[96];
	struct atl_arena arena;
};

void fixture_open(struct fixture *f, const char *const *allow); /* fails the test when it cannot */
void fixture_close(struct fixture *f);				/* removes the folder */
/* A user row for foreign keys. */
void fixture_user(struct fixture *f, const char *id);
/* A small valid GGUF in the models folder. */
void fixture_model(struct fixture *f, const char *file, int context_length);
void fixture_write(const char *path, const void *data, size_t length, unsigned mode);

#endif
