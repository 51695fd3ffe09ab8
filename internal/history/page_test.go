package history

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestPageChecksumsAgreeWithPostgreSQL(t *testing.T) {
	pg := pgtest.New(t)
	db := pg.Database(t)
	pgtest.Exec(t, db.ConnectOwner(t), "CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g; CREATE INDEX ON t (md5)")
	pgtest.Exec(t, db.Connect(t), "CHECKPOINT")
	relation := regexp.MustCompile(`^\d+(_\w+)?(?:\.(\d+))?$`)
	pages, missed := 0, 0
	err := filepath.WalkDir(filepath.Join(pg.DataDir(), "base"), func(path string, d fs.DirEntry, err error) error {
		m := relation.FindStringSubmatch(d.Name())
		if err != nil || d.IsDir() || m == nil {
			return err
		}
		segment, _ := strconv.Atoi("0" + m[2])
		b, err := os.ReadFile(path)
		for i := 0; err == nil && (i+1)*pageSize <= len(b); i++ {
			page, block := b[i*pageSize:(i+1)*pageSize], uint32(segment*pagesPerSegment+i)
			if !pageIsSound(page, block) {
				t.Errorf("%s: page %d is called unsound", path, i)
			}
			if isZero(page) {
				continue
			}
			pages++
			for _, at := range []int{0, 8, 100, 4000, pageSize - 1} {
				page[at] ^= 0x10
				if pageIsSound(page, block) {
					missed++
				}
				page[at] ^= 0x10
			}
		}
		return err
	})
	if err != nil || pages < 1000 {
		t.Fatalf("%d pages were checked: %v", pages, err)
	}
	if missed*1000 > pages { // a checksum has 16 bits: one change in 65535 goes unnoticed
		t.Errorf("%d of %d flipped bits were not noticed", missed, 5*pages)
	}
}

func BenchmarkPageChecksum(b *testing.B) {
	page := make([]byte, pageSize)
	for i := range page {
		page[i] = byte(i * 7)
	}
	b.SetBytes(pageSize)
	for b.Loop() {
		pageChecksum(page, 7)
	}
}
