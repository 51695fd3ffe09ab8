-- +goose Up
-- A change of production's structure. What can be searched for is a column, the rest is in detail.
CREATE TABLE publishes (
    project_id TEXT NOT NULL REFERENCES projects (id),
    number     INTEGER NOT NULL,
    state      TEXT NOT NULL,
    detail     TEXT NOT NULL,                -- JSON
    PRIMARY KEY (project_id, number)
) WITHOUT ROWID;

-- The texts of a publish: plan, report, catalogues. They can be large, so they are compressed.
CREATE TABLE publish_documents (
    project_id TEXT NOT NULL,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    body       BLOB NOT NULL,                -- gzip
    PRIMARY KEY (project_id, number, name),
    FOREIGN KEY (project_id, number) REFERENCES publishes (project_id, number)
);

CREATE TABLE publish_answers (
    project_id TEXT NOT NULL,
    number     INTEGER NOT NULL,
    question   TEXT NOT NULL,
    answer     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (project_id, number, question),
    FOREIGN KEY (project_id, number) REFERENCES publishes (project_id, number)
) WITHOUT ROWID;

-- What an apply does, written before and after each step: by it an interrupted one is continued or taken back.
CREATE TABLE publish_journal (
    project_id TEXT NOT NULL,
    number     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    body       TEXT NOT NULL,                -- JSON
    PRIMARY KEY (project_id, number, seq),
    FOREIGN KEY (project_id, number) REFERENCES publishes (project_id, number)
) WITHOUT ROWID;

-- Each statement with what it was predicted to take and what it took.
CREATE TABLE publish_statements (
    project_id TEXT NOT NULL,
    number     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    body       TEXT NOT NULL,                -- JSON
    PRIMARY KEY (project_id, number, seq),
    FOREIGN KEY (project_id, number) REFERENCES publishes (project_id, number)
) WITHOUT ROWID;

-- Development's catalogue when production was last equal to it.
CREATE TABLE baselines (
    project_id TEXT PRIMARY KEY REFERENCES projects (id),
    number     INTEGER NOT NULL,             -- of the publish that made it
    body       BLOB NOT NULL,                -- gzip
    at         INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE publish_hooks (
    project_id TEXT PRIMARY KEY REFERENCES projects (id),
    config     TEXT NOT NULL                 -- JSON, without secrets
) WITHOUT ROWID;

-- +goose Down
DROP TABLE publish_hooks;
DROP TABLE baselines;
DROP TABLE publish_statements;
DROP TABLE publish_journal;
DROP TABLE publish_answers;
DROP TABLE publish_documents;
DROP TABLE publishes;
