package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// AgentRole is the role that agents read a production as, where that is allowed: it may select from tables and views and has no other right. It
// belongs to no role, not even to pg_read_all_data, which would show it the verifiers of passwords. It comes in at the server's own socket only; the
// front door does not know it. But for the moment between PutAgentRole and LockAgentRole it cannot log in at all.
const AgentRole = "holdfast_agent"

// maxAgentSessions bounds how many agents read one server at once.
const maxAgentSessions = 4

// PutAgentRole makes AgentRole with a password of which only the verifier is known, and lets it read what is in the database that conn, the
// administrator's, is in. Where somebody has given the role more, it is refused. It can be repeated.
func PutAgentRole(ctx context.Context, conn *pgx.Conn, verifier holdfast.Verifier, database string) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", AgentRole).Scan(&exists); err != nil {
		return fmt.Errorf("look for the role %q: %w", AgentRole, err)
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	role := holdfast.QuoteIdentifier(AgentRole)
	err := execAll(ctx, conn, fmt.Sprintf("make the role %q", AgentRole), []string{
		verb + " ROLE " + role + fmt.Sprintf(" LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT %d PASSWORD ", maxAgentSessions) + holdfast.QuoteLiteral(verifier.String()),
		"ALTER ROLE " + role + " RESET ALL",
		"GRANT CONNECT ON DATABASE " + holdfast.QuoteIdentifier(database) + " TO " + role,
	})
	if err != nil {
		return err
	}
	if err := checkAgentRole(ctx, conn); err != nil {
		return err
	}
	return grantReading(ctx, conn)
}

// ReserveAgentRole makes AgentRole without a login where there is none, so that what was granted to it elsewhere can be restored. conn is the administrator's.
func ReserveAgentRole(ctx context.Context, conn *pgx.Conn) error {
	return execAll(ctx, conn, fmt.Sprintf("make the role %q", AgentRole), []string{"DO $$ BEGIN CREATE ROLE " + holdfast.QuoteIdentifier(AgentRole) + " NOINHERIT; EXCEPTION WHEN duplicate_object THEN END $$"})
}

// LockAgentRole lets nobody log in as AgentRole. Sessions that it has go on. conn is the administrator's.
func LockAgentRole(ctx context.Context, conn *pgx.Conn) error {
	return execAll(ctx, conn, fmt.Sprintf("lock the role %q", AgentRole), []string{"ALTER ROLE " + holdfast.QuoteIdentifier(AgentRole) + " NOLOGIN PASSWORD NULL"})
}

// RemoveAgentRole ends the sessions of AgentRole, takes its rights in the database that conn, the administrator's, is in, and drops it. One that other
// databases of the server gave rights, or that owns something, cannot be dropped: it stays without a login, and that is no error.
func RemoveAgentRole(ctx context.Context, conn *pgx.Conn) error {
	var exists, owns bool
	err := conn.QueryRow(ctx, `SELECT count(*) > 0, coalesce(bool_or(EXISTS (SELECT FROM pg_catalog.pg_shdepend WHERE refobjid = r.oid AND refclassid = 'pg_catalog.pg_authid'::regclass AND deptype = 'o')), false)
		FROM pg_catalog.pg_roles r WHERE rolname = $1`, AgentRole).Scan(&exists, &owns)
	if err != nil {
		return fmt.Errorf("look for the role %q: %w", AgentRole, err)
	}
	if !exists {
		return nil
	}
	if err := LockAgentRole(ctx, conn); err != nil {
		return err
	}
	role := holdfast.QuoteIdentifier(AgentRole)
	statements := []string{
		"SET lock_timeout = '5s'",
		"SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = " + holdfast.QuoteLiteral(AgentRole),
	}
	if !owns { // else it would drop what somebody gave away
		statements = append(statements, "DROP OWNED BY "+role, "DROP ROLE "+role)
	}
	err = execAll(ctx, conn, fmt.Sprintf("remove the role %q", AgentRole), statements)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "2BP01" { // dependent_objects_still_exist
		return nil
	}
	return err
}

// checkAgentRole refuses a role that was given what it must not have. What is granted on anything but relations, schemas and the database (columns,
// functions, servers, parameters, tablespaces) is more than what PutAgentRole grants, whatever it is.
func checkAgentRole(ctx context.Context, conn *pgx.Conn) error {
	var more []string
	err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(what), '{}') FROM (
		SELECT 'the role ' || r.rolname AS what FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid WHERE m.member = $1::text::regrole
		UNION ALL SELECT a.privilege_type || ' on ' || c.oid::regclass FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = $1::text::regrole AND a.privilege_type <> 'SELECT'
		UNION ALL SELECT a.privilege_type || ' on a column of ' || c.attrelid::regclass FROM pg_catalog.pg_attribute c, pg_catalog.aclexplode(c.attacl) a WHERE a.grantee = $1::text::regrole AND a.privilege_type <> 'SELECT'
		UNION ALL SELECT a.privilege_type || ' on schema ' || n.nspname FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a WHERE a.grantee = $1::text::regrole AND a.privilege_type <> 'USAGE'
		UNION ALL SELECT a.privilege_type || ' on database ' || d.datname FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE a.grantee = $1::text::regrole AND a.privilege_type <> 'CONNECT'
		UNION ALL SELECT 'rights on the ' || pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_catalog.pg_shdepend d
			WHERE d.refobjid = $1::text::regrole AND d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.deptype = 'a'
			AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
			AND d.classid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_database'::regclass)
		UNION ALL SELECT 'an object of its own' FROM pg_catalog.pg_shdepend WHERE refobjid = $1::text::regrole AND refclassid = 'pg_catalog.pg_authid'::regclass AND deptype = 'o') given`, AgentRole).Scan(&more)
	if err != nil {
		return fmt.Errorf("look at the rights of the role %q: %w", AgentRole, err)
	}
	if len(more) > 0 {
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "the role " + AgentRole + " was given more than reading: " + strings.Join(more, ", "), Hint: "revoke that; the role is for agents alone"}
	}
	return nil
}

// grantReading lets AgentRole read the tables and views that it may not read yet. PostgreSQL's own and Holdfast's schemas are left out, and so are
// foreign tables: their rows are those of another server.
func grantReading(ctx context.Context, conn *pgx.Conn) error {
	role := holdfast.QuoteIdentifier(AgentRole)
	rows, err := conn.Query(ctx, `SELECT 'SCHEMA ' || quote_ident(nspname), 'USAGE' FROM pg_catalog.pg_namespace n
			WHERE nspname !~ '^(pg_|_holdfast)' AND nspname <> 'information_schema' AND NOT has_schema_privilege($1, n.oid, 'USAGE')
		UNION ALL SELECT 'TABLE ' || format('%I.%I', n.nspname, c.relname), 'SELECT' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname !~ '^(pg_|_holdfast)' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT coalesce(has_table_privilege($1, c.oid, 'SELECT'), true)`, AgentRole)
	if err != nil {
		return fmt.Errorf("look what the role %q may read: %w", AgentRole, err)
	}
	statements, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var object, privilege string
		err := row.Scan(&object, &privilege)
		return "GRANT " + privilege + " ON " + object + " TO " + role, err
	})
	if err != nil {
		return fmt.Errorf("look what the role %q may read: %w", AgentRole, err)
	}
	return execAll(ctx, conn, fmt.Sprintf("let the role %q read", AgentRole), statements)
}
