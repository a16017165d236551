/* config.c - the table of settings, and reading it from file, environment and flags. */
#include "app/config.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "os/file.h"

static const struct setting {
	const char *name;
	enum atl_config_type type;
	const char *fallback;
	int64_t min, max;
	const char *choices;
	bool secret;
	const char *doc;
} settings[CFG_COUNT] = {
#define X(name, type, fallback, min, max, choices, secret, doc) \
	[CFG_##name] = { #name, ATL_CONFIG_##type, fallback, min, max, choices, secret, doc },
	ATL_CONFIG_LIST_X(X)
#undef X
};

/* ---- one value ---- */

static bool truth(const char *text, bool *ret)
{
	static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };

	for (size_t i = 0; i < ATL_COUNT(yes); i++) {
		if (!atl_str_ieq(text, yes[i]) && !atl_str_ieq(text, no[i]))
			continue;
		*ret = atl_str_ieq(text, yes[i]);
		return true;
	}
	return false;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t length = strlen(text);

	for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
		if (strcspn(p, "|") == length && strncmp(p, text, length) == 0)
			return length > 0;
	return false;
}

static enum atl_err set(struct atl_config *config, enum atl_config_key key, const char *text, const char *source,
			struct atl_errinfo *info)
{
	const struct setting *setting = &settings[key];
	struct atl_config_value *value = &config->values[key];
	size_t length = strlen(text);
	int64_t number;
	bool flag;
	char *copy;

	if (!atl_utf8_valid(text, length))
		return atl_fail(info, ATL_ERR_CONFIG, "%s: %s is not valid UTF-8.", source, setting->name);
	switch (setting->type) {
	case ATL_CONFIG_INT:
		if (!atl_str_i64(text, setting->min, setting->max, &number))
			return atl_fail(info, ATL_ERR_CONFIG, "%s: %s is \"%.60s\"; allowed is a number from %lld to %lld.", source,
					setting->name, text, (long long)setting->min, (long long)setting->max);
		break;
	case ATL_CONFIG_BOOL:
		if (!truth(text, &flag))
			return atl_fail(info, ATL_ERR_CONFIG, "%s: %s is \"%.60s\"; allowed are true and false.", source,
					setting->name, text);
		text = flag ? "true" : "false";
		break;
	case ATL_CONFIG_CHOICE:
		if (!is_choice(setting->choices, text))
			return atl_fail(info, ATL_ERR_CONFIG, "%s: %s is \"%.60s\"; allowed are %s.", source, setting->name, text,
					setting->choices);
		break;
	case ATL_CONFIG_TEXT:
		if (length < (size_t)setting->min || length > (size_t)setting->max)
			return atl_fail(info, ATL_ERR_CONFIG, "%s: %s has %zu bytes; allowed are %lld to %lld.", source, setting->name,
					length, (long long)setting->min, (long long)setting->max);
		break;
	case ATL_CONFIG_PATH:
	case ATL_CONFIG_LIST:
		break;
	}
	copy = strdup(text);
	if (!copy)
		return atl_fail(info, ATL_ERR_NOMEM, "read the configuration");
	free(value->text);
	value->text = copy;
	atl_str_copy(value->source, sizeof(value->source), source);
	return ATL_OK;
}

/* `length` bytes of `name`, dashes as underscores. */
static bool find(const char *name, size_t length, enum atl_config_key *ret)
{
	for (size_t i = 0; i < CFG_COUNT; i++) {
		size_t k = 0;

		while (k < length && settings[i].name[k] && (name[k] == '-' ? '_' : name[k]) == settings[i].name[k])
			k++;
		if (k == length && !settings[i].name[k]) {
			*ret = (enum atl_config_key)i;
			return true;
		}
	}
	return false;
}

static enum atl_err unknown(const char *source, const char *name, struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_CONFIG, "%s: there is no setting \"%.60s\". `atelier config` lists them.", source, name);
}

/* ---- the file ---- */

struct file {
	struct atl_config *config;
	const char *path, *rest;
	int line;
	enum atl_err err;
	struct atl_errinfo *info;
};

/* As fgets(), out of memory, counting lines. */
static char *read_line(char *out, int size, void *stream)
{
	struct file *file = stream;
	int used = 0;

	if (!*file->rest)
		return NULL;
	if (file->line == 0 || file->rest[-1] == '\n')
		file->line++;
	while (*file->rest && used + 1 < size) {
		out[used++] = *file->rest++;
		if (out[used - 1] == '\n')
			break;
	}
	out[used] = '\0';
	return out;
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
	struct file *file = user;
	enum atl_config_key key;
	char source[160];

	if (file->err)
		return 0;
	snprintf(source, sizeof(source), "%.120s:%d", file->path, file->line);
	if (*section)
		file->err = atl_fail(file->info, ATL_ERR_CONFIG, "%s: there are no sections; \"[%.40s]\" is not known.", source, section);
	else if (!find(name, strlen(name), &key))
		file->err = unknown(source, name, file->info);
	else
		file->err = set(file->config, key, value, source, file->info);
	return file->err == ATL_OK;
}

static enum atl_err load_file(struct atl_config *config, const char *path, struct atl_errinfo *info)
{
	struct atl_buf text;
	struct file file = { .config = config, .path = path, .info = info };
	int line;
	enum atl_err err;

	atl_buf_init(&text, ATL_CONFIG_FILE_MAX);
	err = atl_file_read(path, ATL_CONFIG_FILE_MAX, &text, info);
	if (!err) {
		file.rest = text.data;
		line = ini_parse_stream(read_line, &file, on_value, &file);
		err = file.err;
		if (!err && line != 0)
			err = atl_fail(info, ATL_ERR_CONFIG, "%s:%d: this is not `name = value`.", path, line);
	}
	atl_buf_finish(&text);
	return err;
}

/* ---- environment and flags ---- */

extern char **environ;

static enum atl_err load_environment(struct atl_config *config, struct atl_errinfo *info)
{
	for (char **entry = environ; entry && *entry; entry++) {
		const char *equals = strchr(*entry, '=');
		char name[64], source[80];
		enum atl_config_key key;
		size_t length;
		enum atl_err err;

		if (!equals || strncmp(*entry, "ATELIER_", 8) != 0 || strncmp(*entry, "ATELIER_CONFIG=", 15) == 0)
			continue;
		length = (size_t)(equals - *entry) - 8;
		if (length >= sizeof(name))
			length = sizeof(name) - 1;
		for (size_t i = 0; i < length; i++) {
			char c = (*entry)[8 + i];

			name[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		}
		name[length] = '\0';
		snprintf(source, sizeof(source), "environment ATELIER_%.*s", (int)length, *entry + 8);
		if (!find(name, length, &key))
			return unknown(source, name, info);
		err = set(config, key, equals + 1, source, info);
		if (err)
			return err;
	}
	return ATL_OK;
}

/* Apply flags; `only` CFG_COUNT: all, else just that one. */
static enum atl_err load_flags(struct atl_config *config, int argc, char **argv, enum atl_config_key only, char **rest,
			       const char **ret_file, struct atl_errinfo *info)
{
	size_t rest_count = 0;

	for (int i = 0; i < argc; i++) {
		const char *name = argv[i] + 2, *value;
		size_t length;
		enum atl_config_key key;
		char source[80];
		enum atl_err err;

		if (strncmp(argv[i], "--", 2) != 0) {
			if (!rest)
				return atl_fail(info, ATL_ERR_CONFIG, "\"%.60s\": flags are written --name value.", argv[i]);
			rest[rest_count++] = argv[i];
			continue;
		}
		length = strcspn(name, "=");
		snprintf(source, sizeof(source), "--%.*s", (int)(length < 60 ? length : 60), name);
		if (!(length == 6 && strncmp(name, "config", 6) == 0) && !find(name, length, &key))
			return unknown(source, name, info);
		value = name[length] == '=' ? name + length + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (!value)
			return atl_fail(info, ATL_ERR_CONFIG, "%s: the value is missing.", source);
		if (length == 6 && strncmp(name, "config", 6) == 0) {
			*ret_file = value;
			continue;
		}
		if (only != CFG_COUNT && key != only)
			continue;
		err = set(config, key, value, source, info);
		if (err)
			return err;
	}
	if (rest)
		rest[rest_count] = NULL;
	return ATL_OK;
}

/* ---- all of it ---- */

static enum atl_err default_data(struct atl_config *config, struct atl_errinfo *info)
{
	const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char path[4096];

	if (base && *base == '/')
		snprintf(path, sizeof(path), "%s/atelier", base);
	else if (home && *home == '/')
		snprintf(path, sizeof(path), "%s/.local/share/atelier", home);
	else
		return atl_fail(info, ATL_ERR_CONFIG, "Name the data folder: --data DIR.");
	return set(config, CFG_data, path, "default", info);
}

/* Paths from here on do not depend on the working folder. */
static enum atl_err make_absolute(struct atl_config *config, enum atl_config_key key, struct atl_errinfo *info)
{
	const char *text = config->values[key].text;
	char cwd[4096], path[8300], source[160];

	if (!*text || *text == '/')
		return ATL_OK;
	if (!getcwd(cwd, sizeof(cwd)))
		return atl_fail(info, ATL_ERR_IO, "the working folder is not readable");
	snprintf(path, sizeof(path), "%s/%.4000s", cwd, text);
	atl_str_copy(source, sizeof(source), config->values[key].source);
	return set(config, key, path, source, info);
}

enum atl_err atl_config_load(struct atl_config *config, int argc, char **argv, char ***ret_rest,
			     struct atl_errinfo *info)
{
	const char *file = getenv("ATELIER_CONFIG"), *data_env = getenv("ATELIER_DATA");
	char own_file[4200], **rest = NULL;
	enum atl_err err = ATL_OK;

	memset(config, 0, sizeof(*config));
	if (ret_rest) {
		rest = calloc((size_t)argc + 1, sizeof(char *));
		if (!rest)
			return atl_fail(info, ATL_ERR_NOMEM, "read the flags");
	}
	for (size_t i = 0; !err && i < CFG_COUNT; i++) {
		config->values[i].text = strdup(settings[i].fallback);
		if (!config->values[i].text)
			err = atl_fail(info, ATL_ERR_NOMEM, "read the configuration");
		atl_str_copy(config->values[i].source, sizeof(config->values[i].source), "default");
	}
	if (!err)
		err = default_data(config, info);
	/* The data folder says where the file is, so it is looked for first. */
	if (!err && data_env)
		err = set(config, CFG_data, data_env, "environment ATELIER_DATA", info);
	if (!err)
		err = load_flags(config, argc, argv, CFG_data, rest, &file, info);
	if (!err && !file) {
		snprintf(own_file, sizeof(own_file), "%.4000s/atelier.ini", config->values[CFG_data].text);
		if (access(own_file, F_OK) == 0)
			file = own_file;
	}
	if (!err && file && *file)
		err = load_file(config, file, info);
	if (!err)
		err = load_environment(config, info);
	if (!err)
		err = load_flags(config, argc, argv, CFG_COUNT, rest, &file, info);
	for (size_t i = 0; !err && i < CFG_COUNT; i++)
		if (settings[i].type == ATL_CONFIG_PATH)
			err = make_absolute(config, (enum atl_config_key)i, info);
	if (err) {
		free(rest);
		atl_config_finish(config);
		return err;
	}
	if (ret_rest)
		*ret_rest = rest;
	return ATL_OK;
}

void atl_config_finish(struct atl_config *config)
{
	for (size_t i = 0; i < CFG_COUNT; i++) {
		free(config->values[i].text);
		config->values[i].text = NULL;
	}
}

const char *atl_config_text(const struct atl_config *config, enum atl_config_key key)
{
	return config->values[key].text[0] ? config->values[key].text : NULL;
}

int64_t atl_config_int(const struct atl_config *config, enum atl_config_key key)
{
	int64_t value = 0;

	if (!atl_str_i64(config->values[key].text, settings[key].min, settings[key].max, &value))
		return 0;
	return value;
}

bool atl_config_bool(const struct atl_config *config, enum atl_config_key key)
{
	return atl_str_eq(config->values[key].text, "true");
}

char **atl_config_words(const struct atl_config *config, enum atl_config_key key)
{
	const char *text = config->values[key].text;
	char **words = calloc(1, sizeof(char *) * (ATL_CONFIG_LIST_MAX + 1) + strlen(text) + 1);
	char *copy;
	size_t count = 0;

	if (!words)
		return NULL;
	copy = (char *)(words + ATL_CONFIG_LIST_MAX + 1);
	memcpy(copy, text, strlen(text) + 1);
	for (char *p = copy; count < ATL_CONFIG_LIST_MAX;) {
		p += strspn(p, ", \t");
		if (!*p)
			break;
		words[count++] = p;
		p += strcspn(p, ", \t");
		if (*p)
			*p++ = '\0';
	}
	return words;
}

/* ---- showing it ---- */

void atl_config_print(const struct atl_config *config, struct atl_buf *out)
{
	for (size_t i = 0; i < CFG_COUNT; i++) {
		const struct atl_config_value *value = &config->values[i];

		atl_buf_addf(out, "%-20s = %s  (%s)\n", settings[i].name,
			     settings[i].secret && value->text[0] ? "********" : value->text, value->source);
	}
}

static void describe_range(struct atl_buf *out, const struct setting *setting)
{
	switch (setting->type) {
	case ATL_CONFIG_INT:
		atl_buf_addf(out, "%lld to %lld", (long long)setting->min, (long long)setting->max);
		break;
	case ATL_CONFIG_BOOL:
		atl_buf_adds(out, "true, false");
		break;
	case ATL_CONFIG_CHOICE:
		for (const char *p = setting->choices; *p; p++)
			atl_buf_adds(out, *p == '|' ? ", " : (char[]){ *p, '\0' });
		break;
	case ATL_CONFIG_TEXT:
		atl_buf_adds(out, "text");
		break;
	case ATL_CONFIG_PATH:
		atl_buf_adds(out, "path");
		break;
	case ATL_CONFIG_LIST:
		atl_buf_adds(out, "list, by commas");
		break;
	}
}

void atl_config_markdown(struct atl_buf *out)
{
	atl_buf_adds(out, "# Configuration\n\n"
			  "Generated by `atelier config --markdown`. A setting is read, in rising order, from the default, the\n"
			  "INI file (`--config FILE`, `ATELIER_CONFIG`, or `atelier.ini` in the data folder; lines `name = value`,\n"
			  "no sections), the environment (`ATELIER_NAME`) and the flags (`--name value`, with dashes for\n"
			  "underscores). `atelier config` shows what is in force and where it came from.\n\n"
			  "| name | allowed | default | meaning |\n| --- | --- | --- | --- |\n");
	for (size_t i = 0; i < CFG_COUNT; i++) {
		atl_buf_addf(out, "| `%s` | ", settings[i].name);
		describe_range(out, &settings[i]);
		atl_buf_addf(out, " | %s%s%s | %s%s |\n", settings[i].fallback[0] ? "`" : "", settings[i].fallback,
			     settings[i].fallback[0] ? "`" : "", settings[i].doc, settings[i].secret ? " (secret)" : "");
	}
}
