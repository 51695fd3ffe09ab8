package schema

import (
	"runtime"
	"testing"
	"time"
)

func TestReadingALargeCatalogueIsQuick(t *testing.T) {
	script := readCase(t, "real", "gitlab", "to.sql")
	db := schemaServer(t).Database(t)
	conn := db.Connect(t)
	createRoles(t, conn)
	load(t, conn, script)
	begin := time.Now()
	c := read(t, conn)
	took := time.Since(begin)
	counts := map[Kind]int{}
	for a := range c.Objects {
		counts[a.Kind]++
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("read %d objects in %s, heap %d MB: %v", len(c.Objects), took, m.HeapAlloc>>20, counts)
	if counts[KindTable] < 1400 {
		t.Errorf("found %d tables", counts[KindTable])
	}
	if took > 20*time.Second {
		t.Errorf("reading took %s", took)
	}
}
