package schema

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestRealHistoriesConverge takes four real projects from an old structure to a newer one and back, with rows in every table that
// takes them.
func TestRealHistoriesConverge(t *testing.T) {
	for _, name := range []string{"supabase-auth", "pagila", "danbooru", "gitlab"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			production := newDatabase(t, readCase(t, "real", name, "from.sql"))
			development := newDatabase(t, readCase(t, "real", name, "to.sql"))
			generateRows(t, production.conn, read(t, production.conn))
			realHistory(t, production, development)
		})
	}
}

func realHistory(t *testing.T, production, development *database) {
	t.Helper()
	opts := Options{Tombstones: true, AllowLossy: true, Answers: answers(t, []string{"drop:*"})}
	plan := unblock(t, production, development, opts)
	before, structure := snapshot(t, production), production.structure(t)
	sums := sumAll(t, production, before, before)
	rows := 0
	for _, s := range sums {
		rows += int(s.Rows)
	}
	begin := time.Now()
	if err := execute(t.Context(), production.conn, plan); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d statements applied in %s to %d tables with %d rows", len(plan.Statements), time.Since(begin), len(sums), rows)
	for i, l := range OracleEqual(dump(t, production.Database), development.structure(t)) {
		if i < 30 {
			t.Errorf("%s", l)
		}
	}
	sameRows(t, production, before, sums)
	begin = time.Now()
	revert(t, production, before, structure, sums)
	t.Logf("and back in %s", time.Since(begin))
}

// unblock plans, and empties the generated tables that stand in the way of development's new constraints.
func unblock(t *testing.T, production, development *database, opts Options) *Plan {
	t.Helper()
	for range 5 {
		begin := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		plan := compute(t, production, development, opts)
		runtime.ReadMemStats(&after)
		t.Logf("%d statements and %d checks planned in %s with the reading, %d MB of memory", len(plan.Statements), len(plan.Checks), time.Since(begin), after.Sys>>20)
		if after.Sys > 500<<20 {
			t.Errorf("planning took %d MB", after.Sys>>20)
		}
		blocked := map[string]bool{}
		for _, f := range findings(t, production, plan) {
			if f.Verdict == Blocks || f.Verdict == Unknown {
				blocked[f.Check.Table.Label()] = true
			}
		}
		if len(blocked) == 0 {
			return plan
		}
		t.Logf("emptying %d tables whose generated rows break new constraints: %.300s", len(blocked), fmt.Sprint(slices.Sorted(maps.Keys(blocked))))
		load(t, production.conn, "SET session_replication_role = replica")
		old := map[Address]Address{}
		for _, r := range plan.Renames {
			old[r.To] = r.From
		}
		for label := range blocked {
			schema, name, _ := strings.Cut(label, ".")
			a := Address{KindTable, schema, name, ""}
			if was, ok := old[a]; ok {
				a = was
			}
			load(t, production.conn, "TRUNCATE "+a.tableName()+" CASCADE")
		}
		removeOrphans(t, production.conn, read(t, production.conn))
	}
	t.Fatal("rows stand in the way however many tables are emptied")
	return nil
}

// sameRows checks that every table which is still there has its rows.
func sameRows(t *testing.T, production *database, before *Catalog, sums map[Address]Sum) {
	t.Helper()
	for a, now := range sumAll(t, production, before, read(t, production.conn)) {
		if now.Rows != sums[a].Rows {
			t.Errorf("%s had %d rows and has %d", a, sums[a].Rows, now.Rows)
		}
	}
}

// generateRows puts a few rows into every table, with different values in every row. Foreign keys are not enforced meanwhile, but
// equal numbers make most of them true. A table whose checks refuse such rows stays empty.
func generateRows(t *testing.T, conn *pgx.Conn, c *Catalog) {
	t.Helper()
	load(t, conn, "SET session_replication_role = replica")
	filled, refused := 0, 0
	columns := partsOf(c, func(k Kind) bool { return k == KindColumn })
	for _, a := range c.Addresses() {
		o := c.Objects[a]
		if a.Kind != KindTable || o.is("partition") {
			continue
		}
		ok := false
		for _, text := range []string{"'v' || g", "'value number ' || g || repeat('x', 30)", "'v' || g || '@example.com'"} {
			if run(t.Context(), conn, insertRows(c, a, columns[[2]string{a.Schema, a.Name}], text)) == nil {
				ok = true
				break
			}
		}
		if ok {
			filled++
		} else {
			refused++
		}
	}
	removeOrphans(t, conn, c)
	load(t, conn, "ANALYZE")
	t.Logf("rows in %d tables; %d take none of the generated ones", filled, refused)
	if filled < refused {
		t.Error("the generator fills too few tables")
	}
}

// removeOrphans deletes rows that break foreign keys, until none does.
func removeOrphans(t *testing.T, conn *pgx.Conn, c *Catalog) {
	t.Helper()
	load(t, conn, "SET session_replication_role = replica")
	for again := true; again; {
		again = false
		for a, o := range c.Objects {
			if a.Kind != KindConstraint || o.attr("type") != "f" || o.is("inherited") {
				continue
			}
			ref := o.list("ref")
			check := Check{Columns: o.list("columns"), RefTable: Address{KindTable, ref[0], ref[1], ""}, RefColumns: o.list("ref_columns")}
			gone, err := conn.Exec(t.Context(), "DELETE FROM "+a.tableName()+" AS t WHERE "+check.orphan())
			if err != nil {
				t.Fatal(err)
			}
			again = again || gone.RowsAffected() > 0
		}
	}
	load(t, conn, "SET session_replication_role = origin")
}

func insertRows(c *Catalog, table Address, columns []*Object, text string) string {
	var names, values []string
	for _, p := range columns {
		if p.attr("generated") != "" {
			continue
		}
		names, values = append(names, quote(p.Sub)), append(values, generated(c, p, text))
	}
	return "INSERT INTO " + table.tableName() + " (" + strings.Join(names, ", ") + ") OVERRIDING SYSTEM VALUE SELECT " + strings.Join(values, ", ") + " FROM generate_series(1, 3) g"
}

// generated is an expression for a value of the column's type in row g.
func generated(c *Catalog, column *Object, text string) string {
	typ := column.attr("type")
	base := typ
	for _, d := range column.Deps {
		if o := c.Objects[d]; o != nil && o.Kind == KindEnum {
			return literal(o.list("labels")[0]) + "::" + strings.TrimSuffix(typ, "[]")
		} else if o != nil && o.Kind == KindDomain {
			base = o.attr("base")
		}
	}
	switch name := stripModifier(base); {
	case strings.HasSuffix(name, "[]"):
		return "'{}'::" + typ
	case name == "smallint", name == "integer", name == "bigint", name == "numeric", name == "real", name == "double precision":
		if column.attr("not_null") != "" || strings.HasSuffix(column.Sub, "_id") {
			return "g::" + typ
		}
		return "(CASE WHEN g > 1 THEN g END)::" + typ
	case name == "boolean":
		return "(g % 2 = 0)"
	case name == "uuid":
		return "md5(g::text)::uuid"
	case name == "json", name == "jsonb":
		return "'{}'::" + typ
	case strings.HasPrefix(name, "timestamp"), name == "date":
		return "('2022-0' || g || '-02')::" + typ
	case strings.HasPrefix(name, "time"):
		return "'12:00'::" + typ
	case name == "interval":
		return "make_interval(days => g)"
	case name == "bytea":
		return "decode(md5(g::text), 'hex')"
	case name == "inet", name == "cidr":
		return "('10.0.0.' || g)::" + typ
	case name == "tsvector":
		return "to_tsvector('simple', 'v' || g)"
	case name == "character varying" && len(modifiers(base)) == 1, name == "character":
		return "left(" + text + ", " + fmt.Sprint(max(1, append(modifiers(base), 1)[0])) + ")"
	case name == "character varying", name == "text", name == "citext", name == "public.citext":
		return "(" + text + ")::" + typ
	}
	return "NULL"
}
