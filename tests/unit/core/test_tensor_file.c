/* Headers of safetensors files: what is read, and what is refused with which words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/models/tensor_file.h"

static struct atl_arena arena;

static int setup(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int teardown(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

static enum atl_err parse(const char *header, uint64_t data_size, struct atl_tensor_file *ret, struct atl_errinfo *info)
{
	unsigned char file[2048] = { 0 };
	size_t length = strlen(header);

	for (size_t i = 0; i < 8; i++)
		file[i] = (unsigned char)(length >> (8 * i));
	memcpy(file + 8, header, length);
	return atl_tensor_parse(&arena, file, length + 8, length + 8 + data_size, ret, info);
}

static void test_reads(void **state)
{
	struct atl_tensor_file file;

	assert_int_equal(parse("{\"__metadata__\":{\"a\":\"b\"},"
			       "\"b.lora_up.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
			       "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 16, &file, NULL), ATL_OK);
	assert_int_equal(file.count, 2);
	assert_string_equal(file.tensors[0].name, "a");
	assert_string_equal(file.tensors[1].type, "F16");
	assert_int_equal(file.tensors[1].rank, 2);
	assert_int_equal(file.tensors[1].shape[1], 3);
	assert_int_equal(file.parameters, 7);
	assert_string_equal(file.family, "lora");
}

static void test_families(void **state)
{
	static const struct {
		const char *tensor, *family;
	} cases[] = {
		{ "model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "flux" },
		{ "model.diffusion_model.input_blocks.0.0.weight", "sd1" },
		{ "conditioner.embedders.1.model.ln_final.weight", "sdxl" },
		{ "control_model.input_hint_block.0.weight", "controlnet" },
		{ "decoder.layers.0.weight", "taesd" },
		{ "body.0.rdb1.conv1.weight", "esrgan" },
		{ "anything", "unknown" },
	};

	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		struct atl_tensor_file file;
		char header[300];

		snprintf(header, sizeof(header), "{\"%s\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", cases[i].tensor);
		assert_int_equal(parse(header, 4, &file, NULL), ATL_OK);
		assert_string_equal(file.family, cases[i].family);
	}
}

static void test_refuses(void **state)
{
	static const struct {
		const char *header, *words;
	} cases[] = {
		{ "{}", "no tensor" },
		{ "[]", "list of tensors" },
		{ "{\"a\":1}", "no type" },
		{ "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", "no type" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "no type or shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[9007199254740992,2048],\"data_offsets\":[0,4]}}", "shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", "shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "does not fit its shape" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", "outside" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", "outside" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}", "overlap" },
		{ "{\"a\":", "not JSON" },
	};

	for (size_t i = 0; i < ATL_COUNT(cases); i++) {
		struct atl_tensor_file file;
		struct atl_errinfo info = { 0 };

		assert_int_equal(parse(cases[i].header, 8, &file, &info), ATL_ERR_UNPROCESSABLE);
		if (!strstr(info.detail, cases[i].words))
			fail_msg("%s: %s", cases[i].header, info.detail);
	}
}

static void test_pickles_and_cuts(void **state)
{
	static const unsigned char zip[] = "PK\3\4aaaaaaaa", pickle[] = "\x80\2}qaaaaaaaa", huge[] = "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
	struct atl_tensor_file file;
	struct atl_errinfo info = { 0 };

	assert_int_equal(atl_tensor_parse(&arena, zip, sizeof(zip), sizeof(zip), &file, &info), ATL_ERR_UNPROCESSABLE);
	assert_non_null(strstr(info.detail, "Convert it to safetensors"));
	assert_int_equal(atl_tensor_parse(&arena, pickle, sizeof(pickle), sizeof(pickle), &file, &info), ATL_ERR_UNPROCESSABLE);
	assert_non_null(strstr(info.detail, "pickle"));
	assert_int_equal(atl_tensor_parse(&arena, huge, sizeof(huge), sizeof(huge), &file, &info), ATL_ERR_UNPROCESSABLE);
	assert_int_equal(atl_tensor_parse(&arena, zip, 0, 0, &file, &info), ATL_ERR_UNPROCESSABLE);
	assert_non_null(strstr(info.detail, "too short"));
	assert_int_equal(atl_tensor_read(&arena, "/nonexistent/x", &file, NULL), ATL_ERR_NOT_FOUND);
	assert_int_equal(atl_tensor_read(&arena, "/dev/null", &file, NULL), ATL_ERR_UNPROCESSABLE);
}

/* 0x280 bytes of header: the file begins as a pickle does. Writers pad headers with spaces. */
static void test_a_length_like_a_pickle(void **state)
{
	static const char start[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";
	struct atl_tensor_file file;
	struct atl_errinfo info = { 0 };
	char header[0x281];

	memset(header, ' ', 0x280);
	memcpy(header, start, sizeof(start) - 1);
	header[0x280] = '\0';
	if (parse(header, 4, &file, &info) != ATL_OK)
		fail_msg("%s", info.detail);
}

/* By which a ControlNet is told to be of another family than its model. */
static void test_context(void **state)
{
	static const char unet[] = "{\"a.bias\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
				   "\"b.attn2.to_k.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,1024],\"data_offsets\":[4,1028]}}";
	static const char other[] = "{\"b.attn1.to_k.weight\":{\"dtype\":\"U8\",\"shape\":[1,4],\"data_offsets\":[0,4]}}";
	struct atl_tensor_file file;

	assert_int_equal(parse(unet, 1028, &file, NULL), ATL_OK);
	assert_int_equal(file.context, 1024);
	assert_int_equal(parse(other, 4, &file, NULL), ATL_OK);
	assert_int_equal(file.context, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_families, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pickles_and_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_length_like_a_pickle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context, setup, teardown),
	};

	return cmocka_run_group_tests_name("tensor_file", tests, NULL, NULL);
}
