-- both
ALTER TABLE assets ADD COLUMN kind TEXT NOT NULL DEFAULT 'picture';
ALTER TABLE assets ADD COLUMN library BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN job_id TEXT;
ALTER TABLE assets ADD COLUMN job_index BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN task TEXT;
ALTER TABLE assets ADD COLUMN model TEXT;
ALTER TABLE assets ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN prompt TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
ALTER TABLE assets ADD COLUMN seed BIGINT;
ALTER TABLE assets ADD COLUMN character_id TEXT;
ALTER TABLE assets ADD COLUMN conversation_id TEXT;
ALTER TABLE assets ADD COLUMN message_id TEXT;
ALTER TABLE assets ADD COLUMN starred BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN rating BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN blur_hash TEXT;
ALTER TABLE assets ADD COLUMN phash BIGINT;
ALTER TABLE assets ADD COLUMN duration_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE assets ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN deleted_at BIGINT;
-- all that the library filters by: a filtered list reads the index alone
CREATE INDEX assets_library ON assets (user_id, library, id, deleted_at, kind, origin, task, model, character_id,
	conversation_id, starred, rating, created_at);
CREATE INDEX assets_trash ON assets (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX assets_model ON assets (user_id, model, id);
CREATE INDEX assets_character ON assets (user_id, character_id, id);
CREATE INDEX assets_job ON assets (job_id, job_index);
CREATE INDEX assets_sha256 ON assets (sha256);

-- files of the blob store: a row before the file, refs 0 until an asset has it; what has none goes at the next start
CREATE TABLE blobs (
	sha256 TEXT PRIMARY KEY,
	size_bytes BIGINT NOT NULL,
	refs BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX blobs_unused ON blobs (refs) WHERE refs <= 0;
INSERT INTO blobs (sha256, size_bytes, refs, created_at)
	SELECT sha256, MAX(size_bytes), COUNT(*), MIN(created_at) FROM assets GROUP BY sha256;

CREATE TABLE asset_parents (
	asset_id TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
	parent_id TEXT NOT NULL,
	role TEXT NOT NULL,
	PRIMARY KEY (asset_id, parent_id, role)
);
CREATE INDEX asset_parents_parent ON asset_parents (parent_id);

CREATE TABLE asset_tags (
	asset_id TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
	user_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	tag TEXT NOT NULL,
	PRIMARY KEY (asset_id, kind, tag)
);
CREATE INDEX asset_tags_find ON asset_tags (user_id, kind, tag, asset_id);

CREATE TABLE boards (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX boards_user ON boards (user_id, id);
CREATE TABLE board_assets (
	board_id TEXT NOT NULL REFERENCES boards (id) ON DELETE CASCADE,
	asset_id TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
	PRIMARY KEY (board_id, asset_id)
);
CREATE INDEX board_assets_asset ON board_assets (asset_id);

CREATE TABLE share_links (
	share_key TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	asset_id TEXT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
	with_metadata BIGINT NOT NULL,
	uses BIGINT NOT NULL,
	uses_max BIGINT,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	revoked_at BIGINT
);
-- looked up by this part, compared as a whole in constant time
CREATE INDEX share_links_front ON share_links (substr(share_key, 1, 8));
CREATE INDEX share_links_asset ON share_links (asset_id);
CREATE INDEX share_links_user ON share_links (user_id, created_at);

CREATE TABLE uploads (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	size_bytes BIGINT NOT NULL,
	received_bytes BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE jobs (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind TEXT NOT NULL,
	task TEXT NOT NULL,
	state TEXT NOT NULL,
	origin TEXT NOT NULL,
	model TEXT NOT NULL,
	provider_id TEXT NOT NULL,
	prompt TEXT NOT NULL,
	request TEXT NOT NULL,
	priority BIGINT NOT NULL,
	place DOUBLE PRECISION NOT NULL,
	count BIGINT NOT NULL,
	done_count BIGINT NOT NULL,
	not_before BIGINT,
	depends_on TEXT,
	attempt BIGINT NOT NULL,
	lease_owner TEXT,
	lease_until BIGINT,
	remote_id TEXT,
	error_slug TEXT,
	error_detail TEXT,
	notes TEXT NOT NULL,
	cost_micro_usd BIGINT NOT NULL,
	character_id TEXT,
	conversation_id TEXT,
	message_id TEXT,
	board_id TEXT,
	webhook_url TEXT,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	started_at BIGINT,
	finished_at BIGINT,
	updated_at BIGINT NOT NULL
);
CREATE INDEX jobs_user ON jobs (user_id, id);
CREATE INDEX jobs_user_state ON jobs (user_id, state, id);
CREATE INDEX jobs_queue ON jobs (state, priority, place);
CREATE INDEX jobs_depends ON jobs (depends_on);

-- who has paused: a user's id, or '*' for everybody
CREATE TABLE queue_pauses (
	scope TEXT PRIMARY KEY,
	created_at BIGINT NOT NULL
);

CREATE TABLE webhooks (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	url TEXT NOT NULL,
	secret_sealed TEXT NOT NULL,
	enabled BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_user ON webhooks (user_id, id);
CREATE TABLE webhook_deliveries (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	webhook_id TEXT,
	job_id TEXT NOT NULL,
	url TEXT NOT NULL,
	event TEXT NOT NULL,
	payload TEXT NOT NULL,
	state TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	next_at BIGINT,
	response_status BIGINT NOT NULL,
	error_detail TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, next_at);
CREATE INDEX webhook_deliveries_user ON webhook_deliveries (user_id, id);

CREATE TABLE styles (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	prompt TEXT NOT NULL,
	negative_prompt TEXT NOT NULL,
	model TEXT,
	params TEXT NOT NULL,
	shared BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX styles_user ON styles (user_id, id);

CREATE TABLE wildcards (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	entries TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	UNIQUE (user_id, name)
);

CREATE TABLE prompt_history (
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	prompt_hash TEXT NOT NULL,
	prompt TEXT NOT NULL,
	negative_prompt TEXT NOT NULL,
	uses BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, prompt_hash)
);
CREATE INDEX prompt_history_used ON prompt_history (user_id, used_at);

CREATE TABLE workflows (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	graph TEXT NOT NULL,
	inputs TEXT NOT NULL,
	shared BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX workflows_user ON workflows (user_id, id);

-- the operator's own entries of the model registry, and what was changed in ours
CREATE TABLE picture_models (
	id TEXT PRIMARY KEY,
	entry TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

ALTER TABLE characters ADD COLUMN look TEXT NOT NULL DEFAULT '{}';
ALTER TABLE providers ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- sqlite
CREATE TABLE asset_texts (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	asset_id TEXT NOT NULL UNIQUE REFERENCES assets (id) ON DELETE CASCADE,
	prompt TEXT NOT NULL,
	title TEXT NOT NULL
);
CREATE VIRTUAL TABLE assets_fts USING fts5 (prompt, title, content = 'asset_texts', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER asset_texts_insert AFTER INSERT ON asset_texts BEGIN
	INSERT INTO assets_fts (rowid, prompt, title) VALUES (new.seq, new.prompt, new.title);
END;
CREATE TRIGGER asset_texts_delete AFTER DELETE ON asset_texts BEGIN
	INSERT INTO assets_fts (assets_fts, rowid, prompt, title) VALUES ('delete', old.seq, old.prompt, old.title);
END;
CREATE TRIGGER asset_texts_update AFTER UPDATE ON asset_texts BEGIN
	INSERT INTO assets_fts (assets_fts, rowid, prompt, title) VALUES ('delete', old.seq, old.prompt, old.title);
	INSERT INTO assets_fts (rowid, prompt, title) VALUES (new.seq, new.prompt, new.title);
END;
CREATE TRIGGER assets_text_insert AFTER INSERT ON assets WHEN new.library = 1 BEGIN
	INSERT INTO asset_texts (asset_id, prompt, title) VALUES (new.id, new.prompt, new.title);
END;
CREATE TRIGGER assets_text_update AFTER UPDATE OF title, prompt ON assets WHEN new.library = 1 BEGIN
	UPDATE asset_texts SET prompt = new.prompt, title = new.title WHERE asset_id = new.id;
END;

-- postgres
CREATE INDEX assets_text ON assets USING gin (to_tsvector('simple', left(prompt, 100000) || ' ' || title));
