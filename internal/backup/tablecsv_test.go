package backup_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/pgtest"
)

const awkward = `CREATE TABLE awkward (id int PRIMARY KEY, text text, exact numeric, raw bytea, list text[], at timestamptz, doubled int GENERATED ALWAYS AS (id * 2) STORED);
	INSERT INTO awkward VALUES (1, '', 'NaN', '\x00ff', '{a,NULL,"",NULL}', '2026-01-02 03:04:05.678901+02'), (2, NULL, 123456789012345678901234567890.123, NULL, NULL, 'infinity'),
		(3, E'a "quote", a\nline\r\nand \\.', 0, '', '{}', NULL), (4, '\.', NULL, NULL, NULL, NULL), (5, '\N', NULL, NULL, NULL, NULL), (6, E'\ttab \\ "" é €', NULL, NULL, NULL, NULL), (7, E'\r', NULL, NULL, NULL, NULL),
		(8, ' spaces ', NULL, NULL, NULL, NULL), (9, 'NULL', NULL, NULL, NULL, NULL)`

func exported(t *testing.T, db *pgtest.Database, ask backup.TableExport) string {
	t.Helper()
	var out bytes.Buffer
	ask.Database = database(db)
	if _, err := backup.ExportTable(t.Context(), ask, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func imported(t *testing.T, db *pgtest.Database, ask backup.TableImport, file string) backup.TableImported {
	t.Helper()
	ask.Database = database(db)
	done, err := backup.ImportTable(t.Context(), ask, strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestAwkwardValuesOfOneTableComeBackAsTheyWere(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	conn := db.ConnectOwner(t)
	pgtest.Exec(t, conn, awkward+"; CREATE TABLE back (LIKE awkward INCLUDING ALL); CREATE TABLE single (v text); INSERT INTO single VALUES (NULL), (''), ('\\.'), ('x')")
	for _, style := range []backup.CSVStyle{{}, {Delimiter: ";", NoHeader: true}, {Delimiter: `\t`, Encoding: "UTF-16"}} {
		file := exported(t, db, backup.TableExport{Table: "public.awkward", CSVStyle: style})
		if done := imported(t, db, backup.TableImport{Table: "back", CSVStyle: style}, file); done.Rows != 9 {
			t.Errorf("%+v: got %+v", style, done)
		}
		const differing = "SELECT count(*) FROM (SELECT a::text FROM awkward a EXCEPT ALL SELECT b::text FROM back b) d"
		if n := pgtest.Value[int](t, conn, differing); n != 0 {
			t.Errorf("%+v: %d rows differ", style, n)
		}
		pgtest.Exec(t, conn, "TRUNCATE back")
	}
	file := exported(t, db, backup.TableExport{Table: "single"})
	pgtest.Exec(t, conn, "CREATE TABLE single_back (v text)")
	imported(t, db, backup.TableImport{Table: "single_back"}, file)
	if got := pgtest.Value[string](t, conn, `SELECT string_agg(coalesce('<' || v || '>', 'NULL'), ' ' ORDER BY ctid) FROM single_back`); got != `NULL <> <\.> <x>` {
		t.Errorf("got %s from %q", got, file)
	}
	if got := exported(t, db, backup.TableExport{Table: "awkward", Columns: []string{"doubled", "id"}, Where: "id < 3 -- the first"}); got != "doubled,id\n2,1\n4,2\n" {
		t.Errorf("chosen columns gave %q", got)
	}
	latin := backup.CSVStyle{Encoding: "ISO-8859-1"}
	imported(t, db, backup.TableImport{Table: "single_back", CSVStyle: latin}, "v\n\xe9\n")
	if n := pgtest.Value[int](t, conn, "SELECT count(*) FROM single_back WHERE v = 'é'"); n != 1 {
		t.Errorf("Latin 1 came as %d rows", n)
	}
}

func TestAConditionOfAnExportIsNoFurtherStatement(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	conn := db.ConnectOwner(t)
	pgtest.Exec(t, conn, "CREATE TABLE t (a int)")
	for _, where := range []string{"true); DROP TABLE t; SELECT (1", "true)) TO STDOUT; COMMIT; DROP TABLE t; COPY ((SELECT 1", "nonsense", "true) -- "} {
		ask := backup.TableExport{Database: database(db), Table: "t", Where: where}
		if _, err := backup.ExportTable(t.Context(), ask, io.Discard); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%q gave %v", where, err)
		}
	}
	if n := pgtest.Value[int](t, conn, "SELECT count(*) FROM t"); n != 0 {
		t.Error(n)
	}
}

const badFile = "number,Name,amount\n1,one,1.5\n2,\"two\nlines\",x\n3,,3\nbroken \"line,b,c\n4,four\n5,five,5\n1,again,6\n\n7,seven,-1\n8,eight,8\n"

func TestBadRowsAreToldAndTheOthersKept(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	conn := db.ConnectOwner(t)
	pgtest.Exec(t, conn, "CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, amount numeric CHECK (amount > 0))")
	ask := backup.TableImport{Table: "items", Map: map[string]string{"number": "id", "Name": "name"}}
	ask.Database = database(db)
	if _, err := backup.ImportTable(t.Context(), ask, strings.NewReader(badFile)); err == nil || !strings.Contains(err.Error(), "line 3: ") {
		t.Errorf("without a reject file got %v", err)
	}
	if n := pgtest.Value[int](t, conn, "SELECT count(*) FROM items"); n != 0 {
		t.Errorf("%d rows were kept", n)
	}
	var lines []int64
	ask.Reject = func(r backup.RejectedRow) error {
		lines = append(lines, r.Line)
		if r.Line == 6 && (r.Values != nil || r.Text != `broken "line,b,c`) {
			t.Errorf("line 6 is %+v", r)
		}
		if r.Line == 3 && (len(r.Values) != 3 || *r.Values[1] != "two\nlines" || !strings.Contains(r.Reason, "numeric")) {
			t.Errorf("line 3 is %+v", r)
		}
		return nil
	}
	want := backup.TableImported{Rows: 3, Rejected: 6}
	for _, dry := range []bool{true, false} {
		lines, ask.DryRun = nil, dry
		done, err := backup.ImportTable(t.Context(), ask, strings.NewReader(badFile))
		if err != nil || done != want {
			t.Errorf("got %+v, %v", done, err)
		}
		if diff := cmp.Diff([]int64{3, 5, 6, 7, 9, 11}, lines); diff != "" {
			t.Errorf("rejected lines: %s", diff)
		}
		if n := pgtest.Value[int64](t, conn, "SELECT count(*) FROM items"); dry && n != 0 || !dry && n != 3 {
			t.Errorf("dry %v: %d rows", dry, n)
		}
	}
}

// A file of rejected rows has two columns before the table's own; mended, it is imported as it is, and NULL and the empty text stay apart.
func TestAMendedFileOfRejectedRowsIsImportedAsItIs(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	conn := db.ConnectOwner(t)
	pgtest.Exec(t, conn, "CREATE TABLE items (id int PRIMARY KEY, name text, note text)")
	var columns []string
	ask := backup.TableImport{Table: "items", Map: map[string]string{"number": "id", "internal": ""}, Begun: func(names []string) { columns = names }}
	imported(t, db, ask, "note,internal,number,name\n,x,1,\"\"\n")
	if got := strings.Join(columns, " "); got != "note id name" {
		t.Errorf("the file's columns are %q", got)
	}
	const mended = "holdfast_line,holdfast_reason,note,id,name\n2,\"invalid, they say\",,2,\"\"\n\n4,why,\"\",3,\n"
	if done := imported(t, db, backup.TableImport{Table: "items"}, mended); done.Rows != 2 {
		t.Errorf("got %+v", done)
	}
	const all = `SELECT string_agg(id || coalesce('<' || name || '>', 'NULL') || coalesce('<' || note || '>', 'NULL'), ' ' ORDER BY id) FROM items`
	if got := pgtest.Value[string](t, conn, all); got != "1<>NULL 2<>NULL 3NULL<>" {
		t.Errorf("got %s", got)
	}
	ask = backup.TableImport{Database: database(db), Table: "items", Upsert: []string{"id"}, Map: map[string]string{"old": "", "id": ""}}
	if _, err := backup.ImportTable(t.Context(), ask, strings.NewReader("old,id\n1,2\n")); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a file without a column gave %v", err)
	}
}

func TestAnUpsertChangesWhatIsThereAndTheLaterRowCounts(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	conn := db.ConnectOwner(t)
	pgtest.Exec(t, conn, `CREATE TABLE p (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE, price int); INSERT INTO p (code, price) VALUES ('a', 1), ('b', 2);
		CREATE TABLE child (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)`)
	done := imported(t, db, backup.TableImport{Table: "p", Upsert: []string{"code"}}, "code,price\na,10\nc,3\nc,4\n")
	if got := pgtest.Value[string](t, conn, "SELECT string_agg(code || price, ' ' ORDER BY code) FROM p"); got != "a10 b2 c4" || done.Rows != 3 {
		t.Errorf("got %s, %+v", got, done)
	}
	imported(t, db, backup.TableImport{Table: "p", Upsert: []string{"id"}}, "id,code,price\n1,a,11\n01,a,12\n100,z,1\n")
	if got := pgtest.Value[string](t, conn, "INSERT INTO p (code) VALUES ('next') RETURNING id || ' ' || (SELECT price FROM p WHERE id = 1)"); got != "101 12" {
		t.Errorf("the next row is %s", got)
	}
	ask := backup.TableImport{Database: database(db), Table: "p", Upsert: []string{"price"}}
	if _, err := backup.ImportTable(t.Context(), ask, strings.NewReader("code,price\nq,1\n")); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("a key that is none gave %v", err)
	}
	ask = backup.TableImport{Database: database(db), Table: "child"}
	if _, err := backup.ImportTable(t.Context(), ask, strings.NewReader("p\n1\n999\n100\n")); err == nil || !strings.Contains(err.Error(), "line 3: ") {
		t.Errorf("a deferred foreign key gave %v", err)
	}
}

// manyRows is a file of n rows that is never in memory.
func manyRows(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		fmt.Fprintln(w, "id,text")
		for i := range n {
			fmt.Fprintf(w, "%d,\"row %d %s\"\n", i, i, strings.Repeat("x", 200))
		}
		w.Close()
	}()
	return r
}

func TestALargeFileGoesThroughLittleMemory(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	pgtest.Exec(t, db.ConnectOwner(t), "CREATE TABLE many (id int, text text)")
	const rows, limit = 200_000, 32 << 20
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	look := func() { runtime.ReadMemStats(&now); peak = max(peak, now.HeapInuse) }
	in := &meter{r: manyRows(rows), look: look}
	done, err := backup.ImportTable(t.Context(), backup.TableImport{Database: database(db), Table: "many"}, in)
	if err != nil || done.Rows != rows {
		t.Fatalf("got %+v, %v", done, err)
	}
	out := &meter{look: look}
	n, err := backup.ExportTable(t.Context(), backup.TableExport{Database: database(db), Table: "many"}, out)
	if err != nil || n != rows || out.bytes < in.bytes-rows*3 {
		t.Errorf("%d rows and %d bytes of %d came out, %v", n, out.bytes, in.bytes, err)
	}
	if peak > before.HeapInuse+limit {
		t.Errorf("the heap grew by %d MB for a file of %d MB", (peak-before.HeapInuse)>>20, in.bytes>>20)
	}
}

// meter looks once for each megabyte that goes through.
type meter struct {
	r           io.Reader
	look        func()
	bytes, next int64
}

func (w *meter) Read(p []byte) (int, error)  { n, err := w.r.Read(p); w.count(n); return n, err }
func (w *meter) Write(p []byte) (int, error) { w.count(len(p)); return len(p), nil }

func (w *meter) count(n int) {
	if w.bytes += int64(n); w.bytes >= w.next {
		w.look()
		w.next = w.bytes + 1<<20
	}
}
