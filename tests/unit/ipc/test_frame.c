/* Frames and their payloads: what goes in comes out, and nothing else is believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/frame.h"

static void test_round_trip(void **state)
{
	for (uint16_t type = ATL_FRAME_DECODE; type <= ATL_FRAME_ERROR; type++) {
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
	static const uint16_t types[] = {0, ATL_FRAME_ERROR + 1, 0xffff};
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
	struct atl_decode_ask ask = {.max_pixels = 50000000, .max_side = 1024, .kind = 3, .width_count = 2, .widths = {64, 512}};
	struct atl_decode_ask out;
	unsigned char data[ATL_DECODE_ASK_SIZE];
	atl_decode_ask_encode(&ask, data);
	assert_int_equal(atl_decode_ask_decode(data, sizeof data, &out, NULL), ATL_OK);
	assert_memory_equal(&ask, &out, sizeof ask);
	assert_int_equal(atl_decode_ask_decode(data, sizeof data - 1, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	struct atl_decode_ask rows[] = {ask, ask, ask, ask};
	rows[0].max_pixels = 0;
	rows[1].max_side = 0;
	rows[2].width_count = ATL_DECODE_WIDTHS_MAX + 1;
	rows[3].widths[1] = 0;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		atl_decode_ask_encode(&rows[i], data);
		assert_int_equal(atl_decode_ask_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	}
}

static void test_item(void **state)
{
	struct atl_decode_item item = {.asked_width = 64, .width = 60, .height = 1}, out;
	unsigned char data[ATL_DECODE_ITEM_SIZE];
	atl_decode_item_encode(&item, data);
	assert_int_equal(atl_decode_item_decode(data, sizeof data, &out, NULL), ATL_OK);
	assert_memory_equal(&item, &out, sizeof item);
	assert_int_equal(atl_decode_item_decode(data, sizeof data - 1, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
	item.height = 0;
	atl_decode_item_encode(&item, data);
	assert_int_equal(atl_decode_item_decode(data, sizeof data, &out, NULL), ATL_ERR_UPSTREAM_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bytes), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ask),	   cmocka_unit_test(test_item),
	};
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
