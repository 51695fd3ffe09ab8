-- +goose Up
-- When what somebody removed is purged; until then it can be brought back. Zero beside a deleted_at: at once.
ALTER TABLE projects ADD COLUMN purge_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE branches ADD COLUMN purge_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE branches DROP COLUMN purge_at;
ALTER TABLE projects DROP COLUMN purge_at;
