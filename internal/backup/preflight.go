package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// FindingState is how a check turned out.
type FindingState string

// The states of a finding. Only a problem keeps from going on.
const (
	Passed  FindingState = "passed"
	Warning FindingState = "warning"
	Failed  FindingState = "failed"
	Skipped FindingState = "skipped" // it could not be checked; the detail says why
)

// Finding is what one check found.
type Finding struct {
	Check  string       `json:"check"`
	State  FindingState `json:"state"`
	Detail string       `json:"detail,omitempty"`
	Hint   string       `json:"hint,omitempty"`
	Items  []string     `json:"items,omitempty"` // which tables, indexes and so on; the first hundred
}

const maxItems = 100

func (f *Finding) item(format string, args ...any) {
	if len(f.Items) < maxItems {
		f.Items = append(f.Items, fmt.Sprintf(format, args...))
	}
}

// Preflight says what to expect of an import.
type Preflight struct {
	Server   Server    `json:"server"` // of the source
	Bytes    int64     `json:"bytes"`
	Tables   int       `json:"tables"`
	Findings []Finding `json:"findings"`
}

// Problems are the findings that failed.
func (p Preflight) Problems() []Finding {
	return slices.DeleteFunc(slices.Clone(p.Findings), func(f Finding) bool { return f.State != Failed })
}

// Err refuses an import of the named database for its problems; nil where there are none.
func (p Preflight) Err(name string) error {
	problems := p.Problems()
	if len(problems) == 0 {
		return nil
	}
	var all []string
	for _, f := range problems {
		text := f.Detail
		if len(f.Items) > 0 {
			text += " (" + strings.Join(f.Items[:min(3, len(f.Items))], ", ") + ")"
		}
		all = append(all, text)
	}
	return &holdfast.Error{Kind: holdfast.Precondition, Message: name + " cannot be imported: " + strings.Join(all, "; "), Hint: problems[0].Hint}
}

// Preflight looks at a foreign database and at an empty one, and says whether the first can be brought into the second: version,
// snapshot, extensions, size (free is what the second's disk can still take; 0: not known), privileges, encoding. It changes nothing.
func (t Tools) Preflight(ctx context.Context, from, to Database, free int64) (Preflight, error) {
	source, err := from.session(ctx)
	if err != nil {
		return Preflight{}, err
	}
	defer closeConn(source)
	target, err := to.session(ctx)
	if err != nil {
		return Preflight{}, err
	}
	defer closeConn(target)
	p := Preflight{Server: serverOf(source)}
	checks := []func() (Finding, error){
		func() (Finding, error) { return t.checkVersions(ctx, p.Server, serverOf(target)) },
		func() (Finding, error) { return checkSnapshot(ctx, from) },
		func() (Finding, error) { return checkExtensions(ctx, source, target) },
		func() (Finding, error) { return p.checkSize(ctx, source, free) },
		func() (Finding, error) { return checkPrivileges(ctx, source) },
		func() (Finding, error) { return checkEncoding(ctx, source, target) },
		func() (Finding, error) {
			f := Finding{Check: "target", State: Passed, Detail: "it is empty"}
			err := (&RestoreRequest{Target: to}).checkTarget(ctx, target, Inspection{})
			if holdfast.KindOf(err) == holdfast.Conflict {
				return Finding{Check: "target", State: Failed, Detail: err.Error(), Hint: "import into an empty database"}, nil
			}
			return f, err
		},
	}
	for _, check := range checks {
		f, err := check()
		if err != nil {
			return p, fmt.Errorf("look at %s: %w", from.Name, explain(err))
		}
		p.Findings = append(p.Findings, f)
	}
	return p, nil
}

func (t Tools) checkVersions(ctx context.Context, source, target Server) (Finding, error) {
	f := Finding{Check: "version", State: Passed, Detail: fmt.Sprintf("PostgreSQL %s, to be brought to %s", source.Version, target.Version)}
	if _, err := t.program(ctx, "pg_dump", source.Major); err != nil {
		if holdfast.KindOf(err) != holdfast.Precondition {
			return f, err
		}
		f.State, f.Detail, f.Hint = Failed, err.Error(), holdfast.HintOf(err)
	} else if source.Major > target.Major {
		f.State, f.Hint = Warning, "the target is older: what only the newer version has cannot be brought over"
	}
	return f, nil
}

// checkSnapshot tries what an import needs: two sessions that see the same moment. Poolers that share server sessions among clients break it.
func checkSnapshot(ctx context.Context, from Database) (Finding, error) {
	failed := func(err error) (Finding, error) {
		return Finding{Check: "snapshot", State: Failed, Detail: "two sessions cannot see the same moment: " + err.Error(), Hint: "use the address of the server itself, not of a pooler"}, nil
	}
	conn, err := from.session(ctx)
	if err != nil {
		return Finding{}, err
	}
	defer closeConn(conn)
	s := &snapshot{conn: conn, db: from}
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return failed(err)
	}
	if err := s.describe(ctx); err != nil {
		return failed(err)
	}
	other, err := s.share(ctx)
	if err != nil {
		return failed(err)
	}
	closeConn(other)
	return Finding{Check: "snapshot", State: Passed, Detail: "several sessions can see the same moment"}, nil
}

func checkExtensions(ctx context.Context, source, target *pgx.Conn) (Finding, error) {
	names := func(conn *pgx.Conn, sql string) ([]string, error) {
		rows, err := conn.Query(ctx, sql)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	used, err := names(source, "SELECT extname::text FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
	if err != nil {
		return Finding{}, err
	}
	there, err := names(target, "SELECT name::text FROM pg_catalog.pg_available_extensions")
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Check: "extensions", State: Passed, Detail: "it uses none"}
	if len(used) > 0 {
		f.Detail = strings.Join(used, ", ")
	}
	for _, name := range used {
		if !slices.Contains(there, name) {
			f.State, f.Hint = Failed, "install their files on this machine, or remove what needs them before the import"
			f.item("%s", name)
		}
	}
	return f, nil
}

func (p *Preflight) checkSize(ctx context.Context, conn *pgx.Conn, free int64) (Finding, error) {
	tables, err := readTables(ctx, conn)
	if err != nil {
		return Finding{}, err
	}
	p.Tables = len(holders(tables))
	for _, t := range holders(tables) {
		p.Bytes += t.Bytes
	}
	f := Finding{Check: "size", State: Passed, Detail: fmt.Sprintf("%d tables with %d MB on disk, indexes included", p.Tables, p.Bytes>>20)}
	if free > 0 && p.Bytes > free {
		f.State, f.Hint = Failed, "free space on the disk of the data directory, or drop what is not needed before the import"
		f.Detail += fmt.Sprintf(", and %d MB are free here", free>>20)
	}
	return f, nil
}

// checkPrivileges names what our role cannot read: an import that lacks a part is none.
func checkPrivileges(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	f := Finding{Check: "privileges", State: Passed, Detail: "everything can be read"}
	rows, err := conn.Query(ctx, `
		SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
		       CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'its schema cannot be used'
		            WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'it cannot be read'
		            WHEN c.relkind IN ('r', 'p') AND row_security_active(c.oid) THEN 'policies hide rows of it' END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'S', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`)
	if err != nil {
		return f, err
	}
	var name string
	var why *string
	_, err = pgx.ForEachRow(rows, []any{&name, &why}, func() error {
		if why != nil {
			f.State, f.Detail, f.Hint = Failed, "not everything can be read", "use the owner's role, or one that is a member of pg_read_all_data and has BYPASSRLS"
			f.item("%s: %s", name, *why)
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	var objects int64
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_catalog.pg_largeobject_metadata m WHERE current_setting('is_superuser') = 'off' AND NOT pg_has_role(m.lomowner, 'USAGE')
		AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))`).Scan(&objects)
	if err == nil && objects > 0 {
		f.State, f.Detail, f.Hint = Failed, "not everything can be read", "use the owner's role"
		f.item("%d large objects", objects)
	}
	return f, err
}

func checkEncoding(ctx context.Context, source, target *pgx.Conn) (Finding, error) {
	var from, to string
	const query = "SELECT pg_catalog.current_setting('server_encoding')"
	if err := source.QueryRow(ctx, query).Scan(&from); err != nil {
		return Finding{}, err
	}
	if err := target.QueryRow(ctx, query).Scan(&to); err != nil {
		return Finding{}, err
	}
	f := Finding{Check: "encoding", State: Passed, Detail: from}
	switch {
	case from == "SQL_ASCII":
		f.State, f.Hint = Warning, "texts that are not valid in "+to+" will be refused: mend them first"
	case from != to && to != "UTF8":
		f.State, f.Hint = Warning, "characters that "+to+" does not have will be refused: import into a database with UTF8"
	}
	return f, nil
}
