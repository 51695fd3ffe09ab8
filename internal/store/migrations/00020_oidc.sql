-- +goose Up
-- The provider that people may sign in with besides their passwords.
CREATE TABLE oidc (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    name          TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    client_secret BLOB NOT NULL            -- sealed
);

-- An address is written by admins of the installation, or was verified by the provider: whoever has it at the provider is this person.
ALTER TABLE people ADD COLUMN email TEXT NOT NULL DEFAULT '' COLLATE NOCASE;
CREATE UNIQUE INDEX people_email ON people (email) WHERE email <> '';

-- Whom a person is at the provider, from the first time on: addresses are given to others, this is not.
ALTER TABLE people ADD COLUMN oidc_issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE people ADD COLUMN oidc_subject TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX people_oidc ON people (oidc_issuer, oidc_subject) WHERE oidc_subject <> '';

ALTER TABLE invitations ADD COLUMN email TEXT NOT NULL DEFAULT '' COLLATE NOCASE;

-- +goose Down
ALTER TABLE invitations DROP COLUMN email;
DROP INDEX people_oidc;
ALTER TABLE people DROP COLUMN oidc_subject;
ALTER TABLE people DROP COLUMN oidc_issuer;
DROP INDEX people_email;
ALTER TABLE people DROP COLUMN email;
DROP TABLE oidc;
