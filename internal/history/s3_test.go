package history

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// bucket is a bucket on a real S3 server.
type bucket struct {
	*blobtest.S3Server
	t *testing.T
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{blobtest.StartS3(t, blobtest.S3ServerOptions{}), t}
	b.MakeBucket(t, "history")
	return b
}

// location opens the bucket, encrypted with a key as the product does it.
func (b *bucket) location(name string, key blob.Keys) Location {
	b.t.Helper()
	s3, err := blob.OpenS3(b.Options("history"))
	if err != nil {
		b.t.Fatal(err)
	}
	return Location{Name: name, Location: blob.NewRetried(Encrypted(s3, key), blob.Backoff{Tries: 3, First: 10 * time.Millisecond, Most: 50 * time.Millisecond}, "")}
}

func newKeys(t *testing.T) blob.Keys {
	t.Helper()
	recipient, identity, err := blob.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := blob.ParseKeys(recipient, identity)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// The whole way on a bucket, encrypted: base, increment, every moment; the server goes away for a while and nothing is lost; damaged objects are
// served by a second location, and a wrong key is called that.
func TestHistoryInAnEncryptedBucketSurvivesItsOutage(t *testing.T) {
	t.Parallel()
	s3, keys, disk := newBucket(t), newKeys(t), folder(t, "disk")
	remote := s3.location("bucket", keys)
	b := newBranch(t, remote, disk)
	b.attach()
	b.backup(true)
	b.insert() // 1
	atOne := time.Now()
	b.backup(false)
	b.insert() // 2

	s3.Stop()
	for range 3 {
		b.insert()
		b.switchWAL()
	}
	cp, err := b.archive.Checkpoint(t.Context(), CheckpointRequest{Server: b.pg.Server, Label: "in the outage"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Fast: true}); holdfast.KindOf(err) != holdfast.Unavailable {
		t.Errorf("a base backup in the outage: %v", err)
	}
	b.sleep()
	s3.Start()
	b.archive.RetryNow()
	if err := b.archive.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone := elsewhere(t, s3.location("bucket", keys))
	for _, want := range []struct {
		point holdfast.Point
		rows  []int64
	}{{holdfast.Point{At: atOne}, upTo(1)}, {holdfast.Point{Checkpoint: cp.ID}, upTo(5)}} {
		server, err := restorePoint(t, alone, b.pg, want.point, false)
		if err != nil {
			t.Fatalf("%v: %v", want.point, err)
		}
		if got := b.rows(server); !slices.Equal(got, want.rows) {
			t.Errorf("at %v there are the rows %v", want.point, got)
		}
	}
	wrong := s3.location("bucket", newKeys(t))
	if _, err := Scan(t.Context(), []Location{wrong}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("looking at it with another key: %v", err)
	}
	if _, err := elsewhere(t, wrong).Plan(t.Context(), holdfast.Point{}); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("planning with another key: %v", err)
	}
	damageAll(t, filepath.Join(s3.Dir, "data", "history"))
	both := elsewhere(t, s3.location("bucket", keys), disk)
	plan, err := both.Plan(t.Context(), holdfast.Point{})
	if err != nil {
		t.Fatal(err)
	}
	server := postgres.New(postgres.Config{Installation: b.pg.Installation(), Account: b.pg.Account(), DataDir: filepath.Join(pgtest.Dir(t), "data"), LogFile: filepath.Join(pgtest.Dir(t), "log")})
	restored, err := both.Restore(t.Context(), RestoreRequest{Plan: plan, Server: server, Parameters: testParameters})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.rows(server); !slices.Equal(got, upTo(5)) || len(restored.Damages) == 0 {
		t.Errorf("there are the rows %v, and the damages are %v", got, restored.Damages)
	}
	for _, d := range restored.Damages {
		if d.Location != "bucket" {
			t.Errorf("damage at %s", d.Location)
		}
	}
	if _, err := restorePoint(t, elsewhere(t, s3.location("bucket", keys)), b.pg, holdfast.Point{}, false); err == nil {
		t.Error("a restore from the damaged bucket alone went through")
	}
}

// damageAll flips a byte in one pack, cuts the next, and removes a third; WAL segments in the same way.
func damageAll(t *testing.T, dir string) {
	t.Helper()
	harms := []func(string) error{flipByte, func(p string) error { return os.Truncate(p, 300) }, os.Remove}
	n := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".zst") {
			return err
		}
		n++
		return harms[n%len(harms)](path)
	})
	if err != nil || n < 4 {
		t.Fatalf("%d objects were damaged, %v", n, err)
	}
}

func (b *branch) switchWAL() {
	b.t.Helper()
	conn, err := b.pg.Connect(b.t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close(b.t.Context())
	pgtest.Exec(b.t, conn, "SELECT pg_switch_wal()")
}
