package gateway

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestSetsOwnParameter(t *testing.T) {
	for sql, want := range map[string]bool{
		"SET app.tenant = 7": true, "set\n app . tenant to 7": true, `SET SESSION "app"."x" = 1`: true, "SELECT 1; SET a.b = 1": true,
		"select SET_CONFIG('a.b', '1', true)": true, "SET /* x */ -- y\n a.b = 1": true,
		"SET search_path = a, b": false, "SET LOCAL app.tenant = 7": false, "UPDATE t SET x = a.b": false, "offset a.b": false,
		"SELECT reset.a": false, "RESET app.tenant": false, "SET": false, "SET ": false, "set_configuration('x')": false, "": false,
	} {
		if got := setsOwnParameter([]byte(sql)); got != want {
			t.Errorf("%q: %v", sql, got)
		}
	}
}

func FuzzWatch(f *testing.F) {
	f.Add([]byte("SELECT 1; SET app.tenant = 7"), uint8(3), byte('Q'))
	f.Add([]byte("INSERT INTO t VALUES ('x')"), uint8(0), byte('P'))
	f.Fuzz(func(t *testing.T, sql []byte, step uint8, kind byte) {
		stream := appendMessage(nil, kind, sql)
		stream, _ = (&pgproto3.Query{String: "SET app.tenant = 7"}).Encode(stream)
		// What is found in the whole is found in the pieces, and what comes after a message is never lost.
		w := watch{}
		for p := stream; len(p) > 0; {
			n := min(len(p), int(step)+1)
			w.scan(p[:n])
			p = p[n:]
		}
		if !w.own {
			t.Errorf("not noticed in pieces of %d", int(step)+1)
		}
		if kind != 'Q' && kind != 'P' {
			return
		}
		if long := string(sql); len(long) < watchTail && setsOwnParameter(sql) {
			w := watch{}
			for _, c := range appendMessage(nil, kind, sql) {
				w.scan([]byte{c})
			}
			if !w.own {
				t.Errorf("%q is not noticed byte by byte", sql)
			}
		}
	})
}
