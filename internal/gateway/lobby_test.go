package gateway

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestTheLobbyForgetsRatherThanGrows(t *testing.T) {
	l := newLobby(2*maxVisitors, time.Second, time.Minute)
	now := time.Unix(1e9, 0)
	stays := netip.MustParseAddr("192.0.2.1")
	if !l.enter(stays, now) {
		t.Fatal("no place")
	}
	for i := range uint32(3 * maxVisitors) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 10<<24|i)
		l.failed(netip.AddrFrom4(b), now)
	}
	if len(l.visitors) > maxVisitors {
		t.Errorf("%d addresses are remembered", len(l.visitors))
	}
	if l.visitors[household(stays)] == nil {
		t.Error("one that is there was forgotten")
	}
	l.leave(stays)
	if l.unproven() != 0 || l.visitors[household(stays)] != nil {
		t.Error("one that left is still there")
	}
}

func TestFailuresAddUpPerHouseholdAndAreForgiven(t *testing.T) {
	l := newLobby(10, 100*time.Millisecond, time.Second)
	now := time.Unix(1e9, 0)
	at := func(addr string, after time.Duration) time.Duration {
		return l.failed(netip.MustParseAddr(addr), now.Add(after))
	}
	for i, c := range []struct {
		addr  string
		after time.Duration
		want  time.Duration
	}{
		{"192.0.2.1", 0, 100 * time.Millisecond},
		{"192.0.2.1", 0, 200 * time.Millisecond},
		{"::ffff:192.0.2.1", 0, 400 * time.Millisecond},
		{"192.0.2.2", 0, 100 * time.Millisecond},
		{"192.0.2.1", time.Minute, 800 * time.Millisecond},
		{"192.0.2.1", time.Minute, time.Second},
		{"192.0.2.1", time.Minute, time.Second},
		{"192.0.2.1", 12 * time.Minute, 100 * time.Millisecond},
		{"2001:db8::1", 0, 100 * time.Millisecond},
		{"2001:db8::ffff", 0, 200 * time.Millisecond},
		{"2001:db8:0:1::1", 0, 100 * time.Millisecond},
	} {
		if got := at(c.addr, c.after); got != c.want {
			t.Errorf("%d: %s waits %v, want %v", i, c.addr, got, c.want)
		}
	}
	for range 100 {
		at("192.0.2.9", 0)
	}
	if got := at("192.0.2.9", 0); got != time.Second {
		t.Errorf("after many failures: %v", got)
	}
	l.succeeded(netip.MustParseAddr("192.0.2.9"))
	if got := at("192.0.2.9", 0); got != 100*time.Millisecond {
		t.Errorf("after a right login: %v", got)
	}
}

func TestASlowLookUpSlowsAllOthersForAWhile(t *testing.T) {
	const ms = time.Millisecond
	p := pace{step: 5 * ms}
	now := time.Unix(1e9, 0)
	for i, c := range []struct{ at, took, seems time.Duration }{
		{0, 0, 5 * ms},
		{0, 7 * ms, 10 * ms},
		{0, 0, 10 * ms},
		{paceWindow, 0, 10 * ms},
		{paceWindow + 1, 0, 10 * ms}, // the next window looks back on it
		{2*paceWindow + 2, 0, 5 * ms},
		{2*paceWindow + 2, time.Second, time.Second + 5*ms},
		{2*paceWindow + 2, 0, maxPace + 5*ms}, // one stall does not cost everybody a second
		{9 * paceWindow, 0, 5 * ms},
	} {
		if got := p.took(c.took, now.Add(c.at)); got != c.seems {
			t.Errorf("%d: got %v, want %v", i, got, c.seems)
		}
	}
}
