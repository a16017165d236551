/* style_builtin.c - the four built-in styles of style.h. */
#include "base/str.h"
#include "core/pictures/style.h"

static const struct atl_style BUILTIN[] = {
	{ .id = "chatgpt", .name = "ChatGPT", .builtin = true, .shared = true,
	  .prompt = "{prompt}, clean digital illustration, soft even light, clear shapes, balanced composition, fine detail",
	  .negative_prompt = "clutter, noise, watermark, text, signature, deformed" },
	{ .id = "lux", .name = "Lux", .builtin = true, .shared = true,
	  .prompt = "{prompt}, cinematic editorial photograph, golden hour light, shallow depth of field, rich deep colours, "
		    "subtle film grain, elegant",
	  .negative_prompt = "flat light, oversaturated, cheap, plastic, watermark, text" },
	{ .id = "realism", .name = "Realism", .builtin = true, .shared = true,
	  .prompt = "photograph of {prompt}, natural light, 35 mm lens, true colours, realistic texture, sharp focus",
	  .negative_prompt = "illustration, painting, drawing, cartoon, 3d render, airbrushed, deformed, watermark" },
	{ .id = "anime", .name = "Anime", .builtin = true, .shared = true,
	  .prompt = "{prompt}, anime illustration, clean line art, cel shading, expressive, vivid colours, detailed background",
	  .negative_prompt = "photograph, realistic, 3d render, blurry, bad anatomy, watermark, signature" },
};

const struct atl_style *atl_style_builtin(size_t index)
{
	return index < ATL_COUNT(BUILTIN) ? &BUILTIN[index] : NULL;
}
