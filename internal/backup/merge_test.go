package backup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

const shopSchema = `
	CREATE TABLE customer (id integer PRIMARY KEY, email text UNIQUE, referred_by integer REFERENCES customer);
	CREATE TABLE product (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, doc json, upper_name text GENERATED ALWAYS AS (upper(name)) STORED);
	CREATE TABLE orders (id serial PRIMARY KEY, customer integer NOT NULL REFERENCES customer, note text);
	CREATE TABLE line (orders integer REFERENCES orders ON DELETE CASCADE, n integer, product bigint REFERENCES product, PRIMARY KEY (orders, n));
	CREATE TABLE log (line text);
`

func shops(t *testing.T) (from, to *pgtest.Database) {
	t.Helper()
	server := pgtest.Start(t)
	from, to = server.Database(t), server.Database(t)
	run(t, from, shopSchema+`
		INSERT INTO customer VALUES (2, 'b', NULL), (1, 'a', 2), (3, 'c-new', NULL);
		INSERT INTO product (name, doc) VALUES ('one', '{"a": 1}'), ('two', NULL), ('three', '[]');
		INSERT INTO orders (customer, note) VALUES (1, 'first'), (3, 'second');
		INSERT INTO line VALUES (1, 1, 1), (2, 1, 3);
		INSERT INTO log VALUES ('x'), ('x')`)
	run(t, to, shopSchema+`
		INSERT INTO customer VALUES (1, 'a', NULL), (3, 'c', 1), (9, 'only here', NULL);
		INSERT INTO product (name, doc) VALUES ('one', '{"a":1}'), ('zwei', NULL);
		INSERT INTO orders (id, customer, note) VALUES (1, 9, 'other'), (50, 3, 'only here');
		INSERT INTO line VALUES (50, 1, 2);
		INSERT INTO log VALUES ('y')`)
	return from, to
}

func merged(t *testing.T, from, to *pgtest.Database, req backup.MergeRequest) backup.MergeReport {
	t.Helper()
	req.From, req.To = database(from), database(to)
	report, err := backup.Merge(t.Context(), req)
	if err != nil {
		t.Fatalf("%v\n%+v", err, report)
	}
	return report
}

func numbers(report backup.MergeReport) map[string][5]int64 {
	out := map[string][5]int64{}
	for _, r := range report.Tables {
		out[r.Name] = [5]int64{r.Source, r.Inserted, r.Updated, r.Deleted, r.After}
	}
	return out
}

func TestReplaceMakesTablesEqual(t *testing.T) {
	from, to := shops(t)
	dry := merged(t, from, to, backup.MergeRequest{Mode: backup.Replace, Dry: true})
	if n := pgtest.Value[int64](t, to.Connect(t), `SELECT count(*) FROM customer WHERE email = 'only here'`); n != 1 {
		t.Fatal("a dry run changed something")
	}
	report := merged(t, from, to, backup.MergeRequest{Mode: backup.Replace})
	if d := cmp.Diff(dry, report); d != "" {
		t.Errorf("the dry run said otherwise:\n%s", d)
	}
	want := map[string][5]int64{"customer": {3, 1, 2, 1, 3}, "product": {3, 1, 2, 0, 3}, "orders": {2, 1, 1, 1, 2}, "line": {2, 2, 0, 1, 2}, "log": {2, 2, 0, 1, 2}}
	if d := cmp.Diff(want, numbers(report)); d != "" {
		t.Errorf("source, inserted, updated, deleted, after (-want +got):\n%s", d)
	}
	if d := cmp.Diff(checksums(t, from), checksums(t, to)); d != "" {
		t.Errorf("rows differ:\n%s", d)
	}
	if len(report.Deferred) == 0 {
		t.Error("the report does not say which foreign keys were checked at the end")
	}
	if left := list(t, to, `SELECT conname FROM pg_constraint WHERE contype = 'f' AND condeferrable`); len(left) != 0 {
		t.Errorf("foreign keys stayed deferrable: %q", left)
	}
	// The next values come after those that are there, and a sequence never goes back.
	run(t, to, `INSERT INTO product (name) VALUES ('next'); INSERT INTO orders (customer) VALUES (1)`)
	again := merged(t, from, to, backup.MergeRequest{Mode: backup.Replace})
	if n := numbers(again); n["product"] != [5]int64{3, 0, 0, 1, 3} {
		t.Errorf("a second time: %v", n)
	}
}

func TestUpsertAndInsertMissingKeepWhatIsOnlyThere(t *testing.T) {
	from, to := shops(t)
	tables := []string{"customer", "product", "orders", "line"}
	report := merged(t, from, to, backup.MergeRequest{Mode: backup.InsertMissing, Tables: tables})
	want := map[string][5]int64{"customer": {3, 1, 0, 0, 4}, "product": {3, 1, 0, 0, 3}, "orders": {2, 1, 0, 0, 3}, "line": {2, 2, 0, 0, 3}}
	if d := cmp.Diff(want, numbers(report)); d != "" {
		t.Errorf("insert-missing (-want +got):\n%s", d)
	}
	report = merged(t, from, to, backup.MergeRequest{Mode: backup.Upsert, Tables: tables})
	want = map[string][5]int64{"customer": {3, 0, 2, 0, 4}, "product": {3, 0, 2, 0, 3}, "orders": {2, 0, 1, 0, 3}, "line": {2, 0, 0, 0, 3}}
	if d := cmp.Diff(want, numbers(report)); d != "" {
		t.Errorf("upsert (-want +got):\n%s", d)
	}
	_, err := backup.Merge(t.Context(), backup.MergeRequest{From: database(from), To: database(to), Mode: backup.Upsert, Tables: []string{"log"}})
	if holdfast.KindOf(err) != holdfast.Conflict || !strings.Contains(err.Error(), "no primary key") {
		t.Errorf("a table without a key: %v", err)
	}
	if got := pgtest.Value[int64](t, to.Connect(t), `SELECT nextval('orders_id_seq')`); got != 51 {
		t.Errorf("the next order is %d", got)
	}
}

func TestConflictsAreExplainedAndChangeNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change string // to the target
		req    backup.MergeRequest
		kind   holdfast.Kind
		says   string
	}{
		{"rows of another table would go along", ``, backup.MergeRequest{Mode: backup.Replace, Tables: []string{"orders"}}, holdfast.Unsafe, `1 rows of public.line`},
		{"rows of another table need one that goes", ``, backup.MergeRequest{Mode: backup.Replace, Tables: []string{"customer"}}, holdfast.Conflict, `orders_customer_fkey`},
		{"a row refers to one that does not come", ``, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"line"}}, holdfast.Conflict, `line_`},
		{"a unique key is taken", `UPDATE customer SET email = 'b' WHERE id = 9`, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}}, holdfast.Conflict, `customer_email_key`},
		{"a column is missing", `ALTER TABLE customer RENAME email TO mail`, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}}, holdfast.Conflict, `no column email`},
		{"a column has another type", `ALTER TABLE customer ALTER email TYPE varchar(10)`, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}}, holdfast.Conflict, `character varying(10)`},
		{"a column needs a value", `ALTER TABLE customer ADD age integer NOT NULL DEFAULT 1; ALTER TABLE customer ALTER age DROP DEFAULT`, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}}, holdfast.Conflict, `needs a value in the column age`},
		{"a rule of the target", `ALTER TABLE customer ADD CHECK (email <> 'c-new')`, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}}, holdfast.Conflict, `customer_email_check`},
		{"a table is missing", `ALTER TABLE log RENAME TO blog`, backup.MergeRequest{Mode: backup.Replace, Tables: []string{"log"}}, holdfast.Conflict, `no table "public"."log"`},
		{"an unknown mode", ``, backup.MergeRequest{Mode: "sideways"}, holdfast.Invalid, `sideways`},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := shops(t)
			if c.change != "" {
				run(t, to, c.change)
			}
			want := checksums(t, to)
			c.req.From, c.req.To = database(from), database(to)
			_, err := backup.Merge(t.Context(), c.req)
			if holdfast.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if d := cmp.Diff(want, checksums(t, to)); d != "" {
				t.Errorf("something was changed:\n%s", d)
			}
		})
	}
}

func TestRowsOfOtherTablesGoAlongWhenThatIsAllowed(t *testing.T) {
	from, to := shops(t)
	report := merged(t, from, to, backup.MergeRequest{Mode: backup.Replace, Tables: []string{"orders", "customer"}, Cascade: true})
	want := []backup.Cascade{{Table: "public.line", ForeignKey: "line_orders_fkey", Action: "deleted", Rows: 1}}
	if d := cmp.Diff(want, report.Cascades); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := pgtest.Value[int64](t, to.Connect(t), `SELECT count(*) FROM line`); n != 0 {
		t.Errorf("%d lines are left", n)
	}
}

func TestEverythingCanBeMerged(t *testing.T) {
	server := pgtest.Start(t)
	from, to := everything(t, server), everything(t, server)
	run(t, to, `DELETE FROM every_type WHERE id > 1; UPDATE text_cases SET only_column = 'changed'; DELETE FROM no_columns; DELETE FROM events; INSERT INTO events VALUES ('2031-01-01', 'z', 1);
		DELETE FROM dog; INSERT INTO animal VALUES (7, 'other'); DELETE FROM employee WHERE id = 13; UPDATE was_wider SET last = 0; DELETE FROM "Odd Schema"."Tab""le; --"`)
	report := merged(t, from, to, backup.MergeRequest{Mode: backup.Replace, SkipTriggers: true})
	if !slices.Equal(report.Triggers, []string{"stamp on public.stamped"}) {
		t.Errorf("triggers: %q", report.Triggers)
	}
	if d := cmp.Diff(checksums(t, from), checksums(t, to)); d != "" {
		t.Errorf("rows differ:\n%s", d)
	}
	if got := pgtest.Value[string](t, to.Connect(t), `SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'stamp'`); got != "O" {
		t.Errorf("the trigger is %s now", got)
	}
}

func TestAnotherWriterIsWaitedForAndNotForever(t *testing.T) {
	from, to := shops(t)
	other := to.Connect(t)
	pgtest.Exec(t, other, `BEGIN`)
	pgtest.Exec(t, other, `UPDATE customer SET email = 'busy' WHERE id = 9`)
	_, err := backup.Merge(t.Context(), backup.MergeRequest{From: database(from), To: database(to), Mode: backup.Upsert, Tables: []string{"customer"}, LockTimeout: time.Millisecond})
	if holdfast.KindOf(err) != holdfast.Busy {
		t.Errorf("got %v", err)
	}
}

func TestValuesCanBeMaskedOnTheWay(t *testing.T) {
	from, to := shops(t)
	merged(t, from, to, backup.MergeRequest{Mode: backup.Upsert, Tables: []string{"customer"}, Transform: func(_, table, column string) string {
		if table == "customer" && column == "email" {
			return `'user' || id || '@example.com'`
		}
		return ""
	}})
	if got := list(t, to, `SELECT email FROM customer WHERE id < 9 ORDER BY id`); !slices.Equal(got, []string{"user1@example.com", "user2@example.com", "user3@example.com"}) {
		t.Errorf("got %q", got)
	}
}

func TestTablesOfTwoDatabasesAreCompared(t *testing.T) {
	from, to := shops(t)
	run(t, from, `CREATE TABLE only_from (a integer); INSERT INTO only_from VALUES (1)`)
	run(t, to, `CREATE TABLE only_to (a integer); ALTER TABLE log ADD more integer NOT NULL DEFAULT 0`)
	got, err := backup.CompareTables(t.Context(), database(from), database(to), []string{"only*", "log", "orders"})
	want := []backup.TableComparison{{Schema: "public", Name: "log", From: 2, To: 1}, {Schema: "public", Name: "only_from", From: 1, To: -1}, {Schema: "public", Name: "orders", From: 2, To: 2}, {Schema: "public", Name: "only_to", From: -1, To: 0}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
}
