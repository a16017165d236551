/* fields.h - short forms for rows of descriptor tables (base/json.h). Only src/api includes it. */
#ifndef ATL_API_FIELDS_H
#define ATL_API_FIELDS_H

#include "base/json.h"

#define F_STR(struct_, member, flags_, min_, max_, doc_) \
	{ .name = #member, .type = ATL_JT_STR, .offset = offsetof(struct_, member), .flags = (flags_), .min = (min_), .max = (max_), .doc = (doc_) }
#define F_INT(struct_, member, flags_, min_, max_, doc_) \
	{ .name = #member, .type = ATL_JT_INT, .offset = offsetof(struct_, member), .flags = (flags_), .min = (min_), .max = (max_), .doc = (doc_) }
#define F_NUM(struct_, member, flags_, min_, max_, doc_) \
	{ .name = #member, .type = ATL_JT_NUM, .offset = offsetof(struct_, member), .flags = (flags_), .min = (min_), .max = (max_), .doc = (doc_) }
#define F_BOOL(struct_, member, flags_, doc_) \
	{ .name = #member, .type = ATL_JT_BOOL, .offset = offsetof(struct_, member), .flags = (flags_), .doc = (doc_) }
#define F_TIME(struct_, member, flags_, doc_) \
	{ .name = #member, .type = ATL_JT_TIME, .offset = offsetof(struct_, member), .flags = (flags_), .doc = (doc_) }
#define F_ENUM(struct_, member, flags_, values_, doc_) \
	{ .name = #member, .type = ATL_JT_ENUM, .offset = offsetof(struct_, member), .flags = (flags_), .values = (values_), .doc = (doc_) }
#define F_STRS(struct_, member, flags_, min_, max_, doc_) \
	{ .name = #member, .type = ATL_JT_STRS, .offset = offsetof(struct_, member), .flags = (flags_), .min = (min_), .max = (max_), .doc = (doc_) }
#define F_ANY(struct_, member, flags_, doc_) \
	{ .name = #member, .type = ATL_JT_ANY, .offset = offsetof(struct_, member), .flags = (flags_), .doc = (doc_) }
#define F_RAW(struct_, member, flags_, doc_) \
	{ .name = #member, .type = ATL_JT_RAW, .offset = offsetof(struct_, member), .flags = (flags_), .doc = (doc_) }
#define F_OBJ(struct_, member, flags_, sub_, doc_) \
	{ .name = #member, .type = ATL_JT_OBJ, .offset = offsetof(struct_, member), .flags = (flags_), .sub = (sub_), .doc = (doc_) }
#define F_LIST(struct_, member, flags_, sub_, doc_) \
	{ .name = #member, .type = ATL_JT_LIST, .offset = offsetof(struct_, member), .flags = (flags_), .sub = (sub_), .doc = (doc_) }

/* A descriptor without and with a `present` mask (PATCH bodies). */
#define DESC(variable, struct_, name_, fields_)                                                                     \
	static const struct atl_json_desc variable = { .name = (name_), .fields = (fields_),                     \
						       .field_count = ATL_COUNT(fields_), .size = sizeof(struct_),  \
						       .present_offset = ATL_JSON_NO_PRESENT }
#define DESC_PATCH(variable, struct_, name_, fields_)                                                               \
	static const struct atl_json_desc variable = { .name = (name_), .fields = (fields_),                     \
						       .field_count = ATL_COUNT(fields_), .size = sizeof(struct_),  \
						       .present_offset = offsetof(struct_, present) }

#endif
