-- +goose Up
CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    major      INTEGER NOT NULL,
    state      TEXT NOT NULL,                -- creating, ready
    created_at INTEGER NOT NULL,             -- every time is in microseconds since 1970, UTC
    deleted_at INTEGER NOT NULL DEFAULT 0
);
-- A name is taken as long as its bearer is not deleted.
CREATE UNIQUE INDEX projects_name ON projects (name) WHERE deleted_at = 0;

CREATE TABLE branches (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects (id),
    name        TEXT NOT NULL,
    environment TEXT NOT NULL,
    parent      TEXT NOT NULL DEFAULT '',
    major       INTEGER NOT NULL,
    state       TEXT NOT NULL,               -- creating, ready
    settings    TEXT NOT NULL,               -- JSON
    protected   INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL DEFAULT 0,
    deleted_at  INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX branches_name ON branches (project_id, name) WHERE deleted_at = 0;

-- What the front door checks clients against while a branch sleeps.
CREATE TABLE verifiers (
    branch_id   TEXT NOT NULL REFERENCES branches (id),
    role        BLOB NOT NULL,               -- a role's name can have any bytes
    verifier    TEXT NOT NULL,
    valid_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (branch_id, role)
) WITHOUT ROWID;

-- Passwords that are ours to show again: those of owner roles. Sealed.
CREATE TABLE passwords (
    branch_id  TEXT NOT NULL REFERENCES branches (id),
    role       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (branch_id, role)
) WITHOUT ROWID;

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL,
    project_id   TEXT NOT NULL DEFAULT '',
    right_       TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,       -- SHA-256 of the secret, which has 256 random bits
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL DEFAULT 0,
    last_used_at INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT '',
    branch_id  TEXT NOT NULL DEFAULT '',
    subject    TEXT NOT NULL,
    state      TEXT NOT NULL,
    step       TEXT NOT NULL DEFAULT '',
    step_index INTEGER NOT NULL DEFAULT 0,
    step_count INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0,
    total      INTEGER NOT NULL DEFAULT 0,
    unit       TEXT NOT NULL DEFAULT '',
    error      TEXT NOT NULL DEFAULT '',
    error_kind TEXT NOT NULL DEFAULT '',
    result     TEXT NOT NULL DEFAULT '',
    actor      TEXT NOT NULL DEFAULT '',
    input      BLOB NOT NULL,                -- sealed JSON: what is needed to run or undo it after a crash
    attempts   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL DEFAULT 0,
    ended_at   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_created ON jobs (created_at);
CREATE INDEX jobs_unfinished ON jobs (state) WHERE ended_at = 0;

CREATE TABLE job_lines (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
) WITHOUT ROWID;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Append-only: each entry carries the hash of the one before it.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    source  TEXT NOT NULL,                   -- address that the request came from
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,                   -- JSON
    hash    BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit;
DROP TABLE settings;
DROP TABLE job_lines;
DROP TABLE jobs;
DROP TABLE tokens;
DROP TABLE passwords;
DROP TABLE verifiers;
DROP TABLE branches;
DROP TABLE projects;
