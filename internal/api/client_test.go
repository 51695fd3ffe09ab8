package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
)

func serve(t *testing.T, handler http.HandlerFunc) *api.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := api.NewClient(s.URL+"/", "hf_secret", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAProblemComesBackAsTheErrorItWas(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", api.ProblemContentType+"; charset=utf-8")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"type":"urn:holdfast:problem:unsafe","title":"Conflict","status":409,"detail":"it would lose data","code":"unsafe","hint":"say --yes"}`)
	})
	_, err := c.Projects(t.Context())
	if holdfast.KindOf(err) != holdfast.Unsafe || holdfast.HintOf(err) != "say --yes" || err.Error() != "it would lose data" {
		t.Errorf("got %v: %v (%s)", holdfast.KindOf(err), err, holdfast.HintOf(err))
	}
}

func TestEveryKindSurvivesTheWire(t *testing.T) {
	for k := holdfast.Internal; k <= holdfast.Corrupt; k++ {
		raw, _ := json.Marshal(api.Problem{Code: k.String(), Detail: "x", Status: 500})
		var p api.Problem
		if err := json.Unmarshal(raw, &p); err != nil || holdfast.KindOf(p.Err()) != k {
			t.Errorf("%v became %v, %v", k, holdfast.KindOf(p.Err()), err)
		}
	}
}

func TestAnAnswerThatIsNotOursIsExplained(t *testing.T) {
	for status, want := range map[int]holdfast.Kind{
		502: holdfast.Unavailable, 503: holdfast.Unavailable, 504: holdfast.Timeout, 401: holdfast.Unauthenticated, 403: holdfast.NotAllowed,
		404: holdfast.NotFound, 301: holdfast.Internal, 418: holdfast.Internal,
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>nginx</html>")
		})
		_, err := c.Project(t.Context(), "shop")
		if holdfast.KindOf(err) != want || strings.Contains(err.Error(), "nginx") {
			t.Errorf("%d: got %v: %v, want %v", status, holdfast.KindOf(err), err, want)
		}
	}
}

func TestNoRedirectCarriesTheTokenAway(t *testing.T) {
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Store(true) }))
	defer thief.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.CreateToken(t.Context(), api.NewToken{Name: "x"}); err == nil {
		t.Error("a redirect counted as success")
	}
	if stolen.Load() {
		t.Error("the request was sent on")
	}
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	c, err := api.NewClient(s.URL, "hf_secret", "test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Server(t.Context())
	if holdfast.KindOf(err) != holdfast.Unavailable || holdfast.HintOf(err) == "" || strings.Contains(err.Error(), "hf_secret") {
		t.Errorf("got %v: %v", holdfast.KindOf(err), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Server(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted request gave %v", err)
	}
}

func TestNamesOfAnyBytesStayInTheirPlaceInThePath(t *testing.T) {
	seen := make(chan string, 1)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.EscapedPath()
		fmt.Fprint(w, `{}`)
	})
	for project, want := range map[string]string{
		"shop": "/api/v1/projects/shop/branches/a%20b", "../x": "/api/v1/projects/..%2Fx/branches/a%20b", "{branch}": "/api/v1/projects/%7Bbranch%7D/branches/a%20b", "a?b#c": "/api/v1/projects/a%3Fb%23c/branches/a%20b",
	} {
		if _, err := c.Branch(t.Context(), holdfast.BranchRef{Project: project, Branch: "a b"}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != want {
			t.Errorf("%q: got %s, want %s", project, got, want)
		}
	}
}

func TestRequestsCarryTokenAndAgent(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hf_secret" || r.UserAgent() != "test" {
			t.Errorf("got %v", r.Header)
		}
		var in api.SettingsChange
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Parameters["work_mem"] != nil || *in.IdleTimeout != 60 {
			t.Errorf("got %+v, %v", in, err)
		}
		fmt.Fprint(w, `{"name":"development","unknown":1}`)
	})
	idle := int64(60)
	b, err := c.ChangeSettings(t.Context(), holdfast.BranchRef{Project: "shop", Branch: "development"}, api.SettingsChange{IdleTimeout: &idle, Parameters: map[string]*string{"work_mem": nil}})
	if err != nil || b.Name != "development" {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestServerAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:7600", "ftp://x", "http://", "http://user:pass@host", "http://host?token=x"} {
		if _, err := api.NewClient(bad, "", ""); holdfast.KindOf(err) != holdfast.Invalid {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestFollowingAJobBearsACutStream(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch calls.Add(1) {
		case 1: // cut in the middle of an event
			fmt.Fprint(w, ": hello\n\nevent: job\ndata: {\"id\":\"job_1\",\"state\":\"running\",\"step\":\"one\"}\n\nevent: job\ndata: {\"id\":")
		case 2: // the server is being restarted
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusBadGateway)
		default:
			fmt.Fprint(w, "event: news\ndata: {}\n\nevent: job\ndata: {\"id\":\"job_1\",\ndata: \"state\":\"failed\",\"error\":\"disk full\",\"error_code\":\"precondition\"}\n\n")
		}
	})
	var steps []string
	last, err := c.FollowJob(t.Context(), "job_1", func(j api.Job) { steps = append(steps, j.State) })
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, " "); got != "running failed" {
		t.Errorf("saw %s", got)
	}
	if holdfast.KindOf(last.Err()) != holdfast.Precondition || last.Err().Error() != "disk full" {
		t.Errorf("ended with %v", last.Err())
	}
}

func TestFollowingAJobThatDoesNotExistEnds(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", api.ProblemContentType)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":"not_found","detail":"job x does not exist"}`)
	})
	if _, err := c.FollowJob(t.Context(), "x", func(api.Job) {}); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("got %v", err)
	}
}
