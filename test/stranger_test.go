package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// answer is what a stranger sees: every byte after the proof, and when the last one came.
type answer struct {
	bytes []byte
	took  time.Duration
}

// ask tries to log in from an address of this machine that nobody has failed from, and returns what the gateway answered.
func ask(t *testing.T, address, user, password, database, from string) answer {
	t.Helper()
	target := url.URL{Scheme: "postgresql", User: url.UserPassword(user, password), Host: address, Path: database, RawQuery: "sslmode=require"}
	config, err := pgconn.ParseConfig(target.String())
	if err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	config.DialFunc = dialer.DialContext
	var heard *recorder
	config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		heard = &recorder{Conn: conn}
		return heard, nil
	}
	begun := time.Now()
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	took := time.Since(begun)
	if err == nil {
		conn.Close(t.Context())
		t.Fatalf("%s was let in to %s", user, database)
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Fatalf("%s at %s got %v", user, database, err)
	}
	return answer{heard.errorResponse(t), took}
}

// recorder keeps what it reads.
type recorder struct {
	net.Conn
	mu   sync.Mutex
	read []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = append(r.read, p[:n]...)
	return n, err
}

// errorResponse returns the bytes of the ErrorResponse and of whatever follows it. What comes before differs from login to login:
// nonces and salts.
func (r *recorder) errorResponse(t *testing.T) []byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.read
	for len(rest) >= 5 {
		length := 1 + int(rest[1])<<24 + int(rest[2])<<16 + int(rest[3])<<8 + int(rest[4])
		if rest[0] == 'E' {
			return rest
		}
		rest = rest[min(length, len(rest)):]
	}
	t.Fatalf("no ErrorResponse in %q", r.read)
	return nil
}

func TestAStrangerLearnsNothingAndWakesNobody(t *testing.T) {
	t.Parallel()
	s, development, _ := sharedProject(t, 0)
	con := s.connection(t, development)
	s.sleep(t, development)
	before := s.starts(t, development)

	kinds := []struct{ name, user, password, database string }{
		{"a wrong password", con.User, "wrong", con.Database},
		{"an unknown name", con.User, "wrong", "nowhere_development"},
		{"the right password at an unknown branch", con.User, con.Password, development.Project + "_nowhere"},
		{"a database that the branch may not have", con.User, "wrong", "other@" + con.Database},
		{"an unknown role", "stranger", "wrong", con.Database},
		{"an unknown role at an unknown name", "stranger", "wrong", "nowhere_development"},
	}
	const rounds = 9
	answers, times := make([][]byte, len(kinds)), make([][]time.Duration, len(kinds))
	for round := range rounds {
		for i, k := range kinds { // in turn, so that a busy moment of the machine meets all
			got := ask(t, con.Host+fmt.Sprintf(":%d", con.Port), k.user, k.password, k.database, fmt.Sprintf("127.9.%d.%d", round+1, i+1))
			answers[i], times[i] = got.bytes, append(times[i], got.took)
		}
	}
	for i, k := range kinds {
		// The message repeats the role that was asked for, so it is compared with that of the same role.
		same := 0
		if k.user == "stranger" {
			same = slices.IndexFunc(kinds, func(o struct{ name, user, password, database string }) bool { return o.user == "stranger" })
		}
		if !bytes.Equal(answers[i], answers[same]) {
			t.Errorf("%s is answered with %q, %s with %q", k.name, answers[i], kinds[same].name, answers[same])
		}
		a, b := median(times[i]), median(times[0])
		t.Logf("%s: %v", k.name, a)
		if a > b*2 || b > a*2 {
			t.Errorf("%s takes %v, %s takes %v", k.name, a, kinds[0].name, b)
		}
	}
	if got := s.branch(t, development); got.Activity != "asleep" || s.starts(t, development) != before {
		t.Errorf("strangers woke the branch: %+v", got)
	}
	if one := value[int](t, s.connect(t, development), "SELECT 1"); one != 1 { // who knows the password does
		t.Errorf("got %d", one)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
