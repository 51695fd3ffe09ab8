package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// checkPages lets amcheck compare every B-tree index with its table, and look through every table's pages.
func checkPages(ctx context.Context, req *ProofRequest, _ *snapshot) (Finding, error) {
	f := Finding{Check: "amcheck", State: Passed}
	skipped := func(why string) (Finding, error) {
		return Finding{Check: "amcheck", State: Skipped, Detail: why}, nil
	}
	if req.Admin == nil {
		return skipped("it needs a superuser")
	}
	conn, err := req.Admin.session(ctx)
	if err != nil {
		return f, err
	}
	defer closeConn(conn)
	// In a transaction that is rolled back the extension leaves nothing behind.
	tx, err := conn.Begin(ctx)
	if err != nil {
		return f, err
	}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA holdfast_amcheck; CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA holdfast_amcheck"); err != nil {
		return skipped("the extension cannot be made: " + explain(err).Error())
	}
	var schema string
	if err := conn.QueryRow(ctx, "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'").Scan(&schema); err != nil {
		return f, err
	}
	indexes, err := amcheck(ctx, conn, &f, `SELECT c.oid, c.oid::regclass::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am a ON a.oid = c.relam
		WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p' AND i.indisvalid AND i.indisready AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname LIKE 'pg\_temp%')`,
		"SELECT ''::text FROM (SELECT "+schema+".bt_index_check($1::oid::regclass, true)) x")
	if err != nil {
		return f, err
	}
	tables, err := amcheck(ctx, conn, &f, `SELECT c.oid, c.oid::regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p'`,
		"SELECT coalesce(string_agg(DISTINCT msg, '; '), '') FROM "+schema+".verify_heapam($1::oid::regclass)")
	if err != nil {
		return f, err
	}
	f.Detail = fmt.Sprintf("%d indexes agree with their tables, and the pages of %d tables are whole", indexes, tables)
	if len(f.Items) > 0 {
		f.State, f.Detail = Failed, "indexes or pages are damaged"
	}
	return f, tx.Rollback(ctx)
}

// amcheck runs one check on every relation that the query lists. What it finds is an item.
func amcheck(ctx context.Context, conn *pgx.Conn, f *Finding, list, check string) (int, error) {
	type relation struct {
		OID  uint32
		Name string
	}
	rows, err := conn.Query(ctx, list)
	if err != nil {
		return 0, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		if _, err := conn.Exec(ctx, "SAVEPOINT one"); err != nil {
			return 0, err
		}
		var found string
		err := conn.QueryRow(ctx, check, r.OID).Scan(&found)
		var pg *pgconn.PgError
		switch {
		case errors.As(err, &pg):
			f.item("%s: %s", r.Name, pg.Message)
			_, err = conn.Exec(ctx, "ROLLBACK TO SAVEPOINT one")
		case found != "":
			f.item("%s: %s", r.Name, found)
		}
		if err == nil {
			_, err = conn.Exec(ctx, "RELEASE SAVEPOINT one")
		}
		if err != nil {
			return 0, err
		}
	}
	return len(all), nil
}
