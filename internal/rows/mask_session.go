package rows

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
)

// MaskedColumn names a column.
type MaskedColumn struct{ Schema, Table, Column string }

// MaskSession makes a session able to read masked values instead of masking what is stored: it makes the functions of masking in
// the session's temporary schema and returns the SQL expression for every column that a rule masks, columns that foreign keys tie to them
// included. The role needs the right to make temporary objects; what it reads is masked the same way as by Mask with this salt.
func MaskSession(ctx context.Context, conn *pgx.Conn, rules []holdfast.MaskRule, salt []byte) (map[MaskedColumn]string, error) {
	expressions := map[MaskedColumn]string{}
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		plan, err := planMask(ctx, tx.Conn(), rules)
		if err != nil {
			return err
		}
		for _, t := range plan {
			for i, expression := range t.sets {
				expressions[MaskedColumn{t.table.Schema, t.table.Name, t.table.Columns[i].Name}] = expression
			}
		}
		return createMaskFunctions(ctx, tx, salt)
	})
	return expressions, err
}
