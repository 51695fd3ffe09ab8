package gateway

import (
	"encoding/binary"
	"io"
)

const messageHead = 5 // a type byte and four of length

// readMessage reads one message whose body has at most limit bytes, and not a byte more.
func readMessage(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [messageHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length-4 > uint32(limit) {
		return head[0], nil, protocolViolation("invalid message length")
	}
	body = make([]byte, length-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return head[0], nil, err
	}
	return head[0], body, nil
}

// appendMessage appends a message of the given type to dst.
func appendMessage(dst []byte, kind byte, body ...[]byte) []byte {
	length := 4
	for _, b := range body {
		length += len(b)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, kind), uint32(length))
	for _, b := range body {
		dst = append(dst, b...)
	}
	return dst
}

// Codes of authentication messages.
const (
	authOK           = 0
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

func appendAuthentication(dst []byte, code uint32, data []byte) []byte {
	return appendMessage(dst, 'R', binary.BigEndian.AppendUint32(nil, code), data)
}

// frames follows the messages in a stream that arrives in pieces. It looks at nothing but types and lengths, and at the
// transaction status in ReadyForQuery.
type frames struct {
	head [messageHead]byte
	have int    // bytes of head that have arrived
	left uint32 // bytes of the body that have not
	// status is that of the last ReadyForQuery: 'I' idle, 'T' in a transaction, 'E' in a failed one.
	status byte
	// ready says that ReadyForQuery was the last whole message.
	ready bool
	// readies counts them.
	readies uint64
	lost    bool // a length was impossible: from here on nothing is known
}

// atBoundary says whether the last message is whole.
func (f *frames) atBoundary() bool { return f.have == 0 && f.left == 0 && !f.lost }

// scan follows p, the next piece of the stream, and returns how many bytes of it belong to the first message that ends in
// it, with 0 when p begins at a boundary and -1 when none ends in it.
func (f *frames) scan(p []byte) (first int) {
	first = -1
	if f.atBoundary() {
		first = 0
	}
	for i := 0; i < len(p) && !f.lost; {
		if f.left == 0 {
			i += f.header(p[i:])
			if f.have < messageHead {
				return first
			}
		}
		if f.left > 0 {
			n := min(uint32(min(len(p)-i, 1<<30)), f.left)
			if n > 0 && f.head[0] == 'Z' {
				f.status = p[i+int(n)-1]
			}
			i += int(n)
			f.left -= n
		}
		if f.left > 0 {
			return first
		}
		f.have = 0
		if f.ready = f.head[0] == 'Z'; f.ready {
			f.readies++
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// header takes what belongs to the message's head from p and returns how much that was.
func (f *frames) header(p []byte) int {
	n := copy(f.head[f.have:], p)
	f.have += n
	if f.have == messageHead {
		length := binary.BigEndian.Uint32(f.head[1:])
		if length < 4 {
			f.lost = true
			return n
		}
		f.left = length - 4
	}
	return n
}
