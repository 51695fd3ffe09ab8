package platform

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/blob"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/store"
)

// clock is time that a test can move on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// firedOnce checks that a condition fired, was told of, and was over, each once.
func firedOnce(t *testing.T, p *Platform, r *receiver, c holdfast.Condition) {
	t.Helper()
	over(t, p, c)
	told(t, r, c, holdfast.NoticeFiring, holdfast.NoticeResolved)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verify tries to prove a backup.
func verify(t *testing.T, p *Platform, b BackupView) error {
	t.Helper()
	job, err := p.VerifyBackup(t.Context(), admin, b.Name)
	must(t, err)
	_, err = p.jobs.wait(t.Context(), job.ID)
	return err
}

func TestBackupsThatFailOrAreMissingFireAndResolve(t *testing.T) {
	var c clock
	h, p, r := watchedAt(t, c.now)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	production := ref(t, "shop/production")
	schedules, err := p.Schedules(t.Context(), admin, production)
	must(t, err)
	for _, s := range schedules { // nothing makes a backup while nobody looks
		must(t, p.DeleteSchedule(t.Context(), admin, production, s.Name))
	}
	strict(t, p, func(s *holdfast.AlertSettings) { s.ProofAge = 1000 * 24 * time.Hour })

	// Somebody put a file where the backups go.
	backups := filepath.Join(h.repository, "backups")
	must(t, os.RemoveAll(backups))
	must(t, os.WriteFile(backups, nil, 0o600))
	_, job, err := p.CreateBackup(t.Context(), admin, production, NewBackup{})
	must(t, err)
	if _, err := p.jobs.wait(t.Context(), job.ID); err == nil {
		t.Fatal("a backup came to a place that is none")
	}
	firing(t, p, holdfast.BackupFailing)
	must(t, os.Remove(backups))
	damaged := makeBackup(t, p, "shop/production", holdfast.BackupOptions{})
	firedOnce(t, p, r, holdfast.BackupFailing)

	// A bit of it rots.
	must(t, filepath.WalkDir(filepath.Join(backups, string(projectID(t, p, "shop")), damaged.Name), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".json" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || len(content) == 0 {
			return err
		}
		content[len(content)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600))
	}))
	if verify(t, p, damaged) == nil {
		t.Fatal("the damaged backup restores")
	}
	firing(t, p, holdfast.ProofFailed)

	// Nobody makes a backup for nine days, and nobody proves one. Backups have the time of the machine, so ours is put right before they count.
	const days = 9 * 24 * time.Hour
	c.forward(days)
	if a := firing(t, p, holdfast.BackupAbsent); a.Severity != holdfast.Critical || a.Place != "shop/production" {
		t.Errorf("got %+v", a)
	}
	strict(t, p, func(*holdfast.AlertSettings) {})
	firing(t, p, holdfast.ProofAbsent)
	good := makeBackup(t, p, "shop/production", holdfast.BackupOptions{})
	must(t, verify(t, p, good))
	c.forward(-days)
	firedOnce(t, p, r, holdfast.BackupAbsent)
	firedOnce(t, p, r, holdfast.ProofAbsent)
	firedOnce(t, p, r, holdfast.ProofFailed)
}

// rot turns a bit of a page of a table whose server is stopped, as a disk does.
func rot(t *testing.T, p *Platform, b store.Branch, path string) {
	t.Helper()
	const page, pageSize = 3, 8192
	name := filepath.Join(p.fleet.DataDir(spec(b)), path)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	content := make([]byte, pageSize)
	_, err = f.ReadAt(content, page*pageSize)
	must(t, err)
	content[4000] ^= 1
	binary.LittleEndian.PutUint32(content, 0) // from before the backup, so that no WAL excuses it
	_, err = f.WriteAt(content, page*pageSize)
	must(t, err)
}

func TestTheTroublesOfAHistoryFireAndResolve(t *testing.T) {
	h, p, r := watched(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	b := branchNamed(t, p, "shop/production")
	conn := asOwner(t, p, production)
	pgtest.Exec(t, conn, `CREATE TABLE numbers AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 5000) n`)
	path := pgtest.Value[string](t, conn, `SELECT pg_relation_filepath('numbers')`)

	// The location is out of reach: a file is where its folder was.
	must(t, os.Rename(h.repository, h.repository+".away"))
	must(t, os.WriteFile(h.repository, nil, 0o600))
	pgtest.Exec(t, conn, `CREATE TABLE more AS TABLE numbers`)
	look, err := p.fleet.Look(t.Context(), b.ID)
	must(t, err)
	pgtest.Exec(t, look, `SELECT pg_switch_wal()`) // a whole segment is sent at once
	strict(t, p, func(s *holdfast.AlertSettings) { s.WALLag = 3 * time.Second })
	firing(t, p, holdfast.WALLag)
	must(t, look.Close(t.Context()))
	must(t, os.Remove(h.repository))
	must(t, os.Rename(h.repository+".away", h.repository))
	over(t, p, holdfast.WALLag)
	strict(t, p, func(s *holdfast.AlertSettings) { s.WALLag = time.Hour })
	firedOnce(t, p, r, holdfast.WALLag)

	// While it sleeps its disk rots, and somebody resets its WAL: what comes now does not follow on what the history has.
	_, err = p.Sleep(t.Context(), admin, production, true)
	must(t, err)
	rot(t, p, b, path)
	installation := pgtest.Installations(t)[0]
	if out, err := pgtest.Account(t).Command(t.Context(), filepath.Join(installation.BinDir, "pg_resetwal"), p.fleet.DataDir(spec(b))).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	_, err = p.Wake(t.Context(), admin, production)
	must(t, err)
	if a := firing(t, p, holdfast.WALGap); a.Severity != holdfast.Critical {
		t.Errorf("got %+v", a)
	}
	firing(t, p, holdfast.DataDamaged) // by the base backup that the gap brought about
	firedOnce(t, p, r, holdfast.WALGap)
	pgtest.Exec(t, asOwner(t, p, production), `DROP TABLE numbers`)
	look, err = p.fleet.Look(t.Context(), b.ID)
	must(t, err)
	defer look.Close(t.Context())
	pgtest.Exec(t, look, `CHECKPOINT`)
	must(t, p.startBase(b.ID))
	firedOnce(t, p, r, holdfast.DataDamaged)

	// The location lost what says whose history it is.
	found, err := filepath.Glob(filepath.Join(h.repository, "*", string(b.ID), "branch.json"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	must(t, os.Rename(found[0], found[0]+".away"))
	p.inspectNow()
	firing(t, p, holdfast.KeyMissing)
	must(t, os.Rename(found[0]+".away", found[0]))
	firedOnce(t, p, r, holdfast.KeyMissing)
}

// The key of a branch is removed from its location, while the control plane, which needs it at every upload, remembers it.
func TestAKeyThatIsMissingAtALocationFiresAndResolves(t *testing.T) {
	recipient, identity, err := blob.NewKey()
	must(t, err)
	keys, err := blob.ParseKeys(recipient, identity)
	must(t, err)
	h := newHome(t)
	h.keys = &keys
	p, r := h.watched(t)
	create(t, p, NewProject{Name: "shop"})
	production := ref(t, "shop/production")
	withBase(t, p, production)
	folder := "branches/" + string(branchNamed(t, p, "shop/production").ID)
	first, second := filepath.Join(h.repository, blob.FolderKeys(folder)[0]), filepath.Join(h.repository, blob.FolderKeys(folder)[1])

	// One of its two copies is mended from the other.
	must(t, os.Remove(first))
	p.inspectNow()
	must(t, p.checkAlerts(t.Context()))
	if _, err := os.Stat(first); err != nil {
		t.Error(err)
	}

	for _, key := range []string{first, second} {
		must(t, os.Rename(key, key+".away"))
	}
	p.inspectNow()
	if a := firing(t, p, holdfast.KeyMissing); a.Severity != holdfast.Critical || a.Place != "shop/production" || a.Subject != "local" {
		t.Errorf("got %+v", a)
	}
	must(t, os.Rename(second+".away", second))
	firedOnce(t, p, r, holdfast.KeyMissing)
}

// inspectNow has the next look ask the locations.
func (p *Platform) inspectNow() {
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	p.alerts.inspected = time.Time{}
}

func TestWhatGoesWrongOnAMachineFiresAndResolves(t *testing.T) {
	_, p, r := watched(t)
	create(t, p, NewProject{Name: "shop"})
	development := branchNamed(t, p, "shop/development")
	_, err := p.Wake(t.Context(), admin, development.Ref())
	must(t, err)

	// A replication slot that nobody reads.
	look, err := p.fleet.Look(t.Context(), development.ID)
	must(t, err)
	defer look.Close(t.Context())
	pgtest.Exec(t, look, `SELECT pg_create_physical_replication_slot('reader', true)`)
	pgtest.Exec(t, look, `SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 4)`)
	eventually(t, "the history has it all", func() bool {
		return pgtest.Value[int64](t, look, `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8 FROM pg_replication_slots WHERE slot_name = 'holdfast'`) < 1<<19
	})
	strict(t, p, func(s *holdfast.AlertSettings) { s.SlotBytes = 1 << 20 })
	if a := firing(t, p, holdfast.SlotRetention); a.Subject != "reader" {
		t.Errorf("got %+v", a)
	}
	pgtest.Exec(t, look, `SELECT pg_drop_replication_slot('reader')`)
	firedOnce(t, p, r, holdfast.SlotRetention)

	// The databases are larger than they may be, and the disk has less room than it should.
	p.measureOne(t.Context(), development.ID)
	strict(t, p, func(s *holdfast.AlertSettings) { s.DiskFree, s.DiskBudget = 100, 1<<20 })
	firing(t, p, holdfast.DiskLow)
	firing(t, p, holdfast.DiskBudget)
	strict(t, p, func(*holdfast.AlertSettings) {})
	firedOnce(t, p, r, holdfast.DiskLow)
	firedOnce(t, p, r, holdfast.DiskBudget)

	// A publish that cannot go on.
	v, err := p.PlanMigrations(t.Context(), admin, "shop", NewMigrations{Tool: PlainQL, Files: []Migration{{Name: "a.sql", SQL: "CREATE TABLE x (); ROLLBACK"}}})
	if err != nil || v.State != holdfast.PublishBlocked {
		t.Fatal(v.State, err)
	}
	if a := firing(t, p, holdfast.PublishStuck); a.Place != "shop" {
		t.Errorf("got %+v", a)
	}
	_, err = p.CancelPublish(t.Context(), admin, "shop", v.Number)
	must(t, err)
	firedOnce(t, p, r, holdfast.PublishStuck)

	// A budget: one notice at four fifths, one when it is used up; here both at once.
	countNow(t, p)
	must(t, p.SetUsageBudget(t.Context(), admin, UsageScope{Project: "shop"}, holdfast.UsageBudget{Name: "tiny", Metric: holdfast.ActiveTimeSeconds, Limit: 1e-6}))
	firing(t, p, holdfast.BudgetSpent)
	must(t, p.DeleteUsageBudget(t.Context(), admin, UsageScope{Project: "shop"}, "tiny"))
	over(t, p, holdfast.BudgetSpent)
	told(t, r, holdfast.BudgetSpent, holdfast.NoticeFiring, holdfast.NoticeFiring, holdfast.NoticeResolved, holdfast.NoticeResolved)

	// A server that cannot start.
	_, err = p.Sleep(t.Context(), admin, development.Ref(), true)
	must(t, err)
	control := filepath.Join(p.fleet.DataDir(spec(development)), "global", "pg_control")
	must(t, os.Rename(control, control+".away"))
	if _, err := p.Wake(t.Context(), admin, development.Ref()); err == nil {
		t.Fatal("it started without pg_control")
	}
	firing(t, p, holdfast.CrashLoop)
	must(t, os.Rename(control+".away", control))
	_, err = p.Wake(t.Context(), admin, development.Ref())
	must(t, err)
	firedOnce(t, p, r, holdfast.CrashLoop)
}

// Something kills the server again and again, until it is left alone.
func TestAServerThatKeepsDyingFiresAndResolves(t *testing.T) {
	_, p, r := watched(t)
	create(t, p, NewProject{Name: "shop"})
	development := branchNamed(t, p, "shop/development")
	events := p.fleet.Subscribe()
	defer events.Close()
	_, err := p.Wake(t.Context(), admin, development.Ref())
	must(t, err)
	for deaths := 0; ; {
		e, err := events.Next(t.Context())
		must(t, err)
		if e.ID != development.ID || e.Activity != holdfast.Awake && e.Activity != holdfast.Broken {
			continue
		}
		if e.Activity == holdfast.Broken {
			break
		}
		if deaths++; deaths > 10 {
			t.Fatal("it is started for ever")
		}
		raw, err := os.ReadFile(filepath.Join(p.fleet.DataDir(spec(development)), "postmaster.pid"))
		must(t, err)
		first, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(first)
		must(t, err)
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	if a := firing(t, p, holdfast.CrashLoop); a.Severity != holdfast.Critical || !strings.Contains(a.Message, "died") {
		t.Errorf("got %+v", a)
	}
	_, err = p.Wake(t.Context(), admin, development.Ref())
	must(t, err)
	firedOnce(t, p, r, holdfast.CrashLoop)
}

// A certificate needs no server: what is told, to whom and how often is tried with it.
func TestNoticesAreToldOnceAgainAfterADayAndNotWhileMuted(t *testing.T) {
	var c clock
	h, p, r := watchedAt(t, c.now)
	strict(t, p, func(s *holdfast.AlertSettings) { s.RemindAfter = 24 * time.Hour })
	ends := c.now().Add(time.Hour)
	watch := func(p *Platform) { p.WatchCertificate(func() (time.Time, error) { return ends, nil }) }
	watch(p)
	a := firing(t, p, holdfast.Certificate)
	told(t, r, holdfast.Certificate, holdfast.NoticeFiring)

	// A restart forgets nothing, and tells nothing twice.
	must(t, p.Shutdown(t.Context()))
	p = h.open(t)
	if again := firing(t, p, holdfast.Certificate); again.ID != a.ID {
		t.Errorf("%s fired again as %s", a.ID, again.ID)
	}
	watch(p)
	c.forward(25 * time.Hour)
	must(t, p.checkAlerts(t.Context()))
	told(t, r, holdfast.Certificate, holdfast.NoticeFiring, holdfast.NoticeReminder)
	if _, err := p.AcknowledgeAlert(t.Context(), admin, a.ID); err != nil {
		t.Fatal(err)
	}
	c.forward(25 * time.Hour)
	must(t, p.checkAlerts(t.Context()))

	// The place is muted: it is over, and holds again, and nobody hears of that.
	_, err := p.MuteAlert(t.Context(), admin, a.ID, 48*time.Hour)
	must(t, err)
	p.WatchCertificate(func() (time.Time, error) { return c.now().Add(1000 * time.Hour), nil })
	over(t, p, holdfast.Certificate)
	watch(p)
	muted := firing(t, p, holdfast.Certificate)
	if muted.ID == a.ID || muted.MutedUntil.IsZero() {
		t.Errorf("got %+v", muted)
	}
	p.WatchCertificate(func() (time.Time, error) { return c.now().Add(1000 * time.Hour), nil })
	over(t, p, holdfast.Certificate)
	told(t, r, holdfast.Certificate, holdfast.NoticeFiring, holdfast.NoticeReminder, holdfast.NoticeResolved)
}

func TestAChannelThatHearsNothingIsAnAlertForTheOthers(t *testing.T) {
	var c clock
	_, p, r := watchedAt(t, c.now)
	strict(t, p, func(*holdfast.AlertSettings) {})
	deaf := newReceiver(t)
	deaf.refuse = true
	key, err := p.SetChannel(t.Context(), admin, "", holdfast.Channel{Name: "deaf", Kind: holdfast.Webhook}, holdfast.ChannelSecret{URL: deaf.URL + "/alerts"})
	must(t, err)
	if holdfast.KindOf(p.TestChannel(t.Context(), admin, "", "deaf")) != holdfast.Precondition {
		t.Error("the test arrived")
	}
	ends := c.now().Add(time.Hour)
	p.WatchCertificate(func() (time.Time, error) { return ends, nil })
	firing(t, p, holdfast.Certificate)
	eventually(t, "an attempt", func() bool { deaf.mu.Lock(); defer deaf.mu.Unlock(); return deaf.tries >= 2 })
	c.forward(channelPatience + time.Minute)
	if a := firing(t, p, holdfast.ChannelFailing); a.Subject != "deaf" {
		t.Errorf("got %+v", a)
	}
	told(t, r, holdfast.ChannelFailing, holdfast.NoticeFiring)
	deaf.set(func() { deaf.refuse, deaf.key = false, key })
	c.forward(longestWait) // the next attempt is due
	nudge(p.alerts.send)
	told(t, deaf, holdfast.Certificate, holdfast.NoticeFiring)
	firedOnce(t, p, r, holdfast.ChannelFailing)
	if got := deaf.heard(holdfast.ChannelFailing); len(got) != 0 {
		t.Errorf("the channel was told of itself: %v", got)
	}
}

func TestAHeartbeatStopsWhileSomethingFires(t *testing.T) {
	var c clock
	_, p, r := watchedAt(t, c.now)
	strict(t, p, func(*holdfast.AlertSettings) {})
	_, err := p.SetChannel(t.Context(), admin, "", holdfast.Channel{Name: "watch", Kind: holdfast.Heartbeat, Every: time.Minute}, holdfast.ChannelSecret{URL: r.URL + "/beat"})
	must(t, err)
	beats := func() int { r.mu.Lock(); defer r.mu.Unlock(); return r.beats }
	beat := func() {
		t.Helper()
		before := beats()
		c.forward(time.Minute)
		must(t, p.checkAlerts(t.Context()))
		nudge(p.alerts.send)
		eventually(t, "a beat", func() bool { return beats() > before })
	}
	beat()
	ends := c.now().Add(time.Hour)
	p.WatchCertificate(func() (time.Time, error) { return ends, nil })
	a := firing(t, p, holdfast.Certificate)
	told(t, r, holdfast.Certificate, holdfast.NoticeFiring)
	before := beats()
	c.forward(time.Minute)
	must(t, p.checkAlerts(t.Context()))
	_, err = p.beat(t.Context())
	must(t, err)
	if got := beats(); got != before {
		t.Errorf("it beat %d times while something fired", got-before)
	}
	_, err = p.MuteAlert(t.Context(), admin, a.ID, time.Hour)
	must(t, err)
	beat()
	if slices.Contains(r.heard(holdfast.Certificate), holdfast.NoticeResolved) {
		t.Error("a mute was told as an end")
	}
}
