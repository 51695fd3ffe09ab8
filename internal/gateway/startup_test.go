package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// packetOf is a startup packet with these names and values.
func packetOf(version uint32, pairs ...string) []byte {
	p := binary.BigEndian.AppendUint32(make([]byte, 4), version)
	for _, s := range pairs {
		p = append(append(p, s...), 0)
	}
	p = append(p, 0)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

func TestAStartupPacketIsReadAsPostgreSQLReadsIt(t *testing.T) {
	for _, c := range []struct {
		name     string
		packet   []byte
		code     string // of the refusal; empty when it is read
		user, db string
	}{
		{"plain", packetOf(protocol30, "user", "u", "database", "d"), "", "u", "d"},
		{"no database", packetOf(protocol30, "user", "u"), "", "u", "u"},
		{"the last of a kind counts", packetOf(protocol30, "user", "a", "user", "b", "database", "d"), "", "b", "d"},
		{"odd bytes", packetOf(protocol30, "user", "a \"b\xff'", "database", "é\xc3@x_y"), "", "a \"b\xff'", "é\xc3@x_y"},
		{"no user", packetOf(protocol30, "database", "d"), "28000", "", ""},
		{"protocol 2", packetOf(2<<16, "user", "u"), "0A000", "", ""},
		{"protocol 4", packetOf(4<<16, "user", "u"), "0A000", "", ""},
		{"no terminator", []byte("\x00\x00\x00\x0c\x00\x03\x00\x00user"), "08P01", "", ""},
		{"bytes after the terminator", packetOf(protocol30, "user", "u", "", "x"), "08P01", "", ""},
		{"a name without a value", packetOf(protocol30, "user", "u", "x"), "08P01", "", ""},
		{"endless parameters", packetOf(protocol30, strings.Split(strings.Repeat("a,b,", maxParameters+1), ",")...), "08P01", "", ""},
		{"too long", packetOf(protocol30, "user", strings.Repeat("x", maxStartup)), "08P01", "", ""},
		{"too short", []byte{0, 0, 0, 4, 0, 3, 0, 0}, "08P01", "", ""},
		{"huge length", []byte{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0}, "08P01", "", ""},
	} {
		version, body, err := readPacket(bytes.NewReader(c.packet))
		var s startup
		if err == nil {
			s, err = parseStartup(version, body)
		}
		var r *refusal
		switch {
		case c.code == "" && (err != nil || s.user != c.user || s.database != c.db):
			t.Errorf("%s: got %+v, %v", c.name, s, err)
		case c.code != "" && (!errors.As(err, &r) || r.code != c.code):
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
		}
	}
}

func TestReplicationIsRecognisedHoweverItIsSpelled(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "off": false, "of": false, "F": false, "no": false, "true": true, "1": true, "on": true,
		"database": true, "yes": true, "o": true, "falsehood": true} {
		s := startup{replication: value}
		if s.wantsReplication() != want {
			t.Errorf("replication=%q: got %v", value, !want)
		}
	}
}

func TestTheServerGetsEveryWishOfTheClient(t *testing.T) {
	version, body, err := readPacket(bytes.NewReader(packetOf(protocol30+2, "user", "u", "options", "-c x=y", "database", "other@shop_production", "application_name", "é",
		"_pq_.anything", "1", "replication", "off")))
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStartup(version, body)
	if err != nil || s.minor != 2 || len(s.extensions) != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	version, body, err = readPacket(bytes.NewReader(s.packet("other")))
	if err != nil {
		t.Fatal(err)
	}
	want := startup{user: "u", database: "other", parameters: []parameter{{"options", "-c x=y"}, {"application_name", "é"}}}
	if sent, err := parseStartup(version, body); err != nil || !reflect.DeepEqual(sent, want) {
		t.Errorf("sent %+v, %v, want %+v", sent, err, want)
	}
}

func FuzzStartup(f *testing.F) {
	f.Add(packetOf(protocol30, "user", "u", "database", "other@shop_production", "options", "-c a=b"))
	f.Add(packetOf(protocol30+2, "user", "u", "_pq_.x", "y", "replication", "database"))
	f.Add(packetOf(protocol30, "user"))
	f.Add((cancelKey{1, 2}).packet())
	f.Add([]byte{0, 0, 0, 8, 4, 210, 22, 47})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		code, body, err := readPacket(bytes.NewReader(data))
		if err != nil {
			return
		}
		if key, ok := parseCancel(body); ok && !bytes.Equal(key.packet()[minStartup:], body) {
			t.Errorf("%x became %v", body, key)
		}
		s, err := parseStartup(code, body)
		if err != nil {
			return
		}
		// What is passed on reads as what came.
		version, again, err := readPacket(bytes.NewReader(s.packet(s.database)))
		if err != nil {
			if len(s.packet(s.database)) <= maxStartup {
				t.Fatalf("our own packet: %v", err)
			}
			return
		}
		back, err := parseStartup(version, again)
		if err != nil || back.user != s.user || back.database != s.database || len(back.parameters) != len(s.parameters) {
			t.Errorf("%+v became %+v, %v", s, back, err)
		}
		s.wantsReplication()
	})
}
