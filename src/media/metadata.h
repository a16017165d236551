/* metadata.h - what a picture file says about how it was made: read from many tools' files, written into ours.
 *
 * Nothing is decoded: chunks and segments only (texts hidden in pixels: stealth.h). What another tool wrote is hostile
 * input; every size is bounded.
 * Sources: docs/media.md lists the formats (A1111 `parameters`, ComfyUI `prompt`, SwarmUI, InvokeAI, NovelAI, ours) and
 * the carriers (PNG tEXt/zTXt/iTXt, JPEG and WebP Exif UserComment and XMP).
 *
 * Threads:    pure functions. Ownership: results in the given arena.
 * Limits:     ATL_METADATA_TEXT_MAX bytes a text after inflation; what is longer is skipped.
 * Adding one: a reader is a row in metadata_read.c, with a sample in tests/cases/metadata/.
 */
#ifndef ATL_MEDIA_METADATA_H
#define ATL_MEDIA_METADATA_H

#include "base/arena.h"
#include "base/buf.h"

#define ATL_METADATA_TEXT_MAX ((size_t)2 << 20)
#define ATL_METADATA_LORAS_MAX 32

/* Numbers that are INT64_MIN and doubles that are NAN were not said; texts NULL likewise. */
struct atl_recall_lora {
	const char *name;
	double weight;
};
struct atl_recall {
	const char *source; /* "atelier", "a1111", "comfyui", "swarmui", "invokeai", "novelai", "fooocus" */
	const char *prompt, *negative_prompt, *model, *model_hash, *vae, *sampler, *scheduler, *version;
	int64_t steps, seed, width, height, clip_skip, subseed;
	double cfg_scale, guidance, strength, subseed_strength;
	struct atl_recall_lora *loras;
	size_t lora_count;
	const char *raw;      /* the text as found: A1111's lines or JSON */
	const char *workflow; /* ComfyUI's API graph as JSON */
	const char *atelier;  /* our own JSON object, as text */
	bool ai_marked;	      /* an IPTC digital source type names a machine */
};
void atl_recall_init(struct atl_recall *recall); /* nothing was said */
/* False: the list is full (or memory is missing), or it has the name already. Folder and ending of the name go. */
bool atl_recall_add_lora(struct atl_arena *arena, struct atl_recall *recall, const char *name, double weight);

/* What a PNG, JPEG or WebP file says. `<lora:name:weight>` moves from the prompt into `loras`; names of models and
 * LoRAs lose folder and file ending; `raw` and `workflow` have everything as it was. A file that carries nothing but
 * the AI mark is ATL_OK with `source` NULL.
 * NOT_FOUND: nothing readable in it. PICTURE: not a file of a known kind, or broken. */
enum atl_err atl_metadata_read(struct atl_arena *arena, const void *data, size_t length, struct atl_recall *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* Pasted text: A1111's three parts (words without parameters and negative prompt are NOT_FOUND), or JSON of any reader;
 * our own JSON must name its `source`. Errors: NOT_FOUND, TOO_LARGE. */
enum atl_err atl_metadata_read_text(struct atl_arena *arena, const char *text, size_t length, struct atl_recall *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;

/* As a JSON object: the members' names, what was not said left out; workflow and atelier as objects. NULL: no memory.
 * A recall of our own written this way is what atl_metadata_out.atelier wants. */
const char *atl_metadata_json(struct atl_arena *arena, const struct atl_recall *recall);

/* What goes into our files. NULL members are left out; the AI mark is always written. */
struct atl_metadata_out {
	const char *parameters; /* A1111's text; atl_metadata_parameters() makes it */
	const char *atelier;	/* our JSON object */
	bool composite;		/* made from a supplied picture: compositeWithTrainedAlgorithmicMedia */
};
/* The A1111 text of a recall; in the arena. */
const char *atl_metadata_parameters(struct atl_arena *arena, const struct atl_recall *recall);
/* Append a copy of a PNG, JPEG or WebP file to `out` with its old metadata removed and this in its place. Colour
 * profile, animation and orientation stay. In a JPEG a text that does not fit into one segment (64 KiB) is left out.
 * Errors: PICTURE (another kind, or damaged), TOO_LARGE; what was appended means nothing then. */
enum atl_err atl_metadata_write(const void *data, size_t length, const struct atl_metadata_out *metadata,
				struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;

#endif
