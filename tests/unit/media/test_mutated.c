/* Mutated files of every kind through the true atelier-decode: a picture, or a refusal in words; never anything else.
 *
 * MUTATIONS says how many of each kind: 300 unless set, 10,000 in the suite `long`. Children that crash are counted and
 * shown: the sandbox makes that harmless, but it must be rare. The mutations are the same every time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include "media/picture.h"

#define FILE_MAX 20000
#define SEEDS_MAX 4
#define THREADS 2

static struct atl_loop *loop;
static struct atl_pictures *decoder;
static unsigned mutations = 300;

struct file {
	unsigned char data[2 * FILE_MAX];
	size_t length;
};

static struct kind {
	const char *name;
	size_t protected_bytes; /* the signature: what sniffing sees */
	const char *sources[SEEDS_MAX]; /* a suffix for libvips, or a file of tests/cases/media */
	struct file files[SEEDS_MAX];
	size_t count;
} kinds[] = {
	{"png", 8, {".png", ".png[interlace]", ".png[palette]", ".png[compression=0]"}},
	{"jpeg", 3, {".jpg", ".jpg[interlace]", ".jpg[Q=30,optimize-coding]", ".jpg[subsample-mode=off]"}},
	{"webp", 12, {".webp", ".webp[lossless]", ".webp[near-lossless]", ".webp[alpha-q=20]"}},
	{"gif", 4, {".gif", ".gif[interlace]", ".gif[dither=0]", ".gif[effort=1]"}},
	{"mp4", 12, {"clip.mp4", "clip-turned.mp4"}},
	{"webm", 12, {"clip.webm", "clip-vp8.webm"}},
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- the files to begin with ---- */

/* Three pages of 40 x 30 in four bands, with text in their metadata: an animation where the format knows them. */
static void make_picture(const char *suffix, struct file *ret)
{
	static unsigned char pixels[40 * 90 * 4];
	void *data = NULL;
	size_t length = 0;
	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (unsigned char)(i % 4 == 3 ? 255 - i / 60 % 200 : i / 4 % 40 * 6 + i / 4800 * 40 + i % 7);
	VipsImage *image = vips_image_new_from_memory_copy(pixels, sizeof pixels, 40, 90, 4, VIPS_FORMAT_UCHAR);
	assert_non_null(image);
	image->Type = VIPS_INTERPRETATION_sRGB;
	vips_image_set_int(image, "page-height", 30);
	vips_image_set_int(image, "orientation", 6);
	vips_image_set_string(image, "exif-ifd0-Artist", "nobody (nobody, ASCII, 7 components, 7 bytes)");
	assert_int_equal(vips_image_write_to_buffer(image, suffix, &data, &length, NULL), 0);
	g_object_unref(image);
	assert_in_range(length, 60, FILE_MAX);
	memcpy(ret->data, data, length);
	ret->length = length;
	g_free(data);
}

static void load_file(const char *name, struct file *ret)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", getenv("MEDIA_CASES"), name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	ret->length = fread(ret->data, 1, FILE_MAX, f);
	fclose(f);
	assert_in_range(ret->length, 60, FILE_MAX - 1);
}

static void load_kinds(void)
{
	for (size_t k = 0; k < ATL_COUNT(kinds); k++)
		for (size_t i = 0; i < SEEDS_MAX && kinds[k].sources[i]; i++) {
			if (kinds[k].sources[i][0] == '.')
				make_picture(kinds[k].sources[i], &kinds[k].files[i]);
			else
				load_file(kinds[k].sources[i], &kinds[k].files[i]);
			kinds[k].count = i + 1;
		}
}

/* ---- mutation ---- */

static void put_number(unsigned char *p, size_t room, uint32_t *random)
{
	static const uint32_t values[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t value = values[next_random(random) % ATL_COUNT(values)];
	bool big = next_random(random) & 1;
	for (size_t i = 0; i < 4 && i < room; i++)
		p[i] = (unsigned char)(value >> (big ? 24 - 8 * i : 8 * i));
}

/* One change behind the first `from` bytes. */
static void mutate_once(struct file *file, size_t from, const struct file *other, uint32_t *random)
{
	size_t at = from + next_random(random) % (file->length - from), left = file->length - at;
	size_t run = 1 + next_random(random) % 32;
	run = run < left ? run : left;
	switch (next_random(random) % 8) {
	case 0:
	case 1:
		file->data[at] ^= (unsigned char)(1u << (next_random(random) & 7));
		break;
	case 2:
		file->data[at] = (unsigned char)next_random(random);
		break;
	case 3:
		put_number(file->data + at, left, random);
		break;
	case 4: /* a piece goes */
		if (left > run) {
			memmove(file->data + at, file->data + at + run, left - run);
			file->length -= run;
		}
		break;
	case 5: /* a piece comes twice */
		if (file->length + run < sizeof file->data) {
			memmove(file->data + at + run, file->data + at, left);
			file->length += run;
		}
		break;
	case 6: /* cut */
		if (next_random(random) % 4 == 0)
			file->length = at + 1;
		break;
	default: /* another file's piece */
		run = run * 8 < left ? run * 8 : left;
		if (at + run < other->length)
			memcpy(file->data + at, other->data + at, run);
		break;
	}
}

static uint32_t crc_of(const unsigned char *data, size_t length)
{
	uint32_t crc = 0xffffffffu;
	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Without right check sums most PNG mutations would end at the first chunk. */
static void mend_png(struct file *file)
{
	size_t at = 8;
	while (at + 12 <= file->length) {
		const unsigned char *p = file->data + at;
		size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (length > file->length - at - 12)
			break;
		uint32_t crc = crc_of(p + 4, 4 + length);
		for (size_t i = 0; i < 4; i++)
			file->data[at + 8 + length + i] = (unsigned char)(crc >> (24 - 8 * i));
		at += 12 + length;
	}
}

static void mutate(const struct kind *kind, unsigned index, struct file *ret)
{
	uint32_t random = 0x9e3779b9u * (index + 1);
	*ret = kind->files[index % kind->count];
	const struct file *other = &kind->files[next_random(&random) % kind->count];
	for (unsigned n = 1 + next_random(&random) % 4; n > 0 && ret->length > kind->protected_bytes + 1; n--)
		mutate_once(ret, kind->protected_bytes, other, &random);
	if (kind->protected_bytes == 8 && next_random(&random) % 4)
		mend_png(ret);
}

/* ---- the run ---- */

struct share {
	const struct kind *kind;
	unsigned first;
	unsigned good, refused, crashed;
	char failure[300];
};

static void *run_share(void *arg)
{
	static const unsigned widths[] = {16};
	struct share *share = arg;
	struct file *file = malloc(sizeof *file);
	const struct atl_picture_options options = {.owner = share->kind->name,
						    .keep = ATL_PICTURE_AS_AUTO,
						    .keep_side = 64,
						    .widths = widths,
						    .width_count = 1,
						    .blurhash = true,
						    .phash = true,
						    .raw = {.channels = 3, .width = 8, .height = 8, .cover = true}};
	for (unsigned i = share->first; file && i < mutations && !share->failure[0]; i += THREADS) {
		struct atl_arena arena;
		struct atl_picture picture;
		struct atl_errinfo info = {0};
		atl_arena_init(&arena, 0);
		mutate(share->kind, i, file);
		enum atl_err err = atl_picture_open(decoder, &arena, file->data, file->length, &options, &picture, &info);
		if (err == ATL_OK)
			share->good++;
		else if (err == ATL_ERR_PICTURE && strstr(info.detail, "needs more memory"))
			share->crashed++;
		else if (err == ATL_ERR_PICTURE && info.detail[0])
			share->refused++;
		else
			snprintf(share->failure, sizeof share->failure, "%s %u: %s %.200s", share->kind->name, i,
				 atl_err_name(err), info.detail);
		atl_arena_finish(&arena);
	}
	free(file);
	return NULL;
}

static void run_kind(const struct kind *kind)
{
	pthread_t threads[THREADS];
	struct share shares[THREADS] = {0};
	unsigned good = 0, refused = 0, crashed = 0;
	for (unsigned t = 0; t < THREADS; t++) {
		shares[t] = (struct share){.kind = kind, .first = t};
		assert_int_equal(pthread_create(&threads[t], NULL, run_share, &shares[t]), 0);
	}
	for (unsigned t = 0; t < THREADS; t++) {
		pthread_join(threads[t], NULL);
		good += shares[t].good;
		refused += shares[t].refused;
		crashed += shares[t].crashed;
	}
	for (unsigned t = 0; t < THREADS; t++)
		if (shares[t].failure[0])
			fail_msg("%s", shares[t].failure);
	print_message("# %s: %u mutated files: %u read, %u refused in words, %u ended their child\n", kind->name, mutations,
		      good, refused, crashed);
	assert_int_equal(good + refused + crashed, mutations);
	/* enough of them must get past the header, or this proves little */
	assert_true(good + refused > 0 && good >= mutations / 100);
	assert_true(crashed <= mutations / 100);
}

static void test_mutated(void **state)
{
	for (size_t k = 0; k < ATL_COUNT(kinds); k++)
		run_kind(&kinds[k]);
}

/* After all of that. */
static void test_untouched(void **state)
{
	for (size_t k = 0; k < ATL_COUNT(kinds); k++)
		for (size_t i = 0; i < kinds[k].count; i++) {
			struct atl_arena arena;
			struct atl_picture picture;
			struct atl_errinfo info = {0};
			atl_arena_init(&arena, 0);
			if (atl_picture_open(decoder, &arena, kinds[k].files[i].data, kinds[k].files[i].length,
					     &(struct atl_picture_options){.owner = "u", .phash = true}, &picture, &info) != ATL_OK)
				fail_msg("%s: %s", kinds[k].sources[i], info.detail);
			atl_arena_finish(&arena);
		}
}

static int setup(void **state)
{
	struct atl_errinfo info = {0};
	if (getenv("MUTATIONS"))
		mutations = (unsigned)atoi(getenv("MUTATIONS"));
	if (VIPS_INIT("test") != 0 || atl_loop_create("pictures", &loop, &info) != ATL_OK)
		return -1;
	load_kinds();
	return atl_pictures_create(loop, getenv("ATELIER_DECODE"), &decoder, &info) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	atl_pictures_destroy(decoder);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	vips_shutdown();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutated), cmocka_unit_test(test_untouched)};
	return cmocka_run_group_tests_name("mutated", tests, setup, teardown);
}
