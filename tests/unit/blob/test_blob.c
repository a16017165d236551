/* The blob store: the same bytes once, variants, names that are no names, removal, what a crash leaves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/blob.h"
#include "os/file.h"

static char folder[64];
static struct atl_blobs *blobs;
static struct atl_arena arena;

#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static int setup(void **state)
{
	char top[] = "/tmp/atl-blob-XXXXXX";
	if (!mkdtemp(top))
		return -1;
	snprintf(folder, sizeof folder, "%s/deep/blobs", top);
	atl_arena_init(&arena, 0);
	return atl_blobs_create(folder, &blobs, NULL) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	char path[128];
	if (atl_blob_remove(blobs, SHA_ABC, NULL) != ATL_OK)
		return -1;
	snprintf(path, sizeof path, "%s/ba", folder);
	rmdir(path);
	rmdir(folder);
	for (int i = 0; i < 2; i++) {
		*strrchr(folder, '/') = '\0';
		rmdir(folder);
	}
	atl_blobs_destroy(blobs);
	atl_arena_finish(&arena);
	return access(folder, F_OK) == 0 ? -1 : 0; /* nothing was left behind */
}

static void put_abc(void)
{
	char name[ATL_BLOB_NAME_SIZE];
	assert_int_equal(atl_blob_put(blobs, "abc", 3, name, NULL), ATL_OK);
	assert_string_equal(name, SHA_ABC);
}

static void expect_content(const char *variant, const char *content)
{
	const char *path;
	struct atl_buf in;
	atl_buf_init(&in, 1000);
	assert_int_equal(atl_blob_path(blobs, &arena, SHA_ABC, variant, &path, NULL), ATL_OK);
	assert_int_equal(atl_file_read(path, 1000, &in, NULL), ATL_OK);
	assert_string_equal(in.data, content);
	atl_buf_finish(&in);
}

static void expect_missing(const char *name, const char *variant)
{
	const char *path;
	assert_int_equal(atl_blob_path(blobs, &arena, name, variant, &path, NULL), ATL_ERR_NOT_FOUND);
}

static void test_put(void **state)
{
	const char *path;
	struct stat before, after;
	put_abc();
	expect_content(NULL, "abc");
	assert_int_equal(atl_blob_path(blobs, &arena, SHA_ABC, NULL, &path, NULL), ATL_OK);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	put_abc(); /* once: the file is the same one */
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void test_variants(void **state)
{
	put_abc();
	expect_missing(SHA_ABC, "w64");
	assert_int_equal(atl_blob_put_variant(blobs, SHA_ABC, "w64", "small", 5, NULL), ATL_OK);
	expect_content("w64", "small");
	expect_content(NULL, "abc");
	assert_int_equal(atl_blob_remove(blobs, SHA_ABC, NULL), ATL_OK);
	expect_missing(SHA_ABC, NULL);
	expect_missing(SHA_ABC, "w64");
	assert_int_equal(atl_blob_remove(blobs, SHA_ABC, NULL), ATL_OK); /* again is fine */
}

static void test_names_are_checked(void **state)
{
	static const char *const names[] = {
		"", "..", "../../etc/passwd", "abc", SHA_ABC "0",
		"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"../816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"ba/816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	};
	static const char *const variants[] = {"", ".", "..", "../x", "a/b", "W64", "w64.webp/..", "aaaaaaaaaaaaaaaa"};
	put_abc();
	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		expect_missing(names[i], NULL);
		assert_int_equal(atl_blob_put_variant(blobs, names[i], "w64", "x", 1, NULL), ATL_ERR_NOT_FOUND);
		assert_int_equal(atl_blob_remove(blobs, names[i], NULL), ATL_ERR_NOT_FOUND);
	}
	for (size_t i = 0; i < ATL_COUNT(variants); i++) {
		expect_missing(SHA_ABC, variants[i]);
		assert_int_equal(atl_blob_put_variant(blobs, SHA_ABC, variants[i], "x", 1, NULL), ATL_ERR_NOT_FOUND);
	}
	expect_content(NULL, "abc");
}

/* A half-written file of that name (a crash of something else, a full disk) is replaced. */
static void test_half_written(void **state)
{
	const char *path;
	put_abc();
	assert_int_equal(atl_blob_path(blobs, &arena, SHA_ABC, NULL, &path, NULL), ATL_OK);
	assert_int_equal(truncate(path, 1), 0);
	put_abc();
	expect_content(NULL, "abc");
}

/* A file is taken over, not copied; one of the same bytes replaces it. */
static void test_put_file(void **state)
{
	char from[128], name[ATL_BLOB_NAME_SIZE];
	snprintf(from, sizeof from, "%s/incoming", folder);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(atl_file_write_atomic(from, "abc", 3, 0600, NULL), ATL_OK);
		assert_int_equal(atl_blob_hash_file(from, name, NULL), ATL_OK);
		assert_string_equal(name, SHA_ABC);
		assert_int_equal(atl_blob_put_file(blobs, name, from, NULL), ATL_OK);
		assert_int_not_equal(access(from, F_OK), 0);
		expect_content(NULL, "abc");
	}
	assert_int_equal(atl_blob_put_file(blobs, name, from, NULL), ATL_ERR_NOT_FOUND);
	assert_int_equal(atl_blob_put_file(blobs, "../x", from, NULL), ATL_ERR_NOT_FOUND);
	assert_int_equal(atl_blob_hash_file(from, name, NULL), ATL_ERR_NOT_FOUND);
}

/* What is done under the lock is done by one at a time: puts and removals of the same blob never cross. */
static void *put_and_remove(void *arg)
{
	for (int i = 0; i < 200; i++) {
		char name[ATL_BLOB_NAME_SIZE];
		const char *path;
		struct atl_arena own;
		atl_arena_init(&own, 0);
		atl_blob_lock(blobs, SHA_ABC);
		bool ok = atl_blob_put(blobs, "abc", 3, name, NULL) == ATL_OK &&
			  atl_blob_path(blobs, &own, SHA_ABC, NULL, &path, NULL) == ATL_OK &&
			  atl_blob_remove(blobs, SHA_ABC, NULL) == ATL_OK &&
			  atl_blob_path(blobs, &own, SHA_ABC, NULL, &path, NULL) == ATL_ERR_NOT_FOUND;
		atl_blob_unlock(blobs, SHA_ABC);
		atl_arena_finish(&own);
		if (!ok)
			return arg;
	}
	return NULL;
}

static void test_lock(void **state)
{
	pthread_t threads[4];
	void *failed;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_remove, folder), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_put), T(test_variants), T(test_names_are_checked), T(test_half_written),
					   T(test_put_file), T(test_lock)};
	return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
