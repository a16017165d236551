/* grid_axis.h - the axes of a grid: a parameter and the values it takes, read from what people type.
 *
 * Values are a list, or a text as AUTOMATIC1111's X/Y/Z plot takes it: separated by commas, "quoted" where a comma
 * belongs to the value, and for numbers also ranges: "1-5", "1-10 (+3)" (steps of 3), "10-1 (-3)", "0-1 [5]" (5 values,
 * evenly spread; whole numbers are cut, as there). "prompt" is Prompt S/R: its first value is searched in the prompts,
 * and each value in turn stands in its place.
 *
 * Threads: pure functions. Ownership: the arena; texts of lists stay where they were.
 * Limits:  ATL_GRID_CELLS_MAX values an axis.
 * Adding one: a row in the table of grid_axis.c, and in web/js/pictures/grid-axes.js.
 */
#ifndef ATL_CORE_GRID_AXIS_H
#define ATL_CORE_GRID_AXIS_H

#include "core/pictures/picture.h"

#define ATL_GRID_CELLS_MAX 100
#define ATL_GRID_TEXT_MAX 4000 /* code points of an axis' text */

enum atl_grid_type { ATL_GRID_INTEGER, ATL_GRID_NUMBER, ATL_GRID_CHOICE, ATL_GRID_LORA, ATL_GRID_SIZE, ATL_GRID_PROMPT };

extern const char *const atl_grid_parameters[]; /* NULL-terminated */

struct atl_grid_axis_in {
	const char *parameter;
	const struct atl_json *values; /* array of texts and numbers; NULL: `text` */
	const char *text;
	const char *lora; /* of lora_weight: which one; NULL: the only one of the request */
};

struct atl_grid_value {
	const char *label;
	int64_t integer; /* INTEGER; SIZE: the width */
	int64_t height;	 /* SIZE */
	double number;	 /* NUMBER, LORA */
};

struct atl_grid_axis {
	const char *parameter;
	enum atl_grid_type type;
	const char *lora; /* NULL: the only one */
	struct atl_grid_value *values;
	size_t count;
};

/* INVALID, with the field ("x.values", ...), when it cannot be read; `name` is the axis: "x". */
enum atl_err atl_grid_axis_read(struct atl_arena *arena, const char *name, const struct atl_grid_axis_in *in,
				struct atl_grid_axis *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Set the axis' parameter to its value `index`. INVALID: it does not fit the request (nothing to be searched, no LoRA).
 * What the model takes is not looked at: that is atl_picture_prepare(). */
enum atl_err atl_grid_axis_apply(struct atl_arena *arena, const char *name, const struct atl_grid_axis *axis, size_t index,
				 struct atl_picture_ask *ask, struct atl_errinfo *info) ATL_MUST_USE;

#endif
