package history

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

func folder(t *testing.T, name string) Location {
	t.Helper()
	f, err := blob.CreateFolder(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return Location{Name: name, Location: f}
}

// filledServer is a stopped server with about 12 MB in a table.
func filledServer(t *testing.T) (*pgtest.Server, *pgtest.Database) {
	t.Helper()
	pg := pgtest.New(t, pgtest.Parameter("fsync", "on"), pgtest.Parameter("full_page_writes", "on"))
	db := pg.Database(t)
	pgtest.Exec(t, db.ConnectOwner(t), `CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a, repeat(md5(g::text), 3) AS b FROM generate_series(1, 60000) g;
		CREATE INDEX ON t (id); CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 1000)`)
	pgtest.Exec(t, db.Connect(t), "VACUUM (FREEZE)")
	stop(t, pg)
	return pg, db
}

func stop(t *testing.T, pg *pgtest.Server) {
	t.Helper()
	if err := pg.Stop(t.Context(), postgres.Fast); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, pg *pgtest.Server) {
	t.Helper()
	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// backUpCold writes a base backup of a stopped server without an archive around it.
func backUpCold(ctx context.Context, t *testing.T, pg *pgtest.Server, m mirror, scratch string, chain []Base, progress func(done, total int64)) (Base, error) {
	t.Helper()
	src, err := coldSource(t.Context(), pg.Server)
	if err != nil {
		t.Fatal(err)
	}
	o := objects{"b"}
	w := &baseWriter{mirror: m, objects: o, scratch: scratch, progress: progress, packSize: 1 << 20}
	head := journalHead{Version: formatVersion, Base: newID(now()), Lineage: "l"}
	if len(chain) > 0 {
		head.Parent, src.base.Parent, src.base.Depth = chain[0].ID, chain[0].ID, chain[0].Depth+1
		r := &baseReader{mirror: m, objects: o, scratch: scratch}
		if w.parent, err = r.openManifest(t.Context(), chain[0]); err != nil {
			t.Fatal(err)
		}
		defer w.parent.Close()
	}
	j, err := openJournal(filepath.Join(scratch, "journal"), head)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	base, err := w.write(ctx, src, j)
	if err == nil {
		err = j.remove()
	}
	return base, err
}

// restoreBase restores a chain and returns where to.
func restoreBase(t *testing.T, pg *pgtest.Server, m mirror, chain []Base, damage *damageLog) (string, error) {
	t.Helper()
	dir := filepath.Join(pgtest.Dir(t), "restored")
	if err := pg.Account().MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	r := &baseReader{mirror: m, objects: objects{"b"}, scratch: t.TempDir(), account: pg.Account(), damage: damage}
	return dir, r.restore(t.Context(), chain, dir)
}

// tree reads what belongs into a copy of a data directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	listed, err := readDataTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range append(listed.files, dataFile{path: controlFile}) {
		b, err := os.ReadFile(filepath.Join(dir, f.path))
		if err != nil {
			t.Fatal(err)
		}
		found[f.path] = string(b)
	}
	return found
}

func sameTree(t *testing.T, want, got map[string]string) {
	t.Helper()
	for path, content := range want {
		if g, ok := got[path]; !ok || g != content {
			t.Errorf("%s differs or is missing: %d bytes instead of %d", path, len(g), len(content))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is too much", path)
		}
	}
}

func stored(t *testing.T, l Location) (size int64) {
	t.Helper()
	err := filepath.WalkDir(l.Location.(*blob.Folder).Path(), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, err := d.Info()
			if err != nil {
				return err
			}
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestABaseBackupAndItsIncrementsComeBackByteForByte(t *testing.T) {
	pg, db := filledServer(t)
	m, scratch := mirror{folder(t, "one"), folder(t, "two")}, t.TempDir()
	full, err := backUpCold(t.Context(), t, pg, m, scratch, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	chain, size := []Base{full}, stored(t, m[0])
	for i := range 3 {
		start(t, pg)
		owner := db.ConnectOwner(t)
		pgtest.Exec(t, owner, "UPDATE t SET a = 'changed' WHERE id % 1000 = 7")
		pgtest.Exec(t, owner, []string{"CREATE TABLE t2 AS SELECT generate_series(1, 5000)", "TRUNCATE t2; INSERT INTO t2 VALUES (1)", "DROP TABLE t2"}[i])
		stop(t, pg)
		increment, err := backUpCold(t.Context(), t, pg, m, scratch, chain, nil)
		if err != nil {
			t.Fatal(err)
		}
		chain = append([]Base{increment}, chain...)
		grown := stored(t, m[0])
		if added := grown - size; added > size/4 {
			t.Errorf("an increment after a small change took %d bytes where the full backup took %d", added, size)
		}
		size = grown
		dir, err := restoreBase(t, pg, m, chain, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, tree(t, pg.DataDir()), tree(t, dir))
	}
	if stored(t, m[0]) != stored(t, m[1]) {
		t.Error("the two locations differ")
	}
}

func TestAnInterruptedBaseBackupGoesOnWhereItWas(t *testing.T) {
	pg, _ := filledServer(t)
	m, scratch := mirror{folder(t, "one")}, t.TempDir()
	broken := mirror{{Name: "one", Location: &failing{Location: m[0].Location, put: func(name string) error {
		if strings.HasSuffix(name, "pack-000005.zst") {
			return errors.New("the connection was lost")
		}
		return nil
	}}}}
	if _, err := backUpCold(t.Context(), t, pg, broken, scratch, nil, nil); err == nil {
		t.Fatal("the backup went through")
	}
	// A crash can cut the journal's last line off.
	journal, err := os.ReadFile(filepath.Join(scratch, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(journal), "\n") - 1
	if err := os.WriteFile(filepath.Join(scratch, "journal"), append(journal, `{"pack":{"num`...), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	puts := 0
	counting := mirror{{Name: "one", Location: &failing{Location: m[0].Location, put: func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		puts++
		return nil
	}}}}
	base, err := backUpCold(t.Context(), t, pg, counting, scratch, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := len(base.Packs) + 1; lines < 2 || puts > all-lines {
		t.Errorf("%d of %d objects were put again, though %d packs were there", puts, all, lines)
	}
	dir, err := restoreBase(t, pg, m, []Base{base}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, tree(t, pg.DataDir()), tree(t, dir))
}

func TestADamagedObjectIsNamedAndServedFromAnotherLocation(t *testing.T) {
	pg, _ := filledServer(t)
	m := mirror{folder(t, "one"), folder(t, "two")}
	base, err := backUpCold(t.Context(), t, pg, m, t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	packName, manifestName := objects{"b"}.pack(base.ID, 1), objects{"b"}.manifest(base.ID)
	for name, damage := range map[string]func(path string) error{
		"flipped": flipByte, "cut": func(path string) error { return os.Truncate(path, 5000) }, "missing": os.Remove,
	} {
		for _, object := range []string{packName, manifestName} {
			t.Run(name+" "+filepath.Base(object), func(t *testing.T) {
				path := filepath.Join(m[0].Location.(*blob.Folder).Path(), object)
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.WriteFile(path, whole, 0o600); err != nil {
						t.Fatal(err)
					}
				}()
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
				var log damageLog
				dir, err := restoreBase(t, pg, m, []Base{base}, &log)
				if err != nil {
					t.Fatal(err)
				}
				sameTree(t, tree(t, pg.DataDir()), tree(t, dir))
				if seen := log.all(); len(seen) != 1 || seen[0].Location != "one" || seen[0].Object != object {
					t.Errorf("the damage was reported as %v", seen)
				}
				_, err = restoreBase(t, pg, m[:1], []Base{base}, nil)
				want := map[bool]holdfast.Kind{true: holdfast.NotFound, false: holdfast.Corrupt}[name == "missing"]
				if holdfast.KindOf(err) != want || !strings.Contains(err.Error(), object) {
					t.Errorf("a restore from the damaged location alone said %v", err)
				}
			})
		}
	}
}

func flipByte(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 0x40
	return os.WriteFile(path, b, 0o600)
}

func TestABackupNamesThePagesThatAreCorruptOnDisk(t *testing.T) {
	pg, _ := filledServer(t)
	files, err := readDataTree(pg.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	var biggest dataFile
	for _, f := range files.files {
		if f.size > biggest.size {
			biggest = f
		}
	}
	path := filepath.Join(pg.DataDir(), biggest.path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[300*pageSize+4000] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m := mirror{folder(t, "one")}
	base, err := backUpCold(t.Context(), t, pg, m, t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]CorruptPage{{File: biggest.path, Page: 300}}, base.Corrupt); d != "" {
		t.Error(d)
	}
}

// failing is a location whose Put can fail.
type failing struct {
	blob.Location
	put func(name string) error
}

func (f *failing) Put(ctx context.Context, name string, r io.Reader, opts blob.PutOptions) (blob.Info, error) {
	if err := f.put(name); err != nil {
		return blob.Info{}, err
	}
	return f.Location.Put(ctx, name, r, opts)
}
