package platform

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestATableOfProductionIsImportedByAnAdminAfterACheckpoint(t *testing.T) {
	p := newHome(t).open(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	pgtest.Exec(t, asOwner(t, p, production), shopTables)
	writer := holdfast.Principal{Name: "writer", Kind: holdfast.UserToken, ProjectID: projectID(t, p, "shop"), Right: holdfast.MayWrite}
	ask := TableImport{Table: "public.customers"}
	const file = "id,name\n11,eleven\n1,taken\n"
	if _, err := p.ImportTable(t.Context(), writer, production, ask, strings.NewReader(file), nil); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a writer got %v", err)
	}
	if _, err := p.ImportTable(t.Context(), admin, production, ask, strings.NewReader(file), nil); err == nil || !strings.Contains(err.Error(), "line 3: ") {
		t.Errorf("a bad row gave %v", err)
	}
	var rejected []RejectedRow
	done, err := p.ImportTable(t.Context(), admin, production, ask, strings.NewReader(file), func(r RejectedRow) error { rejected = append(rejected, r); return nil })
	if err != nil || done.Rows != 1 || len(rejected) != 1 || rejected[0].Line != 3 || *rejected[0].Values[1] != "taken" {
		t.Errorf("got %+v, %+v, %v", done, rejected, err)
	}
	var out bytes.Buffer
	if n, err := p.ExportTable(t.Context(), admin, production, TableExport{Table: "customers", Where: "id > 9"}, &out); err != nil || n != 2 || out.String() != "id,name\n10,customer 10\n11,eleven\n" {
		t.Errorf("%d rows came: %q, %v", n, out.String(), err)
	}
	if _, err := p.ExportTable(t.Context(), writer, production, TableExport{Table: "customers"}, &out); holdfast.KindOf(err) != holdfast.NotAllowed {
		t.Errorf("a writer reads production: %v", err)
	}
}

// adopted sends a dump and waits for its job.
func adopted(t *testing.T, p *Platform, name, file string) (BackupView, error) {
	t.Helper()
	b, job, err := p.AdoptBackup(t.Context(), admin, AdoptBackup{Branch: ref(t, "shop/development"), Name: name, Size: int64(len(file)), File: strings.NewReader(file)})
	if err != nil {
		return b, err
	}
	if b.State != holdfast.BackupInProgress || b.ID == "" || b.Name == "" {
		t.Errorf("at first it is %+v", b)
	}
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		return b, err
	}
	return p.Backup(t.Context(), admin, string(b.ID))
}

func TestADumpMadeElsewhereIsAdoptedWholeOrNotAtAll(t *testing.T) {
	h := newHome(t)
	p := h.open(t)
	create(t, p, NewProject{Name: "shop"})
	pgtest.Exec(t, asOwner(t, p, ref(t, "shop/development")), shopTables)
	made := makeBackup(t, p, "shop/development", holdfast.BackupOptions{Format: holdfast.CustomFormat})
	whole, err := os.ReadFile(filepath.Join(h.repository, "backups", string(projectID(t, p, "shop")), made.Name, "dump.pgdump"))
	if err != nil {
		t.Fatal(err)
	}
	for what, bytes := range map[string][]byte{"a cut dump": whole[:len(whole)-100], "something else": []byte("GIF89a, say"), "nothing": nil} {
		b, err := adopted(t, p, "", string(bytes))
		if k := holdfast.KindOf(err); k != holdfast.Corrupt && k != holdfast.Invalid {
			t.Errorf("%s was adopted as %+v, %v", what, b, err)
		}
	}
	if all, err := p.Backups(t.Context(), admin, "shop", ""); err != nil || len(all) != 1 {
		t.Errorf("what was refused is listed: %+v, %v", all, err)
	}
	b, err := adopted(t, p, "from_elsewhere", string(whole))
	if err != nil || b.State != holdfast.BackupCompleted || b.SHA256 != made.SHA256 || b.Options.Format != holdfast.CustomFormat {
		t.Fatalf("got %+v, %v", b, err)
	}
	if page, err := p.PreviewBackup(t.Context(), admin, "from_elsewhere", "customers", 0, 5); err != nil || len(page.Rows) != 5 {
		t.Errorf("its rows are %+v, %v", page, err)
	}
	if all, err := p.Backups(t.Context(), admin, "shop", "development"); err != nil || len(all) != 2 {
		t.Errorf("the list is %+v, %v", all, err)
	}
	if left, err := filepath.Glob(filepath.Join(p.tools.Scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}

	// A control plane that ends takes it up again at its next start, and removes what came half.
	half := filepath.Join(p.tools.Scratch, adoptedPrefix+"half")
	if err := os.WriteFile(half, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	again, job, err := p.AdoptBackup(t.Context(), admin, AdoptBackup{Branch: ref(t, "shop/development"), File: bytes.NewReader(whole)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = h.open(t)
	if _, err := p.jobs.wait(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if b, err := p.Backup(t.Context(), admin, string(again.ID)); err != nil || b.State != holdfast.BackupCompleted || b.SHA256 != made.SHA256 {
		t.Errorf("got %+v, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(p.tools.Scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}
