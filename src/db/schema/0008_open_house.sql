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
-- rights: what a role (role_rights of 0005) and an API key may use besides their permissions
-- both
ALTER TABLE role_rights ADD COLUMN features_off TEXT;
-- patterns, a line each; NULL: all
ALTER TABLE api_keys ADD COLUMN models TEXT;
-- addresses and CIDR blocks, separated by spaces; NULL: from anywhere
ALTER TABLE api_keys ADD COLUMN addresses TEXT;
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
