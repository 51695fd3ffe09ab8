package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/servetest"
)

// serving is a server that runs as a process of its own.
type serving struct {
	*servetest.Process
	*api.Client
	dir string
}

// launch starts `holdfast serve` in dir and does not wait for it.
func launch(t *testing.T, dir string, args ...string) *serving {
	t.Helper()
	pgtest.Installation(t) // skips where there is none
	process, err := servetest.Launch(servetest.Options{Binary: "holdfast", Data: dir, Args: append([]string{"--log-level", "debug"}, args...),
		Env: append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)})
	if err != nil {
		t.Fatal(err)
	}
	process.KillAfter(t)
	return &serving{Process: process, dir: dir}
}

// serveIn starts a server in dir and waits until it is ready and has said hello.
func serveIn(t *testing.T, dir string, args ...string) *serving {
	t.Helper()
	s := launch(t, dir, args...)
	if err := s.Greeted(); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.Client, err = s.Process.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Client.Close() })
	return s
}

// stop sends a signal, to the server's whole process group as a terminal does, and returns the exit code.
func (s *serving) stop(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := s.SignalGroup(signal); err != nil {
		t.Fatal(err)
	}
	return s.wait(t)
}

func (s *serving) wait(t *testing.T) int {
	t.Helper()
	code, err := s.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// serveDir is a directory for a server, closed to others but for passing through.
func serveDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(pgtest.Dir(t), "data")
	// pgtest's directory belongs to the servers' account alone; ours must be reachable for root and for it.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func count(t *testing.T, url, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	development = holdfast.BranchRef{Project: "shop", Branch: "development"}
	production  = holdfast.BranchRef{Project: "shop", Branch: "production"}
)

func TestAServerFromFirstStartToLastStop(t *testing.T) {
	dir := serveDir(t)
	s := serveIn(t, dir, "--sample", "shop", "--rows", "300")
	said := s.Out.String()
	urls := regexp.MustCompile(`postgres\w*://\S+`).FindAllString(said, -1)
	link := regexp.MustCompile(`http://127\.0\.0\.1:\d+/setup#hf_setup_\S+`).FindString(said)
	if len(urls) != 2 || link == "" || !strings.Contains(said, s.URL()) {
		t.Fatalf("it said:\n%s", said)
	}
	for _, url := range urls {
		if n := count(t, url, "messages"); n != 300 {
			t.Errorf("%d rows of sample data", n)
		}
	}
	for _, name := range []string{keyFile, adminTokenFile, metadataFile, certKeyFileName} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	token, err := os.ReadFile(filepath.Join(dir, adminTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	checkNoSecrets(t, s.Log.String(), urls, link, strings.TrimSpace(string(token)))

	// Twice at once: a terminal sends it to everybody, and whoever started the server passes it on.
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := s.stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if left := pgtest.ProcessesBelow(t, dir); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if _, err := os.Stat(filepath.Join(dir, serverFile)); err == nil {
		t.Error("the note of where the server is was left behind")
	}

	again := serveIn(t, dir, "--sample", "shop", "--rows", "300")
	if said := again.Out.String(); strings.Contains(said, "setup#") || strings.Contains(said, "postgresql://") {
		t.Errorf("the second start said:\n%s", said)
	}
	con, err := again.Connection(t.Context(), development)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, con.URL, "messages"); n != 300 {
		t.Errorf("%d rows after a restart", n)
	}
}

// checkNoSecrets looks for passwords and tokens in what was logged at the most talkative level.
func checkNoSecrets(t *testing.T, log string, urls []string, secrets ...string) {
	t.Helper()
	for _, u := range urls {
		config, err := pgx.ParseConfig(u)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, config.Password)
	}
	for _, secret := range secrets {
		if _, fragment, found := strings.Cut(secret, "#"); found {
			secret = fragment
		}
		if strings.Contains(log, secret) {
			t.Errorf("the log holds a secret: %.12s...", secret)
		}
	}
}

// A crash of the control plane leaves the databases running; the next one takes them over with their sessions' data.
func TestAKilledServerIsSucceeded(t *testing.T) {
	dir := serveDir(t)
	s := serveIn(t, dir)
	if err := servetest.CreateProject(t.Context(), s.Client, api.NewProject{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	con, err := s.Connection(t.Context(), development)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), con.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	before := pgtest.ProcessesBelow(t, dir)
	s.stop(t, syscall.SIGKILL)
	conn.Close(t.Context())
	if len(before) == 0 || len(pgtest.ProcessesBelow(t, dir)) == 0 {
		t.Fatal("no database survived")
	}
	next := serveIn(t, dir)
	b, err := next.Branch(t.Context(), development)
	if err != nil || b.Activity != string(holdfast.Awake) {
		t.Errorf("after the crash: %+v, %v", b, err)
	}
	if con, err = next.Connection(t.Context(), development); err != nil {
		t.Fatal(err)
	}
	if n := count(t, con.URL, "kept"); n != 1 {
		t.Errorf("%d rows survived", n)
	}
}

// A crash in the middle of the first start: the next one finishes it, with the admin token and the sample.
func TestAFirstStartThatWasKilledIsFinished(t *testing.T) {
	dir := serveDir(t)
	sample := []string{"--sample", "shop", "--rows", "300"}
	s := launch(t, dir, sample...)
	servetest.Until(t, "the sample is being made", func() bool { return strings.Contains(s.Log.String(), "making the databases") })
	s.stop(t, syscall.SIGKILL)
	if err := os.Remove(filepath.Join(dir, adminTokenFile)); err != nil { // as if the crash had come between the token and its file
		t.Fatal(err)
	}
	next := serveIn(t, dir, sample...)
	urls := regexp.MustCompile(`postgres\w*://\S+`).FindAllString(next.Out.String(), -1)
	if len(urls) != 2 {
		t.Fatalf("it said:\n%s", next.Out)
	}
	for _, url := range urls {
		if n := count(t, url, "messages"); n != 300 {
			t.Errorf("%d rows of sample data", n)
		}
	}
	if projects, err := next.Projects(t.Context()); err != nil || len(projects) != 1 {
		t.Errorf("got %v, %v", projects, err)
	}
}

// A service manager is told when the server is ready and when it stops; what is printed there is kept, so no password is in it. With
// --keep-servers the databases live on.
func TestUnderAServiceManager(t *testing.T) {
	dir := serveDir(t)
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	told := make(chan string, 10)
	go func() {
		defer close(told)
		for message := make([]byte, 1000); ; {
			n, err := manager.Read(message)
			if err != nil {
				return
			}
			told <- string(message[:n])
		}
	}()
	s := serveIn(t, dir, "--sample", "shop", "--rows", "100", "--keep-servers")
	if got := <-told; got != "READY=1" {
		t.Errorf("the manager was told %q", got)
	}
	if said := s.Out.String(); strings.Contains(said, "postgresql://") || !strings.Contains(said, "holdfast env shop/development") {
		t.Errorf("it said:\n%s", said)
	}
	before, err := s.Wake(t.Context(), development)
	if err != nil {
		t.Fatal(err)
	}
	if code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if got := <-told; got != "STOPPING=1" {
		t.Errorf("the manager was told %q", got)
	}
	if len(pgtest.ProcessesBelow(t, dir)) == 0 {
		t.Error("the databases did not live on")
	}
	next := serveIn(t, dir)
	if b, err := next.Branch(t.Context(), development); err != nil || b.Activity != before.Activity {
		t.Errorf("the next server found %+v, %v", b, err)
	}
}

// A disk that is full while a project is created: the user learns it, and nothing is left of the project.
func TestAFullDiskLeavesNothingHalfMade(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a small file system takes a mount, which only root can make")
	}
	dir := serveDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0711,size=50m"); err != nil {
		t.Skipf("a small file system takes a mount, which is not allowed here: %v", err)
	}
	t.Cleanup(func() {
		pgtest.EndProcessesBelow(t, dir)
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serveIn(t, dir)
	job, err := s.CreateProject(t.Context(), api.NewProject{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.FollowJob(t.Context(), job.ID, func(api.Job) {})
	if err != nil || last.State != "failed" || !strings.Contains(last.Error, "space") {
		t.Fatalf("the job ended with %+v, %v", last, err)
	}
	// The volume keeps two folders of its own, for what is being made and for what is being removed.
	for _, pattern := range []string{"*", ".*/*"} {
		if left, err := filepath.Glob(filepath.Join(dir, branchesDir, pattern)); err != nil || slices.ContainsFunc(left, func(path string) bool { return !strings.HasPrefix(filepath.Base(path), ".") }) {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	if projects, err := s.Projects(t.Context()); err != nil || len(projects) > 0 {
		t.Errorf("projects: %v, %v", projects, err)
	}
	if _, err := s.Project(t.Context(), "shop"); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("the name is still taken: %v", err)
	}
}

func TestAServerThatCannotStartSaysWhyAndMakesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		says string
		code int
	}{
		{"the API's port is taken", []string{"--http", taken.Addr().String()}, "is taken by another program", 6},
		{"the gateway's port is taken", []string{"--gateway", taken.Addr().String()}, "is taken by another program", 6},
		{"an address of another machine", []string{"--http", "192.0.2.1:7600"}, "not an address of this machine", 6},
		{"a setting that makes no sense", []string{"--log-level", "loud"}, "not one of debug", 2},
		{"a project's name that cannot be", []string{"--sample", "Shop!"}, "cannot be a project's name", 2},
		{"a certificate without its key", []string{"--certificate", "/x"}, "belong together", 2},
	} {
		dir := filepath.Join(serveDir(t), "deeper")
		s := launch(t, dir, c.args...)
		if code := s.wait(t); code != c.code || !strings.Contains(s.Log.String(), c.says) {
			t.Errorf("%s: ended with %d and %s", c.name, code, s.Log)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the data directory was made", c.name)
		}
	}
}

func TestASecondServerAndAReadOnlyDirectoryAreRefused(t *testing.T) {
	dir := serveDir(t)
	serveIn(t, dir)
	second := launch(t, dir)
	if code := second.wait(t); code != 6 || !strings.Contains(second.Log.String(), "another holdfast serve runs with the data directory") {
		t.Errorf("a second server ended with %d and %s", code, second.Log)
	}
	readOnly := serveDir(t)
	if err := os.Chmod(readOnly, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // whom no mode stops
		if err := syscall.Mount("tmpfs", readOnly, "tmpfs", syscall.MS_RDONLY, "mode=0755"); err != nil {
			t.Skipf("a directory that root cannot write takes a mount, which is not allowed here: %v", err)
		}
		t.Cleanup(func() { syscall.Unmount(readOnly, syscall.MNT_DETACH) })
	}
	s := launch(t, readOnly)
	if code := s.wait(t); code != 6 || !strings.Contains(s.Log.String(), "cannot be written") {
		t.Errorf("with a read-only directory it ended with %d and %s", code, s.Log)
	}
}

func TestSecretsThatAreLostAreNotReplaced(t *testing.T) {
	dir := serveDir(t)
	serveIn(t, dir).stop(t, syscall.SIGTERM)
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	s := launch(t, dir)
	if code := s.wait(t); code != 6 || !strings.Contains(s.Log.String(), "secret.key is missing") {
		t.Errorf("ended with %d and %s", code, s.Log)
	}
}
