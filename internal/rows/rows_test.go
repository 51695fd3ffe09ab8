package rows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/rows"
)

// twoMoments makes two databases: then, with the statements of both, and now, with later ones too.
func twoMoments(t *testing.T, both, later string) (then, now *pgx.Conn) {
	t.Helper()
	server := pgtest.Start(t)
	then, now = server.Database(t).Connect(t), server.Database(t).Connect(t)
	pgtest.Exec(t, then, both)
	pgtest.Exec(t, now, both)
	pgtest.Exec(t, now, later)
	return then, now
}

// inBoth runs fn in a transaction on each side, and commits that of now.
func inBoth(t *testing.T, then, now *pgx.Conn, fn func(then, now pgx.Tx) error) error {
	t.Helper()
	old, err := then.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Rollback(context.WithoutCancel(t.Context()))
	return pgx.BeginFunc(t.Context(), now, func(cur pgx.Tx) error { return fn(old, cur) })
}

func compare(t *testing.T, then, now *pgx.Conn, table, where string) (rows.Table, []rows.Change) {
	t.Helper()
	found, err := rows.Find(t.Context(), now, table)
	if err != nil {
		t.Fatal(err)
	}
	var out []rows.Change
	err = inBoth(t, then, now, func(old, cur pgx.Tx) error {
		return rows.Compare(t.Context(), old, cur, rows.Comparison{Table: found, Where: where}, func(c rows.Change) error {
			out = append(out, c)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, out
}

func kinds(changes []rows.Change) string {
	var out []string
	for _, c := range changes {
		row := c.Then
		if row == nil {
			row = c.Now
		}
		out = append(out, string(c.Kind)+" "+*row[0])
	}
	return strings.Join(out, ", ")
}

func TestDifferencesAreFoundByKey(t *testing.T) {
	then, now := twoMoments(t, `CREATE TABLE deals (id int PRIMARY KEY, stage text, amount numeric);
		INSERT INTO deals SELECT g, 'open', g * 1.50 FROM generate_series(1, 1000) g`,
		`DELETE FROM deals WHERE id = 10; UPDATE deals SET stage = 'won' WHERE id = 700; INSERT INTO deals VALUES (2000, 'new', NULL);
		UPDATE deals SET amount = 300.0 WHERE id = 200`)
	_, changes := compare(t, then, now, "deals", "")
	// 200 has the same value, written with another scale: that is a change of what is stored.
	if got := kinds(changes); got != "deleted 10, changed 200, added 2000, changed 700" {
		t.Errorf("got %s", got)
	}
	_, changes = compare(t, then, now, "public.deals", "stage = 'won'")
	if got := kinds(changes); got != "changed 700" {
		t.Errorf("with a condition that holds only now: got %s", got)
	}
	_, changes = compare(t, then, now, "deals", "id > 500 AND stage = 'open' -- a comment")
	if got := kinds(changes); got != "changed 700" {
		t.Errorf("with a condition that holds only then: got %s", got)
	}
}

func TestRepairBringsEveryRowBack(t *testing.T) {
	then, now := twoMoments(t, `CREATE TYPE mood AS ENUM ('glad', 'it''s "odd"\');
		CREATE TABLE "Odd ""table" (a text, "B b" bigint GENERATED ALWAYS AS IDENTITY, j jsonb, js json, raw bytea, at timestamptz, d interval, m mood, tags text[], f float8,
			twice text GENERATED ALWAYS AS (a || a) STORED, n int, PRIMARY KEY (n, a) INCLUDE (f));
		INSERT INTO "Odd ""table" (a, j, js, raw, at, d, m, tags, f, n)
		SELECT 'x''\"' || g || E'\n', jsonb_build_object('n', 12345678901234567890123 + g), '{"a" :  1}', decode('00ff5c', 'hex'), '2026-03-29 01:30:00.123456+00', '1 mon 2 days 03:04:05.6', 'it''s "odd"\',
			ARRAY['a,b', NULL, '"'], 0.1 + g / 3.0, g % 7 FROM generate_series(1, 500) g`,
		`DELETE FROM "Odd ""table" WHERE n = 3; UPDATE "Odd ""table" SET j = NULL, f = f + 1, m = 'glad', tags = '{}', raw = '' WHERE n = 5;
		INSERT INTO "Odd ""table" (a, n) VALUES ('new', 1)`)
	table, err := rows.Find(t.Context(), now, `"Odd ""table"`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = inBoth(t, then, now, func(old, cur pgx.Tx) error {
		var changes []rows.Change
		err := rows.Compare(t.Context(), old, cur, rows.Comparison{Table: table}, func(c rows.Change) error {
			changes = append(changes, c)
			return nil
		})
		for _, c := range changes {
			err = errors.Join(err, rows.Apply(t.Context(), cur, table, c))
		}
		n = len(changes)
		return err
	})
	if err != nil || n < 140 {
		t.Fatalf("%d changes, %v", n, err)
	}
	if _, left := compare(t, then, now, `"Odd ""table"`, ""); len(left) != 0 {
		t.Errorf("after the repair differ: %s", kinds(left))
	}
}

func TestARowThatChangedMeanwhileIsNotOverwritten(t *testing.T) {
	then, now := twoMoments(t, `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')`, `UPDATE t SET v = 'b'`)
	table, changes := compare(t, then, now, "t", "")
	pgtest.Exec(t, now, `UPDATE t SET v = 'c'`)
	err := pgx.BeginFunc(t.Context(), now, func(tx pgx.Tx) error { return rows.Apply(t.Context(), tx, table, changes[0]) })
	if holdfast.KindOf(err) != holdfast.Conflict || pgtest.Value[string](t, now, "SELECT v FROM t") != "c" {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeComparedIsRefusedWithTheReason(t *testing.T) {
	then, now := twoMoments(t, `CREATE TABLE nokey (a int); CREATE TABLE moved (id int PRIMARY KEY, a int)`,
		`ALTER TABLE moved RENAME a TO b; CREATE TABLE young (id int PRIMARY KEY)`)
	for table, kind := range map[string]holdfast.Kind{"nokey": holdfast.Precondition, "moved": holdfast.Precondition, "young": holdfast.NotFound} {
		found, err := rows.Find(t.Context(), now, table)
		if err != nil {
			t.Fatal(err)
		}
		err = inBoth(t, then, now, func(old, cur pgx.Tx) error {
			return rows.Compare(t.Context(), old, cur, rows.Comparison{Table: found}, func(rows.Change) error { return nil })
		})
		if holdfast.KindOf(err) != kind {
			t.Errorf("%s: got %v", table, err)
		}
	}
	if _, err := rows.Find(t.Context(), now, "nothing"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("an unknown table gave %v", err)
	}
}

func TestMaskingKeepsReferencesAndLeavesNothing(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE DOMAIN inner_address AS text CHECK (value LIKE '%@%'); CREATE DOMAIN address AS inner_address;
		CREATE TABLE people (email address PRIMARY KEY, name text, phone varchar(20), card text, born date, note text);
		CREATE TABLE mails (id int PRIMARY KEY, recipient address REFERENCES people, body text);
		CREATE TABLE replies (id int PRIMARY KEY, recipient address REFERENCES people (email));
		INSERT INTO people SELECT 'secret' || g || '@corp.example', 'Secret Name' || g, '+49 30 ' || g, 'AB-' || g || 'x', '1990-01-01', CASE WHEN g > 1 THEN 'secret' END FROM generate_series(1, 50) g;
		INSERT INTO mails SELECT g, 'secret' || g || '@corp.example', 'secret body' FROM generate_series(1, 50) g;
		INSERT INTO replies SELECT id, recipient FROM mails;
		CREATE MATERIALIZED VIEW names AS SELECT name FROM people; ANALYZE`)
	rule := func(table, column string, kind holdfast.MaskKind, expression string) holdfast.MaskRule {
		return holdfast.MaskRule{Schema: "public", Table: table, Column: column, Kind: kind, Expression: expression}
	}
	rules := []holdfast.MaskRule{rule("people", "email", holdfast.MaskEmail, ""), rule("people", "name", holdfast.MaskName, ""), rule("people", "phone", holdfast.MaskPhone, ""),
		rule("people", "card", holdfast.MaskKeepFormat, ""), rule("people", "note", holdfast.MaskHash, ""), rule("people", "born", holdfast.MaskExpression, "date_trunc('year', born)::date"),
		rule("mails", "body", holdfast.MaskNull, "")}
	if err := rows.Mask(t.Context(), conn, rules, []byte("salt")); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, conn, `SELECT count(*)::int FROM people p JOIN mails m ON m.recipient = p.email JOIN replies r ON r.recipient = m.recipient WHERE p.email LIKE 'user-%@example.invalid'`); n != 50 {
		t.Errorf("%d of 50 references are left", n)
	}
	if n := pgtest.Value[int](t, conn, `SELECT count(*)::int FROM people WHERE card ~ '^[A-Z]{2}-[0-9]+[a-z]$' AND phone ~ '^\+[0-9]{2} [0-9]{2} [0-9]+$' AND (note IS NULL) = (email = (SELECT email FROM people WHERE note IS NULL))`); n != 50 {
		t.Errorf("%d of 50 rows keep their format", n)
	}
	for _, text := range []string{"SELECT string_agg(p::text, '') FROM people p", "SELECT string_agg(n::text, '') FROM names n", "SELECT coalesce(string_agg(body, ''), '') FROM mails",
		"SELECT coalesce(string_agg(s::text, ''), '') FROM pg_stats s WHERE tablename IN ('people', 'mails', 'replies')", "SELECT coalesce(string_agg(prosrc, ''), '') FROM pg_proc WHERE proname LIKE 'mask|_%' ESCAPE '|'"} {
		if got := pgtest.Value[string](t, conn, text); strings.Contains(strings.ToLower(got), "secret") || strings.Contains(text, "prosrc") && got != "" {
			t.Errorf("%s still shows %.200s", text, got)
		}
	}
}

func TestAMaskingRuleThatCannotHoldChangesNothing(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE a (id int PRIMARY KEY, code text UNIQUE NOT NULL, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
		CREATE TABLE b (a int REFERENCES a, o text); INSERT INTO a VALUES (1, 'x', 1), (2, 'y', 2); INSERT INTO b VALUES (1, 'o')`)
	for _, c := range []struct {
		rules []holdfast.MaskRule
		kind  holdfast.Kind
	}{
		{[]holdfast.MaskRule{{Schema: "public", Table: "a", Column: "code", Kind: holdfast.MaskExpression, Expression: "'same'"}}, holdfast.Conflict},
		{[]holdfast.MaskRule{{Schema: "public", Table: "a", Column: "code", Kind: holdfast.MaskNull}}, holdfast.Invalid},
		{[]holdfast.MaskRule{{Schema: "public", Table: "a", Column: "n", Kind: holdfast.MaskEmail}}, holdfast.Invalid},
		{[]holdfast.MaskRule{{Schema: "public", Table: "a", Column: "twice", Kind: holdfast.MaskHash}}, holdfast.Invalid},
		{[]holdfast.MaskRule{{Schema: "public", Table: "a", Column: "gone", Kind: holdfast.MaskHash}}, holdfast.NotFound},
		{[]holdfast.MaskRule{{Schema: "public", Table: "b", Column: "a", Kind: holdfast.MaskNull}}, holdfast.Invalid},
		{[]holdfast.MaskRule{{Schema: "public", Table: "b", Column: "o", Kind: holdfast.MaskExpression, Expression: "no such"}}, holdfast.Invalid},
		{[]holdfast.MaskRule{{Schema: "public", Table: "b", Column: "o", Kind: holdfast.MaskHash}, {Schema: "public", Table: "gone", Column: "o", Kind: holdfast.MaskHash}}, holdfast.NotFound},
	} {
		if err := rows.Mask(t.Context(), conn, c.rules, []byte("salt")); holdfast.KindOf(err) != c.kind {
			t.Errorf("%v: got %v, want %v", c.rules, err, c.kind)
		}
	}
	if got := pgtest.Value[string](t, conn, `SELECT string_agg(x::text || coalesce(y::text, ''), ' ' ORDER BY id) FROM a x LEFT JOIN b y ON y.a = x.id`); got != `(1,x,1,2)(1,o) (2,y,2,4)` {
		t.Errorf("the data changed: %s", got)
	}
	// What users wrote runs with the rights of the table's owner.
	pgtest.Exec(t, conn, `ALTER TABLE b OWNER TO `+pgtest.Owner)
	rule := []holdfast.MaskRule{{Schema: "public", Table: "b", Column: "o", Kind: holdfast.MaskExpression, Expression: "current_user || current_setting('is_superuser')"}}
	if err := rows.Mask(t.Context(), conn, rule, []byte("salt")); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[string](t, conn, `SELECT o FROM b`); got != pgtest.Owner+"off" {
		t.Errorf("a rule ran as %s", got)
	}
	// A hash of a key is carried to what references it.
	if err := rows.Mask(t.Context(), conn, []holdfast.MaskRule{{Schema: "public", Table: "b", Column: "a", Kind: holdfast.MaskHash}}, []byte("salt")); err != nil {
		t.Fatal(err)
	}
	ids := pgtest.Value[[]int32](t, conn, `SELECT array_agg(id) FROM a`)
	if slices.Contains(ids, 1) || pgtest.Value[int](t, conn, `SELECT count(*)::int FROM a x JOIN b y ON y.a = x.id`) != 1 {
		t.Errorf("ids are %v", ids)
	}
}

func TestEmptyingLeavesTheSchema(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (a int REFERENCES a, s text); CREATE TABLE p (n int) PARTITION BY LIST (n); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
		CREATE TABLE log (s text); CREATE MATERIALIZED VIEW m AS SELECT * FROM a; CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (current_user); RETURN NULL; END';
		CREATE TRIGGER always AFTER TRUNCATE ON a EXECUTE FUNCTION note(); ALTER TABLE a ENABLE ALWAYS TRIGGER always;
		INSERT INTO a DEFAULT VALUES; INSERT INTO b VALUES (1, 'x'); INSERT INTO p VALUES (1); REFRESH MATERIALIZED VIEW m; SELECT lo_create(0)`)
	if err := rows.Empty(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, conn, `SELECT ((SELECT count(*) FROM a) + (SELECT count(*) FROM b) + (SELECT count(*) FROM p) + (SELECT count(*) FROM m) + (SELECT count(*) FROM log)
		+ (SELECT count(*) FROM pg_largeobject_metadata) + (SELECT count(*) FROM pg_trigger WHERE tgname = 'always' AND tgenabled <> 'A'))::int`); n != 0 {
		t.Errorf("%d rows are left, or a user's trigger ran or was changed", n)
	}
	if n := pgtest.Value[int](t, conn, `INSERT INTO a DEFAULT VALUES RETURNING id`); n != 1 {
		t.Errorf("the sequence goes on at %d", n)
	}
}

// An expression is a user's SQL that runs while the administrator masks: neither a second statement nor a function of its own may get it the
// administrator's rights.
func TestAMaskingExpressionCannotTakeTheAdministratorsRights(t *testing.T) {
	server := pgtest.Start(t)
	conn := server.Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE caught (who text); GRANT ALL ON caught TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC;
		DO $$ BEGIN CREATE ROLE masked_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$; SET ROLE masked_owner;
		CREATE TABLE people (id int PRIMARY KEY, name text); INSERT INTO people VALUES (1, 'real');
		CREATE FUNCTION sneak() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
			BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN NULL; END;
			BEGIN PERFORM set_config('session_authorization', session_user, false); EXCEPTION WHEN OTHERS THEN NULL; END;
			EXECUTE 'INSERT INTO caught VALUES (current_user)'; RETURN 'masked'; END $$; RESET ROLE`)
	for _, expression := range []string{"sneak()", "'masked'; RESET ROLE; INSERT INTO caught VALUES (current_user)", "'masked'); END $$; RESET ROLE; INSERT INTO caught VALUES (current_user"} {
		_ = rows.Mask(t.Context(), conn, []holdfast.MaskRule{{Schema: "public", Table: "people", Column: "name", Kind: holdfast.MaskExpression, Expression: expression}}, make([]byte, 32)) // may be refused
	}
	if n := pgtest.Value[int](t, conn, `SELECT count(*)::int FROM caught WHERE who <> 'masked_owner'`); n != 0 {
		t.Errorf("%d times it ran as %s", n, pgtest.Value[string](t, conn, `SELECT string_agg(who, ', ') FROM caught`))
	}
	if got := pgtest.Value[string](t, conn, `SELECT name FROM people`); got != "masked" {
		t.Errorf("the row was masked as %s", got)
	}
}

// A condition is a user's SQL, too.
func TestAConditionBringsNoFurtherStatements(t *testing.T) {
	then, now := twoMoments(t, `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)`, ``)
	found, err := rows.Find(t.Context(), now, "t")
	if err != nil {
		t.Fatal(err)
	}
	err = inBoth(t, then, now, func(old, cur pgx.Tx) error {
		return rows.Compare(t.Context(), old, cur, rows.Comparison{Table: found, Where: "true); COMMIT; DELETE FROM t; SELECT (true"}, func(rows.Change) error { return nil })
	})
	if holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("got %v", err)
	}
	for _, side := range []*pgx.Conn{then, now} {
		if n := pgtest.Value[int](t, side, `SELECT count(*)::int FROM t`); n != 1 {
			t.Errorf("%d rows are left", n)
		}
	}
}
