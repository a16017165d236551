/* metadata_read.c - from a file or a pasted text to a recall; see metadata.h.
 *
 * Carriers first (chunks and segments become texts by keyword), then the table of readers below. Everything happens in
 * a scratch arena of SCRATCH_MAX, so that a hostile file cannot use up the caller's; the result is copied out.
 */
#include "base/str.h"
#include "media/a1111_text.h"
#include "media/exif.h"
#include "media/jpeg_segment.h"
#include "media/metadata_tools.h"
#include "media/png_chunk.h"
#include "media/recall.h"
#include "media/sniff.h"
#include "media/webp_chunk.h"
#include "media/xmp.h"

#define SCRATCH_MAX ((size_t)96 << 20)

/* ---- carriers ---- */

static void add_xmp(struct atl_arena *arena, struct atl_texts *texts, const void *data, size_t length)
{
	atl_texts_add(arena, texts, ATL_TEXTS_XMP, ATL_CHARSET_UTF8, data, length);
}

static bool collect_png(struct atl_arena *arena, const void *data, size_t length, struct atl_texts *texts)
{
	struct atl_png_walk walk;
	struct atl_png_chunk c;
	if (!atl_png_walk_init(&walk, data, length))
		return false;
	while (atl_png_next(&walk, &c)) {
		if (memcmp(c.type + 1, "EXt", 3) == 0 || memcmp(c.type + 1, "TXt", 3) == 0)
			atl_png_read_text(arena, &c, texts);
		else if (memcmp(c.type, "eXIf", 4) == 0)
			atl_exif_read(arena, c.data, c.length, texts);
		else if (memcmp(c.type, "comf", 4) == 0) { /* ComfyUI's animated PNG: keyword, NUL, JSON */
			const char *key = (const char *)c.data;
			size_t n = strnlen(key, c.length);
			if (n && n < 80 && n < c.length)
				atl_texts_add(arena, texts, key, ATL_CHARSET_UTF8, key + n + 1, c.length - n - 1);
		}
	}
	return true;
}

static bool collect_jpeg(struct atl_arena *arena, const void *data, size_t length, struct atl_texts *texts)
{
	struct atl_jpeg_walk walk;
	struct atl_jpeg_segment s;
	if (!atl_jpeg_walk_init(&walk, data, length))
		return false;
	while (atl_jpeg_next(&walk, &s) && s.marker != ATL_JPEG_SOS) {
		if (s.marker != ATL_JPEG_APP0 + 1)
			continue;
		if (atl_jpeg_named(&s, ATL_JPEG_EXIF, sizeof ATL_JPEG_EXIF))
			atl_exif_read(arena, s.data, s.length, texts);
		else if (atl_jpeg_named(&s, ATL_JPEG_XMP, sizeof ATL_JPEG_XMP))
			add_xmp(arena, texts, s.data + sizeof ATL_JPEG_XMP, s.length - sizeof ATL_JPEG_XMP);
	}
	return true;
}

static bool collect_webp(struct atl_arena *arena, const void *data, size_t length, struct atl_texts *texts)
{
	struct atl_webp_walk walk;
	struct atl_webp_chunk c;
	if (!atl_webp_walk_init(&walk, data, length))
		return false;
	while (atl_webp_next(&walk, &c)) {
		if (memcmp(c.type, "EXIF", 4) == 0)
			atl_exif_read(arena, c.data, c.length, texts);
		else if (memcmp(c.type, "XMP ", 4) == 0)
			add_xmp(arena, texts, c.data, c.length);
	}
	return true;
}

/* What XMP says under names of its own gets the keyword that PNG has for it. */
static void collect_from_xmp(struct atl_arena *arena, struct atl_texts *texts, bool *ai_marked)
{
	static const struct {
		const char *property, *key;
	} rows[] = {{ATL_XMP_RECALL, "atelier"}, {"sdcpp:parameters", "parameters"}};
	for (size_t i = 0, count = texts->count; i < count; i++) {
		const char *packet = texts->items[i].text;
		if (!atl_str_eq(texts->items[i].key, ATL_TEXTS_XMP))
			continue;
		*ai_marked = *ai_marked || atl_xmp_ai_marked(packet);
		for (size_t r = 0; r < ATL_COUNT(rows); r++) {
			const char *value = atl_xmp_get(arena, packet, rows[r].property);
			if (value)
				atl_texts_add(arena, texts, rows[r].key, ATL_CHARSET_UTF8, value, strlen(value));
		}
	}
}

/* ---- readers ---- */

/* A tree is tried by the reader of its keyword; a text without one (pasted, or A1111's keyword) by each in turn. Ours
 * asks for the least, so there it must also name its source. */
static const struct {
	const char *key;
	bool (*read)(struct atl_arena *arena, const struct atl_json *tree, struct atl_recall *recall);
} READERS[] = {
	{"prompt", atl_recall_comfyui},	       {"invokeai_metadata", atl_recall_invokeai},
	{"sd-metadata", atl_recall_invokeai_old}, {"Comment", atl_recall_novelai},
	{"sui_image_params", atl_recall_swarmui}, {"guidance_scale", atl_recall_fooocus},
	{"atelier", atl_recall_atelier},
};

static bool read_tree(struct atl_arena *arena, const char *text, size_t length, const char *key,
		      struct atl_recall *recall)
{
	const char *repaired;
	struct atl_json *tree = atl_json_tolerant(arena, text, length, &repaired);
	for (size_t i = 0; tree && i < ATL_COUNT(READERS); i++) {
		if (key && strcmp(READERS[i].key, key) != 0)
			continue;
		struct atl_recall found;
		atl_recall_init(&found);
		if (!key && READERS[i].read == atl_recall_atelier && !atl_json_str(tree, "source", NULL))
			continue;
		if (!READERS[i].read(arena, tree, &found))
			continue;
		if (READERS[i].read == atl_recall_atelier)
			found.atelier = repaired;
		else if (READERS[i].read == atl_recall_comfyui)
			found.workflow = repaired;
		else
			found.raw = repaired;
		atl_recall_take_loras(arena, &found);
		*recall = found;
		return true;
	}
	return false;
}

static bool read_keyword(struct atl_arena *arena, const struct atl_texts *texts, const char *key,
			 struct atl_recall *recall)
{
	const struct atl_text *text = atl_texts_find(texts, key);
	return text && read_tree(arena, text->text, text->length, key, recall);
}

static bool read_parameters(struct atl_arena *arena, const struct atl_texts *texts, struct atl_recall *recall)
{
	const struct atl_text *text = atl_texts_find(texts, "parameters");
	bool structured;
	if (!text)
		return false;
	if (read_tree(arena, text->text, text->length, NULL, recall))
		return true;
	const char *repaired;
	if (atl_json_tolerant(arena, text->text, text->length, &repaired))
		return false; /* of a tool that we do not know; no prompt */
	atl_recall_init(recall);
	return atl_a1111_parse(arena, text->text, text->length, recall, &structured);
}

/* NovelAI has the model in a text of its own. */
static void complete_novelai(struct atl_arena *arena, const struct atl_texts *texts, struct atl_recall *recall)
{
	const struct atl_text *source = atl_texts_find(texts, "Source"), *prompt = atl_texts_find(texts, "Description");
	if (source && !recall->model)
		recall->model = source->text;
	if (prompt && !recall->prompt)
		recall->prompt = prompt->text;
}

static bool read_texts(struct atl_arena *arena, const struct atl_texts *texts, struct atl_recall *recall)
{
	bool found = read_keyword(arena, texts, "atelier", recall) || read_parameters(arena, texts, recall);
	for (size_t i = 0; !found && i < ATL_COUNT(READERS); i++)
		found = read_keyword(arena, texts, READERS[i].key, recall);
	if (!found) {
		const struct atl_text *dream = atl_texts_find(texts, "Dream");
		atl_recall_init(recall);
		found = dream && atl_recall_dream(arena, dream->text, recall);
	}
	if (!found) {
		atl_recall_init(recall);
		return false;
	}
	if (atl_str_eq(recall->source, "novelai"))
		complete_novelai(arena, texts, recall);
	const struct atl_text *graph = atl_texts_find(texts, "prompt"), *lines = atl_texts_find(texts, "parameters");
	const char *repaired;
	if (!recall->workflow && graph && atl_json_tolerant(arena, graph->text, graph->length, &repaired))
		recall->workflow = repaired;
	if (!recall->raw && lines)
		recall->raw = lines->text;
	return true;
}

static enum atl_err finish(struct atl_arena *arena, struct atl_arena *scratch, const struct atl_recall *found,
			   struct atl_recall *ret, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	if (!found->source && !found->ai_marked)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "Nothing in it says how it was made.");
	else if (!atl_recall_copy(arena, found, ret))
		err = atl_fail(info, ATL_ERR_NOMEM, "metadata");
	atl_arena_finish(scratch);
	return err;
}

enum atl_err atl_metadata_read(struct atl_arena *arena, const void *data, size_t length, struct atl_recall *ret,
			       struct atl_errinfo *info)
{
	struct atl_arena scratch;
	atl_arena_init(&scratch, SCRATCH_MAX);
	struct atl_texts *texts = ATL_ARENA_NEW(&scratch, struct atl_texts);
	if (!texts)
		return atl_fail(info, ATL_ERR_NOMEM, "metadata");
	if (!collect_png(&scratch, data, length, texts) && !collect_jpeg(&scratch, data, length, texts) &&
	    !collect_webp(&scratch, data, length, texts)) {
		atl_arena_finish(&scratch);
		return atl_fail(info, ATL_ERR_PICTURE, "This is not a PNG, JPEG or WebP picture.");
	}
	struct atl_recall found;
	bool marked = false;
	collect_from_xmp(&scratch, texts, &marked);
	(void)read_texts(&scratch, texts, &found);
	found.ai_marked = marked;
	return finish(arena, &scratch, &found, ret, info);
}

enum atl_err atl_metadata_read_text(struct atl_arena *arena, const char *text, size_t length, struct atl_recall *ret,
				    struct atl_errinfo *info)
{
	struct atl_arena scratch;
	struct atl_recall found;
	bool structured = false;
	size_t clean_length = 0;
	atl_recall_init(&found);
	if (length > ATL_METADATA_TEXT_MAX)
		return atl_fail(info, ATL_ERR_TOO_LARGE, "The text is longer than %zu MiB.", ATL_METADATA_TEXT_MAX >> 20);
	atl_arena_init(&scratch, SCRATCH_MAX);
	const char *clean = atl_text_decode(&scratch, ATL_CHARSET_UTF8, text, length, &clean_length);
	if (clean && !read_tree(&scratch, clean, clean_length, NULL, &found) &&
	    !(atl_a1111_parse(&scratch, clean, clean_length, &found, &structured) && structured))
		atl_recall_init(&found);
	return finish(arena, &scratch, &found, ret, info);
}
