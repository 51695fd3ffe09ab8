-- +goose Up
-- When each branch was last backed up and proved is asked every few seconds: it must not take reading manifests.
ALTER TABLE backups ADD COLUMN branch TEXT NOT NULL DEFAULT '';
ALTER TABLE backups ADD COLUMN ended_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backups ADD COLUMN verified_at INTEGER NOT NULL DEFAULT 0;
UPDATE backups SET branch = coalesce(json_extract(manifest, '$.branch'), ''),
    ended_at = coalesce(unixepoch(json_extract(manifest, '$.ended_at')), 0) * 1000000,
    verified_at = coalesce(unixepoch(json_extract(manifest, '$.verified_at')), 0) * 1000000;
CREATE INDEX backups_standing ON backups (project_id, branch, state, started_at, ended_at, verified_at);
CREATE INDEX jobs_of_kind ON jobs (kind, branch_id, created_at);

-- Backups that were removed while a disk with a copy was not there. Without this they would come back with the disk.
CREATE TABLE removed_backups (
    project_id TEXT NOT NULL,
    id         TEXT NOT NULL,
    removed_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE removed_backups;
DROP INDEX jobs_of_kind;
DROP INDEX backups_standing;
ALTER TABLE backups DROP COLUMN verified_at;
ALTER TABLE backups DROP COLUMN ended_at;
ALTER TABLE backups DROP COLUMN branch;
