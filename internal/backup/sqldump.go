package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
)

// OpenCatalogue opens the catalogue in a folder and makes the folder when it is not there.
func OpenCatalogue(folder string) (*Catalogue, error) {
	location, err := blob.CreateFolder(folder)
	if err != nil {
		return nil, err
	}
	return NewCatalogue(location, ""), nil
}

// DumpRows makes a backup in JSON of rows and sequences, without the schema and large objects, through any driver of database/sql: it needs neither
// pg_dump nor an address. Otherwise it is as Dump, and req.Database is only named.
func DumpRows(ctx context.Context, db *sql.DB, req DumpRequest) (holdfast.Backup, error) {
	if req.Backup.Options.Format != holdfast.JSONFormat || req.Backup.Options.SchemaOnly {
		return req.Backup, &holdfast.Error{Kind: holdfast.Invalid, Message: "only rows in JSON can be backed up here", Hint: "leave format out, or say json"}
	}
	req.Backup.Options.DataOnly = true
	return makeBackup(ctx, req, func(ctx context.Context, req *DumpRequest, b *holdfast.Backup) error {
		s, err := openRows(ctx, db, b.Options.Tables, req.LockTimeout)
		if err != nil {
			return err
		}
		defer s.close()
		b.SnapshotAt, b.ServerVersion, b.Tool = s.at, s.version, jsonTool
		b.Major, _ = strconv.Atoi(strings.SplitN(s.version, ".", 2)[0]) // 0 for a version that is no number: nothing is decided by it
		return send(ctx, req, b, func(w io.Writer) error {
			defer s.close()
			packed, err := pack(w, b.Options.Compression)
			if err != nil {
				return err
			}
			if b.Tables, err = s.dump(ctx, *b, packed, req.Progress); err != nil {
				return err
			}
			return packed.Close()
		})
	})
}

// CountRows counts as Count does, through any driver of database/sql.
func CountRows(ctx context.Context, db *sql.DB, patterns []string) ([]holdfast.TableRecords, error) {
	s, err := openRows(ctx, db, patterns, 0)
	if err != nil {
		return nil, err
	}
	defer s.close()
	counts := []holdfast.TableRecords{}
	for _, t := range holders(s.tables) {
		r := holdfast.TableRecords{Schema: t.Schema, Name: t.Name}
		if err := s.tx.QueryRowContext(ctx, "SELECT count(*) FROM ONLY "+t.String()+" "+t.Filter).Scan(&r.Records); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", t, err)
		}
		counts = append(counts, r)
	}
	return counts, nil
}

// rowSnapshot is a transaction of database/sql that sees one moment, with its tables locked against being altered.
type rowSnapshot struct {
	tx       *sql.Tx
	tables   []Table
	chosen   bool // not all of them
	at       time.Time
	version  string
	encoding string
}

// rowSettings are those of the session settings that a snapshot needs; they end with its transaction, so the caller's pool stays as it is.
var rowSettings = []string{"search_path", "datestyle", "intervalstyle", "timezone", "bytea_output", "extra_float_digits", "xmloption", "lc_monetary",
	"row_security", "synchronize_seqscans", "array_nulls", "transform_null_equals", "statement_timeout", "idle_in_transaction_session_timeout"}

func openRows(ctx context.Context, db *sql.DB, patterns []string, lockTimeout time.Duration) (*rowSnapshot, error) {
	if lockTimeout <= 0 {
		lockTimeout = defaultLockTimeout
	}
	for range 10 {
		listed, err := listTables(ctx, sqlSession{db})
		if err != nil {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
		wanted, err := chooseTables(listed, patterns)
		if err != nil {
			return nil, err
		}
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
		s := &rowSnapshot{tx: tx, chosen: len(patterns) > 0}
		err = s.take(ctx, wanted, patterns, lockTimeout)
		if err == nil && locked(s.tables, wanted) {
			return s, nil
		}
		s.close()
		if err != nil && !slices.Contains([]string{"42P01", "3F000"}, sqlState(err)) && holdfast.KindOf(err) != holdfast.NotFound {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
	}
	return nil, &holdfast.Error{Kind: holdfast.Busy, Message: "tables are made and dropped too quickly to take a snapshot", Hint: "try again when that has ended"}
}

// locked says whether those that are seen now are those that were locked. What else is seen of them came after the locks, so it stays.
func locked(seen, wanted []Table) bool {
	return slices.EqualFunc(seen, wanted, func(a, b Table) bool { return a.OID == b.OID && a.String() == b.String() })
}

// take locks before it looks, as snapshot.take does: SET and LOCK see no moment yet.
func (s *rowSnapshot) take(ctx context.Context, wanted []Table, patterns []string, lockTimeout time.Duration) error {
	statements := []string{"SET LOCAL lock_timeout = " + strconv.FormatInt(max(1, lockTimeout.Milliseconds()), 10)}
	for _, name := range rowSettings {
		statements = append(statements, "SET LOCAL "+name+" = "+holdfast.QuoteLiteral(sessionSettings[name]))
	}
	for _, t := range wanted {
		statements = append(statements, "LOCK TABLE ONLY "+t.String()+" IN ACCESS SHARE MODE")
	}
	for _, statement := range statements {
		if _, err := s.tx.ExecContext(ctx, statement); err != nil {
			return explainState(err)
		}
	}
	err := s.tx.QueryRowContext(ctx, "SELECT pg_catalog.statement_timestamp(), pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1), pg_catalog.current_setting('server_encoding')").
		Scan(&s.at, &s.version, &s.encoding)
	if err != nil {
		return err
	}
	all, err := listTables(ctx, sqlSession{s.tx})
	if err != nil {
		return err
	}
	s.tables, err = chooseTables(all, patterns)
	return err
}

func (s *rowSnapshot) close() { _ = s.tx.Rollback() } // it wrote nothing

func (s *rowSnapshot) dump(ctx context.Context, b holdfast.Backup, w io.Writer, tell Progress) ([]holdfast.TableRecords, error) {
	header := headerOf(b)
	header.Encoding = s.encoding
	j := NewJSONWriter(w, header)
	counts := []holdfast.TableRecords{}
	tables := holders(s.tables)
	for i, t := range tables {
		tell.step("dumping "+t.String(), int64(i), int64(len(tables)), "tables")
		n, err := s.dumpTable(ctx, j, t)
		if err != nil {
			return nil, fmt.Errorf("dump the rows of %s: %w", t, explainState(err))
		}
		counts = append(counts, holdfast.TableRecords{Schema: t.Schema, Name: t.Name, Records: n})
	}
	var owners []uint32
	if s.chosen {
		for _, t := range s.tables {
			owners = append(owners, t.OID)
		}
	}
	sequences, err := readSequences(ctx, sqlSession{s.tx}, owners)
	if err != nil {
		return nil, err
	}
	all := make([]JSONSequence, len(sequences))
	for i, q := range sequences {
		all[i] = q.JSONSequence
	}
	if err := j.Sequences(all); err != nil {
		return nil, err
	}
	return counts, j.Close()
}

func (s *rowSnapshot) dumpTable(ctx context.Context, j *JSONWriter, t Table) (int64, error) {
	if err := j.Table(t); err != nil {
		return 0, err
	}
	texts := make([]rowText, len(t.Columns))
	dest, values := make([]any, len(t.Columns)), make([][]byte, len(t.Columns))
	for i := range texts {
		dest[i] = &texts[i]
	}
	err := sqlSession{s.tx}.each(ctx, dest, func() error {
		for i := range texts {
			values[i] = nil
			if !texts[i].null {
				values[i] = notNil(texts[i].text)
			}
		}
		return j.Row(values)
	}, t.selectTexts())
	if err != nil {
		return 0, err
	}
	return j.EndTable()
}

// selectTexts gives the rows as texts. format writes a value with its type's own output function, as COPY does, where a cast to text would differ
// (boolean, character); IS DISTINCT FROM NULL is false for NULL only, where IS NULL would be true for a composite of NULLs.
func (t Table) selectTexts() string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		name := holdfast.QuoteIdentifier(c.Name)
		columns[i] = "CASE WHEN " + name + " IS DISTINCT FROM NULL THEN pg_catalog.format('%s', " + name + ") END"
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM ONLY " + t.String() + " " + t.Filter
}

// rowText takes a value without making a new string of it.
type rowText struct {
	text []byte
	null bool
}

// Scan takes what a driver gives for a text.
func (r *rowText) Scan(value any) error {
	r.text, r.null = keepSmall(r.text), value == nil
	switch v := value.(type) {
	case nil:
	case string:
		r.text = append(r.text, v...)
	case []byte:
		r.text = append(r.text, v...)
	default:
		return fmt.Errorf("the driver gives %T for a text", value)
	}
	return nil
}

// sqlState is the server's code of an error; every driver for PostgreSQL gives it in the same way.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

// explainState is explain for errors of any driver.
func explainState(err error) error {
	switch sqlState(err) {
	case "55P03":
		return &holdfast.Error{Kind: holdfast.Busy, Message: "somebody is altering a table", Hint: "try again when that has ended", Cause: err}
	case "42501":
		return &holdfast.Error{Kind: holdfast.NotAllowed, Message: "the role may not read a table, or a row security policy hides rows of it", Hint: "use a role that is a member of pg_read_all_data and has BYPASSRLS", Cause: err}
	}
	return err
}
