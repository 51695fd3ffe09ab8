package platform

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/egress"
	"github.com/holdfast/holdfast/internal/notify"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// receiver is a webhook's other side, which takes what is signed with its key and nothing else.
type receiver struct {
	*httptest.Server
	key string

	mu      sync.Mutex
	refuse  bool // answer as one that is out of order
	notices []holdfast.Notice
	tries   int
	beats   int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	body, err := io.ReadAll(req.Body)
	switch {
	case err != nil || r.refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case req.URL.Path == "/beat":
		r.beats++
		return
	}
	// As docs/alerts.md tells receivers to do it.
	timestamp := req.Header.Get("Holdfast-Timestamp")
	mac := hmac.New(sha256.New, []byte(r.key))
	mac.Write([]byte(timestamp + "." + string(body)))
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if !hmac.Equal([]byte("sha256="+hex.EncodeToString(mac.Sum(nil))), []byte(req.Header.Get("Holdfast-Signature"))) || err != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var n holdfast.Notice
	if json.Unmarshal(body, &n) != nil || n.ID != req.Header.Get("Holdfast-Notice") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !slices.ContainsFunc(r.notices, func(o holdfast.Notice) bool { return o.ID == n.ID }) { // the sender may have stopped before it read our answer
		r.notices = append(r.notices, n)
	}
}

// heard lists the events that arrived about a condition.
func (r *receiver) heard(c holdfast.Condition) (events []holdfast.NoticeEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.notices {
		if n.Alert.Condition == c {
			events = append(events, n.Event)
		}
	}
	return events
}

func (r *receiver) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// watched is a platform that may reach this machine and tells a receiver of everything.
func watched(t *testing.T) (home, *Platform, *receiver) {
	t.Helper()
	return watchedAt(t, nil)
}

func watchedAt(t *testing.T, now func() time.Time) (home, *Platform, *receiver) {
	t.Helper()
	h := newHome(t)
	h.now = now
	p, r := h.watched(t)
	return h, p, r
}

func (h *home) watched(t *testing.T) (*Platform, *receiver) {
	t.Helper()
	h.notify = notify.New(egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	p := h.open(t)
	r := newReceiver(t)
	r.hook(t, p)
	return p, r
}

func (r *receiver) hook(t *testing.T, p *Platform) {
	t.Helper()
	key, err := p.SetChannel(t.Context(), admin, "", holdfast.Channel{Name: "hook", Kind: holdfast.Webhook}, holdfast.ChannelSecret{URL: r.URL + "/alerts"})
	if err != nil || key == "" {
		t.Fatal(key, err)
	}
	r.set(func() { r.key = key })
}

// strict makes the thresholds so low that a test sees them passed.
func strict(t *testing.T, p *Platform, change func(*holdfast.AlertSettings)) {
	t.Helper()
	s := holdfast.DefaultAlertSettings()
	s.DiskFree, s.RemindAfter = 0, 0
	change(&s)
	if err := p.SetAlertSettings(t.Context(), admin, s); err != nil {
		t.Fatal(err)
	}
}

// firing finds the alert of a condition, looking anew until it is there.
func firing(t *testing.T, p *Platform, c holdfast.Condition) (found holdfast.Alert) {
	t.Helper()
	eventually(t, string(c)+" fires", func() bool {
		if err := p.checkAlerts(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := p.Alerts(t.Context(), admin, "", false, 100)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(a holdfast.Alert) bool { return a.Condition == c })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// over waits until nothing of a condition fires any more.
func over(t *testing.T, p *Platform, c holdfast.Condition) {
	t.Helper()
	eventually(t, string(c)+" is over", func() bool {
		if err := p.checkAlerts(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := p.Alerts(t.Context(), admin, "", false, 100)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(a holdfast.Alert) bool { return a.Condition == c })
	})
}

func told(t *testing.T, r *receiver, c holdfast.Condition, want ...holdfast.NoticeEvent) {
	t.Helper()
	eventually(t, "notices of "+string(c), func() bool { return len(r.heard(c)) >= len(want) })
	if got := r.heard(c); !slices.Equal(got, want) {
		t.Errorf("of %s the receiver heard %v, want %v", c, got, want)
	}
}

// A lock that one session holds and another waits for, and the transaction that holds it.
func TestLockWaitsAndLongTransactionsFireAndResolve(t *testing.T) {
	_, p, r := watched(t)
	create(t, p, NewProject{Name: "shop", SampleRows: 3})
	strict(t, p, func(s *holdfast.AlertSettings) { s.LockWait, s.LongTransaction = time.Second, time.Second })
	production := ref(t, "shop/production")
	holder, waiter := asOwner(t, p, production), asOwner(t, p, production)
	pgtest.Exec(t, holder, `BEGIN; LOCK TABLE sample`)
	waited := make(chan error, 1)
	go func() { _, err := waiter.Exec(context.Background(), `SELECT FROM sample`); waited <- err }()

	a := firing(t, p, holdfast.LockWait)
	if a.Place != "shop/production" || a.Severity != holdfast.Warning {
		t.Errorf("got %+v", a)
	}
	firing(t, p, holdfast.LongTransaction)
	// Found again and again it stays one alert, and is told once.
	for range 3 {
		if again := firing(t, p, holdfast.LockWait); again.ID != a.ID {
			t.Errorf("%s fired again as %s", a.ID, again.ID)
		}
	}
	told(t, r, holdfast.LockWait, holdfast.NoticeFiring)
	pgtest.Exec(t, holder, `ROLLBACK`)
	<-waited
	over(t, p, holdfast.LockWait)
	over(t, p, holdfast.LongTransaction)
	told(t, r, holdfast.LockWait, holdfast.NoticeFiring, holdfast.NoticeResolved)
	told(t, r, holdfast.LongTransaction, holdfast.NoticeFiring, holdfast.NoticeResolved)
}
