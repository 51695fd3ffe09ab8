package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/store"
)

// target is a branch as a plan is run on it. The caller holds the branch awake meanwhile.
func (p *Platform) target(b store.Branch) publish.Target {
	return publish.Target{
		Owner:         p.ownerConnector(b),
		Administrator: p.adminConnector(b),
		Dump:          func(ctx context.Context) (string, error) { return p.dump(ctx, b) },
	}
}

func (p *Platform) adminConnector(b store.Branch) publish.Connector {
	return func(ctx context.Context) (*pgx.Conn, error) {
		server, err := p.fleet.Server(b.ID)
		if err != nil {
			return nil, err
		}
		return server.Connect(ctx, b.Ref().Database())
	}
}

// ownerConnector logs in as the branch's users do.
func (p *Platform) ownerConnector(b store.Branch) publish.Connector {
	return func(ctx context.Context) (*pgx.Conn, error) {
		owner := holdfast.OwnerRole(b.Project)
		password, err := p.ownerPassword(ctx, b)
		if err != nil {
			return nil, err
		}
		server, err := p.fleet.Server(b.ID)
		if err != nil {
			return nil, err
		}
		conn, err := server.ConnectAs(ctx, owner, password, b.Ref().Database())
		return conn, explainLogin(err, b)
	}
}

// phase is the part of a publish that an event belongs to.
type phase string

const (
	rehearsalPhase phase = "rehearsal"
	applyPhase     phase = "apply"
)

// PublishEvent is a line of a publish's log.
type PublishEvent struct {
	Phase     string           `json:"phase"`               // rehearsal or apply
	Predicted publish.Duration `json:"predicted,omitempty"` // what the statement took in the rehearsal, beside what it took in production
	publish.Event
}

// eventLog writes what happens while a plan runs into the store and the job's log. Locks may be held meanwhile, so nobody waits for it.
type eventLog struct {
	platform *Platform
	run      *run
	pub      holdfast.Publish
	phase    phase

	mu      sync.Mutex
	pending []publish.Event
	wake    chan struct{}
	done    chan struct{}
}

func (p *Platform) newEventLog(r *run, pub holdfast.Publish, phase phase) *eventLog {
	l := &eventLog{platform: p, run: r, pub: pub, phase: phase, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.write()
	return l
}

// add takes an event without waiting.
func (l *eventLog) add(e publish.Event) {
	l.mu.Lock()
	l.pending = append(l.pending, e)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// close returns when everything is written.
func (l *eventLog) close() {
	close(l.wake)
	<-l.done
}

func (l *eventLog) write() {
	defer close(l.done)
	for open := true; open; {
		_, open = <-l.wake
		l.mu.Lock()
		events := l.pending
		l.pending = nil
		l.mu.Unlock()
		if len(events) > 0 {
			l.keep(events)
		}
	}
}

func (l *eventLog) keep(events []publish.Event) {
	p := l.platform
	err := p.store.Update(context.Background(), func(tx *store.Tx) error {
		for _, e := range events {
			if e.Kind == publish.EventProgress {
				continue
			}
			body, err := json.Marshal(PublishEvent{Phase: string(l.phase), Event: e})
			if err == nil {
				err = tx.AppendPublish(store.PublishStatements, l.pub.ProjectID, l.pub.Number, e.At, body)
			}
			if text := eventText(e); err == nil && text != "" {
				_, err = tx.AddJobLine(l.run.job.ID, e.At, text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.log.Error("write the log of a publish", "publish", l.pub.Number, "err", err)
	}
	if e := events[len(events)-1]; e.Kind == publish.EventProgress {
		unit := "blocks"
		if e.Text == publish.FillingRows {
			unit = "rows"
		}
		l.run.Progress(e.Done, e.Total, unit)
	} else if e.Statement >= 0 && e.Steps > 0 {
		l.run.Progress(int64(e.Step), int64(e.Steps), "groups")
	}
}

// eventText puts an event into words; "" for what the others say already.
func eventText(e publish.Event) string {
	number := fmt.Sprintf("#%d ", e.Statement+1)
	if e.Direction == publish.Back {
		number = "back " + number
	}
	switch e.Kind {
	case publish.EventStarted:
		return number + e.Text
	case publish.EventDone:
		if e.Measure != nil {
			return fmt.Sprintf("%sdone in %s", number, rounded(e.Measure.Time))
		}
	case publish.EventBlocked:
		for _, b := range e.Blockers {
			return fmt.Sprintf("waits for session %d (%s, %s, %s in its transaction): %.200s", b.PID, b.Role, b.State, rounded(b.TransactionAge), b.Query)
		}
	case publish.EventRetry:
		return fmt.Sprintf("did not get its locks; attempt %d follows in %s", e.Attempt+1, rounded(e.Wait))
	case publish.EventEnded:
		return "an autovacuum was asked to give way"
	case publish.EventReconnected:
		return "the connection was lost and made again"
	case publish.EventTurned:
		return "taking back what was done: " + e.Text
	}
	return ""
}

func rounded(d publish.Duration) time.Duration {
	return time.Duration(d).Round(100 * time.Microsecond)
}

// PublishLog shows what happened while a publish was rehearsed and applied.
func (p *Platform) PublishLog(ctx context.Context, who holdfast.Principal, project string, number int) ([]PublishEvent, error) {
	found, err := p.findPublishing(ctx, project, mayRead(who))
	if err != nil {
		return nil, err
	}
	out := []PublishEvent{}
	err = p.store.View(ctx, func(tx *store.Tx) error {
		pub, err := publishOf(tx, found.project, number)
		if err != nil {
			return err
		}
		lines, err := tx.PublishList(store.PublishStatements, pub.ProjectID, pub.Number)
		if err != nil {
			return err
		}
		report, err := reportOf(tx, pub)
		if err != nil {
			return err
		}
		for _, line := range lines {
			var e PublishEvent
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("read the log of publish %d: %w", pub.Number, err)
			}
			if report != nil && e.Phase == string(applyPhase) && e.Direction == publish.Forward && e.Kind == publish.EventDone && e.Statement < len(report.Statements) {
				e.Predicted = report.Statements[e.Statement].Measure.Time
			}
			out = append(out, e)
		}
		return nil
	})
	return out, err
}
