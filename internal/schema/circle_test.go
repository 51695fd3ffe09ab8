package schema

import "testing"

const referEachOther = `CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT to_a REFERENCES a, b int REFERENCES b);
	ALTER TABLE a ADD CONSTRAINT to_b FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;`

// Tables that reference each other can go only when a key between them went before: the plan once said that it was a circle.
func TestTablesThatReferenceEachOtherAreDroppedForGood(t *testing.T) {
	production := newDatabase(t, referEachOther+"CREATE TABLE c (id int PRIMARY KEY REFERENCES a);")
	development := newDatabase(t, "")
	plan := compute(t, production, development, Options{})
	if err := execute(t.Context(), production.conn, plan); err != nil {
		t.Fatalf("%v\n%s", err, plan.SQL())
	}
	if left := OracleEqual(dump(t, production.Database), development.structure(t)); len(left) > 0 {
		t.Errorf("leftovers: %v\n%s", left, plan.SQL())
	}
}

// A logged table cannot reference one that is not, in no direction of a circle.
func TestTablesThatReferenceEachOtherChangeWhetherTheyAreLogged(t *testing.T) {
	rows := "INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1, 1); UPDATE a SET b = 1;"
	logged, unlogged := referEachOther, "SET search_path = public; "+referEachOther+`ALTER TABLE a DROP CONSTRAINT to_b; ALTER TABLE b SET UNLOGGED; ALTER TABLE a SET UNLOGGED;
		ALTER TABLE a ADD CONSTRAINT to_b FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;`
	for name, way := range map[string][2]string{"to unlogged": {logged, unlogged}, "to logged": {unlogged, logged}} {
		t.Run(name, func(t *testing.T) {
			production, development := newDatabase(t, way[0]), newDatabase(t, way[1])
			load(t, production.conn, rows)
			converge(t, production, development, compute(t, production, development, Options{Tombstones: true}))
		})
	}
}
