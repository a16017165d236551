/* classifier.h - how likely is a picture nude or pornographic? Asked of the sandboxed child `atelier-classify`.
 *
 * A child sees only rows of one size that atelier-decode made, never a file, so it may serve everybody. Whatever happens to
 * it - it cannot start, dies, hangs, lies - is an error: who asks must take that for "not judged", never for "harmless".
 *
 * Life cycle: atl_classifier_create() .. atl_classifier_destroy(), which ends the children: before the loop ends.
 * Threads:    atl_classifier_score() blocks: pool threads. Limits: the constants below.
 */
#ifndef ATL_MEDIA_CLASSIFIER_H
#define ATL_MEDIA_CLASSIFIER_H

#include "ipc/frame.h"
#include "media/picture.h"

#define ATL_CLASSIFIER_TIMEOUT_MS 30000 /* an ordinary machine needs 0.3 s, one with more to do than cores much more */
#define ATL_CLASSIFIER_IDLE_MS 30000 /* a child without work leaves */
#define ATL_CLASSIFIER_LIBRARY "libonnxruntime.so"
#define ATL_CLASSIFIER_MODEL "open-nsfw.onnx"

struct atl_classifier;

/* `program`: path of atelier-classify; `folder` holds the two files named above. Children are started from `loop`. */
enum atl_err atl_classifier_create(struct atl_loop *loop, const char *program, const char *folder,
				   struct atl_classifier **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_classifier_destroy(struct atl_classifier *classifier);
/* Instead of ATL_CLASSIFIER_TIMEOUT_MS. Before the first picture. */
void atl_classifier_set_timeout(struct atl_classifier *classifier, unsigned timeout_ms);
/* What atl_picture_open() is asked for so that its `raw` can be judged. */
struct atl_picture_raw_ask atl_classifier_rows(void);
/* `rgb`: such rows, ATL_CLASSIFY_SIZE bytes. *ret: 0 to ATL_SCORE_ONE. Errors: UNAVAILABLE (whatever it was; logged). */
enum atl_err atl_classifier_score(struct atl_classifier *classifier, const unsigned char *rgb, uint32_t *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;

#endif
