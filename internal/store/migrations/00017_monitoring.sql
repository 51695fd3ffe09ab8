-- +goose Up
-- What awake branches said of themselves, once a minute, for 14 days. Numbers of the second half are counters of the server.
CREATE TABLE measurements (
    branch_id      TEXT NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
    at             INTEGER NOT NULL,
    connections    INTEGER NOT NULL,
    active         INTEGER NOT NULL,
    in_transaction INTEGER NOT NULL,
    waiting        INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    commits        INTEGER NOT NULL,
    rollbacks      INTEGER NOT NULL,
    blocks_hit     INTEGER NOT NULL,
    blocks_read    INTEGER NOT NULL,
    deadlocks      INTEGER NOT NULL,
    temp_bytes     INTEGER NOT NULL,
    PRIMARY KEY (branch_id, at)
) WITHOUT ROWID;
CREATE INDEX measurements_at ON measurements (at);

CREATE TABLE measured_statements (
    id        INTEGER PRIMARY KEY,
    branch_id TEXT NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
    sql       TEXT NOT NULL,
    UNIQUE (branch_id, sql)
);

-- What the server had counted of the statements that took most time, as last seen in the hour.
CREATE TABLE statement_counts (
    statement_id INTEGER NOT NULL REFERENCES measured_statements (id) ON DELETE CASCADE,
    hour         INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    nanoseconds  INTEGER NOT NULL,
    PRIMARY KEY (statement_id, hour)
) WITHOUT ROWID;
CREATE INDEX statement_counts_hour ON statement_counts (hour);

-- +goose Down
DROP TABLE statement_counts;
DROP TABLE measured_statements;
DROP TABLE measurements;
