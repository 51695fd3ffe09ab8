package rows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/rows"
)

// edit makes edits in a transaction of their own, which is kept when there was neither conflict nor error.
func edit(t *testing.T, conn *pgx.Conn, edits ...rows.Edit) (done []rows.Edited, undo string, conflicts []rows.EditConflict, err error) {
	t.Helper()
	roll := errors.New("roll back")
	err = pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		e := rows.BeginEdits(tx)
		if conflicts, err = e.Run(t.Context(), edits); err != nil {
			return err
		}
		if conflicts != nil {
			return roll
		}
		done = e.Done()
		undo, err = e.Undo(t.Context())
		return err
	})
	if errors.Is(err, roll) {
		err = nil
	}
	return done, undo, conflicts, err
}

func is(text string) rows.Value { return &text }

// whole reads everything of a table as one text.
func whole(t *testing.T, conn *pgx.Conn, table string) string {
	t.Helper()
	return pgtest.Value[string](t, conn, `SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text), '') FROM `+table+` r`)
}

func TestEditsAreSavedAsAWholeAndTakenBackByTheirScript(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE "o""dd" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, code char(4), yes boolean, doc json, tags text[], at timestamptz, raw bytea, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
		INSERT INTO "o""dd" (note, code, yes, doc, tags, at, raw) VALUES ('a', 'x', true, '{"a": 1}', '{p,NULL}', '2026-01-02 03:04:05+00', '\x00ff'), ('b', NULL, NULL, NULL, NULL, NULL, NULL)`)
	before := whole(t, conn, `"o""dd"`)
	const table = `public."o""dd"`
	old := map[string]rows.Value{"id": is("1"), "note": is("a"), "code": is("x   "), "yes": is("t"), "doc": is(`{"a": 1}`), "tags": is("{p,NULL}"), "raw": is(`\x00ff`)}
	done, undo, conflicts, err := edit(t, conn,
		rows.Edit{Kind: rows.Update, Table: table, Old: old, Set: map[string]rows.Value{"note": is(`it's \ $undo$`), "yes": nil, "at": is("2026-07-01 12:00 Europe/Berlin")}},
		rows.Edit{Kind: rows.Delete, Table: table, Old: map[string]rows.Value{"id": is("2"), "note": is("b"), "code": nil}},
		rows.Edit{Kind: rows.Insert, Table: table, Set: map[string]rows.Value{"note": is("new"), "tags": is("{}")}})
	if err != nil || conflicts != nil || len(done) != 3 {
		t.Fatalf("%+v, %+v, %v", done, conflicts, err)
	}
	if after := done[0].After; *after["at"] != "2026-07-01 10:00:00+00" && !strings.HasPrefix(*after["at"], "2026-07-01 ") || after["yes"] != nil || *done[0].Before["code"] != "x   " || done[0].Row != "id 1" {
		t.Errorf("the update is told as %+v", done[0])
	}
	if done[1].After != nil || done[2].Before != nil || done[2].Row != "id 3" {
		t.Errorf("the others are told as %+v", done[1:])
	}
	if want := `UPDATE "public"."o""dd" r SET "note" = E'it''s \\ $undo$', "yes" = NULL, "at" = '2026-07-01 12:00 Europe/Berlin' WHERE r."id" = '1'`; done[0].SQL != want {
		t.Errorf("the statement is told as\n%s, want\n%s", done[0].SQL, want)
	}
	if got := whole(t, conn, `"o""dd"`); got == before || strings.Contains(got, "(2,") {
		t.Fatalf("nothing was saved: %s", got)
	}
	pgtest.Exec(t, conn, undo)
	if got := whole(t, conn, `"o""dd"`); got != before {
		t.Errorf("taken back:\n%s\nwant\n%s", got, before)
	}
	if _, err := conn.Exec(t.Context(), undo); err == nil {
		t.Error("it is taken back twice")
	}
}

func TestARowThatChangedMeanwhileIsNotEdited(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'a', 'by another'), (2, 'a', 'b')`)
	before := whole(t, conn, "t")
	_, _, conflicts, err := edit(t, conn,
		rows.Edit{Kind: rows.Update, Table: "t", Old: map[string]rows.Value{"id": is("2"), "a": is("a")}, Set: map[string]rows.Value{"a": is("mine")}},
		rows.Edit{Kind: rows.Update, Table: "t", Old: map[string]rows.Value{"id": is("1"), "a": is("a"), "b": is("b")}, Set: map[string]rows.Value{"a": is("mine")}},
		rows.Edit{Kind: rows.Delete, Table: "t", Old: map[string]rows.Value{"id": is("7")}})
	if err != nil || len(conflicts) != 2 {
		t.Fatalf("%+v, %v", conflicts, err)
	}
	if c := conflicts[0]; c.Edit != 1 || c.Row != "id 1" || len(c.Then) != 1 || *c.Then["b"] != "b" || *c.Now["b"] != "by another" || c.Gone {
		t.Errorf("the changed row is told as %+v", c)
	}
	if c := conflicts[1]; c.Edit != 2 || !c.Gone || c.Row != "id 7" {
		t.Errorf("the row that is gone is told as %+v", c)
	}
	if got := whole(t, conn, "t"); got != before {
		t.Errorf("something was saved: %s", got)
	}
}

func TestARowWithoutAKeyIsFoundByAllThatItHolds(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE heap (a int, b boolean, c json) PARTITION BY LIST (a); CREATE TABLE heap1 PARTITION OF heap FOR VALUES IN (1); CREATE TABLE heap2 PARTITION OF heap DEFAULT;
		INSERT INTO heap VALUES (1, true, NULL), (2, NULL, '[1]'), (3, false, NULL), (3, false, NULL)`)
	before := whole(t, conn, "heap")
	_, undo, conflicts, err := edit(t, conn,
		rows.Edit{Kind: rows.Update, Table: "heap", Old: map[string]rows.Value{"a": is("1"), "b": is("t"), "c": nil}, Set: map[string]rows.Value{"a": is("9")}},
		rows.Edit{Kind: rows.Delete, Table: "heap", Old: map[string]rows.Value{"a": is("2"), "b": nil, "c": is("[1]")}})
	if err != nil || conflicts != nil {
		t.Fatalf("%+v, %v", conflicts, err)
	}
	pgtest.Exec(t, conn, undo)
	if got := whole(t, conn, "heap"); got != before {
		t.Errorf("taken back:\n%s\nwant\n%s", got, before)
	}
	_, _, conflicts, err = edit(t, conn, rows.Edit{Kind: rows.Delete, Table: "heap", Old: map[string]rows.Value{"a": is("3"), "b": is("f"), "c": nil}})
	if err != nil || len(conflicts) != 1 || !conflicts[0].Alike {
		t.Errorf("one of two equal rows: %+v, %v", conflicts, err)
	}
	_, _, _, err = edit(t, conn, rows.Edit{Kind: rows.Delete, Table: "heap", Old: map[string]rows.Value{"a": is("1")}})
	if holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("without all values: %v", err)
	}
}

func TestWhatATableRefusesIsSaidWithTheChange(t *testing.T) {
	conn := pgtest.Start(t).Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, d int GENERATED ALWAYS AS (n) STORED); INSERT INTO t VALUES (1, 1);
		CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.n = 5 THEN RETURN NULL; ELSIF NEW.n = 6 THEN RAISE EXCEPTION 'six is not nice'; END IF; RETURN NEW; END$$; CREATE TRIGGER keep BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep()`)
	one := map[string]rows.Value{"id": is("1")}
	for name, c := range map[string]struct {
		edit rows.Edit
		kind holdfast.Kind
		says string
	}{
		"a check":                 {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"n": is("-1")}}, holdfast.Conflict, "change 1 (update t): new row for relation"},
		"no number":               {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"n": is("x")}}, holdfast.Invalid, "invalid input syntax"},
		"a deferred key":          {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"p": is("4")}}, holdfast.Conflict, "violates foreign key"},
		"a trigger that keeps":    {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"n": is("5")}}, holdfast.Precondition, "kept the row"},
		"a trigger that raises":   {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"n": is("6")}}, holdfast.Conflict, "six is not nice"},
		"a computed column":       {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{"d": is("1")}}, holdfast.Invalid, "computed"},
		"no such column":          {rows.Edit{Kind: rows.Update, Table: "t", Old: one, Set: map[string]rows.Value{`n" = 1; --`: is("1")}}, holdfast.Invalid, "has no column"},
		"no such table":           {rows.Edit{Kind: rows.Insert, Table: "nowhere"}, holdfast.NotFound, "there is no table"},
		"no such kind":            {rows.Edit{Kind: "truncate", Table: "t"}, holdfast.Invalid, "insert, update or delete"},
		"without the key":         {rows.Edit{Kind: rows.Delete, Table: "t", Old: map[string]rows.Value{"n": is("1")}}, holdfast.Invalid, `the value that "id" had`},
		"nothing set":             {rows.Edit{Kind: rows.Update, Table: "t", Old: one}, holdfast.Invalid, "nothing is set"},
		"a zero byte":             {rows.Edit{Kind: rows.Insert, Table: "t", Set: map[string]rows.Value{"n": is("a\x00")}}, holdfast.Invalid, "zero byte"},
		"a row that is there yet": {rows.Edit{Kind: rows.Insert, Table: "t", Set: map[string]rows.Value{"id": is("1")}}, holdfast.Conflict, "duplicate key"},
	} {
		_, _, _, err := edit(t, conn, c.edit)
		if holdfast.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, holdfast.KindOf(err), c.kind, c.says)
		}
	}
}
