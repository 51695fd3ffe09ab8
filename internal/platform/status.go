package platform

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/store"
)

// Status is how everything stands that somebody may see.
type Status struct {
	Branches []BranchStatus
	Alerts   []holdfast.Alert // that are firing
	Running  []holdfast.Job   // that have not ended
	Failed   int              // jobs that failed within a day
}

// BranchStatus is how a branch stands.
type BranchStatus struct {
	Branch       holdfast.BranchRef
	Environment  holdfast.Environment
	Activity     holdfast.Activity
	Sessions     int
	Size         int64
	LastBackup   time.Time // when the newest good backup began; zero: there is none
	LastVerified time.Time // when one was last proved to restore
	HasHistory   bool
	WALLag       time.Duration
	Alerts       int // that are firing
}

// Status shows how everything stands that who may see. project may be empty for every project.
func (p *Platform) Status(ctx context.Context, who holdfast.Principal, project string) (Status, error) {
	var s Status
	alerts, err := p.Alerts(ctx, who, project, false, maxAlerts)
	if err != nil {
		return s, err
	}
	s.Alerts = alerts
	all, err := p.branchStatuses(ctx)
	if err != nil {
		return s, err
	}
	for _, b := range all {
		if !sees(who, b.project) || project != "" && b.Branch.Project != project {
			continue
		}
		for _, a := range alerts {
			if a.BranchID == b.id {
				b.Alerts++
			}
		}
		s.Branches = append(s.Branches, b.BranchStatus)
	}
	jobs, err := p.Jobs(ctx, who, project, 1000)
	for _, j := range jobs {
		switch {
		case !j.State.Final():
			s.Running = append(s.Running, j)
		case j.State == holdfast.JobFailed && p.now().Sub(j.EndedAt) < 24*time.Hour:
			s.Failed++
		}
	}
	return s, err
}

type branchStatus struct {
	BranchStatus
	project holdfast.ProjectID
	id      holdfast.BranchID
}

// branchStatuses asks every branch how it stands. It wakes none and asks no server.
func (p *Platform) branchStatuses(ctx context.Context) ([]branchStatus, error) {
	var projects []store.Project
	branches := map[holdfast.ProjectID][]store.Branch{}
	var backups []store.Backup
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		if projects, err = tx.Projects(); err != nil {
			return err
		}
		for _, project := range projects {
			if branches[project.ID], err = tx.Branches(project.ID); err != nil {
				return err
			}
		}
		backups, err = tx.Backups("")
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []branchStatus
	for _, project := range projects {
		for _, b := range branches[project.ID] {
			if b.State == store.Ready {
				out = append(out, branchStatus{p.branchStatus(b, backups), project.ID, b.ID})
			}
		}
	}
	return out, nil
}

func (p *Platform) branchStatus(b store.Branch, backups []store.Backup) BranchStatus {
	s := BranchStatus{Branch: b.Ref(), Environment: b.Environment, Size: p.sizes.of(b.ID)}
	if now, err := p.fleet.Status(b.ID); err == nil {
		s.Activity, s.Sessions = now.Activity, now.Sessions
	}
	for _, o := range backups { // from new to old
		if o.State != holdfast.BackupCompleted || o.BranchID != b.ID && (o.ProjectID != b.ProjectID || o.Branch != b.Name) {
			continue
		}
		if s.LastBackup.IsZero() {
			s.LastBackup = o.StartedAt
		}
		if o.VerifiedAt.After(s.LastVerified) {
			s.LastVerified = o.VerifiedAt
		}
	}
	if archive, err := p.archive(b); err == nil {
		s.HasHistory = true
		s.WALLag, _ = archive.Lag()
	}
	return s
}

// Measures are the numbers of the metrics that only the platform knows.
type Measures struct {
	Branches []BranchStatus
	Wakes    map[holdfast.BranchRef]WakeHistogram
	Jobs     map[JobCount]int
	Firing   map[AlertCount]int
}

// JobCount tells the numbers of jobs apart: the unfinished ones, and those that ended within a day.
type JobCount struct {
	Kind  string
	State holdfast.JobState
}

// AlertCount tells the numbers of firing alerts apart.
type AlertCount struct {
	Condition       holdfast.Condition
	Severity        holdfast.Severity
	Project, Branch string
}

// Measures collects the numbers of the metrics.
func (p *Platform) Measures(ctx context.Context, who holdfast.Principal) (Measures, error) {
	m := Measures{Jobs: map[JobCount]int{}, Firing: map[AlertCount]int{}}
	if err := checkMetrics(who); err != nil {
		return m, err
	}
	all, err := p.branchStatuses(ctx)
	if err != nil {
		return m, err
	}
	names := map[holdfast.BranchID]holdfast.BranchRef{}
	projects := map[holdfast.ProjectID]string{}
	for _, b := range all {
		m.Branches = append(m.Branches, b.BranchStatus)
		names[b.id], projects[b.project] = b.Branch, b.Branch.Project
	}
	m.Wakes = p.wakes.of(names)
	err = p.store.View(ctx, func(tx *store.Tx) error {
		jobs, err := tx.Jobs("", 10_000)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if !j.State.Final() || p.now().Sub(j.EndedAt) < 24*time.Hour {
				m.Jobs[JobCount{j.Kind, j.State}]++
			}
		}
		firing, err := tx.FiringAlerts()
		for _, a := range firing {
			m.Firing[AlertCount{a.Condition, a.Severity, projects[a.ProjectID], names[a.BranchID].Branch}]++
		}
		return err
	})
	return m, err
}

// WakeBuckets are the bounds of the histogram of wakes, in seconds.
func WakeBuckets() []float64 { return []float64{.1, .25, .5, 1, 2, 4, 8, 15, 30, 60} }

// WakeHistogram counts how long wakes took. Buckets holds for each bound how many took no longer.
type WakeHistogram struct {
	Count   uint64
	Sum     float64 // seconds
	Buckets []uint64
}

// wakes are the wakes since this program began.
type wakes struct {
	mu sync.Mutex
	by map[holdfast.BranchID]*WakeHistogram
}

// noteWake counts an event that is the end of a wake.
func (p *Platform) noteWake(event fleet.Event) {
	if event.Before != holdfast.Waking || event.Activity != holdfast.Awake {
		return
	}
	w := &p.wakes
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[holdfast.BranchID]*WakeHistogram{}
	}
	h := w.by[event.ID]
	if h == nil {
		h = &WakeHistogram{Buckets: make([]uint64, len(WakeBuckets()))}
		w.by[event.ID] = h
	}
	seconds := event.Took.Seconds()
	h.Count++
	h.Sum += seconds
	for i, bound := range WakeBuckets() {
		if seconds <= bound {
			h.Buckets[i]++
		}
	}
}

// of is what was counted of branches that are there, and forgets the others.
func (w *wakes) of(names map[holdfast.BranchID]holdfast.BranchRef) map[holdfast.BranchRef]WakeHistogram {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[holdfast.BranchRef]WakeHistogram{}
	for id, h := range w.by {
		ref, alive := names[id]
		if !alive {
			delete(w.by, id)
			continue
		}
		out[ref] = WakeHistogram{h.Count, h.Sum, slices.Clone(h.Buckets)}
	}
	return out
}
