-- both
-- which inputs (pictures outside the library) a job's request names; a library's picture is its owner's to delete
CREATE TABLE job_assets (
	job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	asset_id TEXT NOT NULL,
	PRIMARY KEY (job_id, asset_id)
);
CREATE INDEX job_assets_asset ON job_assets (asset_id);
INSERT INTO job_assets (job_id, asset_id)
	SELECT j.id, a.id FROM assets a JOIN jobs j ON j.user_id = a.user_id AND j.request LIKE '%' || a.id || '%'
	WHERE a.library = 0;

-- outside the library: since when nothing names it
ALTER TABLE assets ADD COLUMN unnamed_at BIGINT;
CREATE INDEX assets_inputs ON assets (id) WHERE library = 0;
CREATE INDEX characters_avatar ON characters (avatar_id);
