-- +goose Up
CREATE TABLE people (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL COLLATE NOCASE,
    admin         INTEGER NOT NULL DEFAULT 0,    -- of the installation
    password      TEXT NOT NULL DEFAULT '',      -- Argon2id with its parameters; empty: none
    code_secret   BLOB NOT NULL DEFAULT x'',     -- of the authenticator, sealed; empty: none
    code_on       INTEGER NOT NULL DEFAULT 0,    -- the secret was confirmed with a code
    code_step     INTEGER NOT NULL DEFAULT 0,    -- of the newest code that was taken: none is taken twice
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER NOT NULL DEFAULT 0,
    last_login_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX people_name ON people (name);

CREATE TABLE members (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    production INTEGER NOT NULL DEFAULT 0,       -- may read production's rows whatever the role
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, person_id)
) WITHOUT ROWID;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,             -- SHA-256 of the cookie's secret
    person_id  TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    source     TEXT NOT NULL,
    agent      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

-- One-time links: for somebody new, or for a new password.
CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    person_id  TEXT NOT NULL DEFAULT '',         -- whose password it sets; empty: somebody new
    admin      INTEGER NOT NULL DEFAULT 0,
    project_id TEXT NOT NULL DEFAULT '',
    role       TEXT NOT NULL DEFAULT '',
    production INTEGER NOT NULL DEFAULT 0,
    made_by    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

-- Codes that stand in for the authenticator, each once.
CREATE TABLE recovery_codes (
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    hash      BLOB NOT NULL,
    PRIMARY KEY (person_id, hash)
) WITHOUT ROWID;

ALTER TABLE tokens ADD COLUMN person_id TEXT NOT NULL DEFAULT '';

-- How long the audit trail is and its last hash, signed: what is cut off at its end is missed.
CREATE TABLE audit_head (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    signature BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit_head;
ALTER TABLE tokens DROP COLUMN person_id;
DROP TABLE recovery_codes;
DROP TABLE invitations;
DROP TABLE sessions;
DROP TABLE members;
DROP TABLE people;
