package gateway_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// attempt is a login as an attacker measures it: every byte that came back, and when.
type attempt struct {
	messages [][]byte
	first    time.Duration // from the startup packet to the server's first SCRAM message
	last     time.Duration // from the proof to the answer
}

// tryLogin logs in by hand through TLS.
func (r *rig) tryLogin(role, password, database string) attempt {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a hang must not stop the tests
	var a attempt
	began := time.Now()
	r.send(conn, startupPacket("user", role, "database", database))
	a.messages = append(a.messages, r.receive(conn))
	bare := "n=,r=clientnonce"
	r.send(conn, saslMessage(append([]byte("SCRAM-SHA-256\x00"), lengthAnd("n,,"+bare)...)))
	serverFirst := r.receive(conn)
	a.first = time.Since(began)
	a.messages = append(a.messages, serverFirst)
	proof := time.Now()
	r.send(conn, saslMessage(clientFinal(r.t, password, bare, string(serverFirst[9:]))))
	for {
		message, err := receive(conn)
		if err == io.EOF {
			return a
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if a.last == 0 {
			a.last = time.Since(proof)
		}
		a.messages = append(a.messages, message)
	}
}

func (r *rig) send(conn net.Conn, message []byte) {
	r.t.Helper()
	if _, err := conn.Write(message); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) receive(conn net.Conn) []byte {
	r.t.Helper()
	message, err := receive(conn)
	if err != nil {
		r.t.Fatal(err)
	}
	return message
}

func receive(conn net.Conn) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	_, err := io.ReadFull(conn, body)
	return append(head, body...), err
}

func startupPacket(pairs ...string) []byte {
	p := binary.BigEndian.AppendUint32(make([]byte, 4), 196608)
	for _, s := range pairs {
		p = append(append(p, s...), 0)
	}
	p = append(p, 0)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

func saslMessage(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'p'}, uint32(4+len(body))), body...)
}

func lengthAnd(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func clientFinal(t *testing.T, password, bare, serverFirst string) []byte {
	t.Helper()
	part := regexp.MustCompile(`^r=(.*),s=(.*),i=(\d+)$`).FindStringSubmatch(serverFirst)
	if part == nil {
		t.Fatalf("the server's first message is %q", serverFirst)
	}
	salt, err := base64.StdEncoding.DecodeString(part[2])
	if err != nil {
		t.Fatal(err)
	}
	iterations, err := strconv.Atoi(part[3])
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	without := "c=biws,r=" + part[1]
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, mac(stored[:], bare+","+serverFirst+","+without))
	return []byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof))
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// Four ways to be a stranger.
func (r *rig) strangers() map[string][3]string {
	return map[string][3]string{
		"wrong password":    {pgtest.Owner, "wrong", r.database()},
		"unknown role":      {"nobod", pgtest.OwnerPassword, r.database()}, // as long as the owner's name
		"unknown name":      {pgtest.Owner, pgtest.OwnerPassword, "zz_production"},
		"name of no branch": {pgtest.Owner, pgtest.OwnerPassword, "postgres"},
	}
}

// TestAStrangerLearnsNothing compares what comes back byte by byte: nonces and salts differ, their lengths do not.
func TestAStrangerLearnsNothing(t *testing.T) {
	r := newRig(t, nil)
	random := regexp.MustCompile(`(r=clientnonce|s=)[A-Za-z0-9+/=]*`)
	blank := func(a attempt, role string) string {
		all := string(bytes.Join(a.messages, []byte("|")))
		all = strings.ReplaceAll(all, `"`+role+`"`, `"ROLE"`)
		return random.ReplaceAllStringFunc(all, func(s string) string { return s[:2] + strings.Repeat("*", len(s)-2) })
	}
	seen := map[string]string{}
	for name, who := range r.strangers() {
		a := r.tryLogin(who[0], who[1], who[2])
		seen[blank(a, who[0])] = name
		if last := a.messages[len(a.messages)-1]; !bytes.Contains(last, []byte("C28P01\x00Mpassword authentication failed for user \""+who[0]+"\"")) {
			t.Errorf("%s: %q", name, last)
		}
		again := r.tryLogin(who[0], who[1], who[2])
		salt := regexp.MustCompile(`s=[^,]*`)
		if !bytes.Equal(salt.Find(a.messages[1]), salt.Find(again.messages[1])) {
			t.Errorf("%s: another salt the second time", name)
		}
	}
	if len(seen) != 1 {
		t.Errorf("strangers are told apart: %q", seen)
	}
	if n := r.branch.acquired.Load(); n != 0 {
		t.Errorf("strangers asked for %d wakes", n)
	}
	stats := r.Stats()
	if stats.Strangers != 6 || stats.Branches[r.branch.ref].Wrong != 2 {
		t.Errorf("counted %+v", stats)
	}
	r.connect() // and the right one gets in
}

// TestEveryRefusalTakesTheSameTime has a look-up that takes its time for roles that exist: the step hides it.
func TestEveryRefusalTakesTheSameTime(t *testing.T) {
	const step = 20 * time.Millisecond
	r := newRig(t, func(s *gateway.Settings, b *branchServer) {
		s.LookupFloor, s.FailureDelay, s.MaxFailureDelay = step, step, step
		b.slow = 3 * time.Millisecond
	})
	first, last := map[string][]time.Duration{}, map[string][]time.Duration{}
	// A machine that is busy with other tests blurs the picture; with more rounds it gets clear, or it is not the machine.
	for rounds := range 80 {
		for name, who := range r.strangers() {
			a := r.tryLogin(who[0], who[1], who[2])
			first[name], last[name] = append(first[name], a.first), append(last[name], a.last)
		}
		if rounds >= 14 && spread(first) < 2*time.Millisecond && spread(last) < 2*time.Millisecond {
			break
		}
	}
	for what, taken := range map[string]map[string][]time.Duration{"first message": first, "answer": last} {
		for name, d := range taken {
			t.Logf("%s, %s: median %v of %d", what, name, medianOf(d), len(d))
			if fastest := slices.Min(d); fastest < step {
				t.Errorf("%s, %s: came after %v, before its step", what, name, fastest)
			}
		}
		if s := spread(taken); s >= 2*time.Millisecond {
			t.Errorf("%s: the medians differ by %v", what, s)
		}
	}
}

// spread is how far the medians lie apart.
func spread(taken map[string][]time.Duration) time.Duration {
	var medians []time.Duration
	for _, d := range taken {
		medians = append(medians, medianOf(d))
	}
	return slices.Max(medians) - slices.Min(medians)
}

func medianOf(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func TestFailedLoginsAreAnsweredMoreAndMoreSlowly(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) {
		s.FailureDelay, s.MaxFailureDelay = 20*time.Millisecond, time.Second
	})
	delays := func() (d []time.Duration) {
		for range 4 {
			d = append(d, r.tryLogin("x", "y", "zz_production").last)
		}
		return d
	}
	for i, d := range delays() {
		if want := 20 * time.Millisecond << i; d < want {
			t.Errorf("failure %d was answered after %v, want %v", i+1, d, want)
		}
	}
	r.connect() // a right login is never slowed down, and clears the slate
	if d := delays()[0]; d > 160*time.Millisecond {
		t.Errorf("after a right login a failure takes %v", d)
	}
}

func TestSilentAndSlowClientsAreLetGo(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.HandshakeTimeout = 50 * time.Millisecond })
	startup := startupPacket("user", "u", "database", "d")
	ssl := []byte{0, 0, 0, 8, 4, 210, 22, 47}
	for name, beginning := range map[string][]byte{
		"silent": nil, "half a length": {0, 0}, "half a startup packet": startup[:20], "no TLS hello": ssl, "half a TLS hello": append(slices.Clone(ssl), 0x16, 3, 1),
		"half a direct TLS hello": {0x16, 3, 1, 1},
	} {
		out := r.sendRaw(beginning)
		if len(out) > 1 {
			t.Errorf("%s: got %q", name, out)
		}
	}
	// One that stops in the middle of the password's proof.
	conn, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		// Direct TLS without the protocol's name is refused after the handshake.
		t.Fatal(err)
	}
	defer conn.Close()
	if message, err := receive(conn); err != nil || !bytes.Contains(message, []byte("C08P01")) {
		t.Errorf("got %q, %v", message, err)
	}
	proving, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if err != nil {
		t.Fatal(err)
	}
	defer proving.Close()
	r.send(proving, startup)
	r.receive(proving)
	if _, err := receive(proving); err == nil {
		t.Error("got an answer to nothing")
	}
	eventually(t, "the lobby's emptying", func() bool { return r.Stats().Unproven == 0 })
}

func TestGarbageIsRefusedAndNothingBreaks(t *testing.T) {
	r := newRig(t, nil)
	for _, garbage := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x08\x04\xd2\x16\x2fxxxxxxxx", // plain bytes after asking for TLS
		"\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x01",         // a cancel request of nobody
		"\x00\x00\x00\x09\x04\xd2\x16\x2e\x00",
		"\x00\x00\x00\x08\x04\xd2\x16\x30\x00\x00\x00\x08\x04\xd2\x16\x30", // GSS twice
		"\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		out := r.sendRaw([]byte(garbage))
		if bytes.Contains(out, []byte("28P01")) {
			t.Errorf("%q: got %q", garbage, out)
		}
	}
	if out := r.sendRaw([]byte("\x00\x00\x00\x08\x04\xd2\x16\x30" + string(startupPacket("user", "u")))); out[0] != 'N' || !bytes.Contains(out, []byte("C28000")) {
		t.Errorf("GSS, then plain: got %q", out)
	}
	r.connect()
}

func TestTooManyStrangersAreShedAndSessionsStay(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.MaxUnproven = 8 })
	session := r.connect()
	var idle []net.Conn
	for range 4 { // one address may have half
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	eventually(t, "the strangers' arrival", func() bool { return r.Stats().Unproven == 4 })
	if conn, err := pgx.Connect(t.Context(), r.url(r.database())); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the fifth got in")
	}
	if r.Stats().Shed == 0 {
		t.Error("nobody was counted")
	}
	if got := pgtest.Value[int](t, session, "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}
	for _, conn := range idle {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the strangers' leaving", func() bool { return r.Stats().Unproven == 0 })
	r.connect()
}
