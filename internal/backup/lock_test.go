package backup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/backup"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
	"github.com/holdfast/holdfast/internal/pgtest"
)

func TestABackupUnderObjectLockCannotBeDestroyed(t *testing.T) {
	server := blobtest.StartS3(t, blobtest.S3ServerOptions{Versions: true})
	if err := server.Client.MakeBucket(t.Context(), "vault", minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	server.MakeBucket(t, "plain")
	open := func(bucket string) backup.Destination {
		t.Helper()
		l, err := blob.OpenS3(server.Options(bucket))
		if err != nil {
			t.Fatal(err)
		}
		return backup.Destination{Name: bucket, Catalogue: backup.NewCatalogue(l, "backups"), LockFor: 48 * time.Hour}
	}
	from := pgtest.Start(t).Database(t)
	run(t, from, `CREATE TABLE t (a integer); INSERT INTO t SELECT generate_series(1, 1000)`)
	vault := open("vault")
	b := dump(t, from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, vault)
	if place, until := b.LockedAt(time.Now()); place != "vault" || time.Until(until) < 47*time.Hour {
		t.Errorf("it is locked at %q until %s", place, until)
	}
	thief := func() (destroyed int) {
		t.Helper()
		for o := range server.Client.Client.ListObjects(t.Context(), "vault", minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			if !strings.HasSuffix(o.Key, b.Object) || o.IsDeleteMarker {
				continue
			}
			if err := server.Client.RemoveObject(t.Context(), "vault", o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID, GovernanceBypass: true}); err == nil {
				destroyed++
			}
		}
		return destroyed
	}
	if n := thief(); n != 0 {
		t.Errorf("%d objects were destroyed in spite of the lock", n)
	}
	if err := vault.Catalogue.Verify(t.Context(), b); err != nil {
		t.Errorf("after somebody tried: %v", err)
	}
	// Its manifest can still be changed: that writes another version.
	if _, err := vault.Catalogue.Change(t.Context(), b.Name, func(b *holdfast.Backup) { b.Pinned = true }); err != nil {
		t.Error(err)
	}
	// A bucket without locks is told, and no backup claims to be locked.
	made, err := tools(t).Dump(t.Context(), request(from, holdfast.BackupOptions{Format: holdfast.CustomFormat}, open("plain")))
	if err == nil || !strings.Contains(err.Error(), "no object lock") || made.State != holdfast.BackupFailed {
		t.Errorf("a bucket without locks: %s, %v", made.State, err)
	}
	for bucket, offered := range map[string]bool{"vault": true, "plain": false} {
		l, err := blob.OpenS3(server.Options(bucket))
		if err != nil {
			t.Fatal(err)
		}
		var report blob.Report
		blob.TestLock(t.Context(), l, &report)
		if len(report.Steps) != 1 || (report.Err() == nil) != offered {
			t.Errorf("trying the lock of %s: %+v", bucket, report)
		}
	}
}

// A bucket whose server is stopped in the middle of an upload: no backup, and when it is back the place is as it was and takes the next one.
func TestABucketThatIsCutOffInTheMiddleLeavesNoBackup(t *testing.T) {
	server := blobtest.StartS3(t, blobtest.S3ServerOptions{})
	server.MakeBucket(t, "backups")
	l, err := blob.OpenS3(server.Options("backups"))
	if err != nil {
		t.Fatal(err)
	}
	from := big(t, pgtest.Start(t))
	other, dir := destination(t, "folder")
	for _, options := range streamed {
		cut := &watched{Location: l, after: 300000, do: func() error { server.Stop(); return nil }}
		d := backup.Destination{Name: "bucket", Catalogue: backup.NewCatalogue(cut, "backups/shop")}
		tools := tools(t)
		b, err := tools.Dump(t.Context(), request(from, options, d))
		if err == nil || b.State != holdfast.BackupFailed || b.Failure == "" || len(b.Copies) != 0 {
			t.Errorf("%s: got %+v, %v", options.Format, b, err)
		}
		server.Start()
		whole := backup.NewCatalogue(l, "backups/shop")
		if _, err := whole.Settle(t.Context(), func(holdfast.Backup) bool { return false }); err != nil {
			t.Fatal(err)
		}
		for info, err := range l.List(t.Context(), "backups/shop/"+b.Name+"/") {
			if err != nil || !strings.HasSuffix(info.Name, "/backup.json") {
				t.Errorf("%s: left is %s, %v", options.Format, info.Name, err)
			}
		}
		// With a second place the backup is completed there, and the bucket gets its copy later.
		cut = &watched{Location: l, after: 300000, do: func() error { server.Stop(); return nil }}
		d.Catalogue = backup.NewCatalogue(cut, "backups/shop")
		req := request(from, options, other, d)
		req.Copies = 1
		if b, err = tools.Dump(t.Context(), req); err != nil || b.State != holdfast.BackupCompleted || len(b.Copies) != 1 || b.Copies[0].Destination != "folder" {
			t.Fatalf("%s: with two places got %+v, %v", options.Format, b, err)
		}
		server.Start()
		again := backup.Destination{Name: "bucket", Catalogue: whole}
		if b, err = backup.Replicate(t.Context(), other.Catalogue, b, again, nil); err != nil || !b.At("bucket") {
			t.Fatalf("%s: bring it to the bucket: %v", options.Format, err)
		}
		if err := whole.Verify(t.Context(), b); err != nil {
			t.Errorf("%s: %v", options.Format, err)
		}
	}
	if len(files(t, dir)) == 0 {
		t.Error("the folder has nothing")
	}
}
