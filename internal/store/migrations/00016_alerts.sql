-- +goose Up
-- What is or was wrong. Of each condition at each place at most one alert is open.
CREATE TABLE alerts (
    id              TEXT PRIMARY KEY,
    condition       TEXT NOT NULL,
    severity        TEXT NOT NULL,
    project_id      TEXT NOT NULL,              -- empty: of the installation
    branch_id       TEXT NOT NULL,
    subject         TEXT NOT NULL,
    place           TEXT NOT NULL,              -- the names at the time
    message         TEXT NOT NULL,
    hint            TEXT NOT NULL,
    fired_at        INTEGER NOT NULL,
    resolved_at     INTEGER NOT NULL DEFAULT 0, -- 0: it is firing
    notified_at     INTEGER NOT NULL DEFAULT 0, -- 0: no channel was told yet
    acknowledged_at INTEGER NOT NULL DEFAULT 0,
    acknowledged_by TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX alerts_open ON alerts (condition, project_id, branch_id, subject) WHERE resolved_at = 0;
CREATE INDEX alerts_fired ON alerts (fired_at);

-- A mute belongs to the place and not to one alert: what fires again there stays quiet.
CREATE TABLE alert_mutes (
    condition  TEXT NOT NULL,
    project_id TEXT NOT NULL,
    branch_id  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (condition, project_id, branch_id, subject)
) WITHOUT ROWID;

CREATE TABLE alert_channels (
    id           TEXT PRIMARY KEY,
    project_id   TEXT NOT NULL,              -- empty: of the installation
    name         TEXT NOT NULL,
    config       TEXT NOT NULL,              -- JSON
    sealed       BLOB NOT NULL,              -- address, key and password
    created_at   INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL DEFAULT 0, -- when something last arrived there
    failed_at    INTEGER NOT NULL DEFAULT 0, -- when something last did not, and why
    error        TEXT NOT NULL DEFAULT '',
    UNIQUE (project_id, name)
);

-- What channels are to be told. A notice is written with the change that it tells of and stays until it is delivered or given up.
CREATE TABLE alert_notices (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id   TEXT NOT NULL,
    body         TEXT NOT NULL,              -- JSON
    created_at   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL
);
CREATE INDEX alert_notices_next ON alert_notices (next_at);

-- +goose Down
DROP TABLE alert_notices;
DROP TABLE alert_channels;
DROP TABLE alert_mutes;
DROP TABLE alerts;
