package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// diagnose runs the checks with these flags and returns what they found by name.
func diagnose(t *testing.T, data string, flags ...string) map[string]finding {
	t.Helper()
	cmd := (&cli{}).doctorCommand()
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	found := map[string]finding{}
	for _, f := range examine(t.Context(), data, cmd) {
		if f.State == stateOK && f.Mend != "" || f.State == stateMissing && f.Mend == "" || f.Detail == "" || !slices.Contains([]string{stateOK, stateWeak, stateMissing}, f.State) {
			t.Errorf("%+v says too much or too little", f)
		}
		found[f.Check] = f
	}
	return found
}

func TestTheDoctorFindsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := []string{"--http", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}
	file := func(dir, name string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x = 1\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(dir string) (data string)
		flags   []string
		check   string
		state   string
		says    string
	}{
		{"nothing is there yet", func(dir string) string { return filepath.Join(dir, "a", "b") }, free, "data directory", stateOK, "is made at the first start"},
		{"nothing is secret yet", func(dir string) string { return dir }, free, "secrets", stateOK, "none yet"},
		{"the port is taken", func(dir string) string { return dir }, []string{"--http", taken.Addr().String()}, "API port", stateMissing, "is taken by another program"},
		{"the other port is taken", func(dir string) string { return dir }, []string{"--gateway", taken.Addr().String()}, "gateway port", stateMissing, "is taken by another program"},
		{"a file is in the way", func(dir string) string { file(dir, "data", 0o600); return filepath.Join(dir, "data") }, free, "data directory", stateMissing, "is not a directory"},
		{"a secret is readable", func(dir string) string { file(dir, keyFile, 0o644); return dir }, free, "secrets", stateWeak, "can be read by others"},
		{"the key is lost", func(dir string) string { file(dir, metadataFile, 0o600); return dir }, free, "secrets", stateMissing, "no other key"},
		{"a setting is misspelt", func(dir string) string { file(dir, configFile, 0o600); return dir }, free, "settings", stateMissing, `no setting "x"`},
	} {
		f := diagnose(t, c.prepare(t.TempDir()), c.flags...)[c.check]
		if f.State != c.state || !strings.Contains(f.Detail, c.says) {
			t.Errorf("%s: got %+v", c.name, f)
		}
	}
}

// A doctor changes nothing.
func TestTheDoctorLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	diagnose(t, dir)
	diagnose(t, filepath.Join(dir, "deeper"))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The ports that its own server holds are no fault.
func TestTheDoctorKnowsItsOwnServer(t *testing.T) {
	s := serveIn(t, serveDir(t))
	f := diagnose(t, s.dir, "--http", strings.TrimPrefix(s.URL(), "http://"), "--gateway", "127.0.0.1:0")["API port"]
	if f.State != stateOK || !strings.Contains(f.Detail, "runs at "+s.URL()) {
		t.Errorf("got %+v", f)
	}
}
