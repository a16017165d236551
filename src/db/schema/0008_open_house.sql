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
