package schema

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// An oid proves that something is the same thing only within one unbroken life of a database: after development is restored to an
// earlier moment, its server gives the oids of what was lost to new things. So every publish leaves a random mark, the epoch, inside
// development. A restore to before that publish brings back the older mark, a copy that goes on by itself is marked anew by its
// next publish, and a logical restore has no mark. Identity counts only while the baseline's epoch and development's are the same.

// MarkEpoch writes a new epoch into conn's database. The caller reads the baseline afterwards and keeps it.
func MarkEpoch(ctx context.Context, conn *pgx.Conn) (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("make an epoch: %w", err)
	}
	epoch := hex.EncodeToString(random)
	script := "CREATE SCHEMA IF NOT EXISTS " + HiddenPrefix + "; COMMENT ON SCHEMA " + HiddenPrefix + " IS " + literal(epochMark+epoch)
	if _, err := conn.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
		return "", fmt.Errorf("mark the epoch of development: %w", err)
	}
	return epoch, nil
}

// epochMark begins the comment that holds the epoch. It is a comment and no row: rows would be sent to whoever subscribes to all tables.
const epochMark = "holdfast epoch "

// readEpoch returns the mark of the last publish, or "" where there is none.
func readEpoch(ctx context.Context, db Querier) (string, error) {
	rows, err := db.Query(ctx, "SELECT coalesce(pg_catalog.obj_description(pg_catalog.to_regnamespace("+literal(HiddenPrefix)+"), 'pg_namespace'), '')")
	if err != nil {
		return "", fmt.Errorf("read the epoch: %w", err)
	}
	comment, err := pgx.CollectOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("read the epoch: %w", err)
	}
	epoch, marked := strings.CutPrefix(comment, epochMark)
	if !marked {
		return "", nil
	}
	return epoch, nil
}
