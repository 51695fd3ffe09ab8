package schema

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestZZSave(t *testing.T) {
	if os.Getenv("ZZ") != "save" {
		t.Skip()
	}
	for _, f := range []string{"from", "to"} {
		db := newDatabase(t, readCase(t, "real", "gitlab", f+".sql"))
		b, err := json.Marshal(read(t, db.conn))
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile("/tmp/schema/"+f+".json", b, 0o644)
		t.Log(len(b))
	}
}
func loadCat(t *testing.T, f string) *Catalog {
	b, err := os.ReadFile("/tmp/schema/" + f + ".json")
	if err != nil {
		t.Fatal(err)
	}
	c := &Catalog{}
	if err := json.Unmarshal(b, c); err != nil {
		t.Fatal(err)
	}
	return c
}
func TestZZPlan(t *testing.T) {
	from, to := loadCat(t, "from"), loadCat(t, "to")
	b := time.Now()
	plan, err := Compute(Input{Baseline: from, Development: to, Production: from, Options: Options{Tombstones: true, Answers: answers(t, []string{"drop:*"})}})
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Log(len(plan.Statements), time.Since(b), m.Sys>>20, m.HeapAlloc>>20)
	os.WriteFile("/tmp/schema/plan.sql", []byte(plan.SQL()), 0o644)
}
