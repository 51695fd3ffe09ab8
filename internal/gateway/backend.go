package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// Bounds of what a server may say before it is ready.
const (
	maxServerMessage = 1 << 20
	maxGreeting      = 4 << 20
)

// serverRefusal is an error of the branch's server, told to the client as it came.
type serverRefusal struct{ message []byte }

func (r *serverRefusal) Error() string { return "the branch's server refused the session" }

// greeting is what a server said until it was ready.
type greeting struct {
	messages []byte // from AuthenticationOk to ReadyForQuery, and what came with it, with our cancel key in the place of the server's
	key      cancelKey
}

// serverLogin is one login at a branch's server.
type serverLogin struct {
	conn        net.Conn
	in          *bufio.Reader
	credentials *credentials
	role        string

	nonce []byte
	auth  []byte // the SCRAM exchange that our proof and the server's sign
	done  bool   // the server has proved that it knows the verifier
}

// logIn opens a session at a server over conn with the client's own credentials. ours is the cancel key that the client will
// be told. A *serverRefusal carries the server's own answer.
func logIn(ctx context.Context, conn net.Conn, wish *startup, database string, c *credentials, ours cancelKey) (greeting, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g, err := (&serverLogin{conn: conn, in: bufio.NewReader(conn), credentials: c, role: wish.user}).run(wish.packet(database), ours)
	if !stop() || ctx.Err() != nil {
		return greeting{}, context.Cause(ctx)
	}
	return g, err
}

func (l *serverLogin) run(startup []byte, ours cancelKey) (greeting, error) {
	var g greeting
	if _, err := l.conn.Write(startup); err != nil {
		return g, fmt.Errorf("log in at the server: %w", err)
	}
	for {
		kind, body, err := readMessage(l.in, maxServerMessage)
		if err != nil {
			return g, fmt.Errorf("log in at the server: %w", err)
		}
		switch kind {
		case 'E':
			return g, &serverRefusal{appendMessage(g.messages, kind, body)}
		case 'R':
			if g.messages, err = l.authenticate(g.messages, body); err != nil {
				return g, err
			}
		case 'K':
			if len(body) != 8 {
				return g, backendViolation("a cancel key of another length")
			}
			g.key = cancelKey{binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])}
			g.messages = appendMessage(g.messages, 'K', ours.packet()[minStartup:])
		case 'Z':
			if !l.done {
				return g, backendViolation("it let the role in without a password")
			}
			g.messages = appendMessage(g.messages, kind, body)
			// A notice may have come in the same piece.
			rest, _ := l.in.Peek(l.in.Buffered())
			g.messages = append(g.messages, rest...)
			return g, nil
		default: // ParameterStatus, notices
			g.messages = appendMessage(g.messages, kind, body)
		}
		if len(g.messages) > maxGreeting {
			return g, backendViolation("it does not become ready")
		}
	}
}

// authenticate answers an authentication message. AuthenticationOk, which the client gets, is appended to out.
func (l *serverLogin) authenticate(out, body []byte) ([]byte, error) {
	if len(body) < 4 {
		return out, backendViolation("an authentication message without a code")
	}
	data := body[4:]
	switch code := binary.BigEndian.Uint32(body); {
	case code == authSASL && l.nonce == nil:
		return out, l.begin(data)
	case code == authSASLContinue && l.nonce != nil && l.auth == nil:
		return out, l.prove(data)
	case code == authSASLFinal && l.auth != nil && !l.done:
		return out, l.check(data)
	case code == authOK && l.done:
		return appendMessage(out, 'R', body), nil
	default:
		return out, backendViolation(fmt.Sprintf("authentication code %d", code))
	}
}

func (l *serverLogin) begin(mechanisms []byte) error {
	if !bytes.Contains(append([]byte{0}, mechanisms...), []byte("\x00"+scramPlain+"\x00")) {
		return backendViolation("it does not offer " + scramPlain)
	}
	random := make([]byte, nonceLength)
	_, _ = rand.Read(random) // never fails
	l.nonce = base64.StdEncoding.AppendEncode(nil, random)
	first := l.firstBare()
	length := binary.BigEndian.AppendUint32(nil, uint32(len("n,,")+len(first)))
	return l.send([]byte(scramPlain+"\x00"), length, []byte("n,,"), first)
}

func (l *serverLogin) firstBare() []byte { return append([]byte("n=,r="), l.nonce...) }

// prove makes the proof that a client with the password would make. The client's key fits one salt and one iteration count only: others mean
// that the password was changed, or may no longer be used.
func (l *serverLogin) prove(message []byte) error {
	server, err := parseServerFirst(message)
	if err != nil {
		return err
	}
	v := &l.credentials.verifier
	if !bytes.HasPrefix(server.nonce, l.nonce) || len(server.nonce) == len(l.nonce) {
		return backendViolation("a SCRAM nonce that is not ours")
	}
	if !bytes.Equal(server.salt, v.Salt) || server.iterations != v.Iterations {
		return wrongPassword(l.role)
	}
	last := append([]byte("c=biws,r="), server.nonce...)
	l.auth = bytes.Join([][]byte{l.firstBare(), message, last}, []byte{','})
	var proof [sha256.Size]byte
	subtle.XORBytes(proof[:], l.credentials.clientKey[:], sign(v.StoredKey[:], l.auth))
	return l.send(last, []byte(",p="), []byte(base64.StdEncoding.EncodeToString(proof[:])))
}

// check makes sure that the server knows the verifier too.
func (l *serverLogin) check(message []byte) error {
	want := "v=" + base64.StdEncoding.EncodeToString(sign(l.credentials.verifier.ServerKey[:], l.auth))
	if subtle.ConstantTimeCompare(message, []byte(want)) != 1 {
		return backendViolation("it does not know the role's verifier")
	}
	l.done = true
	return nil
}

func (l *serverLogin) send(body ...[]byte) error {
	if _, err := l.conn.Write(appendMessage(nil, 'p', body...)); err != nil {
		return fmt.Errorf("log in at the server: %w", err)
	}
	return nil
}
