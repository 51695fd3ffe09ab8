// Package store keeps the metadata: projects, branches, credentials, tokens, jobs and the audit trail, in one SQLite file.
// A caller may rely on this: a transaction that Update reported as done survives a crash, and secrets are sealed on disk.
// It knows no rules of the product; those are in platform.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/holdfast/holdfast"
)

// headMigration is the number of the migration that brings the audit trail's signed head.
const headMigration = 5

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the metadata database. It is safe for concurrent use.
type Store struct {
	read  *sql.DB
	write *sql.DB // one connection: SQLite has one writer, and waiting here is fairer than in its busy loop
	seal  *sealer
}

// Open opens or creates the database at path and brings it to the newest schema. key seals secrets (32 bytes); a database
// that was sealed with another key is refused.
func Open(ctx context.Context, path string, key []byte) (*Store, error) {
	sealer, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	// Created before SQLite does, so that it is never readable by others.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	f.Close()
	s := &Store{seal: sealer}
	if s.write, err = open(path, "immediate"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = open(path, "deferred"); err != nil {
		s.write.Close()
		return nil, err
	}
	s.read.SetMaxOpenConns(4)
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func open(path, txlock string) (*sql.DB, error) {
	// synchronous=FULL: in WAL mode NORMAL may lose the last transactions at a power cut, and a lost one may be a password.
	// secure_delete: a key that was destroyed must not stay in a free page.
	q := url.Values{"_txlock": {txlock}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	return db, nil
}

func (s *Store) prepare(ctx context.Context) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, sub)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate metadata: %w", err)
	}
	if err := s.checkKey(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(applied, func(m *goose.MigrationResult) bool { return m.Source.Version == headMigration }) {
		return s.Update(ctx, (*Tx).signOldTrail)
	}
	return nil
}

// checkKey leaves a sealed word behind at the first opening and reads it at each later one.
func (s *Store) checkKey(ctx context.Context) error {
	const name, word = "key_check", "holdfast"
	return s.Update(ctx, func(tx *Tx) error {
		stored, found, err := tx.Setting(name)
		if err != nil {
			return err
		}
		if !found {
			sealed, err := s.seal.seal(name, []byte(word))
			if err != nil {
				return err
			}
			return tx.SetSetting(name, string(encode(sealed)))
		}
		sealed, err := decode(stored)
		if err == nil {
			_, err = s.seal.open(name, sealed)
		}
		if err != nil {
			return &holdfast.Error{Kind: holdfast.Precondition, Message: "the key file does not belong to this metadata database",
				Hint: "put back the secret.key that lay beside it", Cause: err}
		}
		return nil
	})
}

// Close closes the database. Twice is harmless.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Tx is a transaction. It must not be used after the function that it was given to has returned.
type Tx struct {
	ctx  context.Context // a Tx lives no longer than the call that carries the context
	tx   *sql.Tx
	seal *sealer
}

// Update runs fn in a transaction and commits it when fn returns nil. Writers wait for each other.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, s.write, nil, fn)
}

// View runs fn in a read-only transaction that sees one state of the database.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.run(ctx, s.read, &sql.TxOptions{ReadOnly: true}, fn)
}

func (s *Store) run(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return diagnose(err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := fn(&Tx{ctx: ctx, tx: tx, seal: s.seal}); err != nil {
		return diagnose(err)
	}
	return diagnose(tx.Commit())
}

// diagnose gives the errors that a user can do something about their kind.
func diagnose(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the disk that holds the metadata is full", Hint: "free some space and try again", Cause: err}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the metadata cannot be written", Hint: "check the owner and mode of the data directory", Cause: err}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &holdfast.Error{Kind: holdfast.Corrupt, Message: "the metadata database is damaged", Cause: err}
	case sqlite3.SQLITE_CONSTRAINT:
		if e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return &holdfast.Error{Kind: holdfast.Conflict, Message: "it exists already", Cause: err}
		}
	}
	return err
}

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.tx.ExecContext(tx.ctx, query, args...)
	return err
}

// must is exec for statements that have to touch exactly one row; what names it for the error.
func (tx *Tx) must(what, query string, args ...any) error {
	res, err := tx.tx.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return &holdfast.Error{Kind: holdfast.NotFound, Message: what + " does not exist"}
}

// collect runs a query and scans each row.
func collect[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.tx.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, rows.Err()
}

// one is collect for a query that finds one row or none; none is NotFound.
func one[T any](tx *Tx, what string, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	item, err := scan(tx.tx.QueryRowContext(tx.ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return item, &holdfast.Error{Kind: holdfast.NotFound, Message: what + " does not exist"}
	}
	return item, err
}

type scanner interface{ Scan(dest ...any) error }

// Times are kept as microseconds since 1970 UTC; zero is the zero time.
func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
