/* For tests/system/test_provenance.py and docs/performance.md: Content Credentials of any file, as a program.
 *
 *   credential_sample sign DECODE LIBRARY IN OUT [PARENT]   a signed copy, with a key of its own
 *   credential_sample time DECODE LIBRARY IN COUNT          milliseconds: the first signature, and the mean of the others
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/certificate.h"
#include "base/clock.h"
#include "base/str.h"
#include "media/credentials.h"
#include "os/file.h"
#include "os/loop.h"

#define FILE_MAX ((size_t)64 << 20)
#define ACTION(action, type) "{\"claim_version\":2,\"claim_generator_info\":[{\"name\":\"Sample\",\"version\":\"1\"}],"       \
	"\"assertions\":[{\"label\":\"c2pa.actions.v2\",\"data\":{\"actions\":[" action "\"digitalSourceType\":"                 \
	"\"http://cv.iptc.org/newscodes/digitalsourcetype/" type "\"}]}}]}"
static const char CREATED[] = ACTION("{\"action\":\"c2pa.created\",", "trainedAlgorithmicMedia");
static const char EDITED[] = ACTION("{\"action\":\"c2pa.opened\",\"parameters\":{\"ingredientIds\":[\"source\"]}},"
				    "{\"action\":\"c2pa.edited\",", "compositeWithTrainedAlgorithmicMedia");

static enum atl_err sign(void *arg, const void *data, size_t length, unsigned char *out, size_t *ret_length,
			 struct atl_errinfo *info)
{
	return atl_signer_sign(arg, data, length, out, ret_length, info);
}

static void must(enum atl_err err, const struct atl_errinfo *info, const char *what)
{
	if (!err)
		return;
	(void)fprintf(stderr, "%s: %s %s\n", what, atl_err_name(err), info->detail);
	exit(1);
}

static void read_into(const char *path, struct atl_buf *out)
{
	struct atl_errinfo info = {0};
	atl_buf_init(out, FILE_MAX);
	must(atl_file_read(path, FILE_MAX, out, &info), &info, path);
}

static struct atl_signer *make_signer(void)
{
	struct atl_errinfo info = {0};
	struct atl_signer *signer;
	struct atl_buf key, chain;
	atl_buf_init(&key, ATL_PEM_MAX);
	atl_buf_init(&chain, ATL_PEM_MAX);
	must(atl_signer_make("Sample", &key, &chain, &info), &info, "key");
	must(atl_signer_load(key.data, key.length, chain.data, chain.length, &signer, &info), &info, "key");
	atl_buf_finish(&key);
	atl_buf_finish(&chain);
	return signer;
}

static void sign_file(struct atl_credentials *credentials, const struct atl_credentials_ask *ask, const struct atl_buf *in,
		      const char *to)
{
	struct atl_errinfo info = {0};
	struct atl_buf out;
	atl_buf_init(&out, FILE_MAX + ATL_CREDENTIALS_ROOM);
	must(atl_credentials_sign(credentials, in->data, in->length, ask, &out, &info), &info, "sign");
	if (to)
		must(atl_file_write_atomic(to, out.data, out.length, 0600, &info), &info, to);
	atl_buf_finish(&out);
}

static void measure(struct atl_credentials *credentials, const struct atl_credentials_ask *ask, const struct atl_buf *in, int count)
{
	uint64_t begin = atl_monotonic_ms();
	sign_file(credentials, ask, in, NULL);
	uint64_t first = atl_monotonic_ms() - begin;
	begin = atl_monotonic_ms();
	for (int i = 0; i < count; i++)
		sign_file(credentials, ask, in, NULL);
	printf("first %llu ms, then %.1f ms\n", (unsigned long long)first, (double)(atl_monotonic_ms() - begin) / count);
}

int main(int argc, char **argv)
{
	struct atl_errinfo info = {0};
	struct atl_credentials *credentials;
	struct atl_loop *loop;
	struct atl_buf in, parent;
	if (argc < 6)
		return 2;
	must(atl_loop_create("sample", &loop, &info), &info, "loop");
	must(atl_credentials_create(loop, argv[2], argv[3], &credentials, &info), &info, "credentials");
	struct atl_signer *signer = make_signer();
	read_into(argv[4], &in);
	atl_buf_init(&parent, FILE_MAX);
	if (argc > 6)
		must(atl_file_read(argv[6], FILE_MAX, &parent, &info), &info, argv[6]);
	const struct atl_credentials_ask ask = {.manifest = parent.length ? EDITED : CREATED,
						.ingredient = "{\"title\":\"source\",\"relationship\":\"parentOf\",\"label\":\"source\"}",
						.parent = parent.length ? parent.data : NULL,
						.parent_length = parent.length,
						.chain = atl_signer_chain(signer),
						.sign = sign,
						.arg = signer};
	if (atl_str_eq(argv[1], "time"))
		measure(credentials, &ask, &in, atoi(argv[5]));
	else
		sign_file(credentials, &ask, &in, argv[5]);
	atl_buf_finish(&in);
	atl_buf_finish(&parent);
	atl_credentials_destroy(credentials);
	atl_signer_destroy(signer);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	return 0;
}
