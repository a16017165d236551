/* message_int.h - what the files of core/chat/message.h share. */
#ifndef ATL_CORE_MESSAGE_INT_H
#define ATL_CORE_MESSAGE_INT_H

#include "core/chat/message.h"

#define ATL_SIBLINGS_MAX 500

/* In the order that atl_message_read_row() reads. */
#define ATL_MESSAGE_COLUMNS                                                                                          \
	"m.id, m.conversation_id, m.user_id, m.parent_id, m.role, m.content, m.reasoning, m.status, m.error_slug, "   \
	"m.error_detail, m.model, m.finish_reason, m.prompt_tokens, m.completion_tokens, m.duration_ms, "             \
	"m.created_at, m.updated_at"

void atl_message_read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_message *out);
enum atl_err atl_message_siblings_in(struct atl_conn *conn, struct atl_arena *arena, struct atl_message *message,
				     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_message_not_found(struct atl_errinfo *info);

#endif
