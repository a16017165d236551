/* a1111_int.h - what the files of the AUTOMATIC1111 API share. Only src/api. */
#ifndef ATL_API_A1111_INT_H
#define ATL_API_A1111_INT_H

#include "api/waiting.h"
#include "core/pictures/picture.h"

#define A1111_ORIGIN "a1111"
#define A1111_BODY_MAX ((size_t)96 << 20)

/* The model of a client's options, kept in its user's preferences; NULL: none. In the arena. */
const char *a1111_model(struct atl_req *req);
/* "Name [id]" or a title, a name or an id to the id; NULL: there is none. */
const char *a1111_model_find(struct atl_req *req, const char *title);

void a1111_txt2img(struct atl_req *req);
void a1111_img2img(struct atl_req *req);
void a1111_extra_single(struct atl_req *req);
void a1111_extra_batch(struct atl_req *req);
void a1111_interrogate(struct atl_req *req);

#endif
