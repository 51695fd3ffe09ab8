-- +goose Up
ALTER TABLE branches ADD COLUMN look INTEGER NOT NULL DEFAULT 0;        -- a read-only copy of a moment, deleted when nobody uses it
ALTER TABLE branches ADD COLUMN masked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE branches ADD COLUMN schema_only INTEGER NOT NULL DEFAULT 0;
-- Rows of production as they are: who may not read those may not read these.
ALTER TABLE branches ADD COLUMN production_rows INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE branches DROP COLUMN production_rows;
ALTER TABLE branches DROP COLUMN schema_only;
ALTER TABLE branches DROP COLUMN masked;
ALTER TABLE branches DROP COLUMN look;
