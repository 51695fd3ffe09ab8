-- +goose Up
-- What is known of the backups that lie at the locations. The manifests beside the bytes are the truth; this is made again from them.
CREATE TABLE backups (
    id           TEXT PRIMARY KEY,
    project_id   TEXT NOT NULL,              -- no reference: a backup outlives its project
    branch_id    TEXT NOT NULL DEFAULT '',   -- empty: a backup that was found at a location
    environment  TEXT NOT NULL,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL,              -- in_progress, completed, failed
    manifest     TEXT NOT NULL,              -- JSON
    job_id       TEXT NOT NULL DEFAULT '',
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL DEFAULT 0, -- when whoever makes it said last that it goes on
    UNIQUE (project_id, name)
);
CREATE INDEX backups_started ON backups (started_at);

CREATE TABLE schedules (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    branch_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,                -- JSON
    last_run   INTEGER NOT NULL DEFAULT 0,   -- the due time of the run that was begun last
    job_id     TEXT NOT NULL DEFAULT '',     -- of that run
    created_at INTEGER NOT NULL,
    UNIQUE (branch_id, name)
);

-- Databases that a restore, an import or a sync set aside, until they are dropped.
CREATE TABLE set_aside (
    branch_id TEXT NOT NULL,
    database  TEXT NOT NULL,
    why       TEXT NOT NULL,
    kept_at   INTEGER NOT NULL,
    drop_at   INTEGER NOT NULL,
    PRIMARY KEY (branch_id, database)
) WITHOUT ROWID;

-- What each project keeps for its backups, by purpose: table sets, hooks, the export folder. JSON.
CREATE TABLE backup_settings (
    project_id TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    PRIMARY KEY (project_id, purpose, name)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE backup_settings;
DROP TABLE set_aside;
DROP TABLE schedules;
DROP TABLE backups;
