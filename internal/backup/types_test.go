package backup_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// valuesOfTypes are values of every type of PostgreSQL itself that a column can have, as SQL. A server that has another one fails the test.
func valuesOfTypes(superuser string) map[string][]string {
	texts := func(values ...string) (out []string) {
		for _, v := range values {
			out = append(out, holdfast.QuoteLiteral(v))
		}
		return out
	}
	role := holdfast.QuoteLiteral(superuser)
	return map[string][]string{
		"bool": texts("true", "false"), "bytea": texts(`\x`, `\x00ff5c27`), "char": texts("a", ""), "name": texts("a \"name\"", ""), "int8": texts("9223372036854775807", "-9223372036854775808"),
		"int2": texts("32767", "-32768"), "int2vector": texts("1 -2 3", ""), "int4": texts("2147483647", "-2147483648"), "regproc": texts("now", "pg_catalog.version"), "text": texts("", "\\N", "a\tb\nc\\.\r\\", "ü💩"),
		"oid": texts("0", "4294967295"), "tid": texts("(0,0)", "(4294967295,65535)"), "xid": texts("0", "4294967295"), "cid": texts("0", "4294967295"), "oidvector": texts("1 4294967295", ""),
		"json": texts(`{"a": 1, "a":  1.00, "n": null}`, "null", "123456789012345678901234567890"), "xml": texts("<a>text &amp; more</a>", "<a/><b/>"), "xid8": texts("0", "18446744073709551615"), "point": texts("(1.5,-2)", "(NaN,Infinity)"),
		"lseg": texts("[(0,0),(1,1e300)]"), "path": texts("((0,0),(1,1))", "[(0,0),(1,1)]"), "box": texts("(1,1),(0,0)"), "polygon": texts("((0,0),(1,1),(2,0))"), "line": texts("{1,-2,3}"),
		"float4": texts("NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e+38"), "float8": texts("NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e+308", "0.1"),
		"circle": texts("<(1,2),3>"), "money": texts("92233720368547758.07", "-0.01"), "macaddr": texts("08:00:2b:01:02:03"), "inet": texts("192.168.1.5/24", "::1", "::ffff:1.2.3.4/128"), "cidr": texts("10.0.0.0/8", "2001:db8::/32"),
		"macaddr8": texts("08:00:2b:01:02:03:04:05"), "aclitem": {"'=r/'||" + role, role + "||'=r*w/'||" + role}, "bpchar": texts("a  ", ""), "varchar": texts("", " "), "date": texts("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"),
		"time": texts("00:00:00", "24:00:00", "12:34:56.789012"), "timestamp": texts("infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999"), "timestamptz": texts("infinity", "-infinity", "2026-02-03 04:05:06.789+05:30", "0044-03-15 12:00:00+00 BC"),
		"interval": texts("1 year -2 days 03:04:05.678901", "-178000000 years", "0"), "timetz": texts("00:00:00+15:59", "24:00:00-15:59"), "bit": texts("0", "1"), "varbit": texts("", "0101"), "refcursor": texts("a cursor", ""),
		"numeric":      texts("NaN", "Infinity", "-Infinity", "0.00", "-0.10", "1e1000", "123456789012345678901234567890.123456789012345678901234567890"),
		"regprocedure": texts("abs(integer)"), "regoper": texts("||/"), "regoperator": texts("+(integer,integer)", "!!(NONE,tsquery)"), "regclass": texts("pg_class"), "regtype": texts("timestamp with time zone[]"),
		"regrole": {role}, "regnamespace": texts("pg_catalog"), "regconfig": texts("english"), "regdictionary": texts("simple"), "regcollation": texts(`"C"`), "regdatabase": texts("template1"),
		"uuid": texts("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "pg_lsn": texts("0/0", "FFFFFFFF/FFFFFFFF"), "tsvector": texts("'a ''b':1A,2 c:3", ""), "tsquery": texts("'a' & !'b' <-> 'c':*A", ""),
		"jsonb": texts(`{"b": 1, "a": [1.0, 1e400, null, "\u00fc"]}`, "null", "123456789012345678901234567890.10"), "jsonpath": texts(`strict $."a b"[*]?(@ > 1 && @.c like_regex "^x")`),
		"txid_snapshot": texts("10:20:10,14,15"), "pg_snapshot": texts("10:20:10,14,15", "1:1:"),
		"int4range": texts("empty", "[1,5)", "(,)"), "int8range": texts("empty", "[1,9223372036854775807)"), "numrange": texts("empty", "(1.10,2.20]", "[NaN,)"), "tsrange": texts(`["2026-01-01 00:00:00",infinity]`),
		"tstzrange": texts(`(,"2026-01-01 00:00:00+00")`), "daterange": texts("[2026-01-01,2026-02-01)"), "int4multirange": texts("{}", "{[1,3),[5,7)}"), "int8multirange": texts("{[1,3)}"), "nummultirange": texts("{(1.1,2.2]}", "{}"),
		"tsmultirange": texts(`{["2026-01-01 00:00:00","2026-01-02 00:00:00")}`), "tstzmultirange": texts(`{(,"2026-01-01 00:00:00+00"),("2027-01-01 00:00:00+00",)}`), "datemultirange": texts("{[2026-01-01,2026-02-01)}"),
	}
}

// unwritable are types whose values only the server makes: their input functions refuse everything.
var unwritable = []string{"pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "gtsvector"}

func TestEveryBuiltInTypeComesBack(t *testing.T) {
	server := pgtest.Start(t)
	from := server.Database(t)
	conn := from.Connect(t)
	values := valuesOfTypes(pgtest.Value[string](t, conn, "SELECT current_user"))
	if pgtest.Value[int](t, conn, "SELECT current_setting('server_version_num')::int / 10000") >= 17 {
		values["interval"] = append(values["interval"], "'infinity'", "'-infinity'")
	}
	types := strings.Fields(pgtest.Value[string](t, conn, `SELECT string_agg(t.typname, ' ' ORDER BY t.typname) FROM pg_catalog.pg_type t
		WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'd', 'e', 'r', 'm') AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)`))
	for _, name := range types {
		if len(values[name]) == 0 && !slices.Contains(unwritable, name) {
			t.Errorf("the server has a type %s of which no value is tried", name)
		}
	}
	var script strings.Builder
	script.WriteString("CREATE TABLE rows_of_types (type text, n int, PRIMARY KEY (type, n));")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(types, name) {
			continue // a newer server's
		}
		table, kind := holdfast.QuoteIdentifier("t_"+name), "pg_catalog."+holdfast.QuoteIdentifier(name)
		fmt.Fprintf(&script, "CREATE TABLE %s (n serial PRIMARY KEY, one %s, many %s[]);\n", table, kind, kind)
		var all []string
		for _, v := range values[name] {
			cast := "(" + v + ")::text::" + kind
			all = append(all, cast)
			fmt.Fprintf(&script, "INSERT INTO %s (one, many) VALUES (%s, ARRAY[%s, NULL]::%s[]);\n", table, cast, cast, kind)
		}
		fmt.Fprintf(&script, "INSERT INTO %s (one, many) VALUES (NULL, '{}'), (NULL, NULL), (NULL, ARRAY[%s]::%s[]);\n", table, strings.Join(all, ", "), kind)
	}
	run(t, from, script.String())
	want := checksums(t, from)
	if len(want) < 60 {
		t.Fatalf("%d tables", len(want))
	}
	for _, format := range holdfast.BackupFormats() {
		d, _ := destination(t, "folder")
		b := dump(t, from, holdfast.BackupOptions{Format: format}, d)
		to := server.Database(t)
		if _, err := restore(t, d, b, backup.RestoreRequest{Target: database(to)}); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if d := cmp.Diff(want, checksums(t, to)); d != "" {
			t.Errorf("%s: rows are others (-were +are):\n%s", format, d)
		}
	}
}

// The whole way of a backup, where the server is newer than every pg_dump of this machine.
func TestABackupOfAServerThatIsTooNewSaysWhatToInstall(t *testing.T) {
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer)`)
	conn := from.Connect(t)
	major := pgtest.Value[int](t, conn, "SELECT current_setting('server_version_num')::int / 10000")
	old := tools(t)
	old.Directories = nil
	if _, err := backup.ProgramFor(t.Context(), old, "pg_dump", major); err == nil {
		t.Skipf("this machine has a pg_dump for PostgreSQL %d where every program is looked for, so none is too old", major)
	}
	for _, format := range []holdfast.BackupFormat{holdfast.PlainFormat, holdfast.CustomFormat, holdfast.DirectoryFormat, holdfast.JSONFormat, holdfast.CSVFormat} {
		d, dir := destination(t, "folder")
		b, err := old.Dump(t.Context(), request(from, holdfast.BackupOptions{Format: format}, d))
		if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(b.FailureHint, fmt.Sprintf("postgresql-client-%d", major)) {
			t.Errorf("%s: got %+v, %v", format, b, err)
		}
		failedCleanly(t, b, err, old.Scratch, dir)
	}
}
