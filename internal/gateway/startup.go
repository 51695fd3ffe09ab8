package gateway

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// What stands where a protocol version would, in the first packet of a connection.
const (
	protocol3     = 3
	cancelCode    = 80877102
	sslCode       = 80877103
	gssCode       = 80877104
	minStartup    = 8
	maxStartup    = 10000 // as PostgreSQL has it
	cancelPacket  = 16
	protocol30    = protocol3 << 16
	maxParameters = 500 // far more than a packet of real settings holds; bounds what we allocate for one of empty names
)

// startup is what a client asked for in its startup packet.
type startup struct {
	user       string
	database   string      // the user's name when the client gave none
	parameters []parameter // every other one, in the client's order; a server reads the last of a kind
	minor      int         // of protocol 3
	extensions []string    // names of _pq_ options, none of which we know
	// replication is what the client gave, "" when nothing.
	replication string
}

type parameter struct{ name, value string }

// readPacket reads one packet without a type byte: its code and what follows. It reads not a byte more, for what comes next
// may be encrypted.
func readPacket(r io.Reader) (code uint32, body []byte, err error) {
	var head [minStartup]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < minStartup || length > maxStartup {
		return 0, nil, protocolViolation("invalid length of startup packet")
	}
	body = make([]byte, length-minStartup)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(head[4:]), body, nil
}

// parseStartup reads the body of a startup packet of the given version: pairs of NUL-terminated name and value, ended by an
// empty name. Names and values may hold any other bytes.
func parseStartup(version uint32, body []byte) (startup, error) {
	if version>>16 != protocol3 {
		return startup{}, unsupportedProtocol(version)
	}
	s := startup{minor: int(version & 0xFFFF)}
	for n := 0; ; n++ {
		name, rest, ok := cutString(body)
		if !ok {
			return startup{}, protocolViolation("invalid startup packet layout: expected terminator as last byte")
		}
		if name == "" {
			if len(rest) > 0 {
				return startup{}, protocolViolation("invalid startup packet layout: expected terminator as last byte")
			}
			break
		}
		if n == maxParameters {
			return startup{}, protocolViolation("too many parameters in startup packet")
		}
		value, rest, ok := cutString(rest)
		if !ok {
			return startup{}, protocolViolation("invalid startup packet layout: expected terminator as last byte")
		}
		s.set(name, value)
		body = rest
	}
	if s.user == "" {
		return startup{}, noUser()
	}
	if s.database == "" {
		s.database = s.user
	}
	return s, nil
}

func (s *startup) set(name, value string) {
	switch {
	case name == "user":
		s.user = value
	case name == "database":
		s.database = value
	case name == "replication":
		s.replication = value
	case strings.HasPrefix(name, "_pq_."):
		s.extensions = append(s.extensions, name)
	default:
		s.parameters = append(s.parameters, parameter{name, value})
	}
}

// wantsReplication says whether the client asked for a WAL sender. PostgreSQL reads the value as a boolean, of which any
// unambiguous prefix counts, or as "database".
func (s *startup) wantsReplication() bool {
	v := strings.ToLower(strings.TrimSpace(s.replication))
	isFalse := v == "0" || v == "of" || v == "off" || v != "" && (strings.HasPrefix("false", v) || strings.HasPrefix("no", v))
	return s.replication != "" && !isFalse
}

// packet is the startup packet for the server: the client's own wishes under protocol 3.0, with the database's real name.
func (s *startup) packet(database string) []byte {
	p := make([]byte, 4, 256)
	p = binary.BigEndian.AppendUint32(p, protocol30)
	for _, each := range slices.Concat([]parameter{{"user", s.user}, {"database", database}}, s.parameters) {
		p = append(append(p, each.name...), 0)
		p = append(append(p, each.value...), 0)
	}
	p = append(p, 0)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

// cancelKey names a session in a cancel request.
type cancelKey struct{ pid, secret uint32 }

// parseCancel reads the body of a cancel request. A key of another length than protocol 3.0's is nobody's.
func parseCancel(body []byte) (key cancelKey, ok bool) {
	if len(body) != cancelPacket-minStartup {
		return cancelKey{}, false
	}
	return cancelKey{binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])}, true
}

func (k cancelKey) packet() []byte {
	p := binary.BigEndian.AppendUint32(nil, cancelPacket)
	p = binary.BigEndian.AppendUint32(p, cancelCode)
	p = binary.BigEndian.AppendUint32(p, k.pid)
	return binary.BigEndian.AppendUint32(p, k.secret)
}

func cutString(b []byte) (text string, rest []byte, ok bool) {
	before, after, found := bytes.Cut(b, []byte{0})
	return string(before), after, found
}
