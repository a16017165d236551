-- both
-- what was used, in whole units: append only. A reservation is step 0; its end (settled with the true amount, or
-- refunded with 0) is step 1, so that the key lets it happen once. What was never reserved has only its end.
-- `at` is the time it counts for (the reservation's). No foreign keys: the books outlive people and models
CREATE TABLE ledger (
	ref TEXT NOT NULL,
	kind TEXT NOT NULL,
	step BIGINT NOT NULL,
	state TEXT NOT NULL,
	user_id TEXT NOT NULL,
	key_id TEXT NOT NULL,
	model TEXT NOT NULL,
	amount BIGINT NOT NULL,
	at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (ref, kind, step)
);
CREATE INDEX ledger_user ON ledger (user_id, kind, at);
CREATE INDEX ledger_key ON ledger (key_id, kind, at) WHERE key_id <> '';
CREATE INDEX ledger_at ON ledger (kind, at);

-- sums of the ledger: subject = a user's id, a key's id or 'server'; model '' = every model. A user's day by model is always
-- kept; another row is made from the ledger when a quota first needs it, and kept up from then on
CREATE TABLE balances (
	subject TEXT NOT NULL,
	kind TEXT NOT NULL,
	model TEXT NOT NULL,
	span TEXT NOT NULL,
	start_at BIGINT NOT NULL,
	used BIGINT NOT NULL,
	reserved BIGINT NOT NULL,
	warned BIGINT NOT NULL,
	PRIMARY KEY (subject, kind, span, start_at, model)
);
CREATE INDEX balances_day ON balances (span, start_at);

-- subject: a user's, group's, role's or key's id or name; '' for everyone and server
CREATE TABLE quotas (
	id TEXT PRIMARY KEY,
	scope TEXT NOT NULL,
	subject TEXT NOT NULL,
	kind TEXT NOT NULL,
	span TEXT NOT NULL,
	model TEXT NOT NULL,
	amount BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	UNIQUE (scope, subject, kind, span, model)
);

-- granted on top of a quota to one person, for the window that begins at start_at
CREATE TABLE quota_extras (
	quota_id TEXT NOT NULL REFERENCES quotas (id) ON DELETE CASCADE,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	start_at BIGINT NOT NULL,
	amount BIGINT NOT NULL,
	PRIMARY KEY (quota_id, user_id, start_at)
);

CREATE TABLE quota_requests (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	quota_id TEXT NOT NULL REFERENCES quotas (id) ON DELETE CASCADE,
	amount BIGINT NOT NULL,
	note TEXT NOT NULL,
	state TEXT NOT NULL,
	granted BIGINT NOT NULL,
	answer TEXT NOT NULL,
	decided_by TEXT,
	created_at BIGINT NOT NULL,
	decided_at BIGINT
);
CREATE INDEX quota_requests_state ON quota_requests (state, id);
CREATE UNIQUE INDEX quota_requests_open ON quota_requests (user_id, quota_id) WHERE state = 'open';
