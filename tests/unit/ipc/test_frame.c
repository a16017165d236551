/* Frames and their payloads: what goes in comes out, and nothing else is believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/frame.h"

static void test_round_trip(void **state)
{
	for (uint16_t type = ATL_FRAME_DECODE; type <= ATL_FRAME_TYPE_LAST; type++) {
		struct atl_frame in = {.type = type, .item = 0xabcd, .id = 0x12345678, .length = ATL_FRAME_PAYLOAD_MAX};
		struct atl_frame out;
		unsigned char head[ATL_FRAME_HEADER_SIZE];
		atl_frame_encode(&in, head);
		assert_int_equal(atl_frame_decode(head, &out, NULL), ATL_OK);
		assert_memory_equal(&in, &out, sizeof in);
	}
}

/* The bytes are the same on every machine. */
static void test_bytes(void **state)
{
	static const unsigned char expected[ATL_FRAME_HEADER_SIZE] = {'A', 'T', 'L', 'F', 2, 0, 3, 0, 4, 0, 0, 0, 0, 1, 0, 0};
	struct atl_frame in = {.type = 2, .item = 3, .id = 4, .length = 256};
	unsigned char head[ATL_FRAME_HEADER_SIZE];
	atl_frame_encode(&in, head);
	assert_memory_equal(head, expected, sizeof head);
}

static void test_refused(void **state)
{
	struct atl_frame good = {.type = ATL_FRAME_END}, out = {.id = 99};
	unsigned char head[ATL_FRAME_HEADER_SIZE];
	atl_frame_encode(&good, head);
	for (int i = 0; i < 4; i++) { /* the magic */
		head[i] ^= 1;
		assert_int_equal(atl_frame_decode(head, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
		head[i] ^= 1;
	}
	static const uint16_t types[] = {0, ATL_FRAME_TYPE_LAST + 1, 0xffff};
	for (size_t i = 0; i < ATL_COUNT(types); i++) {
		struct atl_frame bad = {.type = types[i]};
		atl_frame_encode(&bad, head);
		assert_int_equal(atl_frame_decode(head, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	}
	struct atl_frame large = {.type = ATL_FRAME_END, .length = ATL_FRAME_PAYLOAD_MAX + 1};
	atl_frame_encode(&large, head);
	assert_int_equal(atl_frame_decode(head, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	assert_int_equal(out.id, 99); /* set only on success */
}

static void test_ask(void **state)
{
	struct atl_decode_ask ask = {.max_pixels = 50000000,
				     .max_side = 1024,
				     .kind = 3,
				     .flags = ATL_DECODE_FLAGS,
				     .keep = ATL_DECODE_AUTO,
				     .quality = 100,
				     .raw_channels = 3,
				     .raw_width = ATL_DECODE_SIDE_MAX,
				     .raw_height = 1,
				     .width_count = 2,
				     .widths = {64, 512}};
	struct atl_decode_ask out;
	unsigned char data[ATL_DECODE_ASK_SIZE];
	atl_decode_ask_encode(&ask, data);
	assert_int_equal(atl_decode_ask_decode(data, sizeof data, &out, NULL), ATL_OK);
	assert_memory_equal(&ask, &out, sizeof ask);
	assert_int_equal(atl_decode_ask_decode(data, sizeof data - 1, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	struct atl_decode_ask rows[] = {ask, ask, ask, ask, ask, ask, ask, ask, ask, ask, ask};
	rows[0].max_pixels = 0;
	rows[1].max_side = 0;
	rows[2].width_count = ATL_DECODE_WIDTHS_MAX + 1;
	rows[3].widths[1] = 0;
	rows[4].flags = ATL_DECODE_FLAGS + 1;
	rows[5].keep = ATL_DECODE_AUTO + 1;
	rows[6].quality = 0;
	rows[7].raw_channels = 2;
	rows[8].raw_width = ATL_DECODE_SIDE_MAX + 1;
	rows[9].raw_height = 0;
	rows[10].max_side = ATL_DECODE_SIDE_MAX + 1;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		atl_decode_ask_encode(&rows[i], data);
		assert_int_equal(atl_decode_ask_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	}
}

static void test_item(void **state)
{
	struct atl_decode_item item = {.what = ATL_DECODE_THUMB, .form = ATL_DECODE_PNG, .asked_width = 64, .width = 60, .height = 1};
	struct atl_decode_item out;
	unsigned char data[ATL_DECODE_ITEM_SIZE];
	atl_decode_item_encode(&item, data);
	assert_int_equal(atl_decode_item_decode(data, sizeof data, &out, NULL), ATL_OK);
	assert_memory_equal(&item, &out, sizeof item);
	assert_int_equal(atl_decode_item_decode(data, sizeof data - 1, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	struct atl_decode_item rows[] = {item, item, item, item};
	rows[0].height = 0;
	rows[1].width = ATL_DECODE_SIDE_MAX + 1;
	rows[2].what = ATL_DECODE_TEXT + 1;
	rows[3].form = ATL_DECODE_AUTO + 1;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		atl_decode_item_encode(&rows[i], data);
		assert_int_equal(atl_decode_item_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	}
}

static void test_end(void **state)
{
	struct atl_decode_end end = {.width = 7000, .height = 20, .duration_ms = 1500, .frames = 3, .alpha = 1, .last = 1,
				     .phash = 0x8123456789abcdefu, .blurhash = "LKO2?U%2Tw=w]~RBVZRi};RPxuwH"};
	struct atl_decode_end out;
	unsigned char data[ATL_DECODE_END_SIZE];
	atl_decode_end_encode(&end, data);
	assert_int_equal(atl_decode_end_decode(data, sizeof data, &out, NULL), ATL_OK);
	assert_memory_equal(&end, &out, sizeof end);
	assert_int_equal(atl_decode_end_decode(data, sizeof data - 1, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	struct atl_decode_end rows[] = {end, end, end, end, end, end};
	rows[0].width = 0;
	rows[1].height = 0;
	rows[2].alpha = 2;
	rows[3].last = 2;
	rows[4].blurhash[3] = '\n';
	rows[5].blurhash[0] = (char)0xc3;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		atl_decode_end_encode(&rows[i], data);
		assert_int_equal(atl_decode_end_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	}
	/* a text without an end */
	atl_decode_end_encode(&end, data);
	memset(data + 32, 'x', ATL_DECODE_BLURHASH_MAX);
	assert_int_equal(atl_decode_end_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bytes), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ask),	   cmocka_unit_test(test_item),	  cmocka_unit_test(test_end),
	};
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
