-- both
UPDATE users SET role = 'member' WHERE role = 'user';
-- an address that people gave or a sign-in service vouched for
ALTER TABLE users ADD COLUMN email TEXT;
ALTER TABLE users ADD COLUMN email_folded TEXT;
ALTER TABLE users ADD COLUMN email_verified_at BIGINT;
-- set: signed up and waits for an admin
ALTER TABLE users ADD COLUMN waiting_since BIGINT;
-- a suspension that ends by itself; NULL with disabled_at set: until an admin lifts it
ALTER TABLE users ADD COLUMN disabled_until BIGINT;
ALTER TABLE users ADD COLUMN disabled_why TEXT;
ALTER TABLE users ADD COLUMN last_seen_at BIGINT;
CREATE UNIQUE INDEX users_email ON users (email_folded);

-- roles that an operator made; users.role holds the id of one, or the name of a built-in role
CREATE TABLE roles (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	name_folded TEXT NOT NULL UNIQUE,
	permissions TEXT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

-- what a role may besides its permissions; `role` as in users.role. NULL lists: all
CREATE TABLE role_rights (
	role TEXT PRIMARY KEY,
	models TEXT,
	providers TEXT,
	mature BIGINT NOT NULL,
	storage_bytes BIGINT,
	updated_at BIGINT NOT NULL
);

CREATE TABLE people_groups (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	name_folded TEXT NOT NULL UNIQUE,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE TABLE group_members (
	group_id TEXT NOT NULL REFERENCES people_groups (id) ON DELETE CASCADE,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

-- the link's secret is kept as its SHA-256 only
CREATE TABLE invitations (
	id TEXT PRIMARY KEY,
	token_hash TEXT NOT NULL UNIQUE,
	role TEXT NOT NULL,
	note TEXT NOT NULL,
	uses BIGINT NOT NULL,
	uses_max BIGINT,
	expires_at BIGINT,
	revoked_at BIGINT,
	created_by TEXT NOT NULL,
	created_at BIGINT NOT NULL
);

-- append only; hash = SHA-256 over the row before's hash and this row (core/audit.h). No foreign keys: it outlives people
CREATE TABLE audit (
	seq BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	user_id TEXT NOT NULL,
	user_name TEXT NOT NULL,
	channel TEXT NOT NULL,
	remote TEXT NOT NULL,
	action TEXT NOT NULL,
	target_kind TEXT NOT NULL,
	target_id TEXT NOT NULL,
	note TEXT NOT NULL,
	hash TEXT NOT NULL
);
CREATE INDEX audit_action ON audit (action, seq);
CREATE INDEX audit_user ON audit (user_id, seq);
-- the last row's number and hash: one row, locked by whoever appends, so that the chain has no fork
CREATE TABLE audit_head (
	id BIGINT PRIMARY KEY,
	seq BIGINT NOT NULL,
	hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
