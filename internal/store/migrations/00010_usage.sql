-- +goose Up
-- How far each branch is counted. A branch stays here with its last names when it is gone: what it used stays.
CREATE TABLE usage_meters (
    branch_id  TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    project    TEXT NOT NULL,
    branch     TEXT NOT NULL,
    meter      TEXT NOT NULL                 -- JSON
) WITHOUT ROWID;

-- What was used in each hour; what is older than two months, in each day. What is held is in bytes times seconds.
CREATE TABLE usage_hours (
    branch_id       TEXT NOT NULL,
    start           INTEGER NOT NULL,
    awake           INTEGER NOT NULL,        -- microseconds
    compute         INTEGER NOT NULL,        -- microseconds times quarters of a compute unit
    root_bytes      REAL NOT NULL,
    child_bytes     REAL NOT NULL,
    data_logical    REAL NOT NULL,
    history_bytes   REAL NOT NULL,
    history_logical REAL NOT NULL,
    backup_bytes    REAL NOT NULL,
    backup_logical  REAL NOT NULL,
    written         INTEGER NOT NULL,
    received        INTEGER NOT NULL,
    sent            INTEGER NOT NULL,
    branches        INTEGER NOT NULL,        -- microseconds
    children        INTEGER NOT NULL,
    PRIMARY KEY (branch_id, start)
) WITHOUT ROWID;
CREATE INDEX usage_hours_start ON usage_hours (start);

CREATE TABLE usage_budgets (
    project_id TEXT NOT NULL,                -- empty: the whole installation
    name       TEXT NOT NULL,
    branch_id  TEXT NOT NULL DEFAULT '',
    metric     TEXT NOT NULL,
    bound      REAL NOT NULL,
    hard       INTEGER NOT NULL,
    production INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, name)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE usage_budgets;
DROP TABLE usage_hours;
DROP TABLE usage_meters;
