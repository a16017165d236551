-- both
-- What a server needs that is open to others: rights, prices, reports, provenance, logins, erasure.
-- Each subject has its own part below.

-- logins: who may come through a sign-in service, and what its claims give
-- both
ALTER TABLE login_providers ADD COLUMN new_people TEXT NOT NULL DEFAULT 'none'; -- none, rules, all
UPDATE login_providers SET new_people = 'all' WHERE auto_create = 1;
ALTER TABLE login_providers DROP COLUMN auto_create;
ALTER TABLE login_providers ADD COLUMN domains TEXT NOT NULL DEFAULT '[]';
ALTER TABLE login_providers ADD COLUMN role_rules TEXT NOT NULL DEFAULT '[]';
-- what a rule gave through this link: taken back when no rule fits any more
ALTER TABLE external_logins ADD COLUMN role_given TEXT;
ALTER TABLE login_attempts ADD COLUMN invitation_hash TEXT;

-- logins: mails on their way, and the links they carry
-- both
CREATE TABLE mails (
	id TEXT PRIMARY KEY,
	kind TEXT NOT NULL, -- reset, verify
	address TEXT, -- NULL: it is sent, or nobody has it
	address_hash TEXT NOT NULL,
	user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
	attempt BIGINT NOT NULL,
	next_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX mails_due ON mails (next_at);
CREATE INDEX mails_address ON mails (address_hash, created_at);
CREATE TABLE one_time_links (
	token_hash TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	email TEXT, -- it was sent there; NULL: made by hand
	made_by TEXT,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX one_time_links_user ON one_time_links (user_id, kind);

-- logins: passkeys
-- both
CREATE TABLE passkeys (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	rp_id TEXT NOT NULL,
	credential_id TEXT NOT NULL, -- base64url
	public_key TEXT NOT NULL, -- base64url
	alg BIGINT NOT NULL,
	sign_count BIGINT NOT NULL,
	synced BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	last_used_at BIGINT,
	UNIQUE (rp_id, credential_id)
);
CREATE INDEX passkeys_user ON passkeys (user_id);
CREATE TABLE passkey_challenges (
	challenge_hash TEXT PRIMARY KEY,
	user_id TEXT REFERENCES users (id) ON DELETE CASCADE, -- NULL: a sign-in
	session_id TEXT,
	expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_challenges_expires ON passkey_challenges (expires_at);
-- rights: what a role (role_rights of 0005) and an API key may use besides their permissions
-- both
ALTER TABLE role_rights ADD COLUMN features_off TEXT;
-- patterns, a line each; NULL: all
ALTER TABLE api_keys ADD COLUMN models TEXT;
-- addresses and CIDR blocks, separated by spaces; NULL: from anywhere
ALTER TABLE api_keys ADD COLUMN addresses TEXT;
-- what its owner allows it at most (core/quota.h knows the words); quotas of scope 'key' are the operator's
ALTER TABLE api_keys ADD COLUMN budget_kind TEXT;
ALTER TABLE api_keys ADD COLUMN budget_span TEXT;
ALTER TABLE api_keys ADD COLUMN budget_amount BIGINT;
-- somebody who manages people signed in as another person; ended_at NULL: it goes on
CREATE TABLE impersonations (
	session_id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	by_user_id TEXT NOT NULL,
	by_user_name TEXT NOT NULL,
	why TEXT NOT NULL,
	started_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	ended_at BIGINT
);
CREATE INDEX impersonations_user ON impersonations (user_id, started_at);
-- moderation: reports, what is held, notices, pictures that may not come back
-- both
-- held: 0 no, 1 quarantined, 2 restricted, 3 removed (core/hold.h); held_deleted_at: deleted_at as it was before
ALTER TABLE assets ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN held_deleted_at BIGINT;
ALTER TABLE characters ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE characters ADD COLUMN held_deleted_at BIGINT;
ALTER TABLE conversations ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN held_deleted_at BIGINT;
CREATE INDEX assets_held ON assets (held) WHERE held <> 0;

-- one for each thing that is under report; a second word about it while it is open is a voice more
CREATE TABLE reports (
	id TEXT PRIMARY KEY,
	target_kind TEXT NOT NULL,
	target_id TEXT NOT NULL,
	owner_id TEXT REFERENCES users (id) ON DELETE SET NULL,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	voices BIGINT NOT NULL,
	quarantined_at BIGINT,
	due_at BIGINT NOT NULL,
	decision TEXT NOT NULL,
	reason TEXT NOT NULL,
	answer TEXT NOT NULL,
	decided_by TEXT,
	decided_at BIGINT,
	appeal_note TEXT NOT NULL,
	appealed_at BIGINT,
	appeal_outcome TEXT NOT NULL,
	appeal_answer TEXT NOT NULL,
	appeal_by TEXT,
	appeal_decided_at BIGINT,
	purged_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX reports_queue ON reports (state, due_at, id);
CREATE INDEX reports_target ON reports (target_kind, target_id);
CREATE INDEX reports_owner ON reports (owner_id);
CREATE INDEX reports_created ON reports (created_at);
CREATE UNIQUE INDEX reports_open ON reports (target_kind, target_id) WHERE state = 'open';

-- report_id null: about an account that there is not; whoever asks is not told
CREATE TABLE report_voices (
	id TEXT PRIMARY KEY,
	report_id TEXT REFERENCES reports (id) ON DELETE CASCADE,
	user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
	key_hash TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	note TEXT NOT NULL,
	contact TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX report_voices_report ON report_voices (report_id, id);
CREATE INDEX report_voices_user ON report_voices (user_id);

CREATE TABLE notices (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind TEXT NOT NULL,
	report_id TEXT REFERENCES reports (id) ON DELETE CASCADE,
	target_kind TEXT NOT NULL,
	target_id TEXT NOT NULL,
	decision TEXT NOT NULL,
	reason TEXT NOT NULL,
	answer TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	read_at BIGINT
);
CREATE INDEX notices_user ON notices (user_id, id);

-- what requests without an account did lately; tag: a keyed hash of the address and the hour
CREATE TABLE address_tries (
	tag TEXT NOT NULL,
	hour BIGINT NOT NULL,
	used BIGINT NOT NULL,
	PRIMARY KEY (tag, hour)
);

-- pictures that may not come in or out; phash null: only these bytes
CREATE TABLE blocked_pictures (
	id TEXT PRIMARY KEY,
	sha256 TEXT NOT NULL UNIQUE,
	phash BIGINT,
	report_id TEXT,
	reason TEXT NOT NULL,
	created_by TEXT,
	created_at BIGINT NOT NULL
);

-- both
-- Content Credentials: the key that signs what is made here, sealed with the master key, and its certificates (PEM).
-- assets.credentials: what an upload's own said (JSON); of what was made here the file itself says it
ALTER TABLE assets ADD COLUMN credentials TEXT;
CREATE TABLE signing_keys (
	name TEXT PRIMARY KEY,
	key_sealed TEXT NOT NULL,
	chain TEXT NOT NULL,
	created_at BIGINT NOT NULL
);
-- prices and usage: what models cost, in micro-USD per million tokens (-1: none); pictures by unit ('': none)
-- both
CREATE TABLE model_prices (
	model TEXT PRIMARY KEY,
	input_micro_usd BIGINT NOT NULL,
	output_micro_usd BIGINT NOT NULL,
	cached_micro_usd BIGINT NOT NULL,
	unit TEXT NOT NULL,
	unit_micro_usd BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
-- what a request cost, what was expected of it (-1: nothing was), and why it failed ('': it did not)
ALTER TABLE usage_records ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_records ADD COLUMN cost_micro_usd BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_records ADD COLUMN estimate_micro_usd BIGINT NOT NULL DEFAULT -1;
ALTER TABLE usage_records ADD COLUMN first_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_records ADD COLUMN error TEXT NOT NULL DEFAULT '';
CREATE INDEX usage_records_time ON usage_records (created_at);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
-- every change of a setting, so that it can be looked at and taken back; NULL: it was not set
CREATE TABLE setting_changes (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	was TEXT,
	became TEXT,
	user_id TEXT,
	user_name TEXT NOT NULL,
	at BIGINT NOT NULL
);
CREATE INDEX setting_changes_name ON setting_changes (name, id);
-- picture check: what the classifier said (millionths) and what was done: 'clear', 'blur', 'held', 'removed'
-- both
CREATE TABLE picture_checks (
	asset_id TEXT PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
	score BIGINT NOT NULL,
	state TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	decided_by TEXT,
	decided_at BIGINT
);
CREATE INDEX picture_checks_state ON picture_checks (state, created_at);




-- both
-- erasure: a legal hold (who may lift it is asked for why), and since when an account that is held waits to be erased
ALTER TABLE users ADD COLUMN held_since BIGINT;
ALTER TABLE users ADD COLUMN held_why TEXT;
ALTER TABLE users ADD COLUMN erase_since BIGINT;
CREATE INDEX users_erase ON users (erase_since) WHERE erase_since IS NOT NULL;
CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX messages_deleted ON messages (deleted_at) WHERE deleted_at IS NOT NULL;
-- a person's things as one file: data/exports/{id}.zip, kept for a day
CREATE TABLE exports (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	by_user_id TEXT NOT NULL,
	state TEXT NOT NULL,
	done BIGINT NOT NULL,
	total BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	error_slug TEXT,
	created_at BIGINT NOT NULL,
	finished_at BIGINT
);
CREATE INDEX exports_user ON exports (user_id, id);
-- sign-ins under way: how many there are of an address (core/rate.h, atl_network_of)
-- both
ALTER TABLE login_attempts ADD COLUMN network TEXT NOT NULL DEFAULT '';
CREATE INDEX login_attempts_network ON login_attempts (network);
