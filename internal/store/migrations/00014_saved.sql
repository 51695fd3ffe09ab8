-- +goose Up
-- What a person keeps for use in a project: views of tables, and queries.
CREATE TABLE saved (
  id         TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  owner      TEXT NOT NULL,  -- a person's ID, or the name of a token of the installation's own
  kind       TEXT NOT NULL,  -- view, query
  subject    TEXT NOT NULL,  -- the table of a view
  name       TEXT NOT NULL,
  body       TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (project_id, owner, kind, subject, name)
);

-- +goose Down
DROP TABLE saved;
