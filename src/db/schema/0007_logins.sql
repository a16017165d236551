-- both
-- sign-in services (OpenID Connect) as the owner configured them; the secret is sealed with the master key and the id
CREATE TABLE login_providers (
	id TEXT PRIMARY KEY,
	preset TEXT NOT NULL,
	name TEXT NOT NULL,
	issuer TEXT NOT NULL UNIQUE,
	client_id TEXT NOT NULL,
	secret_sealed TEXT,
	auto_create BIGINT NOT NULL,
	enabled BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

-- whom a service means: issuer and subject are the key, an e-mail address never is
CREATE TABLE external_logins (
	id TEXT PRIMARY KEY,
	issuer TEXT NOT NULL,
	subject TEXT NOT NULL,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	label TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_used_at BIGINT,
	UNIQUE (issuer, subject)
);
CREATE INDEX external_logins_user ON external_logins (user_id);

-- sign-ins under way at a service; nonce and verifier are derived from the state, which is not kept
CREATE TABLE login_attempts (
	state_hash TEXT PRIMARY KEY,
	browser_hash TEXT NOT NULL,
	provider_id TEXT NOT NULL REFERENCES login_providers (id) ON DELETE CASCADE,
	user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
	session_id TEXT,
	expires_at BIGINT NOT NULL
);
CREATE INDEX login_attempts_expires ON login_attempts (expires_at);

-- RFC 6238; last_step is that of the last code that was taken, so that each works once
CREATE TABLE totp (
	user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	secret_sealed TEXT NOT NULL,
	confirmed_at BIGINT,
	last_step BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE TABLE recovery_codes (
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	code_hash TEXT NOT NULL,
	used_at BIGINT,
	PRIMARY KEY (user_id, code_hash)
);
-- the first step of a sign-in is done; the token is in a cookie
CREATE TABLE second_steps (
	token_hash TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	tries BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX second_steps_expires ON second_steps (expires_at);
-- what a service published: its addresses and its keys, as they came; keys_tried_at keeps the asking rare
CREATE TABLE login_documents (
	issuer TEXT PRIMARY KEY,
	discovery TEXT NOT NULL,
	discovered_at BIGINT NOT NULL,
	keys TEXT,
	keys_tried_at BIGINT NOT NULL
);
