package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast/internal/gateway"
	"github.com/holdfast/holdfast/internal/pgtest"
)

// bothWays runs a test through TLS and without.
func bothWays(t *testing.T, test func(t *testing.T, r *rig, mode string)) {
	for _, mode := range []string{"require", "disable"} {
		t.Run("sslmode="+mode, func(t *testing.T) {
			test(t, newRig(t, func(s *gateway.Settings, _ *branchServer) { s.AllowPlaintext = true }), mode)
		})
	}
}

func TestLargeRowsPassInBoundedMemory(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		conn := r.connect("sslmode", mode)
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		const rows, size = 300, 1 << 20
		copied := &counting{}
		if _, err := conn.PgConn().CopyTo(t.Context(), copied, fmt.Sprintf("COPY (SELECT repeat('x', %d) FROM generate_series(1, %d)) TO STDOUT", size, rows)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&now)
		if copied.n != rows*(size+1) {
			t.Errorf("got %d bytes", copied.n)
		}
		// pgx itself holds a message of a row at a time.
		if grown := int64(now.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		if out := r.Stats().Branches[r.branch.ref].BytesOut; out < rows*size {
			t.Errorf("counted %d bytes", out)
		}
	})
}

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestCopyGoesBothWays(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		conn := r.connect("sslmode", mode)
		pgtest.Exec(t, conn, "CREATE TABLE c (i int, s text)")
		const rows = 200000
		n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"c"}, []string{"i", "s"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i, strings.Repeat("é", i%50)}, nil }))
		if err != nil || n != rows {
			t.Fatalf("copied %d in: %v", n, err)
		}
		var out bytes.Buffer
		if _, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY c TO STDOUT"); err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(out.Bytes(), []byte{'\n'}); lines != rows {
			t.Errorf("copied %d out", lines)
		}
		// One that fails in the middle leaves the session usable.
		if _, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("1\tx\nnonsense\n"), "COPY c FROM STDIN"); err == nil {
			t.Error("nonsense was copied in")
		}
		if got := pgtest.Value[int](t, conn, "SELECT count(*) FROM c"); got != rows {
			t.Errorf("there are %d rows", got)
		}
	})
}

func TestNoticesAndNotificationsArrive(t *testing.T) {
	r := newRig(t, nil)
	config := r.config(pgtest.Owner, pgtest.OwnerPassword, r.database())
	var notices []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Message) }
	listener, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close(t.Context())
	pgtest.Exec(t, listener, "DO $$ BEGIN RAISE NOTICE 'hello'; END $$; LISTEN news")
	if len(notices) != 1 || notices[0] != "hello" {
		t.Errorf("notices: %v", notices)
	}
	pgtest.Exec(t, r.connect(), "NOTIFY news, 'payload'")
	got, err := listener.WaitForNotification(t.Context())
	if err != nil || got.Payload != "payload" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPreparedStatementsAndPipelines(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	if _, err := conn.Prepare(t.Context(), "double", "SELECT $1::int * 2"); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[int](t, conn, "double", 21); got != 42 {
		t.Errorf("got %d", got)
	}
	batch := &pgx.Batch{}
	for i := range 1000 {
		batch.Queue("double", i)
	}
	results := conn.SendBatch(t.Context(), batch)
	for i := range 1000 {
		var got int
		if err := results.QueryRow().Scan(&got); err != nil || got != 2*i {
			t.Fatalf("%d: got %d, %v", i, got, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	pipeline := conn.PgConn().StartPipeline(t.Context())
	for range 3 {
		pipeline.SendQueryParams("SELECT 1/0", nil, nil, nil, nil)
		pipeline.SendQueryParams("SELECT 1", nil, nil, nil, nil)
		if err := pipeline.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := pipeline.Close(); err == nil {
		t.Error("the division by zero was not seen")
	}
	if got := pgtest.Value[int](t, conn, "SELECT 7"); got != 7 {
		t.Errorf("got %d", got)
	}
}

func TestACancelRequestReachesItsBackend(t *testing.T) {
	for name, more := range map[string][]string{
		"plain": {"sslmode", "disable"}, "TLS": {"sslmode", "require"}, "direct TLS": {"sslmode", "require", "sslnegotiation", "direct"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.AllowPlaintext = true })
			conn, other := r.connect(more...), r.connect(more...)
			failed := make(chan error, 1)
			go func() {
				_, err := conn.Exec(t.Context(), "SELECT pg_sleep(600)")
				failed <- err
			}()
			r.awaitQuery("SELECT pg_sleep(600)")
			// Another session's request, and one with a guessed secret, do not reach it.
			if err := other.PgConn().CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			guess := make([]byte, 16)
			copy(guess, []byte{0, 0, 0, 16, 4, 210, 22, 46, byte(conn.PgConn().PID() >> 24), byte(conn.PgConn().PID() >> 16), byte(conn.PgConn().PID() >> 8), byte(conn.PgConn().PID())})
			r.sendRaw(guess)
			select {
			case err := <-failed:
				t.Fatalf("somebody else's cancel request reached it: %v", err)
			default:
			}
			if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantCode(t, <-failed, "57014")
			if got := pgtest.Value[int](t, conn, "SELECT 1"); got != 1 {
				t.Errorf("got %d", got)
			}
		})
	}
}

// awaitQuery waits until the server runs the query.
func (r *rig) awaitQuery(query string) {
	r.t.Helper()
	eventually(r.t, query, func() bool {
		return pgtest.Value[int](r.t, r.owner, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND query = $2", r.database(), query) > 0
	})
}

// backends counts the server's sessions in the branch's database.
func (r *rig) backends() int {
	return pgtest.Value[int](r.t, r.owner, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", r.database())
}

// sendRaw opens a connection, sends the bytes, and returns what came back until the gateway closed.
func (r *rig) sendRaw(data []byte) []byte {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(data); err != nil {
		r.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a hang must not stop the tests
	out, err := io.ReadAll(conn)
	if errors.Is(err, context.DeadlineExceeded) {
		r.t.Fatal("the gateway does not close")
	}
	return out
}

func TestEitherSidesEndEndsTheOther(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		conn := r.connect("sslmode", mode)
		if n := r.backends(); n != 1 {
			t.Fatalf("%d backends", n)
		}
		// The client goes without a word.
		if err := conn.PgConn().Conn().Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the backend's end", func() bool { return r.backends() == 0 })
		eventually(t, "the hold's end", func() bool { return r.branch.held.Load() == 0 })
		// The client resets the connection.
		conn = r.connect("sslmode", mode)
		raw := conn.PgConn().Conn()
		if c, ok := raw.(*tls.Conn); ok {
			raw = c.NetConn()
		}
		if err := errors.Join(raw.(*net.TCPConn).SetLinger(0), raw.Close()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the backend's end", func() bool { return r.backends() == 0 })
		// The server ends: its own last word reaches the client.
		conn = r.connect("sslmode", mode)
		pgtest.Exec(t, r.owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+r.database()+"'")
		_, err := conn.Exec(t.Context(), "SELECT 1")
		wantCode(t, err, "57P01")
		eventually(t, "the hold's end", func() bool { return r.branch.held.Load() == 0 })
	})
}

// A client that closes only its sending side gets what it asked for before.
func TestAHalfClosedClientGetsItsAnswers(t *testing.T) {
	r := newRig(t, func(s *gateway.Settings, _ *branchServer) { s.AllowPlaintext = true })
	h, err := r.connect("sslmode", "disable").PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
	h.Frontend.Send(&pgproto3.Query{String: "SELECT pg_sleep(0.05), 'the answer'"})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := h.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(h.Conn)
	if err != nil || !bytes.Contains(all, []byte("the answer")) {
		t.Errorf("got %q, %v", all, err)
	}
}

func TestASlowReaderHoldsUpNobodyElse(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, mode string) {
		h, err := r.connect("sslmode", mode).PgConn().Hijack()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Conn.Close()
		h.Frontend.Send(&pgproto3.Query{String: "SELECT repeat('x', 1000000) FROM generate_series(1, 200)"})
		if err := h.Frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the buffers' filling", func() bool {
			return pgtest.Value[int](t, r.owner, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'ClientWrite'", r.database()) == 1
		})
		if got := pgtest.Value[int](t, r.connect("sslmode", mode), "SELECT 1"); got != 1 {
			t.Errorf("got %d", got)
		}
		// It reads on, and nothing is lost.
		n, rows := 0, 0
		for rows < 200 {
			message, err := h.Frontend.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if row, ok := message.(*pgproto3.DataRow); ok {
				rows++
				n += len(row.Values[0])
			}
		}
		if n != 200*1000000 {
			t.Errorf("got %d bytes", n)
		}
	})
}

func TestBytesOfTheClientTouchTheBranch(t *testing.T) {
	r := newRig(t, nil)
	conn := r.connect()
	before := r.branch.touched.Load()
	pgtest.Exec(t, conn, "SELECT 1")
	if r.branch.touched.Load() == before {
		t.Error("not touched")
	}
}
