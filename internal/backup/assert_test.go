package backup_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestAssertionsHoldOrSayWhyNot(t *testing.T) {
	server := pgtest.Start(t)
	d := server.Database(t)
	asOwner := backup.Database{Name: d.Name, Connect: func(ctx context.Context) (*pgx.Conn, error) {
		return server.ConnectAs(ctx, pgtest.Owner, pgtest.OwnerPassword, d.Name)
	}}
	conn := d.Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 2000) g; ALTER TABLE orders OWNER TO `+holdfast.QuoteIdentifier(pgtest.Owner))
	for sql, says := range map[string]string{
		"SELECT count(*) = 2000 FROM orders": "",
		"SELECT false":                       "gave false",
		"SELECT NULL::boolean":               "gave NULL",
		"SELECT true WHERE false":            "gave no row",
		"SELECT true FROM orders":            "one row with one boolean",
		"SELECT 1":                           "one row with one boolean",
		"SELECT true, true":                  "one row with one boolean",
		"SELECT true; DROP TABLE orders":     "refuses it",
		"SELECT 1/0 = 1":                     "division by zero",
		"SELECT pg_sleep(60) IS NULL":        "longer than 1s",
		"COMMIT":                             "gave no row",
	} {
		err := backup.Assert(t.Context(), asOwner, holdfast.Assertion{Name: "it", SQL: sql}, time.Second)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: got %v", sql, err)
		}
	}
	for sql, says := range map[string]string{
		"SELECT FROM orders WHERE id < 0": "",
		"DELETE FROM orders":              "",
		"SELECT FROM orders WHERE id < 4": "gave 3 rows",
		"SELECT id FROM orders":           "more than 1000 rows",
		"SELECT id FROM nowhere":          "refuses it",
	} {
		err := backup.Assert(t.Context(), asOwner, holdfast.Assertion{Name: "it", SQL: sql, NoRows: true}, time.Minute)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: got %v", sql, err)
		}
	}
	if n := pgtest.Value[int64](t, conn, "SELECT count(*) FROM orders"); n != 2000 {
		t.Errorf("an assertion changed the table: %d rows", n)
	}
}
