package schema

import (
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestARelationIsReadWithAllThatBelongsToIt(t *testing.T) {
	server := schemaServer(t)
	conn := server.Database(t).Connect(t)
	pgtest.Exec(t, conn, "SET search_path = pg_catalog") // what is found must not depend on it
	pgtest.Exec(t, conn, `CREATE SCHEMA "Sales";
		CREATE TABLE public.people (id int PRIMARY KEY);
		CREATE TABLE "Sales"."Or""ders" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who int NOT NULL REFERENCES public.people, total numeric(12,2) DEFAULT 0.00,
			twice numeric GENERATED ALWAYS AS (total * 2) STORED, CONSTRAINT positive CHECK (total >= 0));
		COMMENT ON COLUMN "Sales"."Or""ders".total IS 'with tax';
		COMMENT ON TABLE "Sales"."Or""ders" IS 'what was bought';
		CREATE INDEX by_who ON "Sales"."Or""ders" (who) WHERE total > 0;
		CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER touched BEFORE UPDATE ON "Sales"."Or""ders" FOR EACH ROW EXECUTE FUNCTION public.touch();
		ALTER TABLE "Sales"."Or""ders" DISABLE TRIGGER touched;
		ALTER TABLE "Sales"."Or""ders" ENABLE ROW LEVEL SECURITY;
		CREATE POLICY mine ON "Sales"."Or""ders" AS RESTRICTIVE FOR UPDATE USING (who = 1) WITH CHECK (who = 2);
		CREATE VIEW public.seen AS SELECT id FROM public.people;
		CREATE TABLE public.parts (at date, id int) PARTITION BY RANGE (at);
		CREATE TABLE public.part_one PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
		CREATE SCHEMA `+HiddenPrefix+`_x; CREATE TABLE `+HiddenPrefix+`_x.ours (id int)`)

	all, err := Relations(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.SQL()+" "+r.Kind)
	}
	want := []string{`"Sales"."Or""ders" table`, `"public"."part_one" table`, `"public"."parts" partitioned table`, `"public"."people" table`, `"public"."seen" view`}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("the relations are %q, want %q", names, want)
	}

	got, err := Relate(t.Context(), conn, `"Sales"."Or""ders"`)
	if err != nil {
		t.Fatal(err)
	}
	if got.Comment != "what was bought" || !got.RowSecurity || got.ForceRowSecurity || got.Rows != -1 || got.Bytes == 0 || got.ColumnCount != 4 {
		t.Errorf("it is %+v", got.Relation)
	}
	columns := []RelationColumn{{Name: "id", Type: "bigint", Required: true, Identity: "always"}, {Name: "who", Type: "integer", Required: true},
		{Name: "total", Type: "numeric(12,2)", Default: "0.00", Comment: "with tax"}, {Name: "twice", Type: "numeric", Default: "(total * (2)::numeric)", Generated: "stored"}}
	if !reflect.DeepEqual(got.Columns, columns) {
		t.Errorf("its columns are %+v, want %+v", got.Columns, columns)
	}
	table := `"Sales"."Or""ders"`
	constraints := []RelationConstraint{{Name: `Or"ders_pkey`, Kind: "primary key", Definition: "PRIMARY KEY (id)", Table: table, Valid: true},
		{Name: `Or"ders_who_fkey`, Kind: "foreign key", Definition: "FOREIGN KEY (who) REFERENCES public.people(id)", Table: table, Valid: true},
		{Name: "positive", Kind: "check", Definition: "CHECK ((total >= (0)::numeric))", Table: table, Valid: true}}
	if !reflect.DeepEqual(got.Constraints, constraints) {
		t.Errorf("its constraints are %+v, want %+v", got.Constraints, constraints)
	}
	if len(got.Indexes) != 2 || !got.Indexes[0].Constraint || got.Indexes[1].Name != "by_who" || got.Indexes[1].Constraint || !strings.HasSuffix(got.Indexes[1].Definition, "WHERE (total > (0)::numeric)") {
		t.Errorf("its indexes are %+v", got.Indexes)
	}
	if len(got.Triggers) != 1 || got.Triggers[0].Enabled != "disabled" || !strings.Contains(got.Triggers[0].Definition, "public.touch()") {
		t.Errorf("its triggers are %+v", got.Triggers)
	}
	policies := []RelationPolicy{{Name: "mine", Command: "update", Roles: []string{"public"}, Using: "(who = 1)", Check: "(who = 2)"}}
	if !reflect.DeepEqual(got.Policies, policies) {
		t.Errorf("its policies are %+v, want %+v", got.Policies, policies)
	}

	if people, err := Relate(t.Context(), conn, "people"); err != nil || len(people.ReferencedBy) != 1 || people.ReferencedBy[0].Table != table {
		t.Errorf("people are referenced by %+v, %v", people.ReferencedBy, err)
	}
	if view, err := Relate(t.Context(), conn, "seen"); err != nil || !strings.Contains(view.Definition, "FROM public.people") {
		t.Errorf("the view is %q, %v", view.Definition, err)
	}
	if part, err := Relate(t.Context(), conn, "part_one"); err != nil || part.PartitionOf != "public.parts" || !strings.HasPrefix(part.PartitionBound, "FOR VALUES FROM") {
		t.Errorf("the partition is %+v, %v", part, err)
	}
	for _, name := range []string{"nothing", HiddenPrefix + "_x.ours", "pg_catalog.pg_class", "by_who", `"unclosed`, ""} {
		if _, err := Relate(t.Context(), conn, name); holdfast.KindOf(err) != holdfast.NotFound {
			t.Errorf("%q is answered with %v", name, err)
		}
	}
}
