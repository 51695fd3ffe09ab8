-- +goose Up
-- Whether a person insisted on the removal: such a backup does not come back even where it is the only one that is left.
ALTER TABLE removed_backups ADD COLUMN insisted INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE removed_backups DROP COLUMN insisted;
