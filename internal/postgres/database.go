package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// DropDatabase drops a database and ends the sessions in it. One that is not there is fine.
func DropDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	return execAll(ctx, conn, fmt.Sprintf("drop the database %q", name), []string{"DROP DATABASE IF EXISTS " + holdfast.QuoteIdentifier(name) + " WITH (FORCE)"})
}

// DatabaseExists says whether the server has a database of that name.
func DatabaseExists(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return false, fmt.Errorf("look for the database %q: %w", name, err)
	}
	return there, nil
}

// OpenDatabase lets sessions into a database again: what a crash in the middle of SwapDatabases may have left to do.
func OpenDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	return execAll(ctx, conn, fmt.Sprintf("open the database %q", name), []string{"ALTER DATABASE " + holdfast.QuoteIdentifier(name) + " ALLOW_CONNECTIONS true"})
}

// SwapDatabases puts the database replacement in the place of current, with the settings and rights of current, and keeps that one under the
// name kept. Both names change in one transaction. Sessions in either end. It does nothing when kept is there and replacement is gone: then it was done.
func SwapDatabases(ctx context.Context, conn *pgx.Conn, current, replacement, kept string) error {
	done, err := DatabaseExists(ctx, conn, kept)
	if err != nil {
		return err
	}
	waiting, err := DatabaseExists(ctx, conn, replacement)
	if err != nil {
		return err
	}
	switch {
	case done && !waiting:
		return nil
	case done:
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf("the server has a database %q already", kept), Hint: "rename or drop it first"}
	}
	if err := copyDatabaseSettings(ctx, conn, current, replacement); err != nil {
		return err
	}
	old, fresh, aside := holdfast.QuoteIdentifier(current), holdfast.QuoteIdentifier(replacement), holdfast.QuoteIdentifier(kept)
	// Nobody may come in between the end of the sessions and the renaming.
	err = execAll(ctx, conn, fmt.Sprintf("replace the database %q", current), []string{
		"ALTER DATABASE " + old + " ALLOW_CONNECTIONS false",
		"SELECT pg_catalog.pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_activity WHERE datname IN (" + holdfast.QuoteLiteral(current) + ", " + holdfast.QuoteLiteral(replacement) +
			") AND pid <> pg_catalog.pg_backend_pid()",
		"BEGIN",
		"ALTER DATABASE " + old + " RENAME TO " + aside,
		"ALTER DATABASE " + fresh + " RENAME TO " + old,
		"ALTER DATABASE " + aside + " ALLOW_CONNECTIONS true",
		"COMMIT",
	})
	if err == nil {
		return nil
	}
	over := context.WithoutCancel(ctx)
	_, rolled := conn.Exec(over, "ROLLBACK")
	return errors.Join(err, rolled, OpenDatabase(over, conn, current))
}

// copyDatabaseSettings gives a database what was attached to another: settings, of roles too, and rights.
func copyDatabaseSettings(ctx context.Context, conn *pgx.Conn, from, to string) error {
	type setting struct{ role, name, value string }
	rows, err := conn.Query(ctx, `SELECT coalesce(r.rolname, ''), pg_catalog.split_part(c.text, '=', 1), pg_catalog.substr(c.text, pg_catalog.strpos(c.text, '=') + 1)
		FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) AS c(text)
		WHERE d.datname = $1`, from)
	if err != nil {
		return fmt.Errorf("read the settings of the database %q: %w", from, err)
	}
	settings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s setting, err error) {
		err = row.Scan(&s.role, &s.name, &s.value)
		return s, err
	})
	if err != nil {
		return fmt.Errorf("read the settings of the database %q: %w", from, err)
	}
	target := holdfast.QuoteIdentifier(to)
	for _, s := range settings {
		statement := "ALTER DATABASE " + target + " SET "
		if s.role != "" {
			statement = "ALTER ROLE " + holdfast.QuoteIdentifier(s.role) + " IN DATABASE " + target + " SET "
		}
		// A value is taken over as the server keeps it: what is a list stays one.
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT pg_catalog.set_config($1, $2, true)", s.name, s.value); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, statement+holdfast.QuoteIdentifier(s.name)+" FROM CURRENT")
			return err
		})
		if err != nil {
			return fmt.Errorf("set %s for the database %q: %w", s.name, to, err)
		}
	}
	return copyDatabaseRights(ctx, conn, from, to)
}

func copyDatabaseRights(ctx context.Context, conn *pgx.Conn, from, to string) error {
	rows, err := conn.Query(ctx, `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END, a.privilege_type, a.is_grantable
		FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = $1 AND a.grantee <> d.datdba`, from)
	if err != nil {
		return fmt.Errorf("read the rights on the database %q: %w", from, err)
	}
	var statements []string
	var grantee, privilege string
	var grantable bool
	_, err = pgx.ForEachRow(rows, []any{&grantee, &privilege, &grantable}, func() error {
		grant := "GRANT " + privilege + " ON DATABASE " + holdfast.QuoteIdentifier(to) + " TO " + grantee
		if grantable {
			grant += " WITH GRANT OPTION"
		}
		statements = append(statements, grant)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the rights on the database %q: %w", from, err)
	}
	var own bool
	if err := conn.QueryRow(ctx, "SELECT datacl IS NOT NULL FROM pg_catalog.pg_database WHERE datname = $1", from).Scan(&own); err != nil {
		return fmt.Errorf("read the rights on the database %q: %w", from, err)
	}
	if own {
		statements = append([]string{"REVOKE ALL ON DATABASE " + holdfast.QuoteIdentifier(to) + " FROM PUBLIC"}, statements...)
	}
	return execAll(ctx, conn, fmt.Sprintf("set the rights on the database %q", to), statements)
}
