-- both
CREATE TABLE users (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	name_folded TEXT NOT NULL UNIQUE,
	role TEXT NOT NULL,
	password_hash TEXT NOT NULL,
	preferences TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	disabled_at BIGINT
);

CREATE TABLE sessions (
	token_hash TEXT PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	csrf_token TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	remote TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_keys (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	prefix TEXT NOT NULL,
	key_hash TEXT NOT NULL UNIQUE,
	scopes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	last_used_at BIGINT,
	revoked_at BIGINT
);
CREATE INDEX api_keys_user ON api_keys (user_id);

CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE idempotency_keys (
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	idempotency_key TEXT NOT NULL,
	request_hash TEXT NOT NULL,
	status BIGINT NOT NULL,
	response TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, idempotency_key)
);

CREATE TABLE assets (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	sha256 TEXT NOT NULL,
	media_type TEXT NOT NULL,
	size_bytes BIGINT NOT NULL,
	width BIGINT NOT NULL,
	height BIGINT NOT NULL,
	origin TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX assets_user ON assets (user_id);

CREATE TABLE providers (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	preset TEXT NOT NULL,
	name TEXT NOT NULL,
	base_url TEXT NOT NULL,
	key_sealed TEXT,
	models TEXT NOT NULL,
	models_fetched_at BIGINT,
	enabled BIGINT NOT NULL,
	last_error TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX providers_user ON providers (user_id);

CREATE TABLE characters (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	starter TEXT,
	name TEXT NOT NULL,
	summary TEXT NOT NULL,
	card TEXT NOT NULL,
	tags TEXT NOT NULL,
	model TEXT,
	sampling TEXT NOT NULL,
	avatar_id TEXT REFERENCES assets (id) ON DELETE SET NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	archived_at BIGINT,
	deleted_at BIGINT
);
CREATE INDEX characters_user ON characters (user_id, id);
CREATE UNIQUE INDEX characters_starter ON characters (user_id, starter);

CREATE TABLE personas (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	is_default BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT
);
CREATE INDEX personas_user ON personas (user_id, id);

CREATE TABLE folders (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX folders_user ON folders (user_id, id);

CREATE TABLE conversations (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	character_id TEXT REFERENCES characters (id) ON DELETE SET NULL,
	persona_id TEXT REFERENCES personas (id) ON DELETE SET NULL,
	folder_id TEXT REFERENCES folders (id) ON DELETE SET NULL,
	title TEXT NOT NULL,
	title_set BIGINT NOT NULL,
	model TEXT,
	sampling TEXT NOT NULL,
	head_id TEXT,
	message_count BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	active_at BIGINT NOT NULL,
	pinned_at BIGINT,
	archived_at BIGINT,
	deleted_at BIGINT
);
CREATE INDEX conversations_user ON conversations (user_id, active_at, id);
CREATE INDEX conversations_character ON conversations (character_id);

-- sqlite
CREATE TABLE messages (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	parent_id TEXT,
	active_child_id TEXT,
	role TEXT NOT NULL,
	content TEXT NOT NULL,
	reasoning TEXT NOT NULL,
	status TEXT NOT NULL,
	error_slug TEXT,
	error_detail TEXT,
	model TEXT,
	finish_reason TEXT,
	prompt_tokens BIGINT NOT NULL,
	completion_tokens BIGINT NOT NULL,
	duration_ms BIGINT NOT NULL,
	prompt TEXT,
	extra TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT
);
CREATE VIRTUAL TABLE messages_fts USING fts5 (content, content = 'messages', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages WHEN new.status <> 'streaming' BEGIN
	INSERT INTO messages_fts (rowid, content) VALUES (new.seq, new.content);
END;
CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages WHEN old.status <> 'streaming' BEGIN
	INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.seq, old.content);
END;
CREATE TRIGGER messages_fts_unindex AFTER UPDATE OF content, status ON messages WHEN old.status <> 'streaming' BEGIN
	INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.seq, old.content);
END;
CREATE TRIGGER messages_fts_index AFTER UPDATE OF content, status ON messages WHEN new.status <> 'streaming' BEGIN
	INSERT INTO messages_fts (rowid, content) VALUES (new.seq, new.content);
END;

-- postgres
CREATE TABLE messages (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	parent_id TEXT,
	active_child_id TEXT,
	role TEXT NOT NULL,
	content TEXT NOT NULL,
	reasoning TEXT NOT NULL,
	status TEXT NOT NULL,
	error_slug TEXT,
	error_detail TEXT,
	model TEXT,
	finish_reason TEXT,
	prompt_tokens BIGINT NOT NULL,
	completion_tokens BIGINT NOT NULL,
	duration_ms BIGINT NOT NULL,
	prompt TEXT,
	extra TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT
);
CREATE INDEX messages_text ON messages USING gin (to_tsvector('simple', left(content, 200000)));

-- both
CREATE INDEX messages_tree ON messages (conversation_id, parent_id, seq);
CREATE INDEX messages_streaming ON messages (status, seq);

CREATE TABLE usage_records (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	api_key_id TEXT,
	entry_point TEXT NOT NULL,
	model TEXT NOT NULL,
	prompt_tokens BIGINT NOT NULL,
	completion_tokens BIGINT NOT NULL,
	duration_ms BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX usage_records_user ON usage_records (user_id, created_at);

CREATE TABLE transfers (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	url TEXT NOT NULL,
	file_name TEXT NOT NULL,
	sha256 TEXT,
	size_bytes BIGINT NOT NULL,
	state TEXT NOT NULL,
	error_slug TEXT,
	error_detail TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
