/* config.h - the settings of the process: one table, read from the file, the environment and the flags.
 *
 * In rising order: default, INI file, ATELIER_<NAME>, --<name>. An unknown name or a value outside its range stops the
 * start with the place and what is allowed. The file is --config, else ATELIER_CONFIG, else atelier.ini in the data
 * folder if it is there.
 *
 * Life cycle: atl_config_load() .. atl_config_finish(). Threads: one; read-only afterwards.
 * Adding one: a line in ATL_CONFIG_LIST, then `atelier config --markdown > docs/configuration.md`.
 */
#ifndef ATL_APP_CONFIG_H
#define ATL_APP_CONFIG_H

#include "base/buf.h"
#include "base/err.h"

#define ATL_CONFIG_FILE_MAX ((size_t)1 << 20)
#define ATL_CONFIG_LIST_MAX 64

enum atl_config_type {
	ATL_CONFIG_TEXT, /* min/max: bytes */
	ATL_CONFIG_PATH,
	ATL_CONFIG_INT,
	ATL_CONFIG_BOOL,
	ATL_CONFIG_CHOICE, /* words of `choices`, separated by | */
	ATL_CONFIG_LIST	   /* separated by commas or spaces */
};

/* name, type, default ("" is: none, see doc), min, max, choices, secret, doc */
#define ATL_CONFIG_LIST_X(X)                                                                                          \
	X(data, PATH, "", 0, 0, NULL, false, "Data folder; ~/.local/share/atelier unless told")                      \
	X(address, TEXT, "127.0.0.1", 1, 64, NULL, false, "Address to listen on; 0.0.0.0 or :: for all")             \
	X(port, INT, "7860", 0, 65535, NULL, false, "Port to listen on; 0 takes any free one")                       \
	X(unix_path, PATH, "", 0, 0, NULL, false, "Also listen on this unix socket")                                 \
	X(public_url, TEXT, "", 0, 300, NULL, false, "The server's address as people open it, behind a proxy")       \
	X(hosts, LIST, "", 0, 0, NULL, false, "Host names the server answers for, besides loopback and its address") \
	X(trusted_proxies, LIST, "", 0, 0, NULL, false, "Addresses or CIDR blocks of proxies whose X-Forwarded-* headers count") \
	X(tls_cert, PATH, "", 0, 0, NULL, false,                                                                     \
	  "Speak https with this certificate (PEM, with its chain); read again when it changes and on SIGHUP")       \
	X(tls_key, PATH, "", 0, 0, NULL, false, "The certificate's key (PEM, without a password)")                   \
	X(outbound_private, LIST, "", 0, 0, NULL, false,                                                             \
	  "Private hosts, addresses or CIDR blocks that providers and downloads may reach")                          \
	X(database, TEXT, "", 0, 500, NULL, true, "sqlite:/path or postgres://...; atelier.db in the data folder unless told") \
	X(redis_url, TEXT, "", 0, 500, NULL, true, "redis://[[user]:password@]host[:port][/database] or unix:///path: servers share rates and news through it") \
	X(web_dir, PATH, "", 0, 0, NULL, false, "Serve the page from this folder instead of the built-in copy")      \
	X(models_dir, PATH, "", 0, 0, NULL, false, "Folder of GGUF files; models in the data folder unless told")    \
	X(engine_enabled, BOOL, "true", 0, 0, NULL, false, "Run the local language model")                           \
	X(engine_program, PATH, "", 0, 0, NULL, false, "llama-server; looked for beside atelier and in PATH unless told") \
	X(engine_model, TEXT, "", 0, 255, NULL, false, "File in models_dir; the first one unless told")              \
	X(engine_context_size, INT, "8192", 256, 1048576, NULL, false, "Tokens the local model sees at once")        \
	X(engine_slots, INT, "2", 1, 64, NULL, false, "Replies the local model writes at once")                      \
	X(engine_threads, INT, "0", 0, 1024, NULL, false, "Threads of the local model; 0: cores - 1")                \
	X(engine_gpu_layers, INT, "-1", -1, 10000, NULL, false, "Layers on the GPU; -1: all that fit")               \
	X(picture_program, PATH, "", 0, 0, NULL, false, "atelier-image, the local picture engine; beside atelier unless told") \
	X(picture_threads, INT, "0", 0, 1024, NULL, false, "Threads of the local picture engine; 0: cores - 1")      \
	X(picture_idle_s, INT, "600", 5, 86400, NULL, false, "Seconds after which an unused picture model is unloaded") \
	X(runners, INT, "8", 1, 64, NULL, false, "Jobs that run at once at most, over all services")                  \
	X(decode_program, PATH, "", 0, 0, NULL, false, "atelier-decode; beside atelier unless told")                 \
	X(credentials_library, PATH, "", 0, 0, NULL, false, "libc2pa_c.so, which signs pictures; beside atelier-decode unless told") \
	X(credentials_key, PATH, "", 0, 0, NULL, false, "Own key that signs pictures, PEM; one is made unless told")  \
	X(credentials_certificate, PATH, "", 0, 0, NULL, false, "Its certificate and those of its authorities, PEM")  \
	X(classifier_program, PATH, "", 0, 0, NULL, false, "atelier-classify; beside atelier unless told")             \
	X(classifier_dir, PATH, "", 0, 0, NULL, false,                                                               \
	  "Folder of libonnxruntime.so and open-nsfw.onnx, which judge pictures; classifier in the data folder unless told") \
	X(mature_allowed, BOOL, "false", 0, 0, NULL, false, "Mature text with fictional adults, until chosen in the interface") \
	X(undo_minutes, INT, "60", 0, 43200, NULL, false,                                                            \
	  "Minutes for which a deleted conversation, message or character can be brought back; then it is erased")   \
	X(session_days, INT, "30", 1, 400, NULL, false, "Days a sign-in lasts")                                      \
	X(loops, INT, "0", 0, 64, NULL, false, "Network threads; 0: one per core, at most 8")                        \
	X(pool_threads, INT, "0", 0, 256, NULL, false, "Threads that handle requests; 0: 16 per core, from 32 to 64") \
	X(max_connections, INT, "20000", 16, 1000000, NULL, false, "Open connections at once")                       \
	X(rate_read, INT, "12000", 0, 1000000, NULL, false, "Reading requests a minute of a user, key or stranger's address; 0: no limit") \
	X(rate_write, INT, "3000", 0, 1000000, NULL, false, "The same of requests that change something")           \
	X(rate_generate, INT, "6000", 0, 1000000, NULL, false, "The same of requests that begin a reply, a picture or a film") \
	X(rate_upload, INT, "3000", 0, 1000000, NULL, false, "The same of uploads")                                  \
	X(rate_sign_in, INT, "120", 0, 1000000, NULL, false, "The same of sign-ins, right or wrong")                 \
	X(rate_local, BOOL, "false", 0, 0, NULL, false, "Refuse programs on this machine, too; otherwise they are counted only") \
	X(smtp_url, TEXT, "", 0, 500, NULL, true,                                                                    \
	  "Mail server: smtps://name:password@host or smtp:// with STARTTLS; mails need smtp_from and public_url, too") \
	X(smtp_from, TEXT, "", 0, 300, NULL, false, "Sender of mails: Atelier <atelier@example.org>")                \
	X(log_level, CHOICE, "info", 0, 0, "debug|info|warn|error", false, "What is logged")                         \
	X(log_format, CHOICE, "logfmt", 0, 0, "logfmt|json", false, "Form of a log line")                            \
	X(log_file, PATH, "", 0, 0, NULL, false, "Log to this file instead of stderr")                               \
	X(ready_fd, INT, "-1", -1, 1023, NULL, false, "Write READY=1 to this descriptor when serving")

enum atl_config_key {
#define ATL_CONFIG_KEY_X(name, ...) CFG_##name,
	ATL_CONFIG_LIST_X(ATL_CONFIG_KEY_X)
#undef ATL_CONFIG_KEY_X
		CFG_COUNT
};

struct atl_config_value {
	char *text;
	char source[160]; /* "default", "FILE:LINE", "environment ATELIER_PORT", "--port" */
};
struct atl_config {
	struct atl_config_value values[CFG_COUNT];
};

/* argv: what follows the subcommand. Arguments without "--" are left to the caller, in *ret_rest (malloc'd array of
 * borrowed strings, NULL-terminated) when it is not NULL; otherwise they are errors. */
enum atl_err atl_config_load(struct atl_config *config, int argc, char **argv, char ***ret_rest,
			     struct atl_errinfo *info) ATL_MUST_USE;
void atl_config_finish(struct atl_config *config);

const char *atl_config_text(const struct atl_config *config, enum atl_config_key key); /* NULL when empty */
int64_t atl_config_int(const struct atl_config *config, enum atl_config_key key);
bool atl_config_bool(const struct atl_config *config, enum atl_config_key key);
/* NULL-terminated; free() the array. The words live inside the same block. */
char **atl_config_words(const struct atl_config *config, enum atl_config_key key);

void atl_config_print(const struct atl_config *config, struct atl_buf *out); /* effective values, secrets masked */
void atl_config_markdown(struct atl_buf *out);				     /* docs/configuration.md */

#endif
