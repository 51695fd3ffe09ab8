package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/schema"
)

// dropTombstones drops what the failed plan and its compensation set aside, once everything of it is back in its place: values of
// columns, and tables whose rows went into their successors. Where values were cut on the way such a table is the only one that has
// them: it stays, under a name that is not in the way of the next attempt. A new table that clients filled meanwhile stays as well.
func (a *apply) dropTombstones(ctx context.Context, lost []string) error {
	now, err := readCatalog(ctx, a.order.Target.Administrator)
	if err != nil {
		return err
	}
	before := map[schema.Identity]bool{}
	for _, o := range a.before.Hidden {
		before[o.ID] = true
	}
	cut := slices.ContainsFunc(lost, func(l string) bool { return !strings.HasSuffix(l, ", which is new") })
	for address, o := range now.Hidden {
		if address.Kind != schema.KindTable || address.Schema != schema.TombstoneSchema || before[o.ID] {
			continue
		}
		var note struct {
			Kind    schema.Kind `json:"kind"`
			Rebuilt bool        `json:"rebuilt"`
		}
		if json.Unmarshal([]byte(o.Attrs["comment"]), &note) != nil {
			continue
		}
		var there bool // a partition goes with its parent
		if err := a.run.owner.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", holdfast.QuoteQualified(address.Schema, address.Name)).Scan(&there); err != nil {
			return fmt.Errorf("tidy up what was set aside: %w", err)
		}
		if !there {
			continue
		}
		if note.Kind == schema.KindTable && !note.Rebuilt {
			used, err := a.holdsRows(ctx, address)
			if err != nil {
				return err
			}
			if used {
				continue
			}
		}
		table := holdfast.QuoteQualified(address.Schema, address.Name)
		sql := "DROP TABLE IF EXISTS " + table
		if cut && note.Rebuilt {
			if strings.HasPrefix(address.Name, keptPrefix) {
				continue
			}
			sql = "ALTER TABLE IF EXISTS " + table + " RENAME TO " + holdfast.QuoteIdentifier(keptPrefix+address.Name)
		}
		if _, err := a.run.owner.Exec(ctx, sql); err != nil {
			return fmt.Errorf("tidy up what was set aside: %w", err)
		}
	}
	return nil
}

// keptPrefix begins the names of tables that are set aside and have what was cut from their successors.
const keptPrefix = "kept_"
