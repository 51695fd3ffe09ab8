package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/holdfast/holdfast"
)

func openTestDir(t *testing.T, path string) *dataDir {
	t.Helper()
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestADataDirectoryHasOneServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	if d, err := claimDataDir(path); d != nil || err != nil {
		t.Fatalf("claiming what is not there gave %v, %v", d, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("claiming made the directory")
	}
	d := openTestDir(t, path)
	for _, open := range []func(string) (*dataDir, error){openDataDir, claimDataDir} {
		if _, err := open(path); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "another holdfast serve") {
			t.Errorf("a second server got %v", err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := claimDataDir(path)
	if err != nil || again == nil {
		t.Fatalf("after the first one ended: %v, %v", again, err)
	}
	again.Close()
}

func TestADirectoryThatOthersWriteIsRefused(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(holdfast.HintOf(err), "chmod") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(filepath.Join(file, "x")); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("below a file: got %v", err)
	}
}

func TestTheKeyIsMadeOnceAndNeverForMetadataThatExist(t *testing.T) {
	d := openTestDir(t, t.TempDir())
	key, err := d.secretKey()
	if err != nil || len(key) != keyLength {
		t.Fatalf("got %d bytes, %v", len(key), err)
	}
	info, err := os.Stat(d.file(keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if again, err := d.secretKey(); err != nil || !bytes.Equal(again, key) {
		t.Errorf("the second start has another key (%v)", err)
	}
	if err := os.WriteFile(d.file(metadataFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.file(keyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.secretKey(); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("a broken key: got %v", err)
	}
	if err := os.Remove(d.file(keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.secretKey(); holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a lost key: got %v", err)
	}
	if _, err := os.Stat(d.file(keyFile)); err == nil {
		t.Error("a key was made for metadata that it cannot open")
	}
}

// A crash in a first start must not leave an installation without its admin token: the next start takes the first one up.
func TestAnInterruptedFirstStartIsTakenUp(t *testing.T) {
	d := openTestDir(t, t.TempDir())
	steps := []struct {
		name string
		do   func() error
		want bool
	}{
		{"the first start", func() error { return nil }, true},
		{"after a crash before there were metadata", func() error { return nil }, true},
		{"after a crash with metadata", func() error { return os.WriteFile(d.file(metadataFile), nil, 0o600) }, true},
		{"after a first start that was finished", d.endFirstStart, false},
		{"and again", d.endFirstStart, false},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		if got, err := d.beginFirstStart(); err != nil || got != s.want {
			t.Errorf("%s: got %v, %v", s.name, got, err)
		}
	}
}

func TestSettingsComeFromFlagsThenEnvironmentThenFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(args ...string) (serveConfig, error) {
		given := pflag.NewFlagSet("", pflag.ContinueOnError)
		defaults := defaultServeConfig()
		defaults.flags(given)
		if err := given.Parse(args); err != nil {
			t.Fatal(err)
		}
		return readServeConfig(dir, given)
	}
	c, err := read()
	if err != nil || c.HTTP != "127.0.0.1:7600" || c.Gateway != "127.0.0.1:6432" {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	write("http = '127.0.0.1:1'\ngateway = '127.0.0.1:2'\nlog_level = 'warn'\nhosts = ['a', 'b']\n")
	t.Setenv("HOLDFAST_GATEWAY", "127.0.0.1:3")
	t.Setenv("HOLDFAST_LOG_LEVEL", "error")
	c, err = read("--log-level", "debug", "--postgresql", "/x,/y")
	if err != nil || c.HTTP != "127.0.0.1:1" || c.Gateway != "127.0.0.1:3" || c.LogLevel != "debug" || len(c.Hosts) != 2 || len(c.PostgreSQL) != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
	for text, says := range map[string]string{
		"htpp = 'x'\n": `no setting "htpp"`, "http = 5\n": "line 1", "http = \n": "line 1", "http = '7600'\n": "not an address", "certificate = 'x'\n": "belong together", "log_format = 'xml'\n": "neither text nor json",
	} {
		write(text)
		if _, err := read(); holdfast.KindOf(err) != holdfast.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestTheDefaultDataDirectory(t *testing.T) {
	if got := (environment{Data: "/x"}).defaultData(); got != "/x" {
		t.Errorf("got %s", got)
	}
	want := "/var/lib/holdfast"
	if os.Geteuid() != 0 {
		want = "/home/me/data/holdfast"
	}
	if got := (environment{Home: "/home/me", DataHome: "/home/me/data"}).defaultData(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
