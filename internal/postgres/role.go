package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// serverRoles reach beyond the database: to programs and files of the machine, or to every table whoever owns it.
var serverRoles = []string{"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files", "pg_write_all_data"}

// ownerMemberships let an owner see and end what goes on in its branch, and nothing else.
var ownerMemberships = []string{"pg_read_all_stats", "pg_stat_scan_tables", "pg_signal_backend"}

// Harden closes what initdb leaves open for roles that are not superusers. conn is the administrator's, in
// MaintenanceDatabase. It can be repeated.
func (s *Server) Harden(ctx context.Context, conn *pgx.Conn) error {
	statements := []string{
		// Whoever leaves objects in template1 gives them to every later database.
		"REVOKE ALL ON DATABASE template1 FROM PUBLIC",
		// Tools enter this one to create others; they need not write to it.
		"REVOKE TEMPORARY ON DATABASE " + MaintenanceDatabase + " FROM PUBLIC",
		"REVOKE CREATE ON SCHEMA public FROM PUBLIC",
	}
	if s.config.Installation.Major < 16 {
		// Before version 16 a role with CREATEROLE may grant itself every role that is not a superuser. That would open the
		// machine by COPY ... FROM PROGRAM, so to be granted these, one must be a superuser.
		statements = append(statements, "UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE NOT rolsuper AND rolname IN ("+literals(serverRoles)+")")
	}
	return execAll(ctx, conn, "close what the server leaves open", statements)
}

// PutOwner creates the role that owns a database, or gives the existing one its rights and a new verifier. The role may
// create roles and databases, see statistics and end sessions; it is no superuser and cannot replicate or pass row security.
func PutOwner(ctx context.Context, conn *pgx.Conn, name string, verifier holdfast.Verifier) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("look for the role %q: %w", name, err)
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	role := holdfast.QuoteIdentifier(name)
	return execAll(ctx, conn, fmt.Sprintf("create the role %q", name), []string{
		"BEGIN",
		verb + " ROLE " + role + " LOGIN CREATEROLE CREATEDB INHERIT NOSUPERUSER NOREPLICATION NOBYPASSRLS PASSWORD " + holdfast.QuoteLiteral(verifier.String()),
		"GRANT " + strings.Join(ownerMemberships, ", ") + " TO " + role,
		"COMMIT",
	})
}

// SetVerifier replaces a role's password by one of which only the verifier is known.
func SetVerifier(ctx context.Context, conn *pgx.Conn, role string, verifier holdfast.Verifier) error {
	return execAll(ctx, conn, fmt.Sprintf("change the password of the role %q", role),
		[]string{"ALTER ROLE " + holdfast.QuoteIdentifier(role) + " PASSWORD " + holdfast.QuoteLiteral(verifier.String())})
}

// PutDatabase creates a database that belongs to owner, or hands an existing one to it.
func PutDatabase(ctx context.Context, conn *pgx.Conn, name, owner string) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database %q: %w", name, err)
	}
	statement := "CREATE DATABASE " + holdfast.QuoteIdentifier(name) + " OWNER " + holdfast.QuoteIdentifier(owner)
	if exists {
		statement = "ALTER DATABASE " + holdfast.QuoteIdentifier(name) + " OWNER TO " + holdfast.QuoteIdentifier(owner)
	}
	return execAll(ctx, conn, fmt.Sprintf("create the database %q", name), []string{statement})
}

// LockLogins takes the passwords of every role but superusers. Nobody can log in until a role is given a new one.
func LockLogins(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT rolname FROM pg_catalog.pg_authid WHERE NOT rolsuper AND rolpassword IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read the roles: %w", err)
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the roles: %w", err)
	}
	statements := make([]string, len(roles))
	for i, role := range roles {
		statements[i] = "ALTER ROLE " + holdfast.QuoteIdentifier(role) + " PASSWORD NULL"
	}
	return execAll(ctx, conn, "lock the login roles", statements)
}

// RenameDatabase gives a database another name and ends the sessions that are in it. One that has the new name already is fine.
func RenameDatabase(ctx context.Context, conn *pgx.Conn, from, to string) error {
	var oldThere, newThere bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1), EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $2)`, from, to).Scan(&oldThere, &newThere)
	if err != nil {
		return fmt.Errorf("look for the database %q: %w", from, err)
	}
	switch {
	case from == to:
		return nil
	case newThere && !oldThere: // done before, perhaps but for the last step
		return execAll(ctx, conn, "open the database", []string{"ALTER DATABASE " + holdfast.QuoteIdentifier(to) + " ALLOW_CONNECTIONS true"})
	case newThere:
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the server has a database %q already", to), Hint: "rename or drop it first"}
	}
	old := holdfast.QuoteIdentifier(from)
	// Nobody may come in between the end of the sessions and the renaming.
	err = execAll(ctx, conn, fmt.Sprintf("rename the database %q", from), []string{
		"ALTER DATABASE " + old + " ALLOW_CONNECTIONS false",
		"SELECT pg_catalog.pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_activity WHERE datname = " + holdfast.QuoteLiteral(from) + " AND pid <> pg_catalog.pg_backend_pid()",
		"ALTER DATABASE " + old + " RENAME TO " + holdfast.QuoteIdentifier(to),
		"ALTER DATABASE " + holdfast.QuoteIdentifier(to) + " ALLOW_CONNECTIONS true",
	})
	if err != nil {
		_ = execAll(context.WithoutCancel(ctx), conn, "open the database again", []string{"ALTER DATABASE " + old + " ALLOW_CONNECTIONS true"}) // the first error is the one to report
	}
	return err
}

// Login is a role that can log in, with what is needed to check its password.
type Login struct {
	Role            string
	Verifier        holdfast.Verifier
	ValidUntil      time.Time // zero: for ever
	ConnectionLimit int       // -1: none
}

// Logins reads every role that may log in with a password under SCRAM-SHA-256. Superusers are not among them: they do not
// enter with a password; nor are BackupRole and AgentRole, which are ours. conn is the administrator's.
func Logins(ctx context.Context, conn *pgx.Conn) ([]Login, error) {
	return readLogins(ctx, conn, "")
}

// LoginOf reads one role as Logins does; nil when there is none of that name that may log in.
func LoginOf(ctx context.Context, conn *pgx.Conn, role string) (*Login, error) {
	logins, err := readLogins(ctx, conn, " AND rolname = $1", role)
	if err != nil || len(logins) == 0 {
		return nil, err
	}
	return &logins[0], nil
}

func readLogins(ctx context.Context, conn *pgx.Conn, condition string, args ...any) ([]Login, error) {
	// A role that was valid until the beginning of time never was.
	rows, err := conn.Query(ctx, `SELECT rolname, rolpassword, CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil END, rolconnlimit
		FROM pg_catalog.pg_authid WHERE rolcanlogin AND NOT rolsuper AND rolpassword LIKE 'SCRAM-SHA-256$%'
		AND rolvaliduntil IS DISTINCT FROM '-infinity' AND rolname NOT IN ('`+BackupRole+`', '`+AgentRole+`')`+condition+` ORDER BY rolname`, args...)
	if err != nil {
		return nil, fmt.Errorf("read the roles' verifiers: %w", err)
	}
	logins, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Login, error) {
		var login Login
		var password string
		var until *time.Time
		if err := row.Scan(&login.Role, &password, &until, &login.ConnectionLimit); err != nil {
			return Login{}, err
		}
		if until != nil {
			login.ValidUntil = *until
		}
		var err error
		login.Verifier, err = holdfast.ParseVerifier(password)
		return login, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the roles' verifiers: %w", err)
	}
	return logins, nil
}

// execAll runs statements one by one. An error names what was being done and never the statement, which may hold a verifier.
func execAll(ctx context.Context, conn *pgx.Conn, doing string, statements []string) error {
	for i, statement := range statements {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			if conn.PgConn().TxStatus() != 'I' && !conn.IsClosed() {
				_, _ = conn.Exec(ctx, "ROLLBACK") // the first error is the one to report
			}
			return fmt.Errorf("%s (step %s): %w", doing, strconv.Itoa(i+1), Explain(err))
		}
	}
	return nil
}

func literals(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = holdfast.QuoteLiteral(t)
	}
	return strings.Join(quoted, ", ")
}
