-- both
-- tables of pictures that differ along up to three axes; a cell is an ordinary job
CREATE TABLE grids (
	id TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	prompt TEXT NOT NULL,
	model TEXT NOT NULL,
	axes TEXT NOT NULL,
	cell_count BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE INDEX grids_user ON grids (user_id, id);
-- no reference to jobs: a grid outlives them
CREATE TABLE grid_cells (
	grid_id TEXT NOT NULL REFERENCES grids (id) ON DELETE CASCADE,
	x BIGINT NOT NULL,
	y BIGINT NOT NULL,
	z BIGINT NOT NULL,
	job_id TEXT NOT NULL,
	PRIMARY KEY (grid_id, x, y, z)
);
