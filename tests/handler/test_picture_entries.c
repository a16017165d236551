/* Every entry point that takes a picture asks the gate of blocked pictures: the canary picture (core/safety/blocked_picture.h) is
 * refused at each and nothing of it is kept. Which routes may take one is read off the route table: a body that is no
 * JSON, or JSON with a text long enough for a picture, a free value, or the id of a picture. Each of them has a row here, a
 * line in `without` that says why it takes none, or a reason in test_policy_exempt.h that says as much. */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/str.h"
#include "core/safety/blocked_picture.h"
#include "media/encode.h"
#include "media/phash.h"
#include "support.h"
#include "test_policy_exempt.h"

#define SIDE 256
#define LONG_TEXT 20000 /* a picture in base64 may hide in it */

/* {canary}, {good}: pictures in base64; {bad}, {asset}: ids of assets, the first one looks like the canary; {chr}. */
enum body { JSON, BYTES, FILE_OF_FORM, PIECES };
static const struct row {
	const char *line;
	enum body how;
	const char *body; /* JSON; of a form its fields "canary_field good_field prompt", a dash for none */
} rows[] = {
	{ "POST /api/v1/assets", BYTES, NULL },
	{ "POST /api/v1/assets?library=false", BYTES, NULL },
	{ "PATCH /api/v1/uploads/{id}", PIECES, NULL },
	{ "POST /api/v1/uploads/{id}/finish", PIECES, NULL },
	{ "PUT /api/v1/characters/{chr}/avatar", BYTES, NULL },
	{ "PUT /api/v1/characters/{chr}/look", JSON, "{\"reference_assets\":[\"{asset}\",\"{bad}\"]}" },
	{ "POST /api/v1/jobs", JSON, "{\"prompt\":\"a boat\",\"init_asset\":\"{bad}\"}" },
	{ "POST /api/v1/jobs", JSON, "{\"prompt\":\"a boat\",\"init_asset\":\"{asset}\",\"mask_asset\":\"{bad}\"}" },
	{ "POST /api/v1/jobs", JSON, "{\"prompt\":\"a boat\",\"reference_assets\":[\"{bad}\"]}" },
	{ "POST /api/v1/grids", JSON,
	  "{\"request\":{\"prompt\":\"a boat\",\"init_asset\":\"{bad}\"},\"x\":{\"parameter\":\"seed\",\"text\":\"1-2\"}}" },
	{ "POST /generate", JSON, "{\"mode\":\"img2img\",\"prompt\":\"a boat\",\"images\":[\"{canary}\"]}" },
	{ "POST /v1/images/edits", FILE_OF_FORM, "image - a boat" },
	{ "POST /v1/images/edits", FILE_OF_FORM, "mask image a boat" },
	{ "POST /v1/images/variations", FILE_OF_FORM, "image - -" },
	{ "POST /v1/videos", FILE_OF_FORM, "input_reference - a boat" },
	{ "POST /v1/videos", JSON,
	  "{\"prompt\":\"a boat\",\"input_reference\":{\"image_url\":\"data:image/png;base64,{canary}\"}}" },
	{ "POST /sdapi/v1/img2img", JSON, "{\"prompt\":\"a boat\",\"init_images\":[\"{canary}\"]}" },
	{ "POST /sdapi/v1/img2img", JSON, "{\"prompt\":\"a boat\",\"init_images\":[\"{good}\"],\"mask\":\"{canary}\"}" },
	{ "POST /sdapi/v1/extra-single-image", JSON, "{\"image\":\"{canary}\",\"upscaling_resize\":2}" },
	{ "POST /sdapi/v1/extra-batch-images", JSON, "{\"imageList\":[{\"data\":\"{canary}\",\"name\":\"a\"}],\"upscaling_resize\":2}" },
};

#define TEXTS "texts, ids and numbers: what looks free is a card, a graph or a list of words"
static const struct exempt without[] = {
	{ "POST /api/v1/characters", TEXTS },
	{ "PATCH /api/v1/characters/{id}", TEXTS },
	{ "POST /api/v1/conversations", TEXTS },
	{ "POST /api/v1/conversations/{id}/messages", TEXTS },
	{ "POST /api/v1/conversations/import", "texts in JSON and lines: no picture is taken from them" },
	{ "POST /api/v1/messages/{id}/edit", TEXTS },
	{ "POST /api/v1/temporary/replies", TEXTS },
	{ "POST /api/v1/styles", TEXTS },
	{ "PATCH /api/v1/styles/{id}", TEXTS },
	{ "POST /api/v1/styles/import", TEXTS },
	{ "POST /api/v1/wildcards", TEXTS },
	{ "POST /api/v1/workflows", TEXTS },
	{ "PATCH /api/v1/workflows/{id}", TEXTS },
	{ "POST /api/v1/verify", "looks at it, keeps nothing and makes nothing" },
	{ "POST /api/v1/blocked-pictures", "puts the picture on the list and keeps no more of it than hashes" },
	{ "POST /api/v1/assets/recall", "reads what is written in the file and keeps nothing" },
	{ "PUT /api/v1/engine/models/{file}", "a model" },
	{ "POST /api/v1/providers/{id}/characters/{slug}/adopt", "the service's text" },
	{ "POST /hooks/fal/{token}", "a service's signed word that a job has ended; what it made passes the gate of results" },
	{ "POST /v1/chat/completions", "pictures for a model that sees go on to it and are not kept: docs/limits.md" },
	{ "POST /v1/completions", TEXTS },
	{ "POST /v1/embeddings", TEXTS },
	{ "POST /v1/images/generations", TEXTS },
	{ "POST /sdapi/v1/txt2img", "takes no picture: scripts that bring one are refused (test_a1111.c)" },
	{ "POST /sdapi/v1/interrogate", "not offered" },
};

static struct atl_buf canary; /* a PNG */
static const char *character, *good_asset, *bad_asset, *canary64, *good64;

/* ---- which routes ---- */

static bool may_hold_picture(const struct atl_json_desc *desc, unsigned depth)
{
	for (size_t i = 0; i < desc->field_count; i++) {
		const struct atl_json_field *f = &desc->fields[i];
		bool long_text = f->type == ATL_JT_STR && (f->max == 0 || f->max < f->min || f->max > LONG_TEXT);

		if (f->type == ATL_JT_ANY || f->type == ATL_JT_RAW || strstr(f->name, "asset") || long_text)
			return true;
		if (f->type == ATL_JT_STRS && (strstr(f->name, "image") || strstr(f->name, "picture")))
			return true;
		if (f->sub && depth < 8 && may_hold_picture(f->sub, depth + 1))
			return true;
	}
	return false;
}

/* An exemption of the texts' gate that says that nothing is made of what comes in. */
static bool takes_nothing(const char *line)
{
	static const char *const reasons[] = { ACCOUNT, OPERATING, NAMED, NO_TEXT, NOT_MADE };

	for (size_t i = 0; i < ATL_COUNT(exempt); i++)
		for (size_t r = 0; r < ATL_COUNT(reasons); r++)
			if (strcmp(exempt[i].route, line) == 0 && strcmp(exempt[i].why, reasons[r]) == 0)
				return true;
	return false;
}

static bool takes_picture(const struct atl_route *route, const char *line)
{
	if (route->method != ATL_POST && route->method != ATL_PUT && route->method != ATL_PATCH)
		return false;
	if (route->flags & ATL_ROUTE_UPLOAD)
		return true;
	return !takes_nothing(line) && (!route->in || may_hold_picture(route->in, 0));
}

/* "POST /a/{id}/b" against "POST /a/{chr}/b?x=y". */
static bool same_route(const char *route, const char *line)
{
	while (*route && *line && *line != '?') {
		if (*route == '{' && *line == '{') {
			route += strcspn(route, "/");
			line += strcspn(line, "/?");
		} else if (*route++ != *line++)
			return false;
	}
	return *route == '\0' && (*line == '\0' || *line == '?');
}

static void test_every_route_is_gated_or_says_why(void **state)
{
	int wrong = 0;

	for (size_t t = 0; atl_api_tables[t]; t++)
		for (const struct atl_route *route = atl_api_tables[t]; route->path; route++) {
			const char *line = fmt("%s %s", atl_method_name(route->method), route->path);
			int found = 0;

			for (size_t i = 0; i < ATL_COUNT(rows) && !found; i++)
				found += same_route(line, rows[i].line);
			for (size_t i = 0; i < ATL_COUNT(without); i++)
				found += strcmp(without[i].route, line) == 0;
			if (found == (takes_picture(route, line) ? 1 : 0))
				continue;
			print_error("%s %s\n", line, found ? "has a row or a line too many" : "may take a picture: add a row, or say why not");
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static void test_every_line_has_a_route(void **state)
{
	for (size_t i = 0; i < ATL_COUNT(without); i++) {
		bool found = false;

		for (size_t t = 0; atl_api_tables[t]; t++)
			for (const struct atl_route *route = atl_api_tables[t]; route->path; route++)
				found |= strcmp(without[i].route, fmt("%s %s", atl_method_name(route->method), route->path)) == 0;
		if (!found)
			fail_msg("%s: no such route", without[i].route);
	}
}

/* ---- asking ---- */

static const char *fill(const char *text)
{
	static const char *const names[] = { "{canary}", "{good}", "{bad}", "{asset}", "{chr}" };
	const char *const values[] = { canary64, good64, bad_asset, good_asset, character };

	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		const char *at = strstr(text, names[i]);

		if (at)
			return fill(fmt("%.*s%s%s", (int)(at - text), text, values[i], at + strlen(names[i])));
	}
	return text;
}

static void add_file(struct atl_buf *out, const char *field, const void *data, size_t length)
{
	atl_buf_addf(out, "--edge\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n",
		     field);
	atl_buf_add(out, data, length);
	atl_buf_adds(out, "\r\n");
}

static struct atl_req *ask_form(struct site *site, const struct row *row)
{
	static const char *const type[] = { "Content-Type: multipart/form-data; boundary=edge", NULL };
	char bad[32], good[32], prompt[32];
	struct atl_buf out, picture = load_picture("good.png");
	struct atl_req *req;

	assert_int_equal(sscanf(row->body, "%31s %31s %31[^\n]", bad, good, prompt), 3);
	atl_buf_init(&out, (size_t)8 << 20);
	if (strcmp(prompt, "-") != 0)
		atl_buf_addf(&out, "--edge\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n%s\r\n", prompt);
	if (strcmp(good, "-") != 0)
		add_file(&out, good, picture.data, picture.length);
	add_file(&out, bad, canary.data, canary.length);
	atl_buf_adds(&out, "--edge--\r\n");
	req = ask_data(site, &owner, type, row->line, out.data, out.length);
	atl_buf_finish(&out);
	atl_buf_finish(&picture);
	return req;
}

static struct atl_req *ask_pieces(struct site *site)
{
	static const char *const offset[] = { "Upload-Offset: 0", "Content-Type: application/octet-stream", NULL };
	const char *id = text_at(expect(ask(site, &owner, "POST /api/v1/uploads", fmt("{\"size_bytes\":%zu}", canary.length)), 201),
				 "id");

	id = fmt("%s", id);
	expect(ask_data(site, &owner, offset, fmt("PATCH /api/v1/uploads/%s", id), canary.data, canary.length), 200);
	return ask(site, &owner, fmt("POST /api/v1/uploads/%s/finish", id), NULL);
}

static struct atl_req *ask_row(struct site *site, const struct row *row)
{
	static const char *const type[] = { "Content-Type: image/png", NULL };

	if (row->how == BYTES)
		return ask_data(site, &owner, type, fill(row->line), canary.data, canary.length);
	if (row->how == FILE_OF_FORM)
		return ask_form(site, row);
	return row->how == PIECES ? ask_pieces(site) : ask(site, &owner, fill(row->line), fill(row->body));
}

static void test_every_row(void **state)
{
	struct site *site = *state;
	int64_t near = number_of(site->app.db, "SELECT count(*) FROM assets"), hits;
	int wrong = 0;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_req *req;

		hits = number_of(site->app.db, "SELECT count(*) FROM audit WHERE action = 'picture.blocked'");
		req = ask_row(site, &rows[i]);
		hits = number_of(site->app.db, "SELECT count(*) FROM audit WHERE action = 'picture.blocked'") - hits;
		if (req->status == 403 && strstr(req->out.data, "refused_by_policy") && hits == 1)
			continue;
		print_error("%s %s: %d, %d hits\n%.300s\n", rows[i].line, rows[i].body ? rows[i].body : "", req->status, (int)hits,
			    req->out.length ? req->out.data : "");
		wrong++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(number_of(site->app.db, "SELECT count(*) FROM jobs"), 0);
	/* good pictures that came with the canary are kept as inputs; they are one picture */
	assert_in_range(number_of(site->app.db, "SELECT count(*) FROM assets"), near, near + 2);
	assert_int_equal(number_of(site->app.db, fmt("SELECT count(*) FROM assets WHERE phash = %lld", (long long)ATL_CANARY_PHASH)), 1);
}

/* Another size is the same picture. */
static void test_sizes(void **state)
{
	static const char *const type[] = { "Content-Type: image/png", NULL };
	static const unsigned sides[] = { 48, 200, 1000 };
	static unsigned char rgb[1000 * 1000 * 3];

	for (size_t i = 0; i < ATL_COUNT(sides); i++) {
		struct atl_buf png;

		atl_canary_picture(rgb, sides[i]);
		atl_buf_init(&png, (size_t)8 << 20);
		assert_int_equal(atl_png_encode(rgb, sides[i], sides[i], 3, &png, NULL), ATL_OK);
		expect_problem(ask_data(*state, &owner, type, "POST /api/v1/assets", png.data, png.length), 403, "refused_by_policy",
			       NULL);
		atl_buf_finish(&png);
	}
}

static int setup(void **state)
{
	static unsigned char rgb[SIDE * SIDE * 3];
	struct atl_buf text;
	struct site *site;

	site_setup(state);
	site = *state;
	atl_canary_picture(rgb, SIDE);
	atl_buf_init(&canary, (size_t)4 << 20);
	atl_buf_init(&text, (size_t)8 << 20);
	assert_int_equal(atl_png_encode(rgb, SIDE, SIDE, 3, &canary, NULL), ATL_OK);
	atl_base64_encode(&text, ATL_BASE64_STANDARD, canary.data, canary.length);
	canary64 = fmt("%s", text.data);
	atl_buf_finish(&text);
	good64 = base64_picture("good.png");
	character = make_character(site, &owner, "Ada");
	good_asset = make_asset(site, &owner, "good.png");
	bad_asset = make_asset(site, &owner, "good.jpg");
	execute(site->app.db, fmt("UPDATE assets SET phash = %lld WHERE id = '%s'", (long long)ATL_CANARY_PHASH, bad_asset));
	scripted_pictures(site);
	return 0;
}

static int teardown(void **state)
{
	atl_buf_finish(&canary);
	return site_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_every_route_is_gated_or_says_why),
		cmocka_unit_test(test_every_line_has_a_route),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
