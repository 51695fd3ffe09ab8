package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

func malformedSCRAM(what string) error { return protocolViolation("malformed SCRAM message: " + what) }

// parseInitialResponse reads SASLInitialResponse: the mechanism's name, then the length and the bytes of its first message.
func parseInitialResponse(body []byte) (mechanism string, message []byte, err error) {
	mechanism, rest, ok := cutString(body)
	if !ok || len(rest) < 4 {
		return "", nil, protocolViolation("invalid SASLInitialResponse")
	}
	length := binary.BigEndian.Uint32(rest)
	if uint64(length) != uint64(len(rest)-4) {
		// -1 says that there is no message; SCRAM begins with the client's, so that is wrong too.
		return "", nil, protocolViolation("invalid SASLInitialResponse")
	}
	return mechanism, rest[4:], nil
}

// clientFirst is the client's first message: gs2-header and client-first-message-bare of RFC 5802.
type clientFirst struct {
	flag    byte   // 'n' no channel binding, 'y' the client thinks that we have none, 'p' used
	binding string // its type, with 'p'
	header  []byte // the gs2-header as it came, for the final message repeats it
	bare    []byte
	nonce   []byte
}

// parseClientFirst reads the client's first message. The user name in it is ignored, as in PostgreSQL: the startup packet
// has said it.
func parseClientFirst(message []byte) (clientFirst, error) {
	var c clientFirst
	flag, rest, ok := bytes.Cut(message, []byte{','})
	if !ok || len(flag) == 0 {
		return c, malformedSCRAM("no channel-binding flag")
	}
	c.flag = flag[0]
	switch {
	case c.flag == 'p' && len(flag) > 2 && flag[1] == '=':
		c.binding = string(flag[2:])
	case (c.flag == 'n' || c.flag == 'y') && len(flag) == 1:
	default:
		return c, malformedSCRAM("unexpected channel-binding flag")
	}
	authzid, bare, ok := bytes.Cut(rest, []byte{','})
	if !ok {
		return c, malformedSCRAM("no comma after the authorization identity")
	}
	if len(authzid) > 0 {
		return c, notOffered("client uses authorization identity, but it is not supported")
	}
	c.header, c.bare = message[:len(message)-len(bare)], bare
	if bytes.HasPrefix(bare, []byte("m=")) {
		return c, notOffered("client requires an unsupported SCRAM extension")
	}
	_, rest, ok = attribute(bare, 'n')
	if !ok {
		return c, malformedSCRAM("no user name")
	}
	// Optional extensions after the nonce mean nothing to us.
	if c.nonce, _, ok = attribute(rest, 'r'); !ok || !printable(c.nonce) {
		return c, malformedSCRAM("no nonce of printable characters")
	}
	return c, nil
}

// clientFinal is the client's final message.
type clientFinal struct {
	withoutProof []byte
	binding      []byte // base64 of the gs2-header and the channel's binding data
	nonce        []byte
	proof        [sha256.Size]byte
}

func parseClientFinal(message []byte) (clientFinal, error) {
	var c clientFinal
	var rest []byte
	var ok bool
	if c.binding, rest, ok = attribute(message, 'c'); !ok {
		return c, malformedSCRAM("no channel binding")
	}
	if c.nonce, _, ok = attribute(rest, 'r'); !ok {
		return c, malformedSCRAM("no nonce")
	}
	// The proof is the last attribute; base64 has no comma.
	at := bytes.LastIndex(message, []byte(",p="))
	if at < len(message)-len(rest) {
		return c, malformedSCRAM("no proof at the end")
	}
	c.withoutProof = message[:at]
	proof, err := base64.StdEncoding.Strict().DecodeString(string(message[at+len(",p="):]))
	if err != nil || len(proof) != len(c.proof) {
		return c, malformedSCRAM("malformed proof")
	}
	copy(c.proof[:], proof)
	return c, nil
}

// serverFirst is the first message of a server that we log in to.
type serverFirst struct {
	nonce      []byte
	salt       []byte
	iterations int
}

func parseServerFirst(message []byte) (serverFirst, error) {
	var s serverFirst
	bad := backendViolation("malformed SCRAM server-first-message")
	nonce, rest, ok := attribute(message, 'r')
	if !ok || len(nonce) == 0 {
		return s, bad
	}
	salt, rest, ok := attribute(rest, 's')
	if !ok {
		return s, bad
	}
	count, _, ok := attribute(rest, 'i')
	if !ok {
		return s, bad
	}
	s.nonce = nonce
	var err error
	if s.salt, err = base64.StdEncoding.DecodeString(string(salt)); err != nil {
		return s, bad
	}
	if s.iterations, err = strconv.Atoi(string(count)); err != nil || s.iterations < 1 {
		return s, bad
	}
	return s, nil
}

// attribute cuts "name=value" from the beginning of a list separated by commas.
func attribute(list []byte, name byte) (value, rest []byte, ok bool) {
	if len(list) < 2 || list[0] != name || list[1] != '=' {
		return nil, nil, false
	}
	value, rest, _ = bytes.Cut(list[2:], []byte{','})
	return value, rest, true
}

// printable says whether b is one or more of the characters that a nonce may have: 0x21 to 0x7e without the comma.
func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x21 || c > 0x7e || c == ',' {
			return false
		}
	}
	return len(b) > 0
}
