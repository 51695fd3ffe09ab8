package schema

import (
	"fmt"
	"strings"
	"testing"
)

func TestLintNamesTheHazardsOfAScript(t *testing.T) {
	for script, want := range map[string]string{
		"CREATE TABLE t (a int); CREATE INDEX ON t (a); ALTER TABLE t ADD CHECK (a > 0);":                                           "",
		"SET lock_timeout = '1s'; CREATE INDEX i ON public.t (a);":                                                                  "1 locking",
		"SET lock_timeout = '1s'; CREATE UNIQUE INDEX i ON t (a);":                                                                  "1 locking, 1 blocked by data",
		"CREATE INDEX CONCURRENTLY i ON t (a);":                                                                                     "",
		"BEGIN; CREATE INDEX CONCURRENTLY i ON t (a); COMMIT;":                                                                      "1 refused by the server",
		"-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);\n-- +goose Down\nDROP TABLE t;":                                        "2 refused by the server",
		"-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);":                                             "",
		"ALTER TABLE t\n  ADD a int;":                                                                                               "1 locking",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD a int DEFAULT 5 NOT NULL":                                                       "",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD a text DEFAULT 'DROP TABLE x; --'":                                              "",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid() NOT NULL":                                      "1 rewrites",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD a int NOT NULL":                                                                 "1 blocked by data, 1 breaks running code",
		"SET lock_timeout = '1s';\nALTER TABLE t ADD b bigserial, DROP COLUMN a":                                                    "2 rewrites, 2 lossy, 2 breaks running code",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u":                                      "1 locking, 1 blocked by data",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u NOT VALID":                            "",
		"SET lock_timeout = '1s'; BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (a>0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c": "1 locking",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD PRIMARY KEY (a)":                                                                "1 locking, 1 blocked by data",
		"SET lock_timeout = '1s'; ALTER TABLE t ADD PRIMARY KEY USING INDEX i":                                                      "",
		"SET lock_timeout = '1s'; ALTER TABLE t ALTER a TYPE int USING a::int":                                                      "1 rewrites, 1 lossy",
		"SET lock_timeout = '1s'; ALTER TABLE t ALTER COLUMN a SET NOT NULL":                                                        "1 locking, 1 blocked by data",
		"SET lock_timeout = '1s'; ALTER TABLE t RENAME a TO b":                                                                      "1 breaks running code",
		"SET lock_timeout = '1s'; BEGIN; ALTER TABLE t DROP CONSTRAINT x; ALTER TABLE u DROP CONSTRAINT y; COMMIT":                  "1 locking",
		"SET lock_timeout = '1s'; DROP TABLE t CASCADE":                                                                             "1 lossy, 1 breaks running code",
		"SET lock_timeout = '1s'; TRUNCATE t":                                                                                       "1 lossy",
		"\n\nUPDATE t SET a = 1;":                                                                                                   "3 locking",
		"UPDATE t SET a = 1 WHERE id < 5; DELETE FROM t WHERE a = 2":                                                                "",
		"\\connect x\nDELETE FROM t":                                                                                                "2 lossy, 2 locking",
		"BEGIN; ALTER TYPE e ADD VALUE 'x'; COMMIT;":                                                                                "1 refused by the server",
		"REFRESH MATERIALIZED VIEW m; REFRESH MATERIALIZED VIEW CONCURRENTLY m":                                                     "1 locking",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DELETE FROM t; SELECT 1 $$;\nDROP FUNCTION g()":                         "2 breaks running code",
	} {
		t.Run(script, func(t *testing.T) {
			var got []string
			for _, f := range Lint(script) {
				got = append(got, fmt.Sprintf("%d %s", f.Line, f.Class))
				if f.Why == "" || f.Statement == "" {
					t.Errorf("it says nothing: %+v", f)
				}
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("found %q, want %q", strings.Join(got, ", "), want)
			}
		})
	}
}

func FuzzLintEndsOnAnything(f *testing.F) {
	f.Add("ALTER TABLE ONLY a.b ADD COLUMN c int DEFAULT (1")
	f.Add("CREATE; DROP; ALTER TABLE; ALTER TABLE t ADD; ALTER TABLE t ALTER; UPDATE; CREATE TRIGGER; LOCK; CREATE UNIQUE INDEX")
	f.Fuzz(func(_ *testing.T, script string) { Lint(script) })
}
