package test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast/holdfast/internal/api"
)

// Nobody reaches the inside of the server's network through an address that is chosen: of an S3 endpoint, a webhook or a provider, written as a
// number, as a name, or behind a redirect of an address that may be reached.
func TestAnAddressThatIsChosenLeadsNotInside(t *testing.T) {
	t.Parallel()
	const allowed = "127.0.0.2"
	s := start(t, "--allow-network", allowed+"/32")
	s.project(t, api.NewProject{Name: "shop"})
	var reached atomic.Int64
	inside := listen(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, "{}") // whoever reads it has failed already
	})
	_, port, err := net.SplitHostPort(inside)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	outside := listen(t, allowed+":0", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "http://"+inside+r.URL.Path, http.StatusTemporaryRedirect)
	})
	withSecret := func(args ...string) outcome {
		c := s.user("")
		c.stdin = strings.NewReader("a secret\n")
		return c.run(t, binary, args...)
	}
	s3 := func(how, endpoint string) outcome {
		return withSecret("location", how, "shop", "offsite", "--s3", endpoint, "--bucket", "backups", "--access-key", "k", "--path-style", "--insecure", "--region", "x")
	}
	// localhost. with a dot is a name like any other that leads inside, which only the resolver finds out.
	for _, host := range []string{"127.0.0.1", "localhost", "localhost.", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		address := host + ":" + port
		for _, how := range []string{"test", "add"} {
			if o := s3(how, address); o.code == 0 {
				t.Errorf("location %s %s: %s", how, address, o.out)
			}
		}
		o := s.holdfast(t, "alert", "channels", "add", "hook", "--url", "http://"+address+"/hook")
		if o.code == 0 { // the name could have led anywhere
			o = s.holdfast(t, "alert", "channels", "test", "hook")
		}
		if o.code == 0 {
			t.Errorf("a webhook at %s was told", address)
		}
		if host != "0.0.0.0" && host != "localhost." {
			if o := withSecret("oidc", "set", "--name", "Mine", "--issuer", "http://"+address, "--client-id", "c"); o.code == 0 || !strings.Contains(o.err, "--allow-network") {
				t.Errorf("a provider at %s: %d %s", address, o.code, o.err)
			}
		}
	}
	if o := s3("test", "127.0.0.1:"+port); !strings.Contains(o.out+o.err, "--allow-network") {
		t.Errorf("it is not said how it can be allowed: %s%s", o.out, o.err)
	}
	// What may be reached sends us inside.
	o := s3("test", outside)
	if t.Logf("an endpoint that redirects: %s%s", o.out, o.err); o.code == 0 {
		t.Error("it can be used")
	}
	s.must(t, "alert", "channels", "add", "hook", "--url", "http://"+outside+"/hook")
	if o := s.holdfast(t, "alert", "channels", "test", "hook"); o.code == 0 {
		t.Errorf("a webhook that redirects: %s", o.out)
	}
	if o := withSecret("oidc", "set", "--name", "Mine", "--issuer", "http://"+outside, "--client-id", "c"); o.code == 0 {
		t.Errorf("a provider that redirects: %s", o.out)
	}
	if asked.Load() < 3 {
		t.Errorf("what may be reached was asked %d times: this test shows nothing", asked.Load())
	}
	if reached.Load() != 0 {
		t.Errorf("the inside was reached %d times", reached.Load())
	}
	// An admin of the installation can say for a channel that it is meant.
	s.must(t, "alert", "channels", "add", "hook", "--url", "http://"+inside+"/hook", "--allow-private")
	s.must(t, "alert", "channels", "test", "hook")
	if reached.Load() != 1 {
		t.Errorf("a webhook that may reach the inside was told %d times", reached.Load())
	}
}

// listen answers requests at an address until the test ends.
func listen(t *testing.T, address string, answer http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("nobody can listen at %s: %v", address, err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: answer}}
	server.Start()
	t.Cleanup(server.Close)
	return l.Addr().String()
}
