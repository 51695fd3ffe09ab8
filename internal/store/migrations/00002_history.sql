-- +goose Up
-- Where a project's history and backups are kept.
CREATE TABLE locations (
    project_id TEXT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,                -- JSON, without secrets
    sealed     BLOB NOT NULL,                -- the secret key; empty where there is none
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) WITHOUT ROWID;

-- What a project encrypts with: the newest encrypts, all decrypt.
CREATE TABLE project_keys (
    project_id TEXT NOT NULL REFERENCES projects (id),
    purpose    TEXT NOT NULL,                -- repository: an age identity; masking: a salt
    number     INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, purpose, number)
) WITHOUT ROWID;

CREATE TABLE mask_rules (
    project_id TEXT NOT NULL REFERENCES projects (id),
    schema     TEXT NOT NULL,
    table_     TEXT NOT NULL,
    column_    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    expression TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, schema, table_, column_)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE mask_rules;
DROP TABLE project_keys;
DROP TABLE locations;
