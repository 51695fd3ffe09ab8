package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// BackupRole is the role that backups are made as: it reads everything, row security and large objects included, and changes nothing. It
// comes in at the server's own socket only; the front door does not know it.
const BackupRole = "holdfast_backup"

// PutBackupRole makes BackupRole with a password of which only the verifier is known, and lets it into a database. It can be repeated.
func PutBackupRole(ctx context.Context, conn *pgx.Conn, verifier holdfast.Verifier, database string) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", BackupRole).Scan(&exists); err != nil {
		return fmt.Errorf("look for the role %q: %w", BackupRole, err)
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	role := holdfast.QuoteIdentifier(BackupRole)
	return execAll(ctx, conn, fmt.Sprintf("make the role %q", BackupRole), []string{
		"BEGIN",
		verb + " ROLE " + role + " LOGIN INHERIT BYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD " + holdfast.QuoteLiteral(verifier.String()),
		"ALTER ROLE " + role + " SET default_transaction_read_only = on",
		// No right of a role's reads the large objects of everybody; this setting, which only a superuser attaches, does.
		"ALTER ROLE " + role + " SET lo_compat_privileges = on",
		"GRANT pg_read_all_data TO " + role,
		"GRANT CONNECT ON DATABASE " + holdfast.QuoteIdentifier(database) + " TO " + role,
		"COMMIT",
	})
}
