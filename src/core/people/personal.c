/* personal.c - see personal.h. */
#include "core/people/personal.h"

#define TABLE(name, types, columns, from) { name, types, columns, "SELECT " columns " FROM " from " LIMIT ? OFFSET ?" }
#define MINE(name, order, types, columns) TABLE(name, types, columns, name " WHERE user_id = ? ORDER BY " order)

const struct atl_personal atl_personal_tables[] = {
	TABLE("users", "ssssjttttstsst", "id, name, email, role, preferences, created_at, updated_at, last_seen_at, disabled_at, "
					 "disabled_why, disabled_until, held_why, erase_since, email_verified_at",
	      "users WHERE id = ? ORDER BY id"),
	MINE("sessions", "id", "sssttt", "id, user_agent, remote, created_at, last_seen_at, expires_at"),
	MINE("api_keys", "id", "sssssstttt", "id, name, prefix, scopes, models, addresses, created_at, expires_at, last_used_at, revoked_at"),
	MINE("external_logins", "id", "sssstt", "id, issuer, subject, label, created_at, last_used_at"),
	MINE("totp", "user_id", "tt", "created_at, confirmed_at"),
	MINE("passkeys", "id", "sssibtt", "id, name, rp_id, sign_count, synced, created_at, last_used_at"),
	MINE("assets", "id", "ssssiiisisiissssjisssbisssttttt",
	     "id, kind, media_type, sha256, size_bytes, width, height, origin, library, job_id, job_index, duration_ms, task, model, "
	     "title, prompt, params, seed, character_id, conversation_id, message_id, starred, rating, blur_hash, phash, version, "
	     "created_at, updated_at, deleted_at, unnamed_at, held_deleted_at"),
	TABLE("asset_tags", "sss", "t.asset_id, t.kind, t.tag", "asset_tags t WHERE t.user_id = ? ORDER BY t.asset_id, t.kind, t.tag"),
	TABLE("asset_parents", "sss", "p.asset_id, p.parent_id, p.role",
	      "asset_parents p JOIN assets a ON a.id = p.asset_id WHERE a.user_id = ? ORDER BY p.asset_id, p.parent_id, p.role"),
	MINE("boards", "id", "sstt", "id, name, created_at, updated_at"),
	TABLE("board_assets", "ss", "x.board_id, x.asset_id",
	      "board_assets x JOIN boards b ON b.id = x.board_id WHERE b.user_id = ? ORDER BY x.board_id, x.asset_id"),
	TABLE("share_links", "sbiittt", "asset_id, with_metadata, uses, uses_max, created_at, expires_at, revoked_at",
	      "share_links WHERE user_id = ? ORDER BY created_at, asset_id"),
	MINE("uploads", "id", "siitt", "id, size_bytes, received_bytes, created_at, updated_at"),
	MINE("characters", "id", "ssssjjsjjsittttt",
	     "id, starter, name, summary, card, tags, model, sampling, look, avatar_id, version, created_at, updated_at, archived_at, "
	     "deleted_at, held_deleted_at"),
	MINE("personas", "id", "sssbittt", "id, name, description, is_default, version, created_at, updated_at, deleted_at"),
	MINE("folders", "id", "sstt", "id, name, created_at, updated_at"),
	MINE("conversations", "id", "sssssbsjsiitttttt",
	     "id, character_id, persona_id, folder_id, title, title_set, model, sampling, head_id, message_count, version, created_at, "
	     "updated_at, active_at, pinned_at, archived_at, deleted_at"),
	MINE("messages", "seq", "ssssssssssssiiijjttt",
	     "id, conversation_id, parent_id, active_child_id, role, content, reasoning, status, error_slug, error_detail, model, "
	     "finish_reason, prompt_tokens, completion_tokens, duration_ms, prompt, extra, created_at, updated_at, deleted_at"),
	MINE("usage_records", "id", "ssssiiit", "id, api_key_id, entry_point, model, prompt_tokens, completion_tokens, duration_ms, created_at"),
	MINE("ledger", "ref, kind, step", "ssisssitt", "ref, kind, step, state, key_id, model, amount, at, created_at"),
	TABLE("quota_requests", "ssisissstt", "id, quota_id, amount, note, granted, state, answer, decided_by, created_at, decided_at",
	      "quota_requests WHERE user_id = ? ORDER BY id"),
	MINE("quota_extras", "quota_id, start_at", "sti", "quota_id, start_at, amount"),
	MINE("jobs", "id", "ssssssssjiisissjissssstttt",
	     "id, kind, task, state, origin, model, provider_id, prompt, request, priority, count, depends_on, attempt, error_slug, "
	     "error_detail, notes, cost_micro_usd, character_id, conversation_id, message_id, board_id, webhook_url, created_at, "
	     "started_at, finished_at, updated_at"),
	MINE("grids", "id", "sssjit", "id, prompt, model, axes, cell_count, created_at"),
	TABLE("grid_cells", "siiis", "c.grid_id, c.x, c.y, c.z, c.job_id",
	      "grid_cells c JOIN grids g ON g.id = c.grid_id WHERE g.user_id = ? ORDER BY c.grid_id, c.x, c.y, c.z"),
	MINE("styles", "id", "sssssjbitt", "id, name, prompt, negative_prompt, model, params, shared, version, created_at, updated_at"),
	MINE("wildcards", "id", "ssstt", "id, name, entries, created_at, updated_at"),
	MINE("workflows", "id", "ssjjbitt", "id, name, graph, inputs, shared, version, created_at, updated_at"),
	MINE("prompt_history", "prompt_hash", "ssit", "prompt, negative_prompt, uses, used_at"),
	MINE("webhooks", "id", "ssbtt", "id, url, enabled, created_at, updated_at"),
	MINE("webhook_deliveries", "id", "sssssjsiistt",
	     "id, webhook_id, job_id, url, event, payload, state, attempt, response_status, error_detail, created_at, updated_at"),
	MINE("transfers", "id", "sssisstt", "id, url, file_name, size_bytes, state, error_slug, created_at, updated_at"),
	TABLE("group_members", "sst", "m.group_id, g.name, m.created_at",
	      "group_members m JOIN people_groups g ON g.id = m.group_id WHERE m.user_id = ? ORDER BY m.group_id"),
	MINE("impersonations", "session_id", "ssttt", "by_user_id, why, started_at, expires_at, ended_at"),
	TABLE("reports", "sssssst", "id, target_kind, target_id, kind, state, decision, created_at", "reports WHERE owner_id = ? ORDER BY id"),
	MINE("report_voices", "id", "sssst", "id, kind, note, contact, created_at"),
	MINE("notices", "id", "sssssstt", "id, kind, target_kind, target_id, decision, reason, created_at, read_at"),
	TABLE("audit", "itsssssss", "seq, at, channel, remote, action, target_kind, target_id, note, user_id",
	      "audit WHERE user_id = ? ORDER BY seq"),
	MINE("exports", "id", "sssitt", "id, by_user_id, state, size_bytes, created_at, finished_at"),
	TABLE("invitations", "sssiittt", "id, role, note, uses, uses_max, expires_at, revoked_at, created_at",
	      "invitations WHERE created_by = ? ORDER BY id"),
};
const size_t atl_personal_count = ATL_COUNT(atl_personal_tables);

const struct atl_personal_exempt atl_personal_exempt[] = {
	{ "providers", "belong to the server; hold its keys" },
	{ "idempotency_keys", "copies of answers, kept for a day; what they answered with is exported itself" },
	{ "recovery_codes", "hashes of secrets only" },
	{ "second_steps", "a sign-in that is half done, for minutes" },
	{ "login_attempts", "a sign-in that is half done, for minutes" },
	{ "passkey_challenges", "a sign-in that is half done, for minutes" },
	{ "one_time_links", "hashes of links that were mailed, for hours" },
	{ "mails", "letters about to be sent to the account's own address" },
	{ "job_assets", "which inputs a job names: in its request" },
	{ "quotas", "rules of the operator's" },
	{ "balances", "sums of the ledger" },
	{ "queue_pauses", "whether the queue waits" },
	{ "blocked_pictures", "hashes of refused pictures and who decided" },
	{ "picture_checks", "what the classifier said of a picture: shown to moderators" },
	{ "setting_changes", "the server's settings and who changed them" },
};
const size_t atl_personal_exempt_count = ATL_COUNT(atl_personal_exempt);
