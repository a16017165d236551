/* image_services.h - the picture services there are, one file each; the table is in image.c. Only src/provider. */
#ifndef ATL_PROVIDER_IMAGE_SERVICES_H
#define ATL_PROVIDER_IMAGE_SERVICES_H

#include "provider/image.h"

extern const struct atl_image_ops atl_image_local; /* image_local.c: atelier-image on this machine */
extern const struct atl_image_ops atl_image_fake;  /* image_fake.c: scripted, for tests */
extern const struct atl_image_ops atl_image_comfyui; /* image_comfyui.c: ComfyUI servers */
extern const struct atl_image_ops atl_image_a1111; /* image_a1111.c: AUTOMATIC1111, Forge, SD.Next */
extern const struct atl_image_ops atl_image_venice; /* image_venice.c: Venice */
extern const struct atl_image_ops atl_image_openai; /* image_openai.c: OpenAI and servers that speak like it */
extern const struct atl_image_ops atl_image_fal; /* image_fal.c: fal.ai */

#endif
