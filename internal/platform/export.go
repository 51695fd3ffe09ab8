package platform

import (
	"context"
	"io"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/rows"
)

// exportTimeout bounds one export. It is as long as any statement may take.
const exportTimeout = MaxQueryTimeout

// ExportQuery writes the rows of one query to w as a file of the given format, in constant memory, and returns how many there were. An error before the
// first row leaves w untouched; after a later one the file is not whole. It reads only, and wakes the branch.
func (p *Platform) ExportQuery(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, id, sql, format string, w io.Writer) (int64, error) {
	if len(rows.Split(sql)) != 1 {
		return 0, &holdfast.Error{Kind: holdfast.Invalid, Message: "one statement is exported at a time"}
	}
	out, err := rows.NewWriter(format, w)
	if err != nil {
		return 0, err
	}
	n, described := int64(0), false
	q := Query{ID: id, SQL: sql, Timeout: exportTimeout, everything: true}
	err = p.RunQuery(ctx, who, ref, q, func(string) error { return nil }, func(e QueryEvent) error {
		switch {
		case e.Failed != nil:
			return &holdfast.Error{Kind: holdfast.Invalid, Message: e.Failed.Message, Hint: e.Failed.Hint}
		case e.Columns != nil:
			described = true
			return out.Columns(e.Columns)
		case len(e.Rows) > 0:
			n += int64(len(e.Rows))
			return out.Rows(e.Rows)
		}
		return nil
	})
	if err == nil && !described {
		err = &holdfast.Error{Kind: holdfast.Invalid, Message: "the statement has no rows to export"}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return n, err
	}
	return n, p.recordAlone(context.WithoutCancel(ctx), who, "data.export", ref.String(), map[string]any{"format": format, "rows": n})
}
