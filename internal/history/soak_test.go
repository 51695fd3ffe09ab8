package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

var (
	soakFor  = flag.Duration("soak", 0, "how long the property test of the history disturbs its server; 0 is a short run")
	soakSeed = flag.Uint64("soak-seed", 0, "seed of the property test; 0 chooses one")
	asChild  = flag.String("history-child", "", "used by the property test for the process that it kills")
)

// child is what the receiving process is told, as JSON in a flag.
type child struct {
	Dir, Repository, BinDir, DataDir, LogFile string
}

func (c child) open() (*Archive, *postgres.Server, error) {
	installs, err := postgres.Find(context.Background(), []string{c.BinDir})
	if err != nil || len(installs) == 0 {
		return nil, nil, errors.Join(errors.New("no PostgreSQL found"), err)
	}
	i := slices.IndexFunc(installs, func(i postgres.Installation) bool { return i.BinDir == c.BinDir })
	if i < 0 {
		return nil, nil, errors.New("the child found another PostgreSQL than its parent")
	}
	account, err := postgres.ServerAccount(context.Background(), "")
	if err != nil {
		return nil, nil, err
	}
	f, err := blob.CreateFolder(c.Repository)
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := Open(Config{Branch: "b1", Dir: c.Dir, Locations: []Location{{"one", f}}, Log: log, UploadEvery: 2 * time.Second, Alert: func(a Alert) {
		fmt.Fprintf(os.Stderr, "alert %+v\n", a)
	}})
	return a, postgres.New(postgres.Config{Installation: installs[i], Account: account, DataDir: c.DataDir, LogFile: c.LogFile}), err
}

// TestChild is not a test but the process that streams in the property test. It obeys one command per line and answers each with a line.
func TestChild(t *testing.T) {
	if *asChild == "" {
		t.Skip("only the property test runs this, as a process of its own")
	}
	var c child
	if err := json.Unmarshal([]byte(*asChild), &c); err != nil {
		t.Fatal(err)
	}
	a, server, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("answer ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		var err error
		switch lines.Text() {
		case "attach":
			err = a.Attach(ctx, server)
		case "detach":
			err = a.Detach(ctx)
		case "backup":
			_, err = a.Backup(ctx, BackupRequest{Server: server, Fast: true})
		case "checkpoint":
			_, err = a.Checkpoint(ctx, CheckpointRequest{Server: server, Reason: holdfast.ManualCheckpoint})
		case "prune":
			_, err = a.Prune(ctx, time.Hour)
		case "close":
			err = errors.Join(a.Sync(ctx), a.Close())
		}
		cancel()
		if err != nil {
			fmt.Println("answer error", strings.ReplaceAll(err.Error(), "\n", " | "))
		} else {
			fmt.Println("answer ok")
		}
	}
}

// receiver is the child as its parent sees it.
type receiver struct {
	t     *testing.T
	setup child
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
}

func (r *receiver) start() {
	r.t.Helper()
	setup, err := json.Marshal(r.setup)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(os.Args[0], "-test.run=^TestChild$", "-history-child="+string(setup))
	r.cmd.Stderr = r.t.Output()
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.out = bufio.NewScanner(out)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.answer("start")
}

// tell gives a command and waits for the answer.
func (r *receiver) tell(command string) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, command+"\n"); err != nil {
		r.t.Fatal(err)
	}
	r.answer(command)
}

func (r *receiver) answer(command string) {
	r.t.Helper()
	for r.out.Scan() {
		if answer, found := strings.CutPrefix(r.out.Text(), "answer "); found {
			if answer != "ok" && answer != "ready" {
				r.t.Fatalf("%s: %s", command, answer)
			}
			return
		}
	}
	r.t.Fatalf("%s: the child ended", command)
}

// kill ends the child as a power cut would, perhaps in the middle of a command.
func (r *receiver) kill(during string) {
	r.t.Helper()
	if during != "" {
		if _, err := io.WriteString(r.in, during+"\n"); err != nil {
			r.t.Fatal(err)
		}
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond) // any moment of it will do
	}
	if err := r.cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = r.cmd.Wait() // it was killed, and says so
}

// commit is a row that the writer tried to commit.
type commit struct {
	id        int64
	begun     time.Time // before COMMIT was sent
	confirmed time.Time // after its answer came; zero when none came
}

// era is a time between two restores in place.
type era struct {
	began   time.Time
	ended   time.Time // zero for the last
	initial []int64
	commits []commit
}

// check says how the rows that were found differ from what may be there at a moment.
func (e era) check(at time.Time, got []int64) error {
	have := map[int64]bool{}
	for _, id := range got {
		have[id] = true
	}
	allowed := map[int64]bool{}
	for _, id := range e.initial {
		allowed[id] = true
		if !have[id] {
			return fmt.Errorf("row %d, from before the restore in place, is missing", id)
		}
	}
	for _, c := range e.commits {
		if !c.begun.After(at) {
			allowed[c.id] = true
		}
		if !c.confirmed.IsZero() && !c.confirmed.After(at) && !have[c.id] {
			return fmt.Errorf("row %d, which was acknowledged at %s, is missing", c.id, c.confirmed.Format(time.StampMicro))
		}
	}
	for _, id := range got {
		if !allowed[id] {
			return fmt.Errorf("row %d is there, but was rolled back or committed later", id)
		}
	}
	return nil
}

// writer commits numbered rows and rolls others back, until it is stopped. It survives the server's death.
type writer struct {
	t    *testing.T
	b    *branch
	mu   sync.Mutex
	eras []era
	next int64
	stop context.CancelFunc
	done sync.WaitGroup
}

func (w *writer) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop = cancel
	w.done.Go(func() {
		for ctx.Err() == nil {
			w.session(ctx)
		}
	})
}

func (w *writer) halt() {
	w.stop()
	w.done.Wait()
}

func (w *writer) session(ctx context.Context) {
	conn, err := w.b.pg.ConnectAs(ctx, pgtest.Owner, pgtest.OwnerPassword, w.b.db.Name)
	if err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // the server is down; nothing tells when it is back
		}
		return
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		w.mu.Lock()
		w.next++
		id := w.next
		w.mu.Unlock()
		how := rand.IntN(10)
		end := map[bool]string{true: "ROLLBACK", false: "COMMIT"}[how < 3]
		if how == 9 {
			end = fmt.Sprintf("PREPARE TRANSACTION 'p%d'", id)
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf("BEGIN; INSERT INTO n (id, filler) VALUES (%d, repeat('x', %d))", id, rand.IntN(3000))); err != nil {
			return
		}
		if how >= 3 && how < 9 {
			w.began(id)
		}
		_, err := conn.Exec(ctx, end)
		if err == nil && how == 9 {
			w.began(id)
			_, err = conn.Exec(ctx, fmt.Sprintf("COMMIT PREPARED 'p%d'", id))
		}
		if err != nil {
			return
		}
		if how >= 3 {
			w.confirmed(id)
		}
	}
}

func (w *writer) began(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &w.eras[len(w.eras)-1]
	e.commits = append(e.commits, commit{id: id, begun: time.Now()})
}

func (w *writer) confirmed(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &w.eras[len(w.eras)-1]
	e.commits[len(e.commits)-1].confirmed = time.Now()
}

// eraAt gives the era of a moment as it is known now.
func (w *writer) eraAt(at time.Time) era {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range slices.Backward(w.eras) {
		if !e.began.After(at) {
			e.commits = slices.Clone(e.commits)
			return e
		}
	}
	w.t.Fatalf("there is no era at %s", at)
	return era{}
}

// A writer commits numbered rows with random rollbacks while everything happens to server and receiver that can; then restores to random
// moments must contain exactly what was acknowledged before them, and nothing that began to commit later.
func TestRestoresToRandomMomentsAreExact(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 7))
	s := newSoak(t, random)
	steps, moments := 10, 5
	if testing.Short() {
		steps, moments = 6, 3
	}
	until := time.Now().Add(*soakFor)
	if *soakFor > 0 {
		steps, moments = 1<<30, 20
	}
	for i := range steps {
		if *soakFor > 0 && time.Now().After(until) {
			break
		}
		s.step(i)
	}
	s.writer.halt()
	s.receiver.tell("detach")
	s.receiver.tell("close")
	s.receiver.kill("")
	for range moments {
		s.verify(s.moment())
	}
}

type soak struct {
	t        *testing.T
	random   *rand.Rand
	b        *branch
	writer   *writer
	receiver *receiver
	marks    []time.Time // between which moments are chosen: writer and server were working
	restored int
}

func newSoak(t *testing.T, random *rand.Rand) *soak {
	one := folder(t, "one")
	b := newBranch(t, one)
	if err := b.archive.Close(); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, random: random, b: b}
	s.receiver = &receiver{t: t, setup: child{Dir: b.config.Dir, Repository: one.Location.(*blob.Folder).Path(), BinDir: b.pg.Installation().BinDir,
		DataDir: b.pg.DataDir(), LogFile: filepath.Join(t.TempDir(), "log")}}
	s.receiver.start()
	s.receiver.tell("attach")
	s.receiver.tell("backup")
	s.writer = &writer{t: t, b: b, eras: []era{{began: time.Now()}}}
	s.writer.start()
	t.Cleanup(func() {
		s.writer.halt()
		_ = s.receiver.cmd.Process.Kill()                                           // most often it was killed before
		if err := b.pg.Stop(context.Background(), postgres.Immediate); err != nil { // prepared transactions would keep its database
			t.Error(err)
		}
	})
	return s
}

func (s *soak) mark() { s.marks = append(s.marks, time.Now()) }

// step does one thing at random, with the writer working before and after.
func (s *soak) step(i int) {
	s.mark()
	s.work()
	names := []string{"checkpoint", "switch", "sleep", "kill server", "kill receiver", "kill backup", "backup", "receiver away", "restore in place", "both"}
	name := names[(i+s.random.IntN(2))%len(names)]
	s.t.Logf("%s: %s", time.Now().Format(time.StampMicro), name)
	switch name {
	case "checkpoint":
		s.admin("CHECKPOINT")
		s.receiver.tell("checkpoint")
	case "switch":
		s.admin("SELECT pg_switch_wal()")
		s.receiver.tell("prune")
	case "sleep":
		s.sleep()
	case "kill server":
		s.killServer()
	case "kill receiver":
		s.receiver.kill("")
		s.receiver.start()
		s.receiver.tell("attach")
	case "kill backup":
		s.receiver.kill("backup")
		s.receiver.start()
		s.receiver.tell("attach")
	case "backup":
		s.receiver.tell("backup")
	case "receiver away": // the server is shut down while nobody listens
		s.receiver.kill("")
		s.work()
		stop(s.t, s.b.pg)
		s.receiver.start()
		start(s.t, s.b.pg)
		s.receiver.tell("attach")
	case "restore in place":
		s.restoreInPlace()
	case "both":
		s.receiver.kill("")
		s.killServer()
		s.receiver.start()
		s.receiver.tell("attach")
	}
}

// work lets the writer commit for a while.
func (s *soak) work() {
	s.writer.mu.Lock()
	target := s.writer.next + 20 + int64(s.random.IntN(100))
	s.writer.mu.Unlock()
	waitFor(s.t, "the writer to go on", func() bool {
		s.writer.mu.Lock()
		defer s.writer.mu.Unlock()
		return s.writer.next >= target
	})
}

// waitFor looks again and again until something that happens in other processes has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (s *soak) admin(sql string) {
	conn, err := s.b.pg.Connect(s.t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	pgtest.Exec(s.t, conn, sql)
}

func (s *soak) sleep() {
	stop(s.t, s.b.pg)
	s.receiver.tell("detach")
	start(s.t, s.b.pg)
	s.receiver.tell("attach")
}

func (s *soak) killServer() {
	if err := s.b.pg.Stop(s.t.Context(), postgres.Immediate); err != nil {
		s.t.Fatal(err)
	}
	start(s.t, s.b.pg)
}

// restoreInPlace replaces the branch's data by an earlier moment of it, as the product does: restored aside, verified, swapped.
func (s *soak) restoreInPlace() {
	s.writer.halt()
	at := s.moment()
	ended := time.Now()
	stop(s.t, s.b.pg)
	s.receiver.tell("detach")
	s.receiver.tell("close")
	s.receiver.kill("")
	s.b.open()
	server, err := restorePoint(s.t, s.b.archive, s.b.pg, holdfast.Point{At: at}, true)
	if err != nil {
		s.t.Fatalf("restore in place to %s: %v", at.Format(time.StampMicro), err)
	}
	rows := s.b.rows(server)
	if err := s.writer.eraAt(at).check(at, rows); err != nil {
		s.t.Errorf("restored in place to %s: %v", at.Format(time.StampMicro), err)
	}
	if err := s.b.archive.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.restored++
	if err := errors.Join(os.Rename(s.b.pg.DataDir(), fmt.Sprintf("%s.before%d", s.b.pg.DataDir(), s.restored)), os.Rename(server.DataDir(), s.b.pg.DataDir())); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.b.pg.Configure(s.t.Context(), testParameters); err != nil { // the socket lies elsewhere now
		s.t.Fatal(err)
	}
	start(s.t, s.b.pg)
	s.receiver.start()
	s.receiver.tell("attach")
	s.writer.mu.Lock()
	s.writer.eras[len(s.writer.eras)-1].ended = ended
	s.writer.eras = append(s.writer.eras, era{began: time.Now(), initial: rows})
	s.writer.mu.Unlock()
	s.writer.start()
	s.mark()
}

// moment chooses one at which the branch was at work.
func (s *soak) moment() time.Time {
	for {
		i := s.random.IntN(len(s.marks))
		to := time.Now()
		if i+1 < len(s.marks) {
			to = s.marks[i+1]
		}
		at := s.marks[i].Add(time.Duration(s.random.Int64N(int64(to.Sub(s.marks[i])))))
		if e := s.writer.eraAt(at); e.ended.IsZero() || at.Before(e.ended) {
			return at
		}
	}
}

func (s *soak) verify(at time.Time) {
	s.t.Helper()
	if err := func() error {
		s.b.open()
		server, err := restorePoint(s.t, s.b.archive, s.b.pg, holdfast.Point{At: at}, false)
		if err != nil {
			return err
		}
		rows := s.b.rows(server)
		s.t.Logf("at %s: %d rows", at.Format(time.StampMicro), len(rows))
		return errors.Join(s.writer.eraAt(at).check(at, rows), s.b.archive.Close())
	}(); err != nil {
		s.t.Errorf("restored to %s: %v", at.Format(time.StampMicro), err)
	}
}
