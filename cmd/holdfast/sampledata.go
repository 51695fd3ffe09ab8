package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/sample"
)

// loadSample fills a database with the sample data set, in the transaction that it is given. rows is the size of its biggest table.
func loadSample(ctx context.Context, tx pgx.Tx, rows int, progress func(done, total int64)) error {
	// Without arguments pgx sends the text as it is, so it may hold several statements.
	if _, err := tx.Exec(ctx, sample.Schema()); err != nil {
		return fmt.Errorf("make the sample's tables: %w", err)
	}
	var done, total int64
	counts := map[string]int64{}
	for _, t := range sample.Tables() {
		n, err := sample.Count(t.Name, int64(rows))
		if err != nil {
			return err
		}
		counts[t.Name], total = n, total+n
	}
	for _, t := range sample.Tables() {
		progress(done, total)
		if err := copySample(ctx, tx, t, int64(rows)); err != nil {
			return err
		}
		done += counts[t.Name]
	}
	progress(done, total)
	if _, err := tx.Exec(ctx, sample.After()); err != nil {
		return fmt.Errorf("finish the sample's tables: %w", err)
	}
	return nil
}

func copySample(ctx context.Context, tx pgx.Tx, t sample.Table, rows int64) error {
	columns := make([]string, len(t.Columns))
	for i, name := range t.Columns {
		columns[i] = holdfast.QuoteIdentifier(name)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(sample.Write(w, t.Name, rows)) }()
	_, err := tx.Conn().PgConn().CopyFrom(ctx, r, fmt.Sprintf("COPY %s (%s) FROM STDIN", holdfast.QuoteIdentifier(t.Name), strings.Join(columns, ", ")))
	r.CloseWithError(context.Canceled) // the writer ends, also when the copy failed half-way
	if err != nil {
		return fmt.Errorf("load the sample's %s: %w", t.Name, err)
	}
	return nil
}
