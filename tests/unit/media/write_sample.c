/* For tests/system/test_metadata.py: our reader and writer as a program, so that other readers can judge its files.
 *
 *   write_sample write IN OUT RECALL.json [composite|bare]   the picture IN with what RECALL says; bare: the mark alone
 *   write_sample read IN                                     what a picture says, as JSON; "none" when nothing
 *   write_sample hidden IN WIDTH                             what is hidden in raw RGBA pixels, likewise
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "media/metadata.h"
#include "media/stealth.h"

#define FILE_MAX ((size_t)32 << 20)

static char *slurp(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "rb");
	char *data = malloc(FILE_MAX);
	if (!file || !data) {
		perror(path);
		exit(2);
	}
	*ret_length = fread(data, 1, FILE_MAX, file);
	(void)fclose(file);
	return data;
}

static int complain(const struct atl_errinfo *info)
{
	(void)fprintf(stderr, "%s: %s\n", atl_err_name(info->code), info->detail);
	return 1;
}

static int write_file(struct atl_arena *arena, int argc, char **argv)
{
	struct atl_errinfo info = {0};
	struct atl_recall recall;
	struct atl_buf out;
	size_t length, json_length;
	const char *mode = argc > 5 ? argv[5] : "";
	char *data = slurp(argv[2], &length), *json = slurp(argv[4], &json_length);
	if (atl_metadata_read_text(arena, json, json_length, &recall, &info))
		return complain(&info);
	recall.atelier = recall.source = recall.raw = NULL;
	struct atl_metadata_out m = {.parameters = atl_metadata_parameters(arena, &recall),
				     .atelier = atl_metadata_json(arena, &recall),
				     .composite = atl_str_eq(mode, "composite")};
	if (atl_str_eq(mode, "bare"))
		m.parameters = m.atelier = NULL;
	atl_buf_init(&out, FILE_MAX);
	if (atl_metadata_write(data, length, &m, &out, &info))
		return complain(&info);
	FILE *file = fopen(argv[3], "wb");
	bool ok = file && fwrite(out.data, 1, out.length, file) == out.length;
	ok = file && fclose(file) == 0 && ok;
	atl_buf_finish(&out);
	free(data);
	free(json);
	return ok ? 0 : 2;
}

static int read_file(struct atl_arena *arena, const char *path, const char *width)
{
	struct atl_errinfo info = {0};
	struct atl_recall recall;
	size_t length;
	int64_t side = 1;
	char *data = slurp(path, &length);
	if (width && !atl_str_i64(width, 1, 100000, &side))
		return 2;
	enum atl_err err = width ? atl_stealth_read(arena, data, (size_t)side, length / 4 / (size_t)side, &recall, &info)
				 : atl_metadata_read(arena, data, length, &recall, &info);
	free(data);
	if (err && err != ATL_ERR_NOT_FOUND)
		return complain(&info);
	return puts(err ? "none" : atl_metadata_json(arena, &recall)) < 0;
}

int main(int argc, char **argv)
{
	struct atl_arena arena;
	int rc = 2;
	atl_arena_init(&arena, 0);
	if (argc >= 5 && strcmp(argv[1], "write") == 0)
		rc = write_file(&arena, argc, argv);
	else if (argc == 3 && strcmp(argv[1], "read") == 0)
		rc = read_file(&arena, argv[2], NULL);
	else if (argc == 4 && strcmp(argv[1], "hidden") == 0)
		rc = read_file(&arena, argv[2], argv[3]);
	else
		(void)fputs("see the first lines of write_sample.c\n", stderr);
	atl_arena_finish(&arena);
	return rc;
}
