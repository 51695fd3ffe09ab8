package test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/blob/blobtest"
)

// The same from a bucket: its secret comes on standard input, never among the arguments.
func TestAnEmptyMachineIsRecoveredFromABucket(t *testing.T) {
	t.Parallel()
	bucket := blobtest.StartS3(t, blobtest.S3ServerOptions{})
	bucket.MakeBucket(t, "offsite")
	dir := place(t)
	s := newServer(t, dir, nil, "--allow-network", "127.0.0.0/8")
	s.start(t)
	development, production := s.project(t, api.NewProject{Name: "shop"})
	withSecret := func() command {
		c := s.user("")
		c.stdin = strings.NewReader(blobtest.SecretKey + "\n")
		return c
	}
	access := []string{"--access-key", blobtest.AccessKey, "--path-style", "--insecure"}
	withSecret().must(t, binary, append([]string{"location", "add", "shop", "offsite", "--s3", bucket.Address, "--bucket", "offsite", "--prefix", "holdfast", "--encrypt"}, access...)...)
	keyFile := filepath.Join(dir, "keys.txt")
	if err := os.WriteFile(keyFile, []byte(s.must(t, "location", "keys", "shop")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(t, "branch", "settings", production.String(), "--history-window", "14d", "--set", "work_mem=7MB")
	moment, url := fillProduction(t, s, development, production)
	flags := append([]string{"--from", "s3://" + bucket.Address + "/offsite/holdfast", "--key", keyFile}, access...)
	waitUntilStored(t, s, withSecret, flags)
	if code := s.signal(t, syscall.SIGKILL); code != -1 {
		t.Fatalf("kill -9 ended it with %d", code)
	}
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
	wrong := s.user("")
	wrong.stdin = strings.NewReader("not the secret\n")
	if o := wrong.run(t, binary, append([]string{"recover"}, flags...)...); o.code == 0 || strings.Contains(o.err, blobtest.SecretKey) {
		t.Errorf("with a wrong secret: %d %s", o.code, o.err)
	}
	if o := withSecret().run(t, binary, append([]string{"recover"}, flags...)...); o.code == 0 || !strings.Contains(o.err, "--allow-network") {
		t.Errorf("from a private network that is not allowed: %d %s", o.code, o.err)
	}
	if _, err := os.Stat(s.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused recovery left something: %v", err)
	}
	withSecret().must(t, binary, append([]string{"recover", "--allow-network", "127.0.0.0/8"}, flags...)...)
	s.start(t)
	checkRecovered(t, s, production, moment, url)
}
