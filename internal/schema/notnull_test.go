package schema

import (
	"testing"

	"github.com/holdfast/holdfast/internal/pgtest"
)

// From version 18 on NOT NULL is a constraint with a name. The server makes it of the table's and the column's name, and keeps it when
// these change; a plan that renamed a column once left the old name behind, and the next plan was not empty.
func TestNotNullConstraintsHaveTheNamesThatDevelopmentGivesThem(t *testing.T) {
	if pgtest.Installation(t).Major < 18 {
		t.Skip("needs PostgreSQL 18: before, NOT NULL has no name")
	}
	for name, c := range map[string]struct {
		production, development string
		answers                 []string
	}{
		"a renamed column": {"CREATE TABLE t (id int PRIMARY KEY, fullname text NOT NULL)", "CREATE TABLE t (id int PRIMARY KEY, display_name text NOT NULL)",
			[]string{"rename:t.fullname=display_name"}},
		"a renamed column that keeps the name": {"CREATE TABLE t (id int PRIMARY KEY, fullname text NOT NULL)",
			"CREATE TABLE t (id int PRIMARY KEY, fullname text NOT NULL); ALTER TABLE t RENAME fullname TO display_name", []string{"rename:t.fullname=display_name"}},
		"a renamed column whose name was the new one": {"CREATE TABLE t (id int PRIMARY KEY, fullname text CONSTRAINT t_display_name_not_null NOT NULL)",
			"CREATE TABLE t (id int PRIMARY KEY, display_name text NOT NULL)", []string{"rename:t.fullname=display_name"}},
		"a name of one's own":           {"CREATE TABLE t (a int NOT NULL)", "CREATE TABLE t (a int CONSTRAINT must NOT NULL)", nil},
		"the usual name again":          {"CREATE TABLE t (a int CONSTRAINT must NOT NULL)", "CREATE TABLE t (a int NOT NULL)", nil},
		"unchecked, usual name":         {"CREATE TABLE t (a int)", "CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT t_a_not_null NOT NULL a NOT VALID", nil},
		"checked afterwards":            {"CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT t_a_not_null NOT NULL a NOT VALID", "CREATE TABLE t (a int NOT NULL)", nil},
		"not for tables below it":       {"CREATE TABLE t (a int)", "CREATE TABLE t (a int NOT NULL NO INHERIT)", nil},
		"no longer for tables below it": {"CREATE TABLE t (a int NOT NULL)", "CREATE TABLE t (a int NOT NULL NO INHERIT)", nil},
		"for tables below it too":       {"CREATE TABLE t (a int NOT NULL NO INHERIT)", "CREATE TABLE t (a int NOT NULL)", nil},
	} {
		t.Run(name, func(t *testing.T) {
			production, development := newDatabase(t, c.production), newDatabase(t, c.development)
			plan := compute(t, production, development, Options{Tombstones: true, Answers: answers(t, c.answers)})
			converge(t, production, development, plan)
		})
	}
}
