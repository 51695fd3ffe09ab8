package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/postgres"
)

// snapshot is a transaction that sees one moment of a database and lends it to other sessions. Its tables are locked against being
// dropped or altered, as pg_dump does it, but not against being written.
type snapshot struct {
	conn     *pgx.Conn
	db       Database
	server   Server
	id       string
	at       time.Time
	encoding string
	all      []Table // of the database
	tables   []Table // those that were chosen
}

// defaultLockTimeout is how long a backup waits for a table that somebody alters.
const defaultLockTimeout = time.Minute

// openSnapshot takes the moment. The caller closes it.
func openSnapshot(ctx context.Context, db Database, patterns []string, lockTimeout time.Duration) (*snapshot, error) {
	conn, err := db.session(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{conn: conn, db: db, server: serverOf(conn)}
	if err := s.take(ctx, patterns, lockTimeout); err != nil {
		s.close()
		return nil, fmt.Errorf("take a snapshot of %s: %w", db.Name, explain(err))
	}
	return s, nil
}

func (s *snapshot) close() { closeConn(s.conn) }

// take locks first and looks then: a repeatable-read transaction sees the moment of its first query, and LOCK is none. When a table came
// or went between our listing and our locks, it begins again.
func (s *snapshot) take(ctx context.Context, patterns []string, lockTimeout time.Duration) error {
	if lockTimeout <= 0 {
		lockTimeout = defaultLockTimeout
	}
	for range 10 {
		listed, err := readTables(ctx, s.conn)
		if err != nil {
			return err
		}
		wanted, err := chooseTables(listed, patterns)
		if err != nil {
			return err
		}
		err = s.lock(ctx, wanted, lockTimeout)
		if err == nil {
			if s.all, err = readTables(ctx, s.conn); err == nil {
				s.tables, err = chooseTables(s.all, patterns)
			}
			if err == nil && sameTables(s.tables, wanted) {
				return s.describe(ctx)
			}
		}
		if err != nil && !vanished(err) && holdfast.KindOf(err) != holdfast.NotFound {
			return err
		}
		if _, err := s.conn.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
	}
	return &holdfast.Error{Kind: holdfast.Busy, Message: "tables are made and dropped too quickly to take a snapshot", Hint: "try again when that has ended"}
}

func (s *snapshot) lock(ctx context.Context, tables []Table, timeout time.Duration) error {
	if _, err := s.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	if _, err := s.conn.Exec(ctx, "SET LOCAL lock_timeout = "+strconv.FormatInt(max(1, timeout.Milliseconds()), 10)); err != nil {
		return err
	}
	for chunk := range slices.Chunk(tables, 200) {
		sql := ""
		for i, t := range chunk {
			if i > 0 {
				sql += ", "
			}
			sql += "ONLY " + t.String()
		}
		if _, err := s.conn.Exec(ctx, "LOCK TABLE "+sql+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
	}
	_, err := s.conn.Exec(ctx, "SET LOCAL lock_timeout = 0")
	return err
}

func (s *snapshot) describe(ctx context.Context) error {
	return s.conn.QueryRow(ctx, `SELECT pg_catalog.pg_export_snapshot(), pg_catalog.statement_timestamp(), pg_catalog.current_setting('server_encoding')`).Scan(&s.id, &s.at, &s.encoding)
}

func sameTables(a, b []Table) bool {
	return slices.EqualFunc(a, b, func(x, y Table) bool {
		return x.OID == y.OID && x.Schema == y.Schema && x.Name == y.Name && slices.EqualFunc(x.Columns, y.Columns, func(c, d Column) bool { return c.Name == d.Name && c.Type == d.Type })
	})
}

// vanished says whether a table was dropped between listing and locking it.
func vanished(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// share opens another session that sees the same moment.
func (s *snapshot) share(ctx context.Context) (*pgx.Conn, error) {
	conn, err := s.db.session(ctx)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET TRANSACTION SNAPSHOT " + holdfast.QuoteLiteral(s.id)} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			closeConn(conn)
			return nil, fmt.Errorf("share the snapshot: %w", err)
		}
	}
	return conn, nil
}

// count counts the rows of every chosen table that holds rows.
func (s *snapshot) count(ctx context.Context) ([]holdfast.TableRecords, error) {
	return countTables(ctx, s.conn, s.tables)
}

func countTables(ctx context.Context, conn *pgx.Conn, tables []Table) ([]holdfast.TableRecords, error) {
	counts := []holdfast.TableRecords{}
	for _, t := range holders(tables) {
		r := holdfast.TableRecords{Schema: t.Schema, Name: t.Name}
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM ONLY "+t.String()+" "+t.Filter).Scan(&r.Records); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", t, explain(err))
		}
		counts = append(counts, r)
	}
	return counts, nil
}

// Count counts the rows of every table that holds rows, at one moment.
func Count(ctx context.Context, db Database, patterns []string) ([]holdfast.TableRecords, error) {
	s, err := openSnapshot(ctx, db, patterns, 0)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.count(ctx)
}

// explain turns the server's errors into ones for a person, with what a backup needs.
func explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch {
	case pg.Code == "55P03":
		return &holdfast.Error{Kind: holdfast.Busy, Message: "somebody is altering a table: " + pg.Message, Hint: "try again when that has ended", Cause: err}
	case pg.Code == "42501" && pg.Routine == "check_enable_rls":
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: pg.Message + ": a backup would lack the rows that the policy hides", Hint: "use a role with BYPASSRLS, or the table's owner where the policies are not forced", Cause: err}
	case pg.Code == "42501":
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: pg.Message, Hint: "use a role that is a member of pg_read_all_data", Cause: err}
	case pg.Code == "22021" || pg.Code == "22P05":
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "a text cannot be written as UTF-8: " + pg.Message, Hint: "mend the text, or use pg_dump's formats, which keep its bytes", Cause: err}
	}
	return postgres.Explain(err)
}

// explainConflict adds to explain what rows that do not fit together mean.
func explainConflict(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 || pg.Code[:2] != "23" {
		return explain(err)
	}
	message := pg.Message
	if pg.Detail != "" {
		message += ": " + pg.Detail
	}
	return &holdfast.Error{Kind: holdfast.Conflict, Message: message, Hint: pg.Hint, Cause: err}
}
