package schema

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	script := fmt.Sprintf(`CREATE SCHEMA IF NOT EXISTS %[1]s; CREATE TABLE IF NOT EXISTS %[1]s.epoch (mark text NOT NULL);
		BEGIN; DELETE FROM %[1]s.epoch; INSERT INTO %[1]s.epoch VALUES (%[2]s); COMMIT`, HiddenPrefix, literal(epoch))
	if _, err := conn.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
		return "", fmt.Errorf("mark the epoch of development: %w", err)
	}
	return epoch, nil
}

// readEpoch returns the mark of the last publish, or "" where there is none.
func readEpoch(ctx context.Context, db Querier) (string, error) {
	rows, err := db.Query(ctx, "SELECT mark FROM "+HiddenPrefix+".epoch")
	if err == nil {
		var mark string
		mark, err = pgx.CollectOneRow(rows, pgx.RowTo[string])
		if err == nil {
			return mark, nil
		}
	}
	var refused *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000") {
		return "", nil
	}
	return "", fmt.Errorf("read the epoch: %w", err)
}
